"""What `explain()` says of a cache is what its tiers promise."""

from __future__ import annotations

import pytest

from regionkit.caching import Cache, Lazy, Local, Memcached, Shared, WriteBack, WriteThrough
from regionkit.caching.back.modes import MODES

SERVER = "memcached://127.0.0.1:1"


def nothing(*arguments: object) -> None:
    """A loader, and a store function."""


def test_a_memcached_tier_says_all_that_its_module_says() -> None:
    """Loads from copies, no news, clocks, dropped intents."""
    strategy = WriteThrough(load=nothing, store=nothing, ttl=60)
    with Cache("c", str, strategy=strategy, tiers=[Local(ttl=5), Memcached(SERVER, timeout=0.2)]) as cache:
        told = cache.explain()
        limits = "\n".join(told.limits)
    for word in (
        "from a copy that lags",
        "no news",
        "clocks of the machines",
        "each new tag",
        "an intent that the server",
    ):
        assert word in limits
    assert (told.figures["local_ttl"], told.figures["shared_timeout"]) == (5, 0.2)


def test_what_a_cache_does_not_have_is_not_spoken_of() -> None:
    """No local tier, no writes."""
    with Cache("c", str, strategy=Lazy(load=nothing, ttl=60), tiers=[Memcached(SERVER)]) as cache:
        limits = "\n".join(cache.explain().limits)
    assert "no news" not in limits
    assert "intent" not in limits


class Sink:
    """Of an application's own."""

    flush = raise_epoch = close = staticmethod(nothing)


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("has_local", [False, True])
def test_write_back_says_what_it_may_lose(mode: str, has_local: bool) -> None:
    """By its durability; whether that was assumed; and what gets do while the server is away."""
    tiers = [Local(), Shared("redis://127.0.0.1:1")] if has_local else [Shared("redis://127.0.0.1:1")]
    for assume in (None, mode):
        strategy = WriteBack(sink=Sink(), durability=mode, assume=assume, load=nothing, ttl=60, max_age=3.0)
        with Cache("c", str, strategy=strategy, tiers=tiers) as cache:
            told = cache.explain()
        promises, limits = "\n".join(told.promises), "\n".join(told.limits)
        assert f"survives {MODES[mode].survives}" in promises
        assert ("assumed" in promises) == (assume is not None)
        assert ("local tiers" in promises) == has_local
        for word in ("max_age", "is dirty and parked", "put() and get() raise", "parked()", "other writers"):
            assert word in limits
        assert (told.figures["max_age"], told.figures["max_dirty"]) == (3.0, 50_000)
