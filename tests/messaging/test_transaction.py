# Generated from test_transaction_async.py by scripts/twins.py. Do not edit.
"""What a handler may do to the transaction that it was given, and what becomes of its message then: never a silent loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, text
from sqlalchemy.orm import registry

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.messaging.counters import Summary
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.runs import Ended, Run, Runs

from .inbox_rigs import SERVERS, InboxRig, event, numbered, server_url

ADD = text("UPDATE account SET balance = balance + 1 WHERE id = :id")
Act = Callable[[Any], None]


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
def rig(server: tuple[str, str]) -> Iterator[InboxRig]:
    made = InboxRig(*server)
    _NOTES.create(made.plain)
    yield made
    made.close()


def ran(rig: InboxRig, act: Act, *, attempts: int = 1) -> Summary:
    """One message whose handler adds to account 1, does `act`, and adds to account 2; and a copy of it afterwards."""
    consumer = rig.consumer(rig.inbox(), concurrency=1)

    @consumer.handler("moved", attempts=attempts)
    def handler(message: Any, db: Any) -> None:
        db.execute(ADD, {"id": 1})
        act(db)
        db.execute(ADD, {"id": 2})

    moved = event()
    rig.publish(moved)
    consumer.run(until_idle=0.1)
    rig.publish(moved)
    consumer.run(until_idle=0.1)
    summary: Summary = consumer.summary()
    return summary


def case(rig: InboxRig) -> tuple[str, str]:
    """Status and error of the one case."""
    (row,) = rig.rows("SELECT status, error FROM regionkit_rk_hospital")
    return row[0], row[1]


def swallow(db: Any) -> None:
    """An SQL error, swallowed."""
    try:
        db.execute(text("SELECT no_such_column FROM account"))
    except Exception:
        return


def commit(db: Any) -> None:
    """The transaction is ended."""
    db.commit()


def roll_back(db: Any) -> None:
    """The first half is dropped."""
    db.rollback()


def begin(db: Any) -> None:
    """One more."""
    db.begin()


def close(db: Any) -> None:
    """The handle is closed, and with it the first half dropped."""
    db.close()


def commit_by_text(db: Any) -> None:
    """Past SQLAlchemy."""
    db.execute(text("COMMIT"))


def commit_and_raise(db: Any) -> None:
    """Half of the effect would stay."""
    db.commit()
    raise ValueError("after the commit")


@pytest.mark.parametrize("act", [commit, roll_back, begin, commit_and_raise], ids=lambda act: act.__name__)
def test_a_handler_that_ends_the_transaction_is_told_so_and_changes_nothing(rig: InboxRig, act: Act) -> None:
    """It is a case that names what it did; no half of its effect stays, and a copy finds the case."""
    done = ran(rig, act)
    assert (done.applied, done.parked, done.duplicates) == (0, 1, 1)
    assert rig.total() == 0
    status, error = case(rig)
    assert status == "admitted"
    assert "consumer commits" in error or "already begun" in error or "transaction" in error


def test_a_handler_that_closes_its_session_is_no_success(rig: InboxRig) -> None:
    """What it did before is lost with the transaction: nothing of it may count as applied."""
    done = ran(rig, close)
    assert (done.applied, done.parked) == (0, 1)
    assert rig.total() == 0


def test_a_swallowed_error_is_no_success(rig: InboxRig) -> None:
    """PostgreSQL answers its COMMIT with ROLLBACK: a case. Elsewhere the transaction goes on, and all of it counts."""
    done = ran(rig, swallow)
    if rig.server == "postgresql":
        assert (done.applied, done.parked, rig.total()) == (0, 1, 0)
    else:
        assert (done.applied, done.parked, rig.total()) == (1, 0, 2)


def test_a_commit_by_text_is_never_taken_for_the_whole_effect(rig: InboxRig) -> None:
    """The claim stands with the first half: it is a case in doubt, and not run again as if nothing had been."""
    done = ran(rig, commit_by_text, attempts=3)
    assert (done.applied, done.parked) == (0, 1)
    assert rig.balance(1) == 1
    assert rig.balance(2) == (rig.server == "sqlite")  # there, what comes after it is a transaction of its own
    assert rig.rows("SELECT reason, status FROM regionkit_rk_hospital") == [("in_doubt", "admitted")]


def test_a_rollback_by_text_drops_nothing_in_silence(rig: InboxRig) -> None:
    """What comes after it is not committed as if it were all."""

    def roll_back_by_text(db: Any) -> None:
        db.execute(text("ROLLBACK"))

    done = ran(rig, roll_back_by_text)
    assert (done.applied, done.parked, rig.balance(1)) == (0, 1, 0)
    assert rig.balance(2) == (rig.server == "sqlite")  # as above


def test_ddl_commits_implicitly_on_mariadb_and_is_in_doubt_there(rig: InboxRig) -> None:
    """Elsewhere it is part of the transaction."""

    def ddl(db: Any) -> None:
        db.execute(text("CREATE TABLE another (id INTEGER PRIMARY KEY)"))

    done = ran(rig, ddl)
    if rig.server == "mariadb":
        assert (done.applied, done.parked, rig.balance(1)) == (0, 1, 1)
        assert rig.rows("SELECT reason FROM regionkit_rk_hospital") == [("in_doubt",)]
    else:
        assert (done.applied, done.duplicates, rig.total()) == (1, 1, 2)


def test_a_handler_that_raises_behind_its_own_commit_is_in_doubt(rig: InboxRig) -> None:
    """A copy finds the claim: without a case half of the effect would be lost, and look like success."""

    def half(db: Any) -> None:
        db.execute(text("COMMIT"))
        raise ValueError("after it")

    done = ran(rig, half, attempts=3)
    assert (done.applied, done.parked, rig.balance(1), rig.balance(2)) == (0, 1, 1, 0)
    assert rig.rows("SELECT reason FROM regionkit_rk_hospital") == [("in_doubt",)]


def test_pending_objects_are_written_before_the_commit_and_their_error_is_the_handlers(
    rig: InboxRig,
) -> None:
    """What was added and not flushed is part of the effect; where it cannot be written the message failed."""

    def good(db: Any) -> None:
        db.add(Note(1, "said"))

    def bad(db: Any) -> None:
        db.add(Note(2, None))

    consumer = rig.consumer(rig.inbox(), concurrency=1)

    @consumer.handler("good", attempts=1)
    def one(message: Any, db: Any) -> None:
        good(db)

    @consumer.handler("bad", attempts=1)
    def other(message: Any, db: Any) -> None:
        bad(db)

    rig.publish(event("good"), event("bad"))
    done = consumer.run(until_idle=0.1)
    assert (done.applied, done.parked) == (1, 1)
    assert [row[0] for row in rig.rows("SELECT id FROM note")] == [1]


def test_savepoints_are_the_handlers_own(rig: InboxRig) -> None:
    """An error inside of one is dropped with it, and the rest counts."""

    def nested(db: Any) -> None:
        try:
            with db.begin_nested():
                db.execute(ADD, {"id": 3})
                db.execute(text("SELECT no_such_column FROM account"))
        except Exception:
            return

    done = ran(rig, nested)
    assert (done.applied, rig.balance(1), rig.balance(2), rig.balance(3)) == (1, 1, 1, 0)


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
def test_deadlocks_are_runs_again_and_no_attempts(rig: InboxRig) -> None:
    """Two consumers lock two rows crosswise, with one attempt a message: all is applied."""
    inbox = rig.inbox()
    consumers = [rig.consumer(inbox, concurrency=1, group=f"g{n}") for n in (1, 2)]
    for n, consumer in enumerate(consumers):

        @consumer.handler("moved", attempts=1)
        def cross(message: Any, db: Any, n: int = n) -> None:
            db.execute(ADD, {"id": 1 + n})
            sleep(0.1)
            db.execute(ADD, {"id": 2 - n})

    rig.publish(event(), event())
    done = gather([lambda c=consumer: c.run(until_idle=0.7) for consumer in consumers])
    assert [(d.applied, d.parked, d.retrying) for d in done if isinstance(d, Summary)] == [(2, 0, 0), (2, 0, 0)]
    assert sum(d.reruns for d in done if isinstance(d, Summary)) >= 1
    assert rig.balance(1) == rig.balance(2) == 4


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_serialization_failures_are_runs_again_and_no_attempts(rig: InboxRig) -> None:
    """A handler that asks PostgreSQL for REPEATABLE READ meets one when somebody else has written meanwhile."""
    consumer = rig.consumer(rig.inbox(), concurrency=1)
    runs: list[int] = []

    @consumer.handler("moved", attempts=1)
    def fail_once(message: Any, db: Any) -> None:
        runs.append(1)
        db.execute(ADD, {"id": 1})
        if len(runs) == 1:
            db.execute(text("DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$"))

    rig.publish(event())
    done = consumer.run(until_idle=0.1)
    assert (done.applied, done.parked, done.retrying, done.reruns) == (1, 0, 0, 1)
    assert len(runs) == 2 and rig.balance(1) == 1


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
def test_the_wait_of_a_claim_is_no_attempt(rig: InboxRig) -> None:
    """While another transaction has claimed the message its run waits; when that rolls back the handler runs, once."""
    inbox = rig.inbox()
    moved = event()
    consumer = rig.consumer(inbox, concurrency=1)
    runs: list[Any] = []

    @consumer.handler("moved", attempts=1)
    def count(message: Any, db: Any) -> None:
        runs.append(message.attempt)
        db.execute(ADD, {"id": 1})

    rig.publish(moved)

    def other() -> None:
        try:
            with inbox.unit(Deadline(SYSTEM_CLOCK, 30.0)) as unit:
                inbox.judge(unit, b"billing", moved, ordered=False)
                sleep(1.0)
                raise ValueError("rolled back")
        except ValueError:
            return

    def late() -> Summary:
        sleep(0.3)
        done: Summary = consumer.run(until_idle=0.1)
        return done

    _, done = gather([other, late])
    assert isinstance(done, Summary), done
    assert (done.applied, done.reruns, runs[0], rig.balance(1)) == (1, 0, 1, 1)


def test_a_duplicate_commits_where_it_has_locked_nothing(rig: InboxRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its claim alone; one of a key in order has met the key's gate, and its unit is rolled back."""
    ended: list[Ended] = []
    run = Runs.run

    def noted(self: Runs, *args: Any, **options: Any) -> Ended:
        ended.append(run(self, *args, **options))
        return ended[-1]

    monkeypatch.setattr(Runs, "run", noted)
    consumer = rig.consumer(rig.inbox(), order="key", concurrency=1)

    @consumer.handler("moved")
    def handler(message: Any, db: Any) -> None:
        db.execute(ADD, {"id": 1})

    for moved, came in ((event(), Run.COMMITTED), (numbered("a", 1), Run.NOTHING)):
        rig.publish(moved, moved)
        ended.clear()
        consumer.run(until_idle=0.1)
        assert [(one.run, one.judged.verdict) for one in ended] == [
            (Run.COMMITTED, Verdict.APPLY),
            (came, Verdict.DUPLICATE),
        ]
    assert rig.balance(1) == 2
