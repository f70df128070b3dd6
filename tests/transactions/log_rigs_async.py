"""Decision logs on everything that keeps one: made, opened by several at once, and opened again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.file_async import AsyncFileDecisionLog
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.logs.sql_async import AsyncSqlDecisionLog
from regionkit.transactions.recovery_rules import RETENTION
from regionkit.transactions.xid import gtrid_of

__all__ = ["LOGS", "OLD", "SQL_LOGS", "AsyncLogRig", "new_gtrid", "soon"]

IS_ASYNC = True
SQL_LOGS = ("postgresql", "mariadb", "mysql", "sqlite")
LOGS = ("memory", "file", *SQL_LOGS)
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mariadb": "mysql+aiomysql",
    "mysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}
NAMESPACE = "shop"
OLD = RETENTION + 60.0
"""Seconds ago: what a log lets go of."""


def soon(timeout: float = 30.0) -> Deadline:
    """A deadline that the test is not about."""
    return Deadline(SYSTEM_CLOCK, timeout)


def new_gtrid(ago: float = 0.0) -> str:
    """A name, made `ago` seconds ago."""
    return gtrid_of(int((time.time() - ago) * 1000), os.urandom(10))


class AsyncLogRig:
    """One log's storage; logs on it."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self.kind = kind
        self.url = url
        self.folder = folder
        self._engines: list[Any] = []
        self._logs: list[Any] = []
        self._memory = AsyncMemoryDecisionLog()

    @classmethod
    def of(cls, request: pytest.FixtureRequest, kind: str, folder: Path) -> AsyncLogRig:
        """On an empty database, or in an empty folder."""
        url = f"sqlite:///{folder / 'log.db'}"
        if kind in SQL_LOGS and kind != "sqlite":
            servers: Any = request.getfixturevalue({"postgresql": "pg"}.get(kind, kind))
            url = str(servers.primary.url_for(servers.database()))
        return cls(kind, url, folder)

    def engine(self, **options: Any) -> Any:
        """Of the application's."""
        parsed = sqlalchemy.make_url(self.url)
        made = create_async_engine(parsed.set(drivername=DRIVERS[self.kind]) if IS_ASYNC else parsed, **options)
        self._engines.append(made)
        return made

    def log(self, **options: Any) -> Any:
        """One that is not opened."""
        if self.kind == "memory":
            return self._memory
        if self.kind == "file":
            made: Any = AsyncFileDecisionLog(self.folder / "decisions", unsafe_place=True)
            self._logs.append(made)
            return made
        made = AsyncSqlDecisionLog(self.engine(**options), unsafe_async_replica=True)
        self._logs.append(made)
        return made

    async def made(self) -> Any:
        """One that is made and opened."""
        log = self.log()
        await log.create_tables(NAMESPACE, soon())
        await log.open(NAMESPACE, soon())
        return log

    async def another(self, log: Any) -> Any:
        """A second one on the same storage, of another process; the same, where there can be one only."""
        return log if self.kind in ("memory", "file") else await self._opened()

    async def _opened(self) -> Any:
        log = self.log()
        await log.open(NAMESPACE, soon())
        return log

    async def again(self, log: Any) -> Any:
        """After a restart."""
        await log.close()
        return await self._opened()

    async def close(self) -> None:
        """Close what was opened."""
        for log in self._logs:
            await log.close()
        for engine in self._engines:
            await engine.dispose()
