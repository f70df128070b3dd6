"""What `explain()` says of a cache is what its tiers promise."""

from __future__ import annotations

from regionkit.caching import Cache, Lazy, Local, Memcached, WriteThrough

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
