# Generated from test_outbox_in_branch_async.py by scripts/twins.py. Do not edit.
"""Publishing in a branch: its row commits with the global transaction, and with nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.contract.enlist import enlist
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.errors import TransactionAborted, UsageError
from regionkit.messaging.outbox import Outbox
from regionkit.messaging.relay import Relay
from regionkit.messaging.sources.memory import MemoryQueue
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.memory import MemoryParticipant

from .participant_rigs import NAMESPACE, ParticipantRig

IS_ASYNC = False


class Shop:
    """A bank with an outbox beside it, a second participant, and a relay into a queue."""

    def __init__(self, rig: ParticipantRig) -> None:
        self.rig = rig
        self.outbox = Outbox(rig.engine(), namespace=NAMESPACE)
        self.queue = MemoryQueue("orders", group="billing")
        self.relay = Relay(self.outbox, to=self.queue)

    def open(self) -> None:
        """Tables, manager."""
        self.outbox.create_tables()
        self.queue.open(Deadline(SYSTEM_CLOCK, 30.0))
        self.other = MemoryParticipant("other")
        self.tm = TransactionManager(
            namespace=NAMESPACE,
            log=MemoryDecisionLog(),
            participants={"bank": self.rig.participant(), "other": self.other},
        )
        self.tm.create_tables()

    def published(self) -> int:
        """How many events a run of the relay found."""
        return int((self.relay.run_once()).published)


@pytest.fixture
def shop(request: pytest.FixtureRequest, pg: Any, tmp_path: Any) -> Iterator[Shop]:
    """On PostgreSQL."""
    rig = ParticipantRig.of(request, "postgresql", tmp_path)
    made = Shop(rig)
    made.open()
    yield made
    made.tm.close()
    made.outbox.close()
    rig.close()


@pytest.fixture
def hooks() -> Iterator[None]:
    """Takes the hook away."""
    yield
    set_crash_hook(None)


def joined(db: Any) -> Any:
    """Who joins the branch."""
    return db.run_sync(enlist) if IS_ASYNC else enlist(db)


def test_an_event_is_published_exactly_when_the_global_transaction_commits(shop: Shop, hooks: None) -> None:
    """Prepared is not committed; an abort leaves nothing, and neither does a savepoint that is undone."""
    rows: list[int] = []

    def look(point: str) -> None:
        if point == "tpc.decide.before":  # both branches are prepared
            rows.append(
                shop.rig.sql("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()")[0][0]
            )
            rows.append(shop.rig.sql(f"SELECT count(*) FROM {shop.outbox.sql.rows.name}")[0][0])

    heard: list[str] = []
    with pytest.raises(TransactionAborted):
        with shop.tm.begin() as tx:
            db = tx.session("bank")
            (joined(db)).on_outcome(heard.append)
            shop.outbox.publish(db, "order.placed", {"n": 1}, key="a")
            tx.doom()
    assert (heard, shop.published()) == (["no"], 0)
    set_crash_hook(look)
    with shop.tm.begin() as tx:
        db = tx.session("bank")
        (tx.session("other"))["a"] = 1
        (joined(db)).on_outcome(heard.append)
        db.execute(text(shop.rig.adding()))
        shop.outbox.publish(db, "order.placed", {"n": 2}, key="a")
        with db.begin_nested():
            shop.outbox.publish(db, "order.placed", {"n": 3}, key="a")
        with contextlib.suppress(LookupError):
            with db.begin_nested():
                shop.outbox.publish(db, "order.placed", {"n": 4}, key="a")
                raise LookupError
    set_crash_hook(None)
    assert heard == ["no", "yes"]
    assert rows == [1, 0]
    assert shop.published() == 2


def test_what_a_call_before_the_commit_raises_aborts(shop: Shop) -> None:
    """As an error of the block does."""

    def fail() -> None:
        raise ValueError("not today")

    heard: list[str] = []
    with pytest.raises(ValueError, match="not today"):
        with shop.tm.begin() as tx:
            db = tx.session("bank")
            db.execute(text(shop.rig.adding()))
            enlisted = joined(db)
            enlisted.before_commit(fail)
            enlisted.on_outcome(heard.append)
    assert (heard, shop.rig.accounts) == (["no"], set())


def test_a_reading_branch_is_not_joined(shop: Shop) -> None:
    """What it would publish would be lost."""
    with shop.tm.begin() as tx:
        db = tx.session("bank", read_only=True)
        with pytest.raises(UsageError, match="reading"):
            shop.outbox.publish(db, "order.placed", {"n": 1}, key="a")
