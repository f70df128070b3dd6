"""Publishing in a branch: its row commits with the global transaction, and with nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.contract.enlist import enlist
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.errors import TransactionAborted, UsageError
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.relay_async import AsyncRelay
from regionkit.messaging.sources.memory_async import AsyncMemoryQueue
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.manager_async import AsyncTransactionManager
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant

from .participant_rigs_async import NAMESPACE, AsyncParticipantRig

IS_ASYNC = True


class Shop:
    """A bank with an outbox beside it, a second participant, and a relay into a queue."""

    def __init__(self, rig: AsyncParticipantRig) -> None:
        self.rig = rig
        self.outbox = AsyncOutbox(rig.engine(), namespace=NAMESPACE)
        self.queue = AsyncMemoryQueue("orders", group="billing")
        self.relay = AsyncRelay(self.outbox, to=self.queue)

    async def open(self) -> None:
        """Tables, manager."""
        await self.outbox.create_tables()
        await self.queue.open(Deadline(SYSTEM_CLOCK, 30.0))
        self.other = AsyncMemoryParticipant("other")
        self.tm = AsyncTransactionManager(
            namespace=NAMESPACE,
            log=AsyncMemoryDecisionLog(),
            participants={"bank": await self.rig.participant(), "other": self.other},
        )
        await self.tm.create_tables()

    async def published(self) -> int:
        """How many events a run of the relay found."""
        return int((await self.relay.run_once()).published)


@pytest.fixture
async def shop(request: pytest.FixtureRequest, pg: Any, tmp_path: Any) -> AsyncIterator[Shop]:
    """On PostgreSQL."""
    rig = AsyncParticipantRig.of(request, "postgresql", tmp_path)
    made = Shop(rig)
    await made.open()
    yield made
    await made.tm.close()
    await made.outbox.close()
    await rig.close()


@pytest.fixture
def hooks() -> Iterator[None]:
    """Takes the hook away."""
    yield
    set_crash_hook(None)


async def joined(db: Any) -> Any:
    """Who joins the branch."""
    return await db.run_sync(enlist) if IS_ASYNC else enlist(db)


async def test_an_event_is_published_exactly_when_the_global_transaction_commits(shop: Shop, hooks: None) -> None:
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
        async with shop.tm.begin() as tx:
            db = await tx.session("bank")
            (await joined(db)).on_outcome(heard.append)
            await shop.outbox.publish(db, "order.placed", {"n": 1}, key="a")
            tx.doom()
    assert (heard, await shop.published()) == (["no"], 0)
    set_crash_hook(look)
    async with shop.tm.begin() as tx:
        db = await tx.session("bank")
        (await tx.session("other"))["a"] = 1
        (await joined(db)).on_outcome(heard.append)
        await db.execute(text(shop.rig.adding()))
        await shop.outbox.publish(db, "order.placed", {"n": 2}, key="a")
        async with db.begin_nested():
            await shop.outbox.publish(db, "order.placed", {"n": 3}, key="a")
        with contextlib.suppress(LookupError):
            async with db.begin_nested():
                await shop.outbox.publish(db, "order.placed", {"n": 4}, key="a")
                raise LookupError
    set_crash_hook(None)
    assert heard == ["no", "yes"]
    assert rows == [1, 0]
    assert await shop.published() == 2


async def test_what_a_call_before_the_commit_raises_aborts(shop: Shop) -> None:
    """As an error of the block does."""

    def fail() -> None:
        raise ValueError("not today")

    heard: list[str] = []
    with pytest.raises(ValueError, match="not today"):
        async with shop.tm.begin() as tx:
            db = await tx.session("bank")
            await db.execute(text(shop.rig.adding()))
            enlisted = await joined(db)
            enlisted.before_commit(fail)
            enlisted.on_outcome(heard.append)
    assert (heard, shop.rig.accounts) == (["no"], set())


async def test_a_reading_branch_is_not_joined(shop: Shop) -> None:
    """What it would publish would be lost."""
    async with shop.tm.begin() as tx:
        db = await tx.session("bank", read_only=True)
        with pytest.raises(UsageError, match="reading"):
            await shop.outbox.publish(db, "order.placed", {"n": 1}, key="a")
