"""What a handler may do to the transaction that it was given, and what becomes of its message then: never a silent loss."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, text
from sqlalchemy.orm import registry

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.messaging.counters import Summary
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.runs_async import AsyncRuns, Ended, Run

from .inbox_rigs_async import SERVERS, AsyncInboxRig, event, numbered, server_url

ADD = text("UPDATE account SET balance = balance + 1 WHERE id = :id")
Act = Callable[[Any], Awaitable[None]]


class Note:
    """A row of a model of the application's."""

    def __init__(self, id: int, said: str | None) -> None:
        self.id = id
        self.said = said


_REGISTRY = registry()
_NOTES = Table(
    "note",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("said", String(20), nullable=False),
    mysql_engine="InnoDB",
)
_REGISTRY.map_imperatively(Note, _NOTES)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, data_path: Path) -> tuple[str, str]:
    return request.param, server_url(request, request.param, data_path)


@pytest.fixture
async def rig(server: tuple[str, str]) -> AsyncIterator[AsyncInboxRig]:
    made = AsyncInboxRig(*server)
    _NOTES.create(made.plain)
    yield made
    await made.close()


async def ran(rig: AsyncInboxRig, act: Act, *, attempts: int = 1) -> Summary:
    """One message whose handler adds to account 1, does `act`, and adds to account 2; and a copy of it afterwards."""
    consumer = rig.consumer(await rig.inbox(), concurrency=1)

    @consumer.handler("moved", attempts=attempts)
    async def handler(message: Any, db: Any) -> None:
        await db.execute(ADD, {"id": 1})
        await act(db)
        await db.execute(ADD, {"id": 2})

    moved = event()
    await rig.publish(moved)
    await consumer.run(until_idle=0.1)
    await rig.publish(moved)
    await consumer.run(until_idle=0.1)
    summary: Summary = consumer.summary()
    return summary


def case(rig: AsyncInboxRig) -> tuple[str, str]:
    """Status and error of the one case."""
    (row,) = rig.rows("SELECT status, error FROM regionkit_rk_hospital")
    return row[0], row[1]


async def swallow(db: Any) -> None:
    """An SQL error, swallowed."""
    try:
        await db.execute(text("SELECT no_such_column FROM account"))
    except Exception:
        return


async def commit(db: Any) -> None:
    """The transaction is ended."""
    await db.commit()


async def roll_back(db: Any) -> None:
    """The first half is dropped."""
    await db.rollback()


async def begin(db: Any) -> None:
    """One more."""
    await db.begin()


async def close(db: Any) -> None:
    """The handle is closed, and with it the first half dropped."""
    await db.close()


async def commit_by_text(db: Any) -> None:
    """Past SQLAlchemy."""
    await db.execute(text("COMMIT"))


async def commit_and_raise(db: Any) -> None:
    """Half of the effect would stay."""
    await db.commit()
    raise ValueError("after the commit")


@pytest.mark.parametrize("act", [commit, roll_back, begin, commit_and_raise], ids=lambda act: act.__name__)
async def test_a_handler_that_ends_the_transaction_is_told_so_and_changes_nothing(rig: AsyncInboxRig, act: Act) -> None:
    """It is a case that names what it did; no half of its effect stays, and a copy finds the case."""
    done = await ran(rig, act)
    assert (done.applied, done.parked, done.duplicates) == (0, 1, 1)
    assert rig.total() == 0
    status, error = case(rig)
    assert status == "admitted"
    assert "consumer commits" in error or "already begun" in error or "transaction" in error


async def test_a_handler_that_closes_its_session_is_no_success(rig: AsyncInboxRig) -> None:
    """What it did before is lost with the transaction: nothing of it may count as applied."""
    done = await ran(rig, close)
    assert (done.applied, done.parked) == (0, 1)
    assert rig.total() == 0


async def test_a_swallowed_error_is_no_success(rig: AsyncInboxRig) -> None:
    """PostgreSQL answers its COMMIT with ROLLBACK: a case. Elsewhere the transaction goes on, and all of it counts."""
    done = await ran(rig, swallow)
    if rig.server == "postgresql":
        assert (done.applied, done.parked, rig.total()) == (0, 1, 0)
    else:
        assert (done.applied, done.parked, rig.total()) == (1, 0, 2)


async def test_a_commit_by_text_is_never_taken_for_the_whole_effect(rig: AsyncInboxRig) -> None:
    """The claim stands with the first half: it is a case in doubt, and not run again as if nothing had been."""
    done = await ran(rig, commit_by_text, attempts=3)
    assert (done.applied, done.parked) == (0, 1)
    assert rig.balance(1) == 1
    assert rig.balance(2) == (rig.server == "sqlite")  # there, what comes after it is a transaction of its own
    assert rig.rows("SELECT reason, status FROM regionkit_rk_hospital") == [("in_doubt", "admitted")]


async def test_a_rollback_by_text_drops_nothing_in_silence(rig: AsyncInboxRig) -> None:
    """What comes after it is not committed as if it were all."""

    async def roll_back_by_text(db: Any) -> None:
        await db.execute(text("ROLLBACK"))

    done = await ran(rig, roll_back_by_text)
    assert (done.applied, done.parked, rig.balance(1)) == (0, 1, 0)
    assert rig.balance(2) == (rig.server == "sqlite")  # as above


async def test_ddl_commits_implicitly_on_mariadb_and_is_in_doubt_there(rig: AsyncInboxRig) -> None:
    """Elsewhere it is part of the transaction."""

    async def ddl(db: Any) -> None:
        await db.execute(text("CREATE TABLE another (id INTEGER PRIMARY KEY)"))

    done = await ran(rig, ddl)
    if rig.server == "mariadb":
        assert (done.applied, done.parked, rig.balance(1)) == (0, 1, 1)
        assert rig.rows("SELECT reason FROM regionkit_rk_hospital") == [("in_doubt",)]
    else:
        assert (done.applied, done.duplicates, rig.total()) == (1, 1, 2)


async def test_a_handler_that_raises_behind_its_own_commit_is_in_doubt(rig: AsyncInboxRig) -> None:
    """A copy finds the claim: without a case half of the effect would be lost, and look like success."""

    async def half(db: Any) -> None:
        await db.execute(text("COMMIT"))
        raise ValueError("after it")

    done = await ran(rig, half, attempts=3)
    assert (done.applied, done.parked, rig.balance(1), rig.balance(2)) == (0, 1, 1, 0)
    assert rig.rows("SELECT reason FROM regionkit_rk_hospital") == [("in_doubt",)]


async def test_pending_objects_are_written_before_the_commit_and_their_error_is_the_handlers(
    rig: AsyncInboxRig,
) -> None:
    """What was added and not flushed is part of the effect; where it cannot be written the message failed."""

    async def good(db: Any) -> None:
        db.add(Note(1, "said"))

    async def bad(db: Any) -> None:
        db.add(Note(2, None))

    consumer = rig.consumer(await rig.inbox(), concurrency=1)

    @consumer.handler("good", attempts=1)
    async def one(message: Any, db: Any) -> None:
        await good(db)

    @consumer.handler("bad", attempts=1)
    async def other(message: Any, db: Any) -> None:
        await bad(db)

    await rig.publish(event("good"), event("bad"))
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.parked) == (1, 1)
    assert [row[0] for row in rig.rows("SELECT id FROM note")] == [1]


async def test_savepoints_are_the_handlers_own(rig: AsyncInboxRig) -> None:
    """An error inside of one is dropped with it, and the rest counts."""

    async def nested(db: Any) -> None:
        try:
            async with db.begin_nested():
                await db.execute(ADD, {"id": 3})
                await db.execute(text("SELECT no_such_column FROM account"))
        except Exception:
            return

    done = await ran(rig, nested)
    assert (done.applied, rig.balance(1), rig.balance(2), rig.balance(3)) == (1, 1, 1, 0)


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
async def test_deadlocks_are_runs_again_and_no_attempts(rig: AsyncInboxRig) -> None:
    """Two consumers lock two rows crosswise, with one attempt a message: all is applied."""
    inbox = await rig.inbox()
    consumers = [rig.consumer(inbox, concurrency=1, group=f"g{n}") for n in (1, 2)]
    for n, consumer in enumerate(consumers):

        @consumer.handler("moved", attempts=1)
        async def cross(message: Any, db: Any, n: int = n) -> None:
            await db.execute(ADD, {"id": 1 + n})
            await asleep(0.1)
            await db.execute(ADD, {"id": 2 - n})

    await rig.publish(event(), event())
    done = await agather([lambda c=consumer: c.run(until_idle=0.7) for consumer in consumers])
    assert [(d.applied, d.parked, d.retrying) for d in done if isinstance(d, Summary)] == [(2, 0, 0), (2, 0, 0)]
    assert sum(d.reruns for d in done if isinstance(d, Summary)) >= 1
    assert rig.balance(1) == rig.balance(2) == 4


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
async def test_serialization_failures_are_runs_again_and_no_attempts(rig: AsyncInboxRig) -> None:
    """A handler that asks PostgreSQL for REPEATABLE READ meets one when somebody else has written meanwhile."""
    consumer = rig.consumer(await rig.inbox(), concurrency=1)
    runs: list[int] = []

    @consumer.handler("moved", attempts=1)
    async def fail_once(message: Any, db: Any) -> None:
        runs.append(1)
        await db.execute(ADD, {"id": 1})
        if len(runs) == 1:
            await db.execute(text("DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$"))

    await rig.publish(event())
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.parked, done.retrying, done.reruns) == (1, 0, 0, 1)
    assert len(runs) == 2 and rig.balance(1) == 1


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
async def test_the_wait_of_a_claim_is_no_attempt(rig: AsyncInboxRig) -> None:
    """While another transaction has claimed the message its run waits; when that rolls back the handler runs, once."""
    inbox = await rig.inbox()
    moved = event()
    consumer = rig.consumer(inbox, concurrency=1)
    runs: list[Any] = []

    @consumer.handler("moved", attempts=1)
    async def count(message: Any, db: Any) -> None:
        runs.append(message.attempt)
        await db.execute(ADD, {"id": 1})

    await rig.publish(moved)

    async def other() -> None:
        try:
            async with inbox.unit(Deadline(SYSTEM_CLOCK, 30.0)) as unit:
                await inbox.judge(unit, b"billing", moved, ordered=False)
                await asleep(1.0)
                raise ValueError("rolled back")
        except ValueError:
            return

    async def late() -> Summary:
        await asleep(0.3)
        done: Summary = await consumer.run(until_idle=0.1)
        return done

    _, done = await agather([other, late])
    assert isinstance(done, Summary), done
    assert (done.applied, done.reruns, runs[0], rig.balance(1)) == (1, 0, 1, 1)


async def test_a_duplicate_commits_where_it_has_locked_nothing(
    rig: AsyncInboxRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its claim alone; one of a key in order has met the key's gate, and its unit is rolled back."""
    ended: list[Ended] = []
    run = AsyncRuns.run

    async def noted(self: AsyncRuns, *args: Any, **options: Any) -> Ended:
        ended.append(await run(self, *args, **options))
        return ended[-1]

    monkeypatch.setattr(AsyncRuns, "run", noted)
    consumer = rig.consumer(await rig.inbox(), order="key", concurrency=1)

    @consumer.handler("moved")
    async def handler(message: Any, db: Any) -> None:
        await db.execute(ADD, {"id": 1})

    for moved, came in ((event(), Run.COMMITTED), (numbered("a", 1), Run.NOTHING)):
        await rig.publish(moved, moved)
        ended.clear()
        await consumer.run(until_idle=0.1)
        assert [(one.run, one.judged.verdict) for one in ended] == [
            (Run.COMMITTED, Verdict.APPLY),
            (came, Verdict.DUPLICATE),
        ]
    assert rig.balance(1) == 2
