"""Keyed attempts: who claims a key, and what stands under one. Values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Claim", "Claimed", "Marker"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One keyed attempt. `attempt` is new for each started run."""

    key: str
    fingerprint: str
    attempt: str


@dataclass(frozen=True, slots=True)
class Marker:
    """What stands under an idempotency key: a committed write, or a tombstone that keeps it from committing."""

    applied: bool
    fingerprint: str
    result: bytes | None


class Claimed(Exception):
    """At the end of a keyed attempt its key was found taken: what stands there. Nothing of this attempt took effect."""

    def __init__(self, marker: Marker) -> None:
        super().__init__(marker)
        self.marker = marker
