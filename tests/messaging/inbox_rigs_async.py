"""A consumer over an inbox on each SQL server: an engine, accounts whose balances the handlers change, and messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy
from sqlalchemy import text

from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, encode
from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
from regionkit.messaging.sources import AsyncMemoryQueue

__all__ = ["SERVERS", "AsyncInboxRig", "event", "numbered", "server_url"]

IS_ASYNC = True
SERVERS = ("postgresql", "mariadb", "sqlite")
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+aiomysql", "sqlite": "sqlite+aiosqlite"}


def server_url(request: pytest.FixtureRequest, server: str, folder: Path) -> str:
    """An empty database of that server."""
    if server == "sqlite":
        return f"sqlite:///{folder / 'inbox.db'}"
    servers: Any = request.getfixturevalue({"postgresql": "pg", "mariadb": "mariadb"}[server])
    return str(servers.primary.url_for(servers.database()))


def event(type: str = "moved", payload: Any = 1, **more: Any) -> Envelope:
    """A message that nobody numbered."""
    return Envelope(more.pop("id", None) or str(uuid7()), type, msgspec.msgpack.encode(payload), **more)


def numbered(key: str, n: int, *, type: str = "moved", payload: Any = 1, history: str = "h") -> Envelope:
    """The n-th message of a key."""
    before = Number(1, history, n - 1) if n > 1 else NOTHING_BEFORE
    return event(type, payload, key=key, lineage="outbox", number=Number(1, history, n), prev=before)


class AsyncInboxRig:
    """Accounts 1 to 20 at nothing, a queue, and consumers of it."""

    def __init__(self, server: str, url: str) -> None:
        parsed = sqlalchemy.make_url(url)
        self.server = server
        self.url = url
        self.plain = sqlalchemy.create_engine(url)
        self.engine: Any = create_async_engine(parsed.set(drivername=DRIVERS[server]) if IS_ASYNC else parsed)
        with self.plain.begin() as db:
            engine = " ENGINE=InnoDB" if server == "mariadb" else ""
            db.execute(text(f"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL){engine}"))
            db.execute(text("INSERT INTO account VALUES (:id, 0)"), [{"id": n} for n in range(1, 21)])
        self.inboxes: list[Any] = []
        self.queue = AsyncMemoryQueue("orders")

    async def inbox(self, **options: Any) -> Any:
        """An inbox, its tables made."""
        made = AsyncSqlInbox(self.engine, **options)
        await made.create_tables()
        self.inboxes.append(made)
        return made

    def consumer(self, inbox: Any, group: str = "billing", **options: Any) -> Any:
        """A consumer of the queue."""
        return AsyncConsumer(self.queue.member(group), inbox=inbox, **{"concurrency": 2, **options})

    async def publish(self, *envelopes: Envelope) -> None:
        """Into the queue."""
        sent = await self.queue.publish([(e.key, encode(e)) for e in envelopes], Deadline(SYSTEM_CLOCK, 30.0))
        assert all(one.confirmed for one in sent)

    def rows(self, sql: str, **values: Any) -> Sequence[Any]:
        """What stands in the database."""
        with self.plain.begin() as db:
            return db.execute(text(sql), values).all()

    def do(self, sql: str, **values: Any) -> None:
        """Change something in the database."""
        with self.plain.begin() as db:
            db.execute(text(sql), values)

    def balance(self, account: int = 1) -> int:
        """Of an account."""
        return int(self.rows("SELECT balance FROM account WHERE id = :id", id=account)[0][0])

    def total(self) -> int:
        """Of all accounts."""
        return int(self.rows("SELECT sum(balance) FROM account")[0][0])

    async def close(self) -> None:
        """Close what was opened."""
        for inbox in self.inboxes:
            await inbox.close()
        await self.engine.dispose()
        self.plain.dispose()
