"""The hit that looks at nothing but the table: what it must still see."""

from __future__ import annotations

import math

import pytest

from regionkit.caching import TTL, AsyncCache, Lazy
from regionkit.caching.local_table import FEW
from regionkit.core.coarse_clock import COARSE_CLOCK
from regionkit.errors import ConfigurationError


async def test_bytes_that_spell_another_key_find_nothing_of_it() -> None:
    """An int stands as bytes in the table; those bytes, as a key of the application's, are another key.

    So are what went out of the table, and came back.
    """
    async with AsyncCache("numbers", str, strategy=TTL(ttl=60)) as cache:
        await cache.set(42, "the number")
        await cache.set("42", "the text")
        assert await cache.get(b"i42") is None
        assert await cache.get(42) == "the number"
        assert await cache.get("42") == "the text"
        assert await cache.get(b"42") is None
        await cache.set(b"i42", "the bytes")
        assert [await cache.get(key) for key in (42, "42", b"i42")] == ["the number", "the text", "the bytes"]
        await cache.delete(42)
        assert [await cache.get(key) for key in (42, "42", b"i42")] == [None, "the text", "the bytes"]
        await cache.set(42, "again")
        await cache.delete("42")
        assert [await cache.get(key) for key in (42, "42", b"i42")] == ["again", None, "the bytes"]
        await cache.clear()
        assert [await cache.get(key) for key in (42, "42", b"i42")] == [None, None, None]


async def test_a_hit_is_counted_whatever_its_key_is() -> None:
    """Hits are what eviction goes by."""
    async with AsyncCache("counted", str, strategy=TTL(ttl=60)) as cache:
        await cache.set("a", "text")
        await cache.set(7, "number")
        for _ in range(3):
            await cache.get("a")
            await cache.get(7)
        assert cache.status()["local_hits"] == 6
        for _ in range(3 * FEW + 7):
            await cache.get("a")
            await cache.get(7)
        assert cache.status()["local_hits"] == 6 + 2 * (3 * FEW + 7)
        assert all(0 < entry.hits <= FEW for entry in cache._table.entries.values())
        await cache.clear()
        assert cache.status()["local_hits"] == 6 + 2 * (3 * FEW + 7)


async def test_what_is_over_its_time_by_the_coarse_clock_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that clock stands, as in a child after a fork: it says infinity there."""
    loads = []

    def load(key: str) -> str:
        loads.append(key)
        return key

    async with AsyncCache("timed", str, strategy=Lazy(load=load, ttl=60)) as cache:
        await cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        entry.value = "only the fast lane gives this without a look"
        assert await cache.get("a") == entry.value
        entry.soft = entry.hard = entry.kept = -math.inf
        monkeypatch.setattr(COARSE_CLOCK, "now", math.inf)
        assert await cache.get("a") == "a"
        assert loads == ["a", "a"]


async def test_a_get_that_asks_for_more_is_no_fast_hit() -> None:
    """`refresh` loads, and so does a value that is too old for the caller."""
    loads = []

    def load(key: str) -> int:
        loads.append(key)
        return len(loads)

    async with AsyncCache("asked", int, strategy=Lazy(load=load, ttl=60)) as cache:
        assert await cache.get("a") == 1
        assert await cache.get("a") == 1
        assert await cache.get("a", refresh=True) == 2
        assert await cache.get("a", max_stale=0.0) == 3
        assert await cache.get("a", max_stale=60.0) == 3


@pytest.mark.parametrize("key", ["a", 7])
async def test_what_was_expired_is_no_fast_hit(key: str | int) -> None:
    """Nor what was invalidated; what is loaded after it is one again."""
    loads = []

    def load(key: str | int) -> int:
        loads.append(key)
        return len(loads)

    async with AsyncCache("expired", int, strategy=Lazy(load=load, ttl=60, stale_if_error=60)) as cache:
        assert [await cache.get(key), await cache.get(key)] == [1, 1]
        await cache.expire(key)
        assert [await cache.get(key), await cache.get(key)] == [2, 2]
        await cache.invalidate(key)
        assert [await cache.get(key), await cache.get(key)] == [3, 3]
        assert cache.status()["local_hits"] == 3


async def test_what_is_no_key_is_refused() -> None:
    """By type, also where something equal stands in the table."""
    async with AsyncCache("typed", str, strategy=TTL(ttl=60)) as cache:
        await cache.set(1, "one")
        assert await cache.get(1) == "one"
        for key in (True, 1.0, None, ["a"], "\ud800"):
            with pytest.raises(ConfigurationError):
                await cache.get(key)  # type: ignore[arg-type]
