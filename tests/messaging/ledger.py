# Generated from ledger_async.py by scripts/twins.py. Do not edit.
"""A consumer with a ledger: each applied message is a row of the effect's database, in the order of the commits of its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.counters import Summary
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.messaging.sources.memory import MemoryQueue

IS_ASYNC = False
SERIAL = {
    "postgresql": "seq BIGSERIAL PRIMARY KEY",
    "mysql": "seq BIGINT PRIMARY KEY AUTO_INCREMENT",
    "sqlite": "seq INTEGER PRIMARY KEY AUTOINCREMENT",
}
APPLIED = text("INSERT INTO ledger (k, n) VALUES (:k, :n)")
IDLE = 0.05
"""Seconds without a message. What is due in the hospital is looked at before a run ends, however few they are."""


class LedgerRig:
    """One database, one queue, one consumer."""

    def __init__(self, accounts: Any, *, order: Any = "key", source: Any = None, **options: Any) -> None:
        self.accounts = accounts
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.inbox = SqlInbox(self.engine)
        self.source = source or MemoryQueue("orders", group="billing")
        self.events: list[Any] = []
        self.consumer = Consumer(self.source, inbox=self.inbox, order=order, concurrency=4, **options)
        self.consumer.on_event(self.events.append)
        self.inside: Callable[[Any, Any], Any] | None = None

    def __enter__(self) -> LedgerRig:
        serial = SERIAL[self.accounts.engine.dialect.name.replace("mariadb", "mysql")]
        with self.accounts.engine.begin() as db:
            db.execute(text(f"CREATE TABLE ledger ({serial}, k VARCHAR(40) NOT NULL, n INTEGER NOT NULL)"))
        self.inbox.create_tables()
        self.consumer.handler("moved", attempts=3)(self.apply)
        return self

    def __exit__(self, *_: object) -> None:
        self.inbox.close()
        self.engine.dispose()

    def apply(self, message: Any, db: Any) -> None:
        """The handler: a row, and what the test wants."""
        db.execute(APPLIED, message.payload)
        if self.inside is not None:
            given = self.inside(message, db)
            if given is not None:
                given

    def publish(self, *messages: Any) -> None:
        """Into the queue."""
        deadline = Deadline(SYSTEM_CLOCK, 30.0)
        self.source.open(deadline)
        self.source.publish(list(messages), deadline)

    def run(self, idle: float = IDLE) -> Summary:
        """Until nothing comes any more."""
        return self.consumer.run(until_idle=idle)

    def ledger(self) -> dict[str, list[int]]:
        """What was applied, by key, in order."""
        found: dict[str, list[int]] = {}
        with self.accounts.engine.connect() as db:
            for key, n in db.execute(text("SELECT k, n FROM ledger ORDER BY seq")):
                found.setdefault(key, []).append(n)
        return found

    def cases(self, columns: str = "reason, status") -> Sequence[Any]:
        """Those that stand."""
        with self.accounts.engine.connect() as db:
            return db.execute(text(f"SELECT {columns} FROM regionkit_rk_hospital ORDER BY admitted_at")).all()
