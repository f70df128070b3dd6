"""A checkout of a write connection, and messages on it."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from fix_rigs import NAMESPACE

from regionkit import AsyncRegionKit, Endpoint, Region, Role, SqlStore, Topology
from regionkit.backends.sql.bridge_async import adrive, create_async_engine
from regionkit.backends.sql.message import message
from regionkit.contract.message import Answer, Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind

__all__ = ["HERE", "AsyncOpened", "finish", "insert", "sent"]

IS_ASYNC = True
ASYNC_DRIVERS = {
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql+pymysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}
HERE = "us-east-1"


def _driven(url: str) -> sqlalchemy.URL:
    parsed = sqlalchemy.make_url(url)
    return parsed.set(drivername=ASYNC_DRIVERS[parsed.drivername]) if IS_ASYNC else parsed


def insert(number: int, tag: str = "") -> Statement:
    """One more order."""
    return Statement(f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')", tag)


class AsyncOpened:
    """A checkout of a write connection, its deadline in so many seconds. `own`: of an engine of the application's."""

    def __init__(self, url: str, seconds: float = 30.0, *, own: bool = False) -> None:
        self.engine: Any = create_async_engine(_driven(url)) if own else None
        given: dict[str, Any] = {"client": self.engine} if own else {"url": url}
        store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, **given)])
        self.kit = AsyncRegionKit(Topology(namespace=NAMESPACE, regions=[Region(HERE)], stores=[store]), local=HERE)
        self.seconds = seconds
        self.checkout: Any = None

    async def __aenter__(self) -> Any:
        await self.kit.__aenter__()
        await self.kit.create_tables()
        backend: Any = self.kit._store("orders").backends[0]
        self.checkout = await backend.check_out(Kind.WRITE, Deadline(SYSTEM_CLOCK, self.seconds), 5.0)
        return self.checkout

    async def __aexit__(self, *args: Any) -> None:
        await self.checkout.release()
        await self.kit.__aexit__(*args)
        if self.engine is not None:
            await self.engine.dispose()


async def sent(checkout: Any, *statements: Statement) -> list[Answer]:
    """Send them in one message."""
    answers: list[Answer] = await adrive(message, checkout.connection, statements)
    return answers


async def finish(checkout: Any, how: str = "commit") -> None:
    """End the transaction."""
    checkout.driver.finishing = True
    await adrive(getattr(checkout.connection, how))
