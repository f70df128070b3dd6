"""Effects outside when processes die at each step, freeze, and come back: proved by a ledger that is only appended to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fix_inboxes import InboxStore

from regionkit.errors import LeaseLost
from regionkit.messaging.claim import Busy, Wish
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.envelope import Envelope, encode, fingerprint, stored_id
from regionkit.messaging.sources import AsyncMemoryQueue, MemoryQueue

from .children import PATIENCE, Ledger, child, dying_at
from .outside_rigs import IDLE, OutsideRig, mail, soon

LEASE = 0.7
"""Seconds: of a process that is to die."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Of one test."""
    return Ledger(tmp_path)


def over(*stores: str) -> Any:
    """Which inboxes: servers that several processes share."""
    return pytest.mark.parametrize("inbox_store", stores, indirect=True)


def consumer(inbox: Any, envelopes: list[Envelope], call: Callable[..., Any], *, order: Any = None, **more: Any) -> Any:
    """One with a queue of its own, where these messages are."""
    queue = MemoryQueue("mails", group="billing")
    made = Consumer(queue, inbox=inbox, order=order, gap_wait=0.5)
    queue.open(soon())
    queue.publish([(None, encode(one)) for one in envelopes], soon())
    made.handler("mail.send", effect="external", **{"on_in_doubt": "retry", **more})(call)
    return made


ORDERS = {"postgresql": "key", "mongo": "key", "redis": None}


@pytest.mark.parametrize(
    ("inbox_store", "point"),
    [
        *(("postgresql", point) for point in ("message.claimed", "message.handled", "message.completed")),
        *(("mongo", point) for point in ("message.handled", "message.committed")),
        *(("redis", point) for point in ("message.claimed", "message.completed")),
    ],
    indirect=["inbox_store"],
)
def test_who_is_asked_about_a_call_that_somebody_died_in_keeps_it_to_one(
    inbox_store: InboxStore, ledger: Ledger, point: str
) -> None:
    """Dead at any step: with `resolve` each mail is sent once, in the order of its key where there is one."""
    line = [mail(f"x{n}", n, "x") for n in (1, 2, 3)]
    order = ORDERS[inbox_store.name]

    def send(message: Any, context: Any) -> None:
        ledger.add(context.idempotency_key)

    def resolve(message: Any, context: Any) -> str:
        return "yes" if context.idempotency_key in ledger.lines() else "no"

    def victim() -> None:
        with inbox_store.opened() as inbox:
            dying_at(point, ledger)
            consumer(inbox, line, send, order=order, lease=LEASE, resolve=resolve).run(until_idle=IDLE)

    with child(victim, ledger), inbox_store.opened() as inbox:
        ledger.wait("died")
        time.sleep(LEASE + 0.2)
        done = consumer(inbox, line + line, send, order=order, resolve=resolve).run(until_idle=0.8)
    sent = [f"billing:{one.id}" for one in line]
    assert (ledger.lines() if order else sorted(ledger.lines())) == (sent if order else sorted(sent))
    assert done.applied + done.duplicates == 6 and done.duplicates >= 3


@pytest.mark.parametrize(
    ("inbox_store", "point"),
    [("postgresql", "message.admitted"), ("redis", "message.admitted"), ("redis", "message.given_up")],
    indirect=["inbox_store"],
)
def test_a_case_is_one_wherever_its_maker_dies(inbox_store: InboxStore, ledger: Ledger, point: str) -> None:
    """Between case, claim and acknowledgement: whoever comes next finds the case, and calls nothing."""
    one = mail("a")

    def send(message: Any, context: Any) -> None:
        ledger.add(context.idempotency_key)
        raise RuntimeError("the provider refuses")

    def victim() -> None:
        with inbox_store.opened() as inbox:
            dying_at(point, ledger)
            consumer(inbox, [one], send, lease=LEASE, attempts=1).run(until_idle=IDLE)

    with child(victim, ledger), inbox_store.opened() as inbox:
        ledger.wait("died")
        time.sleep(LEASE + 0.2)
        done = consumer(inbox, [one, one], send, attempts=1).run(until_idle=0.8)
        cases = OutsideRig(inbox).cases()
    assert len(ledger.lines()) == 1 and done.duplicates == 2
    assert [case.reason for case in cases] == ["failed"]


def freeze(pid: int, inbox_store: InboxStore) -> None:
    """Stop it, at an instant at which its jobs do not hold SQLite's one lock: nobody else would get on then, either."""
    url = str(getattr(getattr(inbox_store.cases_rig, "rig", None), "urls", [""])[0])
    while True:
        os.kill(pid, signal.SIGSTOP)
        if not url.startswith("sqlite"):
            return
        with contextlib.closing(sqlite3.connect(url.partition(":///")[2], timeout=0.3)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.rollback()
                return
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.02)


@pytest.mark.parametrize(
    ("inbox_store", "asks"),
    [("postgresql", True), ("postgresql", False), ("mongo", False), ("redis", True), ("cassandra", False)],
    indirect=["inbox_store"],
)
def test_a_frozen_process_changes_nothing_when_it_comes_back(
    inbox_store: InboxStore, ledger: Ledger, asks: bool
) -> None:
    """Stopped in its call beyond the lease; another finishes; continued, it writes nothing, whether it asks before or not."""
    line = [mail("x1", 1, "x"), mail("x2", 2, "x")]
    order = ORDERS.get(inbox_store.name)

    def zombie() -> None:
        lost: list[str] = []

        def send(message: Any, context: Any) -> None:
            ledger.add("zombie")
            ledger.set("begun")
            ledger.wait("go")
            made.stop()
            if asks:
                try:
                    context.check_fence()
                except LeaseLost:
                    lost.append(message.id)
                    raise

        with inbox_store.opened() as inbox:
            made = consumer(inbox, line[:1], send, order=order, lease=LEASE)
            done = made.run()
        assert (done.applied, done.parked, done.given_back) == (0, 0, 1), done
        assert lost == ([line[0].id] if asks else [])

    with child(zombie, ledger) as pid, inbox_store.opened() as inbox:
        ledger.wait("begun")
        freeze(pid, inbox_store)
        try:
            time.sleep(LEASE + (2.5 if inbox_store.name == "cassandra" else 0.5))
            done = consumer(inbox, line, lambda message, context: ledger.add(message.payload), order=order).run(
                until_idle=0.8
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        assert done.applied == 2 and ledger.lines() == ["zombie", "x1", "x2"]
        ledger.set("go")
    with inbox_store.opened() as inbox:
        again = consumer(inbox, line, lambda message, context: ledger.add("again"), order=order).run(until_idle=IDLE)
        assert again.duplicates == 2 and len(ledger.lines()) == 3
        assert OutsideRig(inbox).cases() == []


@over("postgresql")
async def test_a_blocked_loop_keeps_its_claim(inbox_store: InboxStore) -> None:
    """A handler that blocks the event loop for four leases: nobody else gets the message meanwhile."""
    one, told, over_with = mail("a"), [], threading.Event()

    def rival() -> None:
        with inbox_store.opened() as inbox:
            wish = Wish(b"consumer:billing", stored_id(one.id), os.urandom(16), fingerprint(one), 60.0, calling=True)
            while not over_with.wait(0.1):
                told.append(inbox.records.claims.claim(wish, within=10.0))

    async with inbox_store.opened_async() as inbox:
        queue = AsyncMemoryQueue("mails", group="billing")
        made = AsyncConsumer(queue, inbox=inbox)
        thread = threading.Thread(target=rival, daemon=True)

        async def send(message: Any, context: Any) -> None:
            thread.start()
            time.sleep(4 * 1.5)
            over_with.set()
            await asyncio.to_thread(thread.join, PATIENCE)
            await context.check_fence()

        made.handler("mail.send", effect="external", on_in_doubt="retry", lease=1.5)(send)
        await queue.open(soon())
        await queue.publish([(None, encode(one))], soon())
        done = await made.run(until_idle=IDLE)
    assert done.applied == 1
    assert len(told) > 3 and all(isinstance(answer, Busy) and answer.calling for answer in told), told
