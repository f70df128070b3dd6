"""Write-back in log mode from end to end: each put reaches the sink once, in order."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from later_record import later_kind
from sqlalchemy import text

from regionkit.caching import (
    AsyncCache,
    AsyncCallSink,
    AsyncSqlLogSink,
    AsyncSqlSink,
    Change,
    Local,
    Shared,
    SinkDown,
    SqlJournal,
    Verdict,
    WriteBack,
)
from regionkit.caching.back.events import RecordUnreadable
from regionkit.caching.back.flush_rules import LEASE, OTHERS_VERSION
from regionkit.caching.back.record import change_in
from regionkit.caching.back.refusals import SinkFenced
from regionkit.caching.back.rules import version_of
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency_async import asleep
from regionkit.errors import Backpressure, ConfigurationError, VersionConflict

IS_ASYNC = True


@dataclass
class Move:
    """What is added to an account."""

    add: int


class Rig:
    """A cache whose puts are added up in `accounts`, and listed in `moves`."""

    def __init__(self, server: Any, accounts: Any, **options: Any) -> None:
        self.accounts = accounts
        self.engine, self.plain = accounts.make(is_async=IS_ASYNC), accounts.engine
        self.called = f"l{os.urandom(6).hex()}"
        self.server = server
        self.refuses: set[int] = set()
        self.down = False
        self.cache = self.another(**options)

    def another(self, tiers: Any = (), **options: Any) -> AsyncCache[Move]:
        """A cache of that name, as another process has it."""
        sink = AsyncSqlLogSink(self.engine, self.apply, self.load)
        strategy = WriteBack(
            **{"sink": sink, "durability": "memory", "ttl": 300.0, "coalesce": False, "attempts": 2, **options}
        )
        shared = Shared(self.server.primary.url, timeout=5.0)
        return AsyncCache(self.called, Move, strategy=strategy, tiers=[*tiers, shared])

    async def apply(self, db: Any, changes: list[Change]) -> None:
        """The sink's function: not idempotent."""
        for change in changes:
            if self.down:
                raise SinkDown("as the test wants it")
            add = 0 if change.deleted else change.value.add  # type: ignore[attr-defined]
            said = {"id": change.key, "add": add, "version": change.version}
            await db.execute(text("INSERT INTO moves (id, n, version) VALUES (:id, :add, :version)"), said)
            found = await db.execute(text("UPDATE accounts SET n = n + :add WHERE id = :id"), said)
            if not found.rowcount:
                await db.execute(text("INSERT INTO accounts (id, n) VALUES (:id, :add)"), said)
            if add in self.refuses:
                raise ValueError(f"{add} is refused")

    async def load(self, key: str) -> Move | None:
        """What stands there."""
        n = self.accounts.value(key)
        return None if n is None else Move(n)

    async def __aenter__(self) -> Rig:
        with self.plain.begin() as db:
            db.execute(
                text("CREATE TABLE moves (id VARCHAR(40) NOT NULL, n INTEGER NOT NULL, version BIGINT NOT NULL)")
            )
        await self.cache.create_tables()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cache.close()
        await self.engine.dispose()

    def moves(self) -> list[tuple[str, int]]:
        """In the order of versions, which rise with the order in which they were applied."""
        with self.plain.connect() as db:
            return [tuple(row) for row in db.execute(text("SELECT id, n FROM moves ORDER BY version"))]


@pytest.fixture
async def rig(redis_server: Any, accounts: Any) -> AsyncIterator[Rig]:
    """On each database."""
    async with Rig(redis_server, accounts) as made:
        yield made


async def test_each_put_is_applied_once_and_in_order(rig: Rig) -> None:
    """Several of a key among them; readers get the last."""
    versions = [(await rig.cache.put(key, Move(add))).version for add in range(1, 60) for key in ("a", "b")]
    assert versions == sorted(versions)
    assert await rig.cache.get("a") == Move(59)
    assert (await rig.cache.buffer()).dirty == 2
    assert (await rig.cache.flush()).clean
    assert rig.moves() == [(key, add) for add in range(1, 60) for key in ("a", "b")]
    assert rig.accounts.value("a") == sum(range(1, 60))
    assert await rig.cache.get("a") == Move(59)
    state = await rig.cache.buffer()
    assert (state.dirty, state.bytes, rig.cache.counters.flushed) == (0, 0, 118)


async def test_what_was_applied_is_not_applied_again(rig: Rig) -> None:
    """A flusher that died before it said so; another takes the same entries, once the lease is over."""
    for add in (1, 2, 3):
        await rig.cache.put("a", Move(add))
    buffer: Any = rig.cache.back._parts.buffer  # type: ignore[union-attr]
    sink: Any = rig.cache.strategy.sink  # type: ignore[union-attr]
    claims = await buffer.first(100, 0.8, 5.0, b"t" * 16)
    changes = [change_in(one.record, rig.cache.fetcher.parts.shaper) for one in claims.records]
    await sink.flush(rig.called, claims.epoch, changes[:2])
    assert not (await buffer.first(100, 1.0, 5.0, b"u" * 16)).records, "two have the lease"
    await asleep(0.9)
    assert (await rig.cache.flush()).clean
    await sink.flush(rig.called, claims.epoch, changes)  # it was only frozen
    assert rig.moves() == [("a", 1), ("a", 2), ("a", 3)]
    assert await buffer.done(b"t" * 16, claims.records[-1].record.version) == 0


async def test_a_refused_put_is_parked_and_the_log_goes_on(rig: Rig) -> None:
    """It is listed with its own value; retried, it comes behind what was put meanwhile."""
    rig.refuses = {3}
    for add in range(1, 6):
        await rig.cache.put("a", Move(add))
    flushed = await rig.cache.flush()
    assert (flushed.clean, flushed.parked) == (True, 1)
    assert rig.moves() == [("a", add) for add in (1, 2, 4, 5)]
    [parked] = await rig.cache.parked()
    assert (parked.key, parked.value, parked.deleted) == ("a", Move(3), False)
    assert "3 is refused" in parked.reason
    assert await rig.cache.get("a") == Move(5)
    rig.refuses = set()
    buffer: Any = rig.cache.back._parts.buffer  # type: ignore[union-attr]
    retry, answers = buffer.retry, [["open"]]

    async def retried(names: Any) -> Any:
        return answers.pop() if names and answers else await retry(names)

    buffer.retry = retried  # the server was restarted meanwhile
    assert (await rig.cache.retry("b"), await rig.cache.retry("a")) == (0, 1)
    assert await rig.cache.get("a") == Move(3)
    assert (await rig.cache.flush()).clean
    assert rig.moves() == [("a", add) for add in (1, 2, 4, 5, 3)]
    assert not await rig.cache.parked()


async def test_other_processes_hear_of_what_is_parked_and_retried(rig: Rig) -> None:
    """Their memory does not keep a value that was parked, nor one that a retried put has replaced."""
    other = rig.another(tiers=[Local()])

    async def shown(wanted: Move) -> None:
        for _ in range(250):
            if await other.get("a") == wanted:
                return
            await asleep(0.02)
        raise AssertionError(await other.get("a"))

    await rig.cache.put("a", Move(1))
    await rig.cache.flush()
    rig.refuses = {7}
    await rig.cache.put("a", Move(7))
    await shown(Move(7))
    await asleep(0.3)  # the news of the put have come: what is read now stays in its memory
    await shown(Move(7))
    assert (await rig.cache.flush()).parked == 1
    await shown(Move(1))
    rig.refuses = set()
    assert await rig.cache.retry("a") == 1
    await shown(Move(7))
    await other.close()


async def test_several_puts_of_a_key_are_parked_and_discarded(rig: Rig) -> None:
    """Each under its own version; readers do not get them."""
    rig.refuses = {7, 8}
    for add in (1, 7, 8):
        await rig.cache.put("a", Move(add))
    await rig.cache.flush()
    assert sorted(one.value.add for one in await rig.cache.parked() if one.value) == [7, 8]
    assert await rig.cache.get("a") == Move(1)
    assert await rig.cache.discard("a")
    assert not await rig.cache.discard("a")
    assert (await rig.cache.parked(), (await rig.cache.buffer()).bytes) == ([], 0)


async def test_the_log_waits_for_a_sink_that_is_down(rig: Rig) -> None:
    """Nothing is parked, and nothing overtakes."""
    said: list[Any] = []
    rig.cache.subscribe(lambda event: said.append((type(event).__name__, getattr(event, "why", ""))))
    await rig.cache.put("a", Move(1))
    rig.down = True
    await rig.cache.put("b", Move(2))
    assert not (await rig.cache.flush(timeout=1.0)).clean
    assert rig.moves() == []
    rig.down = False
    assert (await rig.cache.flush()).clean
    assert rig.moves() == [("a", 1), ("b", 2)]
    assert [one for one in said if one[0].startswith("Sink")] == [
        ("SinkAway", "as the test wants it"),
        ("SinkBack", ""),
    ]


async def test_deletes_and_conditions(rig: Rig) -> None:
    """A delete is an entry; `if_version` compares with the last put."""
    first = await rig.cache.put("a", Move(1))
    second = await rig.cache.put("a", Move(2), if_version=first.version)
    with pytest.raises(VersionConflict):
        await rig.cache.put("a", Move(3), if_version=first.version)
    await rig.cache.delete("a", if_version=second.version)
    assert await rig.cache.get("a") is None
    await rig.cache.flush()
    assert rig.moves() == [("a", 1), ("a", 2), ("a", 0)]


async def test_many_flushers_and_writers(rig: Rig) -> None:
    """One at a time has the log; what each writer has put stands in its order."""
    others = [rig.another() for _ in range(2)]
    flushers = [cache.flusher() for cache in others]
    for flusher in flushers:
        await flusher.start()
    for add in range(1, 101):
        await rig.cache.put("ab"[add % 2], Move(add))
    for flusher in flushers:
        assert await flusher.stop(drain=20.0)
    assert rig.moves() == [("ab"[add % 2], add) for add in range(1, 101)]
    for cache in others:
        await cache.close()


async def test_no_room_is_backpressure(redis_server: Any, accounts: Any) -> None:
    """Nobody writes past the log; an overwrite needs room, too."""
    async with Rig(redis_server, accounts, max_dirty=3, on_full=("raise",)) as rig:
        for add in (1, 2, 3):
            await rig.cache.put("a", Move(add))
        with pytest.raises(Backpressure, match="full"):
            await rig.cache.put("a", Move(4))
        await rig.cache.flush()
        await rig.cache.put("a", Move(5))
        await rig.cache.flush()
        assert rig.moves() == [("a", add) for add in (1, 2, 3, 5)]


async def test_a_buffer_of_the_other_mode_is_refused_until_it_is_empty(rig: Rig) -> None:
    """What stands there was put under other promises."""
    await rig.cache.put("a", Move(1))
    written: list[Change] = []

    async def write(changes: list[Change]) -> None:
        written.extend(changes)

    sink = AsyncCallSink(write, epochs=rig.engine)
    other: AsyncCache[Move] = AsyncCache(
        rig.called,
        Move,
        strategy=WriteBack(sink=sink, durability="memory", ttl=300.0),
        tiers=[Shared(rig.server.primary.url, timeout=5.0)],
    )
    with pytest.raises(ConfigurationError, match="coalesce=False"):
        await other.put("b", Move(2))
    with rig.plain.connect() as db:
        epochs = db.execute(text("SELECT epoch FROM regionkit_rk_wb_epoch")).scalars().all()
    assert epochs == [1], "a refused put fences the flusher that works"
    assert (await rig.cache.flush()).clean
    await other.put("b", Move(2))
    with pytest.raises(ConfigurationError, match="coalesce=True"):
        await rig.cache.put("a", Move(3))
    assert (await other.flush()).clean
    assert [change.key for change in written] == ["b"]
    await other.close()


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
async def test_a_function_gets_each_put_in_order(redis_server: Any, accounts: Any) -> None:
    """CallSink: the guard is its own; an entry that it refuses by a Verdict is parked."""
    engine, name = accounts.make(is_async=IS_ASYNC), f"l{os.urandom(6).hex()}"
    written: list[tuple[Any, int]] = []

    async def write(changes: list[Change]) -> None:
        written.extend((change.key, change.value["n"]) for change in changes)  # type: ignore[index]

    sink = AsyncCallSink(write, epochs=engine)
    strategy = WriteBack(sink=sink, durability="memory", ttl=300.0, coalesce=False)
    shared = Shared(redis_server.primary.url, timeout=5.0)
    async with AsyncCache(name, dict, strategy=strategy, tiers=[shared]) as cache:
        await cache.create_tables()
        for n in range(250):  # more than one claim
            await cache.put(f"k{n % 3}", {"n": n})
        assert (await cache.flush()).clean
    assert written == [(f"k{n % 3}", n) for n in range(250)]
    await engine.dispose()


class Called:
    """A cache in log mode over a function that the test plays, and events."""

    def __init__(self, server: Any, accounts: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.written: list[int] = []
        self.raises: dict[int, list[Exception]] = {}
        self.called, self.server = f"l{os.urandom(6).hex()}", server
        self.shared = Shared(server.primary.url, timeout=5.0)
        self.events: list[Any] = []
        self.cache = self.another(dict)
        self.cache.subscribe(self.events.append)

    def another(self, kind: Any) -> AsyncCache[Any]:
        """A cache of that name, as another process has it."""
        sink = AsyncCallSink(self.write, epochs=self.engine)
        strategy = WriteBack(sink=sink, durability="memory", ttl=300.0, coalesce=False, attempts=3)
        return AsyncCache(self.called, kind, strategy=strategy, tiers=[self.shared])

    async def write(self, changes: list[Change]) -> None:
        """All of them, or none."""
        numbers = [change.value["n"] for change in changes]  # type: ignore[index]
        for n in numbers:
            if self.raises.get(n):
                raise self.raises[n].pop() if len(numbers) == 1 else self.raises[n][-1]
        self.written += numbers

    async def __aenter__(self) -> Called:
        await self.cache.create_tables()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cache.close()
        await self.engine.dispose()


@pytest.fixture
async def called(redis_server: Any, accounts: Any) -> AsyncIterator[Called]:
    """Over SQLite."""
    async with Called(redis_server, accounts) as made:
        yield made


one_database = pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)


@one_database
async def test_a_refused_put_is_tried_so_often_and_holds_up_what_is_behind_it(called: Called) -> None:
    """What stands before it is written once; it is parked at its last attempt, or written at an earlier one."""
    called.raises = {2: [ValueError("no")] * 2, 4: [ValueError("no")] * 3}
    for n in range(1, 6):
        await called.cache.put("k", {"n": n})
    assert (await called.cache.flush()).clean
    assert called.written == [1, 2, 3, 5]
    assert [one.value for one in await called.cache.parked()] == [{"n": 4}]


@one_database
async def test_a_surprise_of_the_sink_holds_up_the_log_and_parks_nothing(called: Called) -> None:
    """Nobody knows what it says of the value: also beyond `attempts`."""
    sink: Any = called.cache.strategy.sink  # type: ignore[union-attr]
    real, surprises = sink.flush, list(range(5))

    async def flush(cache: str, epoch: int, changes: Any) -> Any:
        if any(change.value["n"] == 2 for change in changes) and surprises:
            if len(changes) == 1:
                surprises.pop()
            raise RuntimeError("a bug")
        return await real(cache, epoch, changes)

    sink.flush = flush
    for n in (1, 2, 3):
        await called.cache.put("k", {"n": n})
    assert (await called.cache.flush(timeout=20.0)).clean
    assert (called.written, await called.cache.parked()) == ([1, 2, 3], [])
    assert any(type(event).__name__ == "SinkFailed" for event in called.events)


@one_database
async def test_nothing_is_parked_under_a_lease_that_is_over(called: Called) -> None:
    """Another flusher may have written it since."""
    called.raises = {1: [ValueError("no")] * 9}
    buffer: Any = called.cache.back._parts.buffer  # type: ignore[union-attr]
    park, asked = buffer.park_first, list[Any]()

    async def over(token: bytes, one: Any, why: str) -> bool:
        asked.append(one)
        assert not await park(b"another", one, why)
        return False

    buffer.park_first = over
    await called.cache.put("k", {"n": 1})
    await called.cache.put("k", {"n": 2})
    assert not (await called.cache.flush(timeout=1.5)).clean
    assert (called.written, await called.cache.parked(), called.cache.counters.parked) == ([], [], 0)
    buffer.park_first = park
    assert asked
    assert (await called.cache.flush()).clean
    assert called.written == [2]


@one_database
async def test_a_put_that_cannot_be_read_here_holds_up_the_log(called: Called) -> None:
    """Another version of the application reads it."""
    old = called.another(int)
    await called.cache.put("k", {"n": 1})
    await old.put("k", 7)
    await called.cache.put("k", {"n": 3})
    assert not (await called.cache.flush(timeout=0.5)).clean
    assert called.written == [1]
    assert (await called.cache.buffer()).entries == 2
    said = [event for event in called.events if type(event).__name__ == "RecordUnreadable"]
    assert 1 <= len(said) <= 2, "it is looked at again after a pause"
    await old.close()


@one_database
async def test_an_entry_that_one_process_cannot_read_is_written_by_another_at_once(called: Called) -> None:
    """An old version leaves the lease to a new one, and pauses itself; of a later kind of record it knows the key only."""
    old, new = called.another(int), called.cache
    said: list[Any] = []
    old.subscribe(said.append)
    async with old.flusher(drain=0.0):
        await new.put("k", {"n": 1})
        while not any(isinstance(event, RecordUnreadable) for event in said):
            await asleep(0.01)
        assert (await new.flush(timeout=OTHERS_VERSION / 2)).clean
    await old.close()
    await new.put("k", {"n": 8})
    later_kind(called.server, called.called, b"k")
    assert not (await new.flush(timeout=0.5)).clean
    assert (await new.dirty(), await new.parked()) == (["k"], [])
    assert called.written == [1]


@one_database
@pytest.mark.parametrize("script", ["back_log_claim", "back_log_done", "back_log_fail"])
async def test_a_lost_answer_does_not_hold_up_the_log(called: Called, script: str) -> None:
    """Of a claim that was done; of a step that would have given the lease back. Who asks again has the lease."""
    tier: Any = called.cache.back._parts.buffer._tier  # type: ignore[union-attr]
    run, lost = tier.run, list[str]()

    async def loses(name: str, *words: Any, **options: Any) -> Any:
        given = None if name == script != "back_log_claim" and not lost else await run(name, *words, **options)
        if name == script and not lost:
            lost.append(name)
            raise TierDown("no answer came in time", sent=True)
        return given

    if script == "back_log_fail":
        called.raises[1] = [SinkDown("as the test wants it")]
    await called.cache.put("k", {"n": 1})
    tier.run = loses
    assert (await called.cache.flush(timeout=LEASE / 2)).clean
    assert lost
    assert set(called.written) == {1}


@one_database
async def test_an_interrupted_flush_does_not_hold_up_the_log(called: Called) -> None:
    """Ctrl-C, or the cancellation of a task, in the midst of one: the next one in this process goes on."""
    called.raises[1] = [KeyboardInterrupt()]  # type: ignore[list-item]
    await called.cache.put("k", {"n": 1})
    with pytest.raises(KeyboardInterrupt):
        await called.cache.flush()
    assert (await called.cache.flush(timeout=LEASE / 2)).clean
    assert called.written == [1]


@one_database
async def test_an_earlier_epoch_writes_nothing(called: Called) -> None:
    """And a sink that comes late with what was applied writes nothing either."""
    applied: list[int] = []

    async def apply(db: Any, changes: list[Change]) -> None:
        applied.extend(change.version for change in changes)

    sink = AsyncSqlLogSink(called.engine, apply)
    await sink.create_tables()
    assert await sink.raise_epoch("some", 0) == 1
    some = [Change("k", version_of(1, n), 0) for n in (1, 2)]
    assert await sink.flush("some", 1, some) == [Verdict.APPLIED] * 2
    assert await sink.raise_epoch("some", 1) == 2
    with pytest.raises(SinkFenced):
        await sink.flush("some", 1, [Change("k", version_of(1, 3), 0)])
    assert await sink.flush("some", 2, [*some, Change("k", version_of(2, 1), 0)]) == [
        *[Verdict.SUPERSEDED] * 2,
        Verdict.APPLIED,
    ]
    assert await sink.flush("some", 3, [Change("k", version_of(3, 1), 0)]) == [Verdict.APPLIED]
    with pytest.raises(SinkFenced):  # a restored database learns of a later epoch by a flush
        await sink.flush("some", 2, some)
    assert applied == [version_of(1, 1), version_of(1, 2), version_of(2, 1), version_of(3, 1)]
    await sink.close()


@one_database
async def test_a_flush_of_one_key_waits_for_what_stands_before_it(called: Called) -> None:
    """And not for what comes behind."""
    called.raises = {3: [SinkDown("away")] * 10**6}
    await called.cache.put("a", {"n": 1})
    await called.cache.put("b", {"n": 2})
    assert (await called.cache.flush("b")).clean
    await called.cache.put("a", {"n": 3})
    await called.cache.put("b", {"n": 4})
    assert not (await called.cache.flush("b", timeout=0.3)).clean
    assert (await called.cache.flush("c", timeout=0.3)).clean
    called.raises = {}
    assert (await called.cache.flush("b")).clean
    assert called.written == [1, 2, 3, 4]
    called.raises = {6: [ValueError("not yet")] * 2}
    for n in (5, 6):
        await called.cache.put("b", {"n": n})
    buffer: Any = called.cache.back._parts.buffer  # type: ignore[union-attr]
    first = buffer.first

    async def later(*how: Any) -> Any:
        await asleep(0.01)  # the claim is surely later than the call
        return await first(*how)

    buffer.first = later
    assert not (await called.cache.flush("b", timeout=0.05)).clean, "one of two puts of the key is written"
    assert called.written[4:] == [5]
    called.raises = {}
    assert (await called.cache.flush()).clean


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
async def test_what_does_not_go_together_is_refused_early(accounts: Any) -> None:
    """With what does."""
    engine = accounts.make(is_async=IS_ASYNC)

    async def nothing(*_: Any) -> None:
        return None

    log = AsyncSqlLogSink(engine, nothing)
    call = AsyncCallSink(nothing, epochs=nothing)
    from sqlalchemy import BigInteger, Column, MetaData, String, Table

    columns = [Column("id", String(9), primary_key=True), Column("rk_ver", BigInteger, nullable=False)]
    rows = AsyncSqlSink(engine, Table("some", MetaData(), *columns))
    for options, said in (
        ({"sink": rows, "coalesce": False}, "one row a key"),
        ({"sink": log}, "in order"),
        ({"sink": call, "coalesce": 0}, "True or False"),
        ({"sink": call, "coalesce": False, "on_full": ("write-through",)}, "overtake"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            WriteBack(durability="memory", ttl=1.0, **options)
    with pytest.raises(ConfigurationError, match="last put of each key"):
        WriteBack(sink=call, durability="sql-journal", journal=SqlJournal(engine), ttl=1.0, coalesce=False)
    for wrong in ({"function": 5}, {"function": nothing, "load": 5}, {"function": nothing, "timeout": True}):
        with pytest.raises(ConfigurationError):
            AsyncSqlLogSink(engine, **wrong)
    await log.close()
    await engine.dispose()
