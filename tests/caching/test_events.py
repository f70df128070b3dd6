# Generated from test_events_async.py by scripts/twins.py. Do not edit.
"""What a cache tells of itself: each event when it happens, and once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from regionkit.caching import Cache, Lazy, Memcached, Shared, WriteThrough
from regionkit.caching.events import IntentSettled, SharedDown, SharedUp, TailFailed
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event

IS_ASYNC = False


def until(found: list[Event], kind: type[Event], wanted: int = 1, *, ask: Any = None) -> None:
    """Wait for events of a kind."""
    end = time.monotonic() + 30.0
    while sum(isinstance(event, kind) for event in found) < wanted:
        assert time.monotonic() < end, found
        if ask is not None:
            ask()
        sleep(0.02)


def of(found: list[Event], *kinds: type[Event]) -> list[str]:
    """The names of the events of these kinds, in their order."""
    return [type(event).__name__ for event in found if isinstance(event, kinds)]


def test_a_shared_tier_that_goes_and_comes(own_redis: Any) -> None:
    """SharedDown once, with the reason, however many gets find it so; then SharedUp."""
    server, found = own_redis(), []
    with Cache("a", str, strategy=Lazy(load=lambda key: "v", ttl=60), tiers=[Shared(server.primary.url)]) as cache:
        cache.subscribe(found.append)
        cache.get("a")
        server.primary.kill()
        until(found, SharedDown, ask=lambda: cache.get("b"))
        for _ in range(5):
            assert cache.get("b") == "v"
        assert of(found, SharedDown, SharedUp) == ["SharedDown"]
        [down] = [event for event in found if isinstance(event, SharedDown)]
        assert (down.cache, bool(down.why)) == ("a", True)
        server.primary.start()
        until(found, SharedUp)
        assert of(found, SharedDown, SharedUp) == ["SharedDown", "SharedUp"]


def test_a_memcached_that_is_not_there() -> None:
    """SharedDown once, and no SharedUp."""
    found: list[Event] = []
    tiers = [Memcached("memcached://127.0.0.1:1")]
    with Cache("a", str, strategy=Lazy(load=lambda key: "v", ttl=60), tiers=tiers) as cache:
        cache.subscribe(found.append)
        for _ in range(5):
            assert cache.get("a") == "v"
        assert of(found, SharedDown, SharedUp) == ["SharedDown"]


def through(engine: Any, **options: Any) -> Cache[int]:
    """A cache that writes through, over a table of intents."""
    strategy = WriteThrough(load=lambda key: 1, store=lambda db, key, value: None, ttl=300, **options)
    return Cache("a", int, strategy=strategy, backing=engine)


def test_a_tail_whose_table_has_not_arrived_yet(accounts: Any) -> None:
    """A copy that lags has it later: that is no warning."""
    engine, found = accounts.make(is_async=IS_ASYNC), []
    with through(engine) as cache:
        cache.subscribe(found.append)
        cache.get("a")
        sleep(1.0)
        assert not of(found, TailFailed)
        cache.create_tables()
        sleep(1.0)
        assert not of(found, TailFailed)
    engine.dispose()


def test_a_tail_that_finds_no_table(accounts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """TailFailed, once for each kind of error, and not again while it lasts."""
    monkeypatch.setattr(f"regionkit.caching.tail{'_async' if IS_ASYNC else ''}.NEW", 0.0)
    engine, found = accounts.make(is_async=IS_ASYNC), []
    with through(engine) as cache:
        cache.subscribe(found.append)
        cache.get("a")
        until(found, TailFailed)
        sleep(1.0)
        assert len({event.error for event in found if isinstance(event, TailFailed)}) == len(of(found, TailFailed))
        assert not of(found, IntentSettled)
    engine.dispose()


@pytest.mark.parametrize("committed", [True, False])
def test_a_write_that_died(accounts: Any, committed: bool) -> None:
    """IntentSettled says what became of it."""
    engine, found = accounts.make(is_async=IS_ASYNC), []
    with through(engine, write_timeout=0.3) as cache:
        cache.create_tables()
        cache.subscribe(found.append)
        id, writer = b"0123456789abcdef", cache._writer
        writer.intend(["a"], id)
        if committed:
            with writer.intents.backing.write(deadline=Deadline(SYSTEM_CLOCK, 20.0)) as unit:
                unit.native.execute(writer.intents.statement(id, "w", writer.names(["a"])))
        until(found, IntentSettled, ask=lambda: cache.get("a"))
        assert [event.committed for event in found if isinstance(event, IntentSettled)] == [committed]
    engine.dispose()
