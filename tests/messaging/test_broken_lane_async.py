"""An error that no rule names, in a lane: the message is a case or comes again, its lane and all the others go on."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy.exc
from fix_inboxes import InboxStore

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.events import ConsumerBroken
from regionkit.messaging.applying_async import AsyncApplier
from regionkit.messaging.batches_async import AsyncBatches
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.envelope import Envelope, encode, stored_id
from regionkit.messaging.lanes_async import AsyncStoreWatch
from regionkit.messaging.running_async import AsyncRunning
from regionkit.messaging.sources import AsyncMemoryQueue

from .outside_rigs_async import AsyncOutsideRig, mail
from .test_inboxes_async import message

IS_ASYNC = True
IDLE = 0.1
AGAIN = 0.25
"""Seconds until what was given back comes again, half a second in a running consumer: more than `IDLE`, or no run would end."""
ERRORS: dict[
    str, Callable[[], Exception]
] = {  # of the kind that each server's driver raises; what of ours is a KeyError
    "memory": lambda: KeyError("a bug"),
    "sqlite": lambda: sqlalchemy.exc.OperationalError("SELECT", {}, sqlite3.OperationalError("no such column: x")),
    "postgresql": lambda: sqlalchemy.exc.ProgrammingError(
        "SELECT", {}, _named("psycopg.errors", "UndefinedColumn")("x")
    ),
    "mariadb": lambda: sqlalchemy.exc.DataError("SELECT", {}, _named("pymysql.err", "DataError")(1264, "out of range")),
    "mongo": lambda: _named("pymongo.errors", "OperationFailure")("not understood", 59),
    "redis": lambda: _named("redis.exceptions", "ResponseError")("WRONGTYPE"),
    "cassandra": lambda: _named("cassandra", "InvalidRequest")("unknown column"),
}


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def over(*stores: str) -> Any:
    """In threads those that need no server, or one: the statements are the same."""
    in_threads = [name for name in stores if name in ("memory", "sqlite", "redis")]
    return pytest.mark.parametrize("inbox_store", stores if IS_ASYNC else in_threads, indirect=True)


class Rig:
    """A queue, a consumer, and a step that fails for one message as long as `error` is set."""

    def __init__(self, store: InboxStore, inbox: Any) -> None:
        self.inbox = inbox
        self.error: Callable[[], BaseException] | None = ERRORS[store.name]
        self.queue = AsyncMemoryQueue("orders", group="billing")
        self.told: list[Any] = []
        self.fails: set[str] = set()
        self.met = 0

    def consumer(self, **options: Any) -> Any:
        """One lane, so that all of them follow in one."""
        made = AsyncConsumer(
            self.queue.member("billing"), inbox=self.inbox, **{"concurrency": 1, "order": None, **options}
        )
        made.on_event(self.told.append)

        async def take(message: Any, db: Any) -> None:
            if message.id in self.fails:
                raise ValueError("the application's own")

        made.handler("t", attempts=1, rerunnable=True, batch=options.get("batch", 1))(take)
        return made

    def strike(self, patch: pytest.MonkeyPatch, where: Any, step: str, bad: Envelope | None) -> None:
        """From now on the step fails, for `bad` where the step has a message."""
        real = getattr(where, step)

        async def broken(*given: Any, **more: Any) -> Any:
            if self.error is not None and (bad is None or _speaks_of(bad, given)):
                self.met += 1
                raise self.error()
            return await real(*given, **more)

        patch.setattr(where, step, broken)

    async def publish(self, *envelopes: Envelope) -> None:
        """Into the queue."""
        await self.queue.publish([(one.key, encode(one)) for one in envelopes], Deadline(SYSTEM_CLOCK, 30.0))

    async def healed(self, consumer: Any) -> Any:
        """The step fails no more; what waits for its time is due now."""
        self.error = None
        self.fails.clear()
        await asleep(1.2 * AGAIN)  # until what was given back comes again
        for case in await AsyncOutsideRig.cases(self):  # type: ignore[arg-type]  # it has an inbox
            if case.status in ("retrying", "admitted"):
                await AsyncOutsideRig.retry(self, case)  # type: ignore[arg-type]
        return await consumer.run(until_idle=IDLE)


def _speaks_of(envelope: Envelope, given: Any) -> bool:
    ids = (envelope.id, stored_id(envelope.id))
    flat = [each for one in given for each in (one if isinstance(one, list | tuple) else (one,))]
    return any(
        found in ids
        for one in flat
        for found in (getattr(one, "id", None), getattr(one, "message_id", None), getattr(_of(one), "id", None))
    )


def _of(one: Any) -> Any:
    return getattr(one, "envelope", None)


@pytest.fixture(autouse=True)
def comes_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lane gives back is no reason to wait here."""
    monkeypatch.setattr(sys.modules[AsyncRunning.__module__], "BACK_AFTER", AGAIN)


@pytest.fixture
async def rig(inbox_store: InboxStore) -> AsyncIterator[Rig]:
    """Over each inbox."""
    async with inbox_store.opened_async() as opened:
        yield Rig(inbox_store, opened)


@over("memory", "sqlite", "postgresql", "mariadb", "mongo")
@pytest.mark.parametrize("step", ["judge", "admit", "start", "unit"])
async def test_a_step_of_the_inbox(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are applied beside it, and it is applied once when the step works again."""
    bad, others = message(), [message() for _ in range(4)]
    consumer = rig.consumer()
    if step == "admit":
        rig.fails = {bad.id}
    if step == "start":  # of a suspect: it was delivered before
        await rig.publish(bad)
        first = rig.queue.member("billing")
        await first.open()
        await first.give_back(await first.fetch(1, 5.0), 0.0)
    if step == "unit":  # its transaction does not open; which message it is for, it does not know
        _break_units(rig, monkeypatch)
    else:
        rig.strike(monkeypatch, rig.inbox, step, bad)
    await rig.publish(*others[:2], *([bad] if step != "start" else []), *others[2:])
    first_run = await consumer.run(until_idle=IDLE)
    assert rig.met and first_run.applied == 4
    told = [event for event in rig.told if isinstance(event, ConsumerBroken)]
    if step in ("judge", "admit", "start"):
        assert told and first_run.broken == len(told)
        assert told[0].error == type(rig.error()).__name__ if rig.error else False  # type: ignore[truthy-function]
        assert "test_broken_lane" in told[0].where and "x" not in told[0].error
    cases = [(case.reason, case.attempts) for case in await AsyncOutsideRig.cases(rig)]  # type: ignore[arg-type]
    if step in ("judge", "admit"):  # a case cannot be written either: it comes again
        assert not cases and first_run.given_back
    else:
        assert cases == [("failed", 1)]
    runs = [await rig.healed(consumer), await rig.healed(consumer)]  # what was started before becomes a case first
    assert [run.broken for run in runs] == [0, 0] and sum(run.applied for run in runs) == 1


def _break_units(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """The unit in which a handler would run does not open, once."""
    real = rig.inbox.unit

    def broken(deadline: Deadline, *, core: bool = False) -> Any:
        if rig.error is not None and not core and not rig.met:
            rig.met += 1
            raise rig.error()
        return real(deadline, core=core)

    patch.setattr(rig.inbox, "unit", broken)


@over("sqlite", "postgresql")
async def test_a_batch_falls_apart_into_its_messages(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where judging them together fails, each is judged alone."""
    sent = [message() for _ in range(6)]
    rig.strike(monkeypatch, rig.inbox, "judge_many", sent[2])
    consumer = rig.consumer(batch=6)
    await rig.publish(*sent)
    done = await consumer.run(until_idle=IDLE)
    assert rig.met and done.applied == 6 and not await AsyncOutsideRig.cases(rig)  # type: ignore[arg-type]


@over("sqlite")
@pytest.mark.parametrize(
    ("where", "step"),
    [(AsyncBatches, "run"), (AsyncStoreWatch, "again"), (AsyncApplier, "close_gap"), (AsyncApplier, "work")],
)
async def test_a_step_of_the_lane_itself(rig: Rig, where: Any, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lane had in hand comes again; nothing is lost, nothing done twice, and the lane goes on."""
    numbered = step == "close_gap"
    consumer = rig.consumer(batch=6 if step == "run" else 1, order="key" if numbered else None, gap_wait=0.1)
    sent = [message(n, "a") for n in (1, 3)] if numbered else [message() for _ in range(4)]
    if step == "again":  # it is asked when the store is away
        real = AsyncApplier.work

        async def away(self: Any, taken: Any) -> Any:
            step = await real(self, taken)
            return type(step).PAUSE if rig.error is not None and taken.envelope.id == sent[1].id else step

        monkeypatch.setattr(AsyncApplier, "work", away)
    rig.strike(monkeypatch, where, step, None if step == "again" else sent[1])
    await rig.publish(*sent)
    first = await consumer.run(until_idle=IDLE)
    assert rig.met and first.broken and first.given_back
    if numbered:
        await rig.publish(message(2, "a"))
    second = await rig.healed(consumer)
    assert first.applied + second.applied == len(sent) + numbered
    assert not rig.queue._pile.left and second.broken == 0


@over("memory", "redis", "cassandra")
@pytest.mark.parametrize("step", ["claim", "step"])
async def test_a_step_of_an_effect_outside(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim says more when it comes again: called at least once, by its one key, and the others beside it."""
    outside = AsyncOutsideRig(rig.inbox)
    bad, others = mail("bad", key="k0"), [mail(f"m{n}", key=f"k{n}") for n in range(1, 5)]
    rig.strike(monkeypatch, rig.inbox.records.claims, step, bad)
    await outside.publish(others[0], bad, *others[1:])
    consumer = outside.consumer(lease=0.6, attempts=50)
    first = await consumer.run(until_idle=IDLE)
    assert rig.met and first.broken and set(outside.calls) >= {"m1", "m2", "m3", "m4"}
    rig.error = None
    await asleep(0.75)  # the lease of a call that was not told to be done
    await consumer.run(until_idle=0.7)
    called = outside.calls.count("bad")
    assert called == 1 or (called and step == "step")  # which the handler asked for, too
    assert len({key for key, call in zip(outside.keys, outside.calls, strict=True) if call == "bad"}) == 1
    assert all(outside.calls.count(f"m{n}") == 1 for n in range(1, 5))


@over("memory")
async def test_a_fault_of_the_configuration_ends_the_consumer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message is to blame: whoever runs it hears it at once."""
    rig.error = lambda: ConfigurationError("a table is missing.", fix="make it.")
    bad = message()
    rig.strike(monkeypatch, rig.inbox, "judge", bad)
    await rig.publish(bad)
    with pytest.raises(ConfigurationError, match="a table is missing"):
        await rig.consumer().run(until_idle=IDLE)
