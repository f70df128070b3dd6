"""What `explain()` says of a cache is what its tiers promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from regionkit.caching import Cache, FileJournal, Lazy, Local, Memcached, Shared, SqlJournal, WriteBack, WriteThrough
from regionkit.caching.back.modes import MODES
from regionkit.caching.explanation import CacheExplanation

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
        "no notifications",
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
    assert "no notifications" not in limits
    assert "intent" not in limits


class Sink:
    """Of rows that nobody has."""

    findings = ("triggers run",)
    flush = raise_epoch = load = close = nothing


def told_of(local: bool = False, **options: Any) -> CacheExplanation:
    """What a write-back cache says of itself."""
    strategy = WriteBack(**{"sink": Sink(), "ttl": 60.0, **options})
    shared = Shared("redis://127.0.0.1:1")
    with Cache("c", str, strategy=strategy, tiers=[Local(), shared] if local else [shared]) as cache:
        return cache.explain()


@pytest.mark.parametrize("name", MODES)
def test_a_write_back_cache_says_what_a_put_survives_and_what_it_does_not(name: str, tmp_path: Path) -> None:
    """By its mode, with the bounds; an assumed durability is called so."""
    engine = create_engine(f"sqlite:///{tmp_path}/journal.db")
    journals: dict[str, Any] = {"journal": FileJournal(str(tmp_path)), "sql-journal": SqlJournal(engine)}
    kept = {"journal": journals[name]} if name in journals else {}
    told = told_of(durability=name, max_age=3.0, max_dirty=7, **kept)
    promises, limits = "\n".join(told.promises), "\n".join(told.limits)
    mode = MODES[name]
    assert f"survives {mode.survives}" in promises
    assert f"lost by {mode.loses}" in limits
    assert (told.figures["max_age"], told.figures["max_dirty"]) == (3.0, 7)
    assert ("proof_within" in told.figures) is bool(mode.wait)
    for word in ("one cache only", "parked", "again=", "triggers run"):
        assert word in limits
    assert "assumed" not in limits
    engine.dispose()
    if not kept:
        assert "assumed, not proved" in "\n".join(told_of(durability=name, assume=name).limits)


def test_a_write_back_cache_speaks_of_lagging_copies_only_with_a_loader_of_the_applications() -> None:
    """The sink reads its own rows, with their versions. And of local tiers where there is one."""
    word = "lag of a copy"
    assert word not in str(told_of(durability="memory"))
    assert word in str(told_of(durability="memory", load=lambda key: None))
    assert "other processes' local tiers" in str(told_of(local=True, durability="memory"))
