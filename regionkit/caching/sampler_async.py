"""The consistency sampler: what is served here, compared with what the owner has.

1. Every `every` seconds one entry of the local tier that was read lately is loaded from the owner, and compared.
2. Where they differ it may be that a write was just made. After the time within which news arrive the entry has to be gone: if it
   still stands, it is counted, and told as an event.
3. It loads beside all other loads, stores nothing, and an error of it is nobody's.
"""

from __future__ import annotations

import random
from typing import Any

from regionkit.caching.events import CacheInconsistent
from regionkit.caching.local_table import Entry
from regionkit.caching.outcome import Wanted
from regionkit.caching.parts_async import Parts
from regionkit.caching.strategies import LONGEST_TTL, TTL
from regionkit.core.concurrency_async import aelapse
from regionkit.core.given import check_seconds
from regionkit.core.supervisor_async import AsyncSupervisor

__all__ = ["AsyncSampler"]

LOOKED_AT = 1000
"""Entries among which one is chosen: a table of any size costs no more."""


class AsyncSampler:
    """The sampler of one cache in this process. `bound`: seconds within which news arrive."""

    def __init__(self, parts: Parts, every: float, bound: float) -> None:
        check_seconds("sample_every", every, 0.001, LONGEST_TTL)
        self._parts = parts
        self._every = every
        self._bound = bound
        self._chance = random.Random()
        self._supervisor = AsyncSupervisor(parts.clock)

    def start(self) -> None:
        """Sample from now on, unless it does."""
        self._supervisor.start("cache sampler", self._round, lambda error: None)

    async def _round(self) -> float | None:
        entry = self._chosen()
        if entry is not None:
            await self.compare(entry)
        return self._every

    def _chosen(self) -> Entry | None:
        """An entry that was read, and can still be served."""
        now = self._parts.clock.monotonic()
        entries = self._parts.table.some(LOOKED_AT, self._chance.random())
        read = [e for e in entries if e.hits and e.asked is not None and e.hard > now]
        return self._chance.choice(read) if read else None

    async def compare(self, entry: Entry) -> bool | None:
        """Whether the owner has the same; None where it is not known."""
        parts, strategy = self._parts, self._parts.strategy
        if isinstance(strategy, TTL) or strategy.load is None:
            return None
        outcome = await parts.source.load(entry.asked, Wanted(strategy.load, owner=True))
        parts.counters.sampled += 1
        mine: Any = parts.shaper.value(entry)
        if outcome.unchanged or (entry.found, mine) == (outcome.found, outcome.value):
            return True
        await aelapse(parts.clock, self._bound)
        now = parts.clock.monotonic()
        if parts.table.get(entry.key) is not entry or now >= entry.hard:
            return None
        parts.counters.inconsistent += 1
        parts.emit(CacheInconsistent(parts.name, "local", now - entry.made))
        return False

    def renew(self) -> None:
        """After a fork: the parent samples."""
        self._supervisor.renew()

    async def close(self) -> None:
        """Sample no more."""
        await self._supervisor.stop()
