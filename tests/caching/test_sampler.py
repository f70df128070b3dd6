# Generated from test_sampler_async.py by scripts/twins.py. Do not edit.
"""The consistency sampler: it sees a value that somebody changed without a word, and no other."""

from __future__ import annotations

from typing import Any

from regionkit.caching import Cache, Lazy
from regionkit.caching.events import CacheInconsistent
from regionkit.caching.sampler import Sampler
from regionkit.core.concurrency import sleep
from regionkit.testing import VirtualClock


class Rig:
    """A cache over a mapping, and a sampler that is run by hand."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1}
        self.told: list[Any] = []
        self.clock = VirtualClock()
        self.cache: Cache[int] = Cache("users", int, strategy=Lazy(load=self.values.get, ttl=300), clock=self.clock)
        self.cache.subscribe(self.told.append)
        self.sampler = Sampler(self.cache.fetcher.parts, 1.0, 2.0)


def test_what_is_the_same_is_consistent() -> None:
    """Counted, and no event."""
    rig = Rig()
    with rig.cache as cache:
        cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        assert rig.sampler.compare(entry) is True
        assert (cache.counters.sampled, cache.counters.inconsistent, rig.told) == (1, 0, [])


def test_a_change_that_nobody_told_is_seen() -> None:
    """It still stands after the time within which news arrive."""
    rig = Rig()
    with rig.cache as cache:
        cache.get("a")
        rig.values["a"] = 2
        entry = cache._table.get("a")
        assert entry is not None
        assert rig.sampler.compare(entry) is False
        assert cache.counters.inconsistent == 1
        assert [type(event) for event in rig.told] == [CacheInconsistent]


def test_a_change_that_was_told_meanwhile_is_none() -> None:
    """The entry is gone by then."""
    rig = Rig()
    with rig.cache as cache:
        cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        rig.values["a"] = 2
        cache.invalidate("a")
        assert rig.sampler.compare(entry) is None
        assert cache.counters.inconsistent == 0


def test_it_runs_by_itself() -> None:
    """With `sample_every`, over entries that are read."""
    values = {"a": 1}
    strategy = Lazy(load=values.get, ttl=300)
    with Cache("users", int, strategy=strategy, sample_every=0.01) as cache:
        for _ in range(2000):
            cache.get("a")
            sleep(0.005)
            if cache.counters.sampled:
                break
        assert cache.counters.sampled
