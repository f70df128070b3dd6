# Generated from outside_rigs_async.py by scripts/twins.py. Do not edit.
"""A consumer whose handler calls a provider, over any inbox: what was called, with which key, and the cases that came of it."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.messaging.claim import Wish, Won
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, encode, fingerprint, stored_id
from regionkit.messaging.inbox_tables_mongo import case_in
from regionkit.messaging.inboxes.cases_sql import case_of
from regionkit.messaging.kept_tables import HOSPITAL
from regionkit.messaging.sources import MemoryQueue

__all__ = ["IDLE", "OutsideRig", "mail", "soon"]

IDLE = 0.1
"""Seconds without a message. What is due in the hospital is looked at before a run ends, however few they are."""


def soon(seconds: float = 60.0) -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, seconds)


class OutsideRig:
    """A queue, an inbox, and a provider that remembers what it was called with."""

    def __init__(self, inbox: Any) -> None:
        self.inbox = inbox
        self.queue = MemoryQueue("mails", group="billing", lease=30.0)
        self.calls: list[str] = []
        self.keys: list[str] = []
        self.asked: list[str] = []
        self.fails: dict[str, int] = {}

    def consumer(self, *, order: Any = None, on_poison: Any = "park_key", **options: Any) -> Any:
        """One that sends."""
        made = Consumer(self.queue.member("billing"), inbox=self.inbox, order=order, on_poison=on_poison)
        options.setdefault("on_in_doubt", "retry")

        def send(message: Any, context: Any) -> None:
            left = self.fails.get(message.payload, 0)
            self.calls.append(message.payload)
            self.keys.append(context.idempotency_key)
            context.check_fence()
            if left:
                self.fails[message.payload] = left - 1
                raise RuntimeError("the provider is away")

        made.handler("mail.send", effect="external", **options)(send)
        return made

    def publish(self, *envelopes: Envelope) -> None:
        """Put into the queue."""
        self.queue.publish([(None, encode(one)) for one in envelopes], soon())

    def died(self, envelope: Envelope, lease: float = 0.2, *, case: Any = None) -> None:
        """A process died in the call of a message, or of its case, and its lease is over."""
        id = stored_id(envelope.id) if case is None else b"case:" + case.id.encode()
        wish = Wish(b"consumer:billing", id, os.urandom(16), fingerprint(envelope), lease, calling=True)
        assert isinstance(self.inbox.records.claims.claim(wish, within=30.0), Won)
        sleep(lease + 0.1)

    def cases(self) -> list[Any]:
        """All of them."""
        inbox = getattr(self.inbox, "cases", self.inbox)
        with inbox.unit(soon(), core=True) as unit:
            if hasattr(inbox, "rows_for"):
                return [case_of(row) for row in unit.native.execute(inbox.rows_for(unit).hospital.select())]
            rows = inbox.rows(unit)
            if hasattr(rows, "_of"):
                return [case_in(found) for found in rows._of(HOSPITAL).find({})]
            return list(unit.all("case").values())

    def retry(self, case: Any) -> None:
        """What the hospital does with `retry`."""
        after = msgspec.structs.replace(case, status="retrying", due_at=self.inbox.now() - 1.0)
        assert self.inbox.end_treatment(case, after, soon())


def mail(text: str, n: int = 0, key: str = "k") -> Envelope:
    """One mail; with `n` the n-th of its key."""
    values: dict[str, Any] = {"key": key}
    if n:
        values |= {"number": Number(1, "a", n), "lineage": "out"}
        values["prev"] = Number(1, "a", n - 1) if n > 1 else NOTHING_BEFORE
    return Envelope(str(uuid7()), "mail.send", msgspec.msgpack.encode(text), **values)
