# Generated from test_fast_lane_async.py by scripts/twins.py. Do not edit.
"""The hit that looks at nothing but the table: what it must still see."""

from __future__ import annotations

import math

import pytest

from regionkit.caching import TTL, Cache, Lazy
from regionkit.caching.local_table import FEW
from regionkit.core.coarse_clock import COARSE_CLOCK
from regionkit.errors import ConfigurationError


def test_bytes_that_spell_another_key_find_nothing_of_it() -> None:
    """An int stands as bytes in the table; those bytes, as a key of the application's, are another key.

    So are what went out of the table, and came back.
    """
    with Cache("numbers", str, strategy=TTL(ttl=60)) as cache:
        cache.set(42, "the number")
        cache.set("42", "the text")
        assert cache.get(b"i42") is None
        assert cache.get(42) == "the number"
        assert cache.get("42") == "the text"
        assert cache.get(b"42") is None
        cache.set(b"i42", "the bytes")
        assert [cache.get(key) for key in (42, "42", b"i42")] == ["the number", "the text", "the bytes"]
        cache.delete(42)
        assert [cache.get(key) for key in (42, "42", b"i42")] == [None, "the text", "the bytes"]
        cache.set(42, "again")
        cache.delete("42")
        assert [cache.get(key) for key in (42, "42", b"i42")] == ["again", None, "the bytes"]
        cache.clear()
        assert [cache.get(key) for key in (42, "42", b"i42")] == [None, None, None]


def test_a_hit_is_counted_whatever_its_key_is() -> None:
    """Hits are what eviction goes by."""
    with Cache("counted", str, strategy=TTL(ttl=60)) as cache:
        cache.set("a", "text")
        cache.set(7, "number")
        for _ in range(3):
            cache.get("a")
            cache.get(7)
        assert cache.status()["local_hits"] == 6
        for _ in range(3 * FEW + 7):
            cache.get("a")
            cache.get(7)
        assert cache.status()["local_hits"] == 6 + 2 * (3 * FEW + 7)
        assert all(0 < entry.hits <= FEW for entry in cache._table.entries.values())
        cache.clear()
        assert cache.status()["local_hits"] == 6 + 2 * (3 * FEW + 7)


def test_what_is_over_its_time_by_the_coarse_clock_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that clock stands, as in a child after a fork: it says infinity there."""
    loads = []

    def load(key: str) -> str:
        loads.append(key)
        return key

    with Cache("timed", str, strategy=Lazy(load=load, ttl=60)) as cache:
        cache.get("a")
        entry = cache._table.get("a")
        assert entry is not None
        entry.value = "only the fast lane gives this without a look"
        assert cache.get("a") == entry.value
        entry.soft = entry.hard = entry.kept = -math.inf
        monkeypatch.setattr(COARSE_CLOCK, "now", math.inf)
        assert cache.get("a") == "a"
        assert loads == ["a", "a"]


def test_a_get_that_asks_for_more_is_no_fast_hit() -> None:
    """`refresh` loads, and so does a value that is too old for the caller."""
    loads = []

    def load(key: str) -> int:
        loads.append(key)
        return len(loads)

    with Cache("asked", int, strategy=Lazy(load=load, ttl=60)) as cache:
        assert cache.get("a") == 1
        assert cache.get("a") == 1
        assert cache.get("a", refresh=True) == 2
        assert cache.get("a", max_stale=0.0) == 3
        assert cache.get("a", max_stale=60.0) == 3


@pytest.mark.parametrize("key", ["a", 7])
def test_what_was_expired_is_no_fast_hit(key: str | int) -> None:
    """Nor what was invalidated; what is loaded after it is one again."""
    loads = []

    def load(key: str | int) -> int:
        loads.append(key)
        return len(loads)

    with Cache("expired", int, strategy=Lazy(load=load, ttl=60, stale_if_error=60)) as cache:
        assert [cache.get(key), cache.get(key)] == [1, 1]
        cache.expire(key)
        assert [cache.get(key), cache.get(key)] == [2, 2]
        cache.invalidate(key)
        assert [cache.get(key), cache.get(key)] == [3, 3]
        assert cache.status()["local_hits"] == 3


def test_what_is_no_key_is_refused() -> None:
    """By type, also where something equal stands in the table."""
    with Cache("typed", str, strategy=TTL(ttl=60)) as cache:
        cache.set(1, "one")
        assert cache.get(1) == "one"
        for key in (True, 1.0, None, ["a"], "\ud800"):
            with pytest.raises(ConfigurationError):
                cache.get(key)  # type: ignore[arg-type]
