"""Many messages in one transaction: the effect of each once, in the order of its key, whatever one of them does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, text
from sqlalchemy.orm import registry

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.messaging import AsyncConsumer, AsyncMemoryInbox
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.sources import AsyncMemoryQueue

from .inbox_rigs_async import SERVERS, AsyncInboxRig, event, numbered, server_url


class Account:
    """A row of a model of the application's."""

    balance: int


registry().map_imperatively(
    Account, Table("account", MetaData(), Column("id", Integer, primary_key=True), Column("balance", Integer))
)
ADD = text("UPDATE account SET balance = balance + :by WHERE id = :id")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    return request.param, server_url(request, request.param, tmp_path)


@pytest.fixture
async def rig(server: tuple[str, str]) -> AsyncIterator[AsyncInboxRig]:
    made = AsyncInboxRig(*server)
    yield made
    await made.close()


def transactions(inbox: Any) -> list[int]:
    """Grows by one with each unit that an effect was begun in."""
    seen: list[int] = []
    unit = inbox.unit

    def counted(deadline: Deadline, *, core: bool = False) -> Any:
        if not core:
            seen.append(1)
        return unit(deadline, core=core)

    inbox.unit = counted
    return seen


@pytest.mark.parametrize("server", SERVERS, indirect=True)  # in threads, too: how drivers count rows differs
async def test_a_batch_is_one_transaction_and_its_copies_are_none(rig: AsyncInboxRig) -> None:
    """200 messages and a copy of each, some within one batch: 200 effects, in far fewer transactions."""
    inbox = await rig.inbox()
    units = transactions(inbox)
    consumer = rig.consumer(inbox, concurrency=1)
    sizes: list[int] = []

    @consumer.batch_handler("moved", rerunnable=True)
    async def count(messages: Any, db: Any) -> None:
        sizes.append(len(messages))
        await db.execute(ADD, {"by": len(messages), "id": 1})

    events = [event(payload=n) for n in range(200)]
    await rig.publish(*events[:50], *events[:50], *events[50:], *events)
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.duplicates, rig.balance()) == (200, 250, 200)
    assert max(sizes) > 50 and len(units) <= 12


@pytest.mark.parametrize("server", SERVERS, indirect=True)  # in threads, too: how drivers count rows differs
@pytest.mark.parametrize("kind", ["numbered", "keyed"])
async def test_keys_are_in_order_within_and_across_batches(rig: AsyncInboxRig, kind: str) -> None:
    """Numbered and not, a key's messages are handed over as they were published; a gap in one key holds up that key alone."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, order="key", concurrency=2)
    seen: dict[str, list[int]] = {}

    @consumer.batch_handler("moved", rerunnable=True, batch=16)
    async def note(messages: Any, db: Any) -> None:
        for message in messages:
            seen.setdefault(message.key, []).append(message.payload)
            await db.execute(ADD, {"by": 1, "id": 1})

    make = numbered if kind == "numbered" else (lambda key, n, payload: event(payload=payload, key=key))
    events = [make(f"k{key}", n, payload=n) for n in range(1, 13) for key in range(10)]
    if kind == "numbered":  # the second of k3 comes last
        events.append(events.pop(13))
    await rig.publish(*events, *events[:30])
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.duplicates) == (120, 30)
    assert seen == {f"k{key}": list(range(1, 13)) for key in range(10)}
    again = rig.consumer(inbox, order="key")
    again.batch_handler("moved", rerunnable=True)(note)
    await rig.publish(*(make(f"k{key}", 13, payload=13) for key in range(10)), *events)
    assert (await again.run(until_idle=0.1)).applied == 10
    assert rig.balance() == 130


@pytest.mark.parametrize("server", SERVERS, indirect=True)  # in threads, too: drivers take many values differently
async def test_a_batch_moves_the_gates_of_its_keys_together(rig: AsyncInboxRig) -> None:
    """Keys that began earlier go on in one transaction, and none of their messages is judged alone."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, order="key", concurrency=1)
    sizes: list[int] = []

    @consumer.batch_handler("moved", rerunnable=True, batch=100)
    async def count(messages: Any, db: Any) -> None:
        sizes.append(len(messages))
        await db.execute(ADD, {"by": len(messages), "id": 1})

    keys = [f"k{key}" for key in range(9)] + ["'é\\,\""]
    for round in range(3):
        sizes.clear()
        await rig.publish(*(numbered(key, 3 * round + n, payload=n) for n in (1, 2, 3) for key in keys))
        assert (await consumer.run(until_idle=0.1)).applied == 30
        assert sum(sizes) == 30 and len(sizes) <= 3, sizes  # one, mostly: a fetch may bring a part of them
    assert rig.balance() == 90
    assert rig.rows("SELECT DISTINCT n FROM regionkit_rk_gate") == [(9,)]


async def test_one_that_raises_is_found_and_only_it_has_attempts(rig: AsyncInboxRig) -> None:
    """The 99 others are applied once; the raiser is run alone so often as it may, and is a case."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, concurrency=1)
    alone: list[int] = []

    @consumer.batch_handler("moved", rerunnable=True, attempts=2)
    async def count(messages: Any, db: Any) -> None:
        if len(messages) == 1:
            alone.append(messages[0].payload)
        await db.execute(ADD, {"by": len(messages), "id": 1})
        if any(message.payload == 37 for message in messages):
            raise ValueError("37")

    await rig.publish(*(event(payload=n) for n in range(100)))
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.parked, rig.balance()) == (99, 1, 99)
    assert alone.count(37) == 2 and len(alone) <= 4
    assert rig.rows("SELECT attempts FROM regionkit_rk_hospital")[0][0] == 2


async def test_handlers_of_single_messages_share_a_transaction_when_they_are_rerunnable(rig: AsyncInboxRig) -> None:
    """Each with a session that has forgotten the one before; the raiser alone fails."""
    inbox = await rig.inbox()
    units = transactions(inbox)
    consumer = rig.consumer(inbox, concurrency=1, batch=50)
    known: list[int] = []
    held: list[Any] = []

    @consumer.handler("moved", rerunnable=True, attempts=1)
    async def count(message: Any, db: Any) -> None:
        known.append(len(list(db.identity_map.values())))
        account = await db.get(Account, message.payload)
        account.balance += 1
        held.append(account)  # else the session would forget it by itself
        if message.payload == 20:
            raise ValueError("20")

    await rig.publish(*(event(payload=n) for n in (*range(1, 20), 20, *range(1, 20))))
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.parked, rig.total()) == (38, 1, 38)
    assert len(units) < 20 and set(known) == {0}


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
async def test_a_batch_that_deadlocks_is_halved_and_is_no_attempt(rig: AsyncInboxRig) -> None:
    """Two consumers that lock rows crosswise: all is applied, nobody is to blame."""
    inbox = await rig.inbox()
    sizes: list[int] = []
    consumers: list[Any] = []
    for first, second in ((1, 2), (2, 1)):
        consumer = rig.consumer(inbox, concurrency=1, group=f"g{first}")

        @consumer.batch_handler("moved", rerunnable=True, attempts=1, batch=8)
        async def cross(messages: Any, db: Any, first: int = first, second: int = second) -> None:
            sizes.append(len(messages))
            await db.execute(ADD, {"by": len(messages), "id": first})
            if len(sizes) <= 2:
                await wait_for(lambda: len(sizes) >= 2)
            await db.execute(ADD, {"by": len(messages), "id": second})

        consumers.append(consumer)
    reruns = rounds = 0
    while not reruns and rounds < 6:  # on a busy machine one of them may have ended before the other began
        rounds += 1
        sizes.clear()
        await rig.publish(*(event(payload=n) for n in range(16)))
        summaries = await both(*consumers)
        assert [done.applied for done in summaries] == [16, 16]
        assert [done.parked + done.retrying for done in summaries] == [0, 0]
        reruns = sum(done.reruns for done in summaries)
    assert reruns >= 1 and rig.balance(1) == rig.balance(2) == 32 * rounds


async def wait_for(what: Any) -> None:
    """A moment at most: the other side is on its way."""
    for _ in range(200):
        if what():
            return
        await asleep(0.01)


async def both(*consumers: Any) -> list[Any]:
    """Run them at once."""
    return list(await agather([lambda consumer=consumer: consumer.run(until_idle=1.0) for consumer in consumers]))


async def test_statement_applies_once_and_tells_what_changed_nothing(rig: AsyncInboxRig) -> None:
    """Alone and in batches; copies change nothing, and an account that is not there is told apart from them."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, concurrency=1)
    consumer.statement("moved", "UPDATE account SET balance = balance + :by WHERE id = :to")
    first = event(payload={"by": 5, "to": 1})
    for batch in ([first], [first], [event(payload={"by": 1, "to": 99})]):
        await rig.publish(*batch)
        await consumer.run(until_idle=0.1)
    done = consumer.summary()
    assert (done.applied, done.duplicates, done.unchanged, rig.balance()) == (2, 1, 1, 5)
    await rig.publish(*(event(payload={"by": 1, "to": n}) for n in range(1, 21)), first)
    await consumer.run(until_idle=0.1)
    assert (consumer.summary().applied, consumer.summary().duplicates, rig.total()) == (22, 2, 25)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
async def test_a_statement_alone_goes_to_postgresql_together_with_its_claim(rig: AsyncInboxRig) -> None:
    """No claim of its own is asked for; a copy is told by the error, and looked at as any other message."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, concurrency=1)
    consumer.statement("moved", "UPDATE account SET balance = balance + :by WHERE id = 1")
    alone: list[Any] = []
    judge = inbox.judge

    async def judged(unit: Any, scope: bytes, envelope: Any, *, ordered: bool) -> Any:
        alone.append(envelope)
        return await judge(unit, scope, envelope, ordered=ordered)

    inbox.judge = judged
    inbox.judge_many = lambda *args, **more: pytest.fail("a batch was judged")
    first = event(payload={"by": 5})
    for moved, judged_so_far in ((first, 0), (event(payload={"by": 7}), 0), (first, 1)):
        await rig.publish(moved)
        await consumer.run(until_idle=0.1)
        assert len(alone) == judged_so_far
    done = consumer.summary()
    assert (done.applied, done.duplicates, rig.balance()) == (2, 1, 12)


async def test_a_statement_whose_message_does_not_fit_is_a_case(rig: AsyncInboxRig) -> None:
    """A field that is missing, and a constraint of the application's; the others are applied."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, concurrency=1)
    consumer.statement("opened", "INSERT INTO account VALUES (:id, 7)", attempts=1)
    await rig.publish(event("opened", {"id": 30}), event("opened", {"id": 1}), event("opened", {"no": 1}))
    done = await consumer.run(until_idle=0.1)
    assert (done.applied, done.parked) == (1, 2)
    await rig.publish(event("opened", {"id": 1}))
    assert (await consumer.run(until_idle=0.1)).parked == 1
    assert rig.balance(30) == 7


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
async def test_two_batches_claim_the_same_messages_at_once(rig: AsyncInboxRig) -> None:
    """Whoever is second waits, or finds them claimed; no verdict is APPLY twice."""
    inbox = await rig.inbox()
    events = [event(payload=n, id=f"foreign-{n:03}") for n in range(40)]
    applied: list[str] = []

    async def claim(order: list[Any]) -> None:
        for _ in range(10):
            try:
                async with inbox.unit(Deadline(SYSTEM_CLOCK, 30.0)) as unit:
                    verdicts = await inbox.judge_many(unit, b"billing", order, ordered=False)
                applied.extend(
                    e.id for e, v in zip(order, verdicts, strict=True) if v is not None and v.verdict is Verdict.APPLY
                )
            except Exception:
                continue
            if None not in verdicts:
                return

    await agather([lambda: claim(events), lambda: claim(events[::-1])])
    assert sorted(applied) == sorted(e.id for e in events)


async def test_what_cannot_be_a_batch_is_refused(rig: AsyncInboxRig) -> None:
    """At registration: not rerunnable, too large, several statements, one that returns rows."""
    consumer = rig.consumer(await rig.inbox())
    with pytest.raises(ConfigurationError, match="rerunnable"):
        consumer.batch_handler("a", rerunnable=False)(lambda messages, db: None)
    with pytest.raises(ConfigurationError, match="batch"):
        consumer.handler("a", rerunnable=True, batch=5000)(lambda message, db: None)
    for sql in ("SELECT 1", "UPDATE a SET b = 1; DELETE FROM a", "DELETE FROM a RETURNING b"):
        with pytest.raises(ConfigurationError, match="cannot be an effect"):
            consumer.statement("a", sql)


def test_a_statement_needs_a_sql_inbox() -> None:
    """Elsewhere each of its messages would be a case."""
    consumer = AsyncConsumer(AsyncMemoryQueue("q", group="g"), inbox=AsyncMemoryInbox())
    with pytest.raises(ConfigurationError, match="in no SQL database"):
        consumer.statement("a", "UPDATE a SET b = 1")
