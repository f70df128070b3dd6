# Generated from test_memcached_async.py by scripts/twins.py. Do not edit.
"""The tier on a real Memcached server: what it keeps of the promises, with two caches that stand for two processes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from regionkit.caching import TTL, Cache, Lazy, Loaded, Local, Memcached, WriteThrough
from regionkit.caching.memcached_wire import delete
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency import Flag, gather, sleep
from regionkit.errors import CacheError, ConfigurationError

from .fix_memcached import MemcachedServer, memcached

__all__ = ["memcached"]

pytestmark = pytest.mark.server


def name() -> str:
    """Of a cache of its own."""
    return f"c{uuid.uuid4().hex[:12]}"


def cache_of(server: MemcachedServer, called: str, load: Callable[[Any], Any] | None = None, **options: Any) -> Any:
    """One process's view of a cache."""
    strategy = TTL(ttl=60) if load is None else Lazy(load=load, ttl=60, negative_ttl=60)
    options.setdefault("strategy", strategy)
    timeout = options.pop("timeout", 5.0)
    return Cache(called, str, tiers=[Memcached(server.url, timeout=timeout)], **options)


class Source:
    """A database of one text a key, with a loader that can be held."""

    def __init__(self) -> None:
        self.value = "1"
        self.loads = 0
        self.began, self.go = Flag(), Flag()
        self.go.set()

    def load(self, key: str) -> str:
        self.loads += 1
        value = self.value
        self.began.set()
        self.go.wait(20.0)
        return value


def test_what_one_process_loads_the_other_has(memcached: MemcachedServer) -> None:
    """Typed keys, keys of any length and bytes, many at once, and the knowledge that nothing is there."""
    keys = ["a", 42, "42", b"42", "k" * 1000, "a b\r\nc", "ключ", ("a", 1)]
    called, loads = name(), []

    def load(key: Any) -> str | None:
        loads.append(key)
        return None if key == "none" else repr(key)

    with cache_of(memcached, called, load) as one, cache_of(memcached, called, load) as other:
        for key in keys:
            assert one.get(key) == repr(key)
        assert one.get("none") is None
        assert loads == [*keys, "none"]
        assert [other.get(key) for key in keys] == [repr(key) for key in keys]
        assert other.get("none") is None
        assert other.get_many(keys) == {key: repr(key) for key in keys}
        assert loads == [*keys, "none"]
        assert other.status()["shared_hits"] >= len(keys)


def test_an_invalidation_refuses_the_load_of_another_process(memcached: MemcachedServer) -> None:
    """It had begun before: its caller gets it, nobody keeps it."""
    called, source = name(), Source()
    with cache_of(memcached, called, source.load) as one, cache_of(memcached, called, source.load) as other:
        source.go.clear()

        def old() -> str:
            found: str = one.get("a")
            return found

        def told() -> None:
            source.began.wait(20.0)
            source.value = "2"
            other.invalidate("a")
            source.go.set()

        [found, _] = gather([old, told])
        assert found in ("1", "2")
        assert one.status()["refused_fills"] == 1
        assert other.get("a") == "2"
        assert one.get("a") == "2"


def test_one_load_over_two_processes(memcached: MemcachedServer) -> None:
    """The others look again until it is there."""
    called, source = name(), Source()
    with cache_of(memcached, called, source.load) as one, cache_of(memcached, called, source.load) as other:
        source.go.clear()

        def release() -> None:
            source.began.wait(20.0)
            sleep(0.3)
            source.go.set()

        found = gather([release, *[lambda cache=cache: cache.get("a") for cache in (one, other) for _ in range(5)]])  # type: ignore[misc]
        assert found == [None, *["1"] * 10]
        assert source.loads == 1


def test_clear_and_tags_reach_the_other_process(memcached: MemcachedServer) -> None:
    """By numbers in the entries; the first load of a new tag is not kept."""
    called, loads = name(), []

    def load(key: str) -> Loaded:
        loads.append(key)
        return Loaded(str(len(loads)), tags=("even" if int(key) % 2 == 0 else "odd",))

    with cache_of(memcached, called, load) as one, cache_of(memcached, called, load) as other:
        for key in ("0", "1", "0", "1"):
            one.get(key)
        assert len(loads) == 4
        before = [other.get("0"), other.get("1")]
        assert len(loads) == 4, "both are there"
        one.invalidate_tag("even")
        assert other.get("0") == "5"
        assert other.get("1") == before[1]
        one.clear()
        assert other.get("0") == "6"
        assert other.get("1") == "7"


def test_set_delete_and_expire(memcached: MemcachedServer) -> None:
    """The last word is everybody's."""
    called, loads = name(), []
    with cache_of(memcached, called) as one, cache_of(memcached, called) as other:
        one.set("a", "1")
        assert other.get("a") == "1"
        other.set("a", "2")
        assert one.get("a") == "2"
        one.delete("a")
        assert other.get("a") is None

    def load(key: str) -> str:
        loads.append(key)
        if len(loads) == 2:
            raise ValueError("the database is away")
        return str(len(loads))

    lazy = Lazy(load=load, ttl=60, stale_if_error=60, error_pause=0.01)
    with cache_of(memcached, name(), strategy=lazy) as cache:
        assert cache.get("a") == "1"
        cache.expire("a")
        sleep(0.01)
        assert cache.get("a") == "1", "served, as the load failed"
        sleep(0.05)
        assert cache.get("a") == "3"


def test_a_write_is_stored_over_its_own_mark(memcached: MemcachedServer) -> None:
    """While it is under way nothing that is loaded is kept, and a failed one leaves the old value."""
    called, source = name(), Source()
    during: list[str] = []
    with cache_of(memcached, called, source.load) as reader:

        def save(key: str, value: str) -> None:
            during.append(reader.get("a"))
            if value == "bad":
                raise ValueError("refused")
            source.value = value

        strategy = WriteThrough(load=source.load, store=save, ttl=60)
        with cache_of(memcached, called, strategy=strategy) as writer:
            assert reader.get("a") == "1"
            writer.put("a", "2")
            assert during == ["1"]
            assert reader.get("a") == "2"
            assert writer.get("a") == "2"
            assert source.loads == 2, "one before, one during; the write was stored"
            with pytest.raises(ValueError, match="refused"):
                writer.put("a", "bad")
            assert reader.get("a") == "2"


def test_a_server_that_has_lost_all_makes_misses(memcached: MemcachedServer) -> None:
    """Another generation is open; nothing of before comes back."""
    called, source = name(), Source()
    with cache_of(memcached, called, source.load) as cache:
        assert cache.get("a") == "1"
        memcached.say(b"flush_all")
        source.value = "2"
        assert cache.get("a") == "2"
        assert cache.get("a") == "2"
        assert source.loads == 2


def test_a_number_that_was_dropped_counts_as_just_raised(memcached: MemcachedServer) -> None:
    """Each of them by itself."""
    called, loads = name(), []

    def load(key: str) -> Loaded:
        loads.append(key)
        return Loaded(str(len(loads)), tags=("t",))

    with cache_of(memcached, called, load) as cache:
        prefix = f"regionkit:rk:{called}:".encode()
        tag = cache.tier._at(b"t", cache.fetcher.parts.source and _tag(cache))
        for dropped in (prefix + b"g", prefix + b"q", tag):
            for _ in range(3):
                cache.get("a")
            known = len(loads)
            assert cache.get("a") == str(known), "it is kept"
            assert memcached.say(b"delete " + dropped) == b"DELETED\r\n"
            if dropped == prefix + b"q":
                cache.invalidate_tag("other")  # who counts finds it out
            assert cache.get("a") == str(known + 1)


def _tag(cache: Any) -> bytes:
    from regionkit.caching.outcome import tag_digest

    return tag_digest("t", cache.scope)


def test_a_dead_server_leaves_the_loads_and_tells_of_invalidations(memcached: MemcachedServer) -> None:
    """It comes back empty, and serves again."""
    source = Source()
    with cache_of(memcached, name(), source.load) as cache:
        assert cache.get("a") == "1"
        memcached.kill()
        try:
            source.value = "2"
            assert cache.get("a") == "2"
            with pytest.raises(CacheError):
                cache.invalidate("a")
        finally:
            memcached.start()
        for _ in range(100):
            cache.get("a")
            if cache.status()["shared_hits"]:
                break
            sleep(0.05)
        assert cache.status()["shared_hits"]
        assert cache.get("a") == "2"


def test_a_frozen_server_ends_every_wait_and_spoils_no_answer(memcached: MemcachedServer) -> None:
    """What it says afterwards is given to nobody."""
    with cache_of(memcached, name(), timeout=1.0) as cache:
        keys = [f"k{number}" for number in range(6)]
        for key in keys:
            cache.set(key, key)
        memcached.freeze()
        try:
            assert gather([lambda key=key: cache.get(key) for key in keys]) == [None] * 6  # type: ignore[misc]
        finally:
            memcached.thaw()
        for _ in range(200):
            if cache.get("k0") is not None:
                break
            sleep(0.05)
        assert [cache.get(key) for key in keys] == keys


def test_an_answer_that_comes_late_is_not_the_next_questions(memcached: MemcachedServer) -> None:
    """The connection on which it may still come is closed, though nothing has come on it."""
    with cache_of(memcached, name(), timeout=1.0) as cache:
        cache.set("a", "1")

        def thaw() -> None:
            sleep(0.3)
            memcached.thaw()

        memcached.freeze()
        try:
            with pytest.raises(TierDown):
                cache.tier.read(["a"])
            [said, _] = gather([lambda: cache.tier._link.said(delete(b"nothing")), thaw])
        finally:
            memcached.thaw()
        assert said == [b"NOT_FOUND"]


def test_a_value_too_large_for_the_server_is_given_and_not_kept(memcached: MemcachedServer) -> None:
    """Neither is the tier down for it."""
    large = "x" * (1 << 20)
    tier = Memcached(memcached.url, timeout=5.0, max_value_bytes=4 << 20)
    strategy = Lazy(load=lambda key: large if key == "large" else "small", ttl=60)
    with Cache(name(), str, strategy=strategy, tiers=[tier]) as cache:
        for _ in range(5):
            assert cache.get("large") == large
        assert cache.get("small") == "small"
        assert cache.get("small") == "small"
        assert cache.status()["shared_hits"] == 1


def test_a_local_tier_before_it_needs_an_end_of_its_own(memcached: MemcachedServer) -> None:
    """It hears of nothing that other processes tell."""
    called, source = name(), Source()
    tiers = [Local(ttl=1.0), Memcached(memcached.url, timeout=5.0)]
    with pytest.raises(ConfigurationError, match="needs ttl="):
        Cache(called, str, strategy=TTL(ttl=60), tiers=[Local(), Memcached(memcached.url)])
    with (
        cache_of(memcached, called, source.load) as other,
        Cache(called, str, strategy=Lazy(load=source.load, ttl=60), tiers=tiers) as cache,
    ):
        cache.get("warm")  # the generation is known
        assert cache.get("a") == "1"
        assert cache.get("a") == "1"
        assert cache.status()["local_hits"] >= 1
        source.value = "2"
        other.invalidate("a")
        for _ in range(200):
            if cache.get("a") == "2":
                break
            sleep(0.02)
        assert cache.get("a") == "2"


@pytest.mark.parametrize(
    "url", ["redis://localhost", "memcached://", "memcached://u:p@h", "memcached://h/x", "memcached://h?a=b", "", 7]
)
def test_an_unusable_url_is_refused(url: Any) -> None:
    """With the form that is usable."""
    with pytest.raises(ConfigurationError, match="memcached://host:11211"):
        Cache(name(), str, strategy=TTL(ttl=60), tiers=[Memcached(url)])


def test_off_loopback_it_speaks_tls() -> None:
    """Unless the URL says that it need not."""
    for url, plain in (
        ("memcached://cache.example:11211", False),
        ("memcached://cache.example?tls=off", True),
        ("memcached://127.0.0.1", True),
    ):
        with Cache(name(), str, strategy=TTL(ttl=60), tiers=[Memcached(url)]) as cache:
            assert (cache.tier._link.tls is None) is plain  # type: ignore[attr-defined]
