"""A consumer over a queue in memory, its inbox and hospital in one database, and a ledger that only grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.messaging.admitting_async import opened
from regionkit.messaging.applying_async import AsyncApplier, Step
from regionkit.messaging.clinic_async import AsyncClinic
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.counters import Counters, Summary
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, encode
from regionkit.messaging.hospital_async import AsyncHospital
from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
from regionkit.messaging.sources import AsyncMemoryQueue
from regionkit.messaging.sources.source_async import Delivery

IS_ASYNC = True
LEDGER = {
    "postgresql": "CREATE TABLE ledger (seq SERIAL PRIMARY KEY, k VARCHAR(40), n INTEGER, id VARCHAR(64))",
    "mysql": "CREATE TABLE ledger (seq INTEGER AUTO_INCREMENT PRIMARY KEY, k VARCHAR(40), n INTEGER, id VARCHAR(64))",
    "sqlite": "CREATE TABLE ledger (seq INTEGER PRIMARY KEY AUTOINCREMENT, k VARCHAR(40), n INTEGER, id VARCHAR(64))",
}
WRITTEN = text("INSERT INTO ledger (k, n, id) VALUES (:k, :n, :id)")


class Poison(Exception):
    """What the handler raises."""


def numbered(
    key: str, n: int, payload: Any = None, *, type: str = "order.placed", id: str = "", **more: Any
) -> Envelope:
    """The n-th message of a key, from 1."""
    prev = NOTHING_BEFORE if n == 1 else Number(1, "h", n - 1)
    data = encoded({"n": n} if payload is None else payload)
    made = {"lineage": "outbox", "number": Number(1, "h", n), "prev": prev} | more
    return Envelope(id or str(uuid7()), type, data, key, **made)


def encoded(payload: Any) -> bytes:
    """As producers do by default."""
    import msgspec

    return msgspec.msgpack.encode(payload)


async def the_due(inbox: Any, patience: float = 20.0) -> Any:
    """The one case that is due, as soon as it is: the inbox counts from the time that its database told, and is behind by as long
    as that answer was on its way.
    """
    end = time.monotonic() + patience
    while not (found := await inbox.due(b"billing", 10, Deadline(SYSTEM_CLOCK, patience))):
        assert time.monotonic() < end, "nothing is due"
        await asleep(0.01)
    (case,) = found
    return case


class AsyncWard:
    """A queue, a consumer, an inbox, a hospital, a ledger.

    Attributes:
        runs: payloads that the handler was given, in order.
    """

    def __init__(self, accounts: Any, **options: Any) -> None:
        self.accounts = accounts
        self.engine = accounts.make(is_async=IS_ASYNC)
        shared = {name: options.pop(name) for name in ("cipher",) if name in options}
        self.hospital = AsyncHospital(self.engine, who="ann", **shared, **options.pop("hospital", {}))
        self.inbox = AsyncSqlInbox(self.engine, **shared)
        self.queue = AsyncMemoryQueue("orders", group="billing")
        self.attempts = options.pop("attempts", 1)
        self.options: dict[str, Any] = {"order": "key", "concurrency": 4, "gap_wait": 0.3} | options
        self.runs: list[Any] = []
        self.told: list[Any] = []
        self.mended = False

    async def __aenter__(self) -> AsyncWard:
        with self.accounts.engine.begin() as db:
            db.execute(text(LEDGER[db.dialect.name.replace("mariadb", "mysql")]))
        await self.hospital.create_tables()
        await self.inbox.create_tables()
        await self.inbox.open(soon())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.queue.close()
        await self.inbox.close()
        await self.hospital.close()
        await self.engine.dispose()

    def consumer(self) -> AsyncConsumer:
        """One that poisons break."""
        made = AsyncConsumer(self.queue, inbox=self.inbox, hospital=self.hospital, **self.options)

        @made.handler("order.placed", attempts=self.attempts)
        async def place(message: Any, db: Any) -> None:
            self.runs.append(message.payload)
            values = {"k": message.key, "n": message.payload["n"], "id": message.id}
            await db.execute(WRITTEN, values)
            if message.payload.get("poison") and not self.mended:
                raise Poison(f"cannot take {message.payload['n']}")

        return made

    async def publish(self, *envelopes: Envelope | bytes) -> None:
        """To the queue."""
        bodies = [(None, one if isinstance(one, bytes) else encode(one)) for one in envelopes]
        sent = await self.queue.publish(bodies, soon())
        assert all(one.confirmed for one in sent)

    async def run(self, until_idle: float = 0.1) -> Summary:
        """Consume what is in the queue. What is due in the hospital may have been looked at, or not."""
        return await self.consumer().run(until_idle=until_idle)

    def applier(self, counters: Counters) -> AsyncApplier:
        """Of a consumer that does not run."""
        made = self.consumer()
        return AsyncApplier(self.inbox, made._handlers, made.options, counters, self.told.append, SYSTEM_CLOCK)

    async def take(self, *envelopes: Envelope | bytes) -> Summary:
        """Apply them one after another, as a lane would; what has a gap before it at the end has waited for it."""
        counters = Counters()
        applier, aside = self.applier(counters), []
        for one in envelopes:
            delivery = Delivery(None, one if isinstance(one, bytes) else encode(one))
            if await applier.work(opened(delivery)) is Step.ASIDE:
                aside.append(delivery)
        for delivery in aside:
            if await applier.work(opened(delivery)) is Step.ASIDE:
                await applier.close_gap(opened(delivery))
        return counters.summary()

    async def treat(self, later: float = 0.0) -> Summary:
        """Do what is due in the hospital, as a consumer would in its next rounds; `later`: after so many seconds."""
        counters = Counters()
        clinic = AsyncClinic(self.applier(counters))
        await self.inbox.open(soon())
        self.inbox._time.set(self.inbox.now() + later)
        clinic.busy = True
        while clinic.busy:
            await clinic.round()
        return counters.summary()

    async def until(self, seen: Callable[[], bool], seconds: float = 60.0, every: float = 0.05) -> None:
        """Wait until it is so."""
        deadline = soon(seconds)
        while not seen():
            assert deadline.remaining() > 0, "it does not come"
            await asleep(every)

    def ledger(self, key: str) -> list[int]:
        """The numbers of a key, in the order of their effects."""
        with self.accounts.engine.connect() as db:
            found: Sequence[int] = db.execute(
                text("SELECT n FROM ledger WHERE k = :k ORDER BY seq"), {"k": key}
            ).scalars().all()  # fmt: skip
            return list(found)

    def rows(self, table: str) -> int:
        """How many rows stand in a table of the inbox."""
        with self.accounts.engine.connect() as db:
            return int(db.execute(text(f"SELECT count(*) FROM regionkit_rk_{table}")).scalar_one())

    async def the_case(self, **filters: Any) -> Any:
        """The only case that there is."""
        found = await self.hospital.cases(**filters)
        assert len(found) == 1, found
        return found[0]


def soon(seconds: float = 60.0) -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, seconds)
