"""Writes of a cache: an intent before the store commits, the value or an invalidation after it, and repair when neither came."""

from __future__ import annotations

import os
from typing import Any

from regionkit.caching.keys import Stored
from regionkit.caching.outcome import Outcome
from regionkit.caching.source_async import acalled
from regionkit.caching.steps import TierDown
from regionkit.caching.strategies import Loaded, WriteThrough
from regionkit.caching.version import NOTHING
from regionkit.core.clock import Clock
from regionkit.errors import CacheError, RegionKitError, UsageError

__all__ = ["AsyncWriter"]


class AsyncWriter:
    """The writes of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, cache: Any, backing: Any, clock: Clock) -> None:
        self._cache = cache
        self._backing = backing
        self._clock = clock

    async def put(self, key: Any, stored: Stored, value: Any) -> None:
        """Intent, store, publish."""
        cache, strategy = self._cache, self._cache.strategy
        assert isinstance(strategy, WriteThrough)
        if strategy.store is None:
            raise UsageError(f"cache {cache.name!r} has no store function.", fix="give WriteThrough(store=...).")
        cache.fetcher.parts.shaper.coder.check(value)
        id = os.urandom(8).hex().encode()
        await self._intend([stored], id)
        try:
            given = await acalled(strategy.store, key, value)
        except RegionKitError as error:
            await self._failed([stored], id, sure=error.committed == "no")
            raise
        except BaseException:
            await self._failed([stored], id, sure=False)
            raise
        await self._published(stored, id, value if given is None else given)

    async def _intend(self, stored: list[Stored], id: bytes) -> None:
        cache = self._cache
        try:
            await cache.tier.intend(stored, id, cache.strategy.write_timeout)
        except TierDown as down:
            raise CacheError(
                f"cache {cache.name!r} could not tell its shared tier of a write.",
                why=f"{down}. Nothing was written: readers would have kept the old value.",
                fix="try again when the tier answers.",
                retryable=True,
                committed="no",
            ) from down
        finally:
            for key in stored:
                cache.teller.told(key)

    async def _failed(self, stored: list[Stored], id: bytes, *, sure: bool) -> None:
        """`sure`: nothing was written. Else the intent stays until its end: readers ask the owner."""
        if sure:
            try:
                await self._cache.tier.abort(stored, id)
            except TierDown:
                pass  # it ends by itself

    async def _published(self, stored: Stored, id: bytes, value: Any) -> None:
        cache = self._cache
        fetcher = cache.fetcher
        loaded = value if isinstance(value, Loaded) else Loaded(value)
        life = fetcher.parts.shaper.life(ttl=loaded.ttl)
        entry, sealing = fetcher.parts.shaper.sealed(stored, Outcome(loaded.value), life)
        mark = fetcher.parts.table.mark(stored)
        try:
            if sealing is None:
                await cache.tier.invalidate([stored], NOTHING)
                await cache.tier.abort([stored], id)
                return
            verdict, entry.stamp = await cache.tier.publish(stored, id, sealing, NOTHING)
            if verdict is verdict.STORED:
                fetcher.parts.table.put(entry, mark)
        except TierDown:
            cache.teller.tell_later("keys", (stored,), NOTHING)
        finally:
            fetcher.parts.table.unmark(mark)

    async def settle(self, intents: tuple[bytes, ...], stored: Stored) -> None:
        """Writes that are over their time: find out what became of them, and say so to the tier."""
