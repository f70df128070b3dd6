"""The consistency sampler: it sees a value that somebody changed without a word, and no other."""

from __future__ import annotations

from typing import Any

from regionkit.caching import AsyncCache, Lazy
from regionkit.caching.events import CacheInconsistent
from regionkit.caching.sampler_async import AsyncSampler
from regionkit.core.concurrency_async import asleep
from regionkit.testing import VirtualClock


class Rig:
    """A cache over a mapping, and a sampler that is run by hand."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1}
        self.told: list[Any] = []
        self.clock = VirtualClock()
        self.cache: AsyncCache[int] = AsyncCache(
            "users", int, strategy=Lazy(load=self.values.get, ttl=300), clock=self.clock
        )
        self.cache.subscribe(self.told.append)
        self.sampler = AsyncSampler(self.cache.fetcher.parts, 1.0, 2.0)


async def test_what_is_the_same_is_consistent() -> None:
    """Counted, and no event."""
    rig = Rig()
    async with rig.cache as cache:
        await cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        assert await rig.sampler.compare(entry) is True
        assert (cache.counters.sampled, cache.counters.inconsistent, rig.told) == (1, 0, [])


async def test_a_change_that_nobody_told_is_seen() -> None:
    """It still stands after the time within which news arrive."""
    rig = Rig()
    async with rig.cache as cache:
        await cache.get("a")
        rig.values["a"] = 2
        entry = cache._table.get("a")
        assert entry is not None
        assert await rig.sampler.compare(entry) is False
        assert cache.counters.inconsistent == 1
        assert [type(event) for event in rig.told] == [CacheInconsistent]


async def test_a_change_that_was_told_meanwhile_is_none() -> None:
    """The entry is gone by then."""
    rig = Rig()
    async with rig.cache as cache:
        await cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        rig.values["a"] = 2
        await cache.invalidate("a")
        assert await rig.sampler.compare(entry) is None
        assert cache.counters.inconsistent == 0


async def test_it_runs_by_itself() -> None:
    """With `sample_every`, over entries that are read."""
    values = {"a": 1}
    strategy = Lazy(load=values.get, ttl=300)
    async with AsyncCache("users", int, strategy=strategy, sample_every=0.01) as cache:
        for _ in range(2000):
            await cache.get("a")
            await asleep(0.005)
            if cache.counters.sampled:
                break
        assert cache.counters.sampled
