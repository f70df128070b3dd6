"""An inbox of documents when processes die at each step of a message: told by a ledger in the database of the effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fix_inboxes import InboxStore

from regionkit.messaging.consumer import Consumer
from regionkit.messaging.envelope import encode
from regionkit.messaging.sources import MemoryQueue

from .children import Ledger, child, dying_at
from .outside_rigs import mail, soon

LINE = [mail(f"x{n}", n, "x") for n in range(1, 4)]


def consumer(inbox: Any, calls: list[str]) -> Any:
    """One whose effect is a document."""
    queue = MemoryQueue("orders", group="billing")
    made = Consumer(queue, inbox=inbox, order="key", gap_wait=0.5)
    queue.open(soon())
    queue.publish([(None, encode(one)) for one in LINE + LINE], soon())

    @made.handler("mail.send")
    def apply(message: Any, db: Any) -> None:
        calls.append(message.payload)
        db.ledger.insert_one({"n": message.payload})

    return made


def in_ledger(inbox: Any) -> list[str]:
    """What took effect, in that order."""
    with inbox.unit(soon()) as unit:
        return [row["n"] for row in unit.native.ledger.find({}, sort=[("$natural", 1)])]


@pytest.mark.parametrize("inbox_store", ["mongo"], indirect=True)
@pytest.mark.parametrize("point", ["message.claimed", "message.handled", "message.committed"])
def test_each_takes_effect_once_wherever_a_process_dies(inbox_store: InboxStore, tmp_path: Path, point: str) -> None:
    """The transaction of who died is rolled back by the server, or stands; the next one finds which."""
    ledger = Ledger(tmp_path)

    def victim() -> None:
        with inbox_store.opened() as inbox:
            dying_at(point, ledger)
            consumer(inbox, []).run(until_idle=0.5)

    calls: list[str] = []
    with inbox_store.rig.servers.primary.client() as client:  # else a transaction of who died is held for a minute
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=3)
    with child(victim, ledger), inbox_store.opened() as inbox:
        ledger.wait("died")
        done = consumer(inbox, calls).run(until_idle=1.0)
        assert in_ledger(inbox) == ["x1", "x2", "x3"]
    with inbox_store.rig.servers.primary.client() as client:
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=60)
    first = int(point == "message.committed")
    assert (done.applied, done.duplicates) == (3 - first, 3 + first)
