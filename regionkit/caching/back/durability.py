# Generated from durability_async.py by scripts/twins.py. Do not edit.
"""Placeholder until the real one comes."""

from __future__ import annotations

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.steps import Put, PutAnswer
from regionkit.caching.shared import SharedTier
from regionkit.caching.strategies import WriteBack
from regionkit.core.clock import Clock


class Durability:
    def __init__(self, tier: SharedTier, buffer: Buffer, strategy: WriteBack, clock: Clock) -> None:
        self.buffer = buffer

    def put(self, put: Put, *, first: bool) -> tuple[PutAnswer, str]:
        return self.buffer.again(put, first=first), "redis-memory"
