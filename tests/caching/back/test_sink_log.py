# Generated from test_sink_log_async.py by scripts/twins.py. Do not edit.
"""The function of a SqlLogSink that does what it should not: no put counts as applied whose effect was not committed with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from function_forms import coroutine, generator
from sqlalchemy import text

from regionkit.caching import Cache, CallSink, Change, Shared, SqlLogSink, Verdict, WriteBack
from regionkit.caching.back.events import SinkAway
from regionkit.caching.back.record import change_in
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError, UsageError

IS_ASYNC = False
Apply = Callable[[Any, list[Change]], Any]


def insert(db: Any, changes: list[Change]) -> None:
    """A row for each put."""
    for change in changes:
        said = {"id": change.key, "n": change.value}
        db.execute(text("INSERT INTO moves (id, n) VALUES (:id, :n)"), said)


class Rig:
    """A cache in log mode over a table of moves."""

    def __init__(self, server: Any, accounts: Any) -> None:
        self.engine, self.plain = accounts.make(is_async=IS_ASYNC), accounts.engine
        self.called = f"s{os.urandom(6).hex()}"
        self.shared = Shared(server.primary.url, timeout=5.0)
        with self.plain.begin() as db:
            db.execute(text("CREATE TABLE moves (id VARCHAR(40) NOT NULL, n INTEGER NOT NULL)"))

    def cache(self, function: Any, attempts: int = 10) -> Cache[int]:
        """Whose sink calls this."""
        strategy = WriteBack(
            sink=SqlLogSink(self.engine, function),
            durability="memory",
            ttl=300.0,
            coalesce=False,
            attempts=attempts,
        )
        return Cache(self.called, int, strategy=strategy, tiers=[self.shared])

    def stands(self) -> tuple[list[int], int]:
        """Moves, and the position."""
        with self.plain.connect() as db:
            rows = db.execute(text("SELECT n FROM moves ORDER BY n")).scalars().all()
            position = db.execute(
                text("SELECT version FROM regionkit_rk_wb_position WHERE cache = :c"), {"c": self.called}
            )
            return list(rows), int(position.scalar() or 0)


@pytest.fixture
def rig(redis_server: Any, accounts: Any) -> Rig:
    """On each database."""
    return Rig(redis_server, accounts)


def ended(how: str) -> Apply:
    """It applies the changes, and ends the transaction."""

    def apply(db: Any, changes: list[Change]) -> None:
        insert(db, changes)
        if how in ("commit", "rollback"):
            getattr(db, how)()
        else:
            db.execute(text(how))

    return apply


class Refusing:
    """A cache whose function refuses the numbers in `refuses`. A second flusher can hold the same entries."""

    def __init__(self, rig: Rig) -> None:
        self.refuses = {1}
        self.applied: list[int] = []
        self.rig, self.cache = rig, rig.cache(self.apply, attempts=2)

    def apply(self, db: Any, changes: list[Change]) -> None:
        if any(change.value in self.refuses for change in changes):
            raise ValueError("it is refused")
        insert(db, changes)

    def __enter__(self) -> Refusing:
        self.cache.create_tables()
        for n in (1, 2):
            self.cache.put("k", n)
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()

    @property
    def sink(self) -> Any:
        return self.cache.strategy.sink  # type: ignore[union-attr]

    def frozen(self) -> Callable[[], Any]:
        """A flusher that has claimed all entries and lost its lease. The call that is returned makes it write."""
        buffer: Any = self.cache.back._parts.buffer  # type: ignore[union-attr]
        claims = buffer.first(100, 0.05, 5.0, b"t" * 16)
        changes = [change_in(one.record, self.cache.fetcher.parts.shaper) for one in claims.records]
        sleep(0.1)
        return lambda: self.sink.flush(self.rig.called, claims.epoch, changes[:1])

    def parked(self) -> list[int]:
        return sorted(one.value for one in self.cache.parked())


def test_a_frozen_flusher_does_not_apply_what_another_has_parked(rig: Rig) -> None:
    """Although the function accepts it by then, and nothing was applied after it."""
    with Refusing(rig) as bank:
        bank.refuses = {1, 2}
        wakes = bank.frozen()
        assert (bank.cache.flush()).clean
        assert bank.parked() == [1, 2]
        bank.refuses = set()
        assert wakes() == [Verdict.APPLIED]  # it is not new
        assert rig.stands()[0] == []
        assert bank.cache.retry() == 2
        assert (bank.cache.flush()).clean
        assert (rig.stands()[0], bank.parked()) == ([1, 2], [])


def test_what_a_frozen_flusher_has_applied_is_not_parked(rig: Rig) -> None:
    """It wakes after the last refusal, and before that is noted."""
    with Refusing(rig) as bank:
        wakes, refuse = bank.frozen(), bank.sink.refuse

        def late(*arguments: Any) -> bool:
            bank.refuses = set()
            wakes()
            return refuse(*arguments)  # type: ignore[no-any-return]

        bank.sink.refuse = late
        assert (bank.cache.flush()).clean
        assert (rig.stands()[0], bank.parked()) == ([1, 2], [])


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_flusher_that_dies_before_it_parks_loses_nothing(rig: Rig, where: str) -> None:
    """The sink refuses the entry to the next one, who parks it; the function is not asked again."""
    with Refusing(rig) as bank:
        buffer: Any = bank.cache.back._parts.buffer  # type: ignore[union-attr]
        park, died = buffer.park_first, list[Any]()

        def dies(*arguments: Any) -> bool:
            buffer.park_first = park
            died.append(where)
            if where == "after":
                park(*arguments)
            bank.refuses = set()
            raise TierDown("it died")

        buffer.park_first = dies
        assert (bank.cache.flush(timeout=30.0)).clean
        assert died
        assert (rig.stands()[0], bank.parked()) == ([2], [1])


@pytest.mark.parametrize("how", ["commit", "rollback", "COMMIT", "ROLLBACK"])
def test_a_function_that_ends_the_transaction_loses_nothing(rig: Rig, how: str) -> None:
    """Its puts stay in the log, whoever flushes hears why, and a mended function applies them."""
    with rig.cache(ended(how)) as cache:
        cache.create_tables()
        for n in range(3):
            cache.put("a", n)
        with pytest.raises(UsageError, match="ended its own transaction"):
            cache.flush(timeout=2.0)
        moves, position = rig.stands()
        assert position == 0
        assert moves == ([0, 1, 2] if how == "COMMIT" else [])  # whoever sends COMMIT as a text has its effect twice
        assert (cache.buffer()).entries == 3
    with rig.cache(insert) as mended:
        assert (mended.flush()).clean
    assert sorted(set(rig.stands()[0])) == [0, 1, 2]


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
def test_a_flusher_goes_on_after_such_a_function(rig: Rig) -> None:
    """It says why the puts wait, and writes them once the function behaves."""
    times: list[int] = []

    def apply(db: Any, changes: list[Change]) -> None:
        times.append(len(changes))
        insert(db, changes)
        if len(times) == 1:
            db.rollback()

    events: list[Any] = []
    with rig.cache(apply) as cache:
        cache.subscribe(events.append)
        cache.create_tables()
        cache.put("a", 1)
        with cache.flusher():
            while (cache.buffer()).entries:
                sleep(0.02)
    assert rig.stands()[0] == [1]
    assert [event.why for event in events if isinstance(event, SinkAway) and "ended its own" in event.why]


def test_the_list_is_the_functions_own(rig: Rig) -> None:
    """What it does to it changes neither the position nor what counts as applied."""

    def apply(db: Any, changes: list[Change]) -> None:
        changes.reverse()
        while changes:
            insert(db, [changes.pop()])

    with rig.cache(apply) as cache:
        cache.create_tables()
        last = [cache.put("a", n) for n in range(3)][-1]
        assert (cache.flush()).clean
    assert rig.stands() == ([0, 1, 2], last.version)


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
def test_a_generator_is_refused_as_nothing_of_it_runs(rig: Rig) -> None:
    """When the sink is made, where that is seen; else when it was called."""

    def returns_one(*given: Any) -> Any:
        return (change for change in given)

    for sink in (
        lambda: SqlLogSink(rig.engine, generator),
        lambda: CallSink(generator, epochs=rig.engine),
        lambda: SqlLogSink(rig.engine, insert, generator),
    ):
        with pytest.raises(ConfigurationError, match="is a generator"):
            sink()
    with rig.cache(returns_one) as cache:
        cache.create_tables()
        cache.put("a", 1)
        with pytest.raises(UsageError, match="returned a generator"):
            cache.flush(timeout=2.0)
        assert (cache.buffer()).entries == 1


@pytest.mark.skipif(IS_ASYNC, reason="of threads only")
@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
def test_an_async_function_is_refused_early(rig: Rig) -> None:
    """A sink for threads would never run it."""
    with pytest.raises(ConfigurationError, match="is async"):
        SqlLogSink(rig.engine, coroutine)
