"""Placeholder until the real one comes."""

from __future__ import annotations

from regionkit.caching.back.buffer_async import AsyncBuffer
from regionkit.caching.back.steps import Put, PutAnswer
from regionkit.caching.shared_async import AsyncSharedTier
from regionkit.caching.strategies import WriteBack
from regionkit.core.clock import Clock


class AsyncDurability:
    def __init__(self, tier: AsyncSharedTier, buffer: AsyncBuffer, strategy: WriteBack, clock: Clock) -> None:
        self.buffer = buffer

    async def put(self, put: Put, *, first: bool) -> tuple[PutAnswer, str]:
        return await self.buffer.again(put, first=first), "redis-memory"
