# Generated from log_rigs_async.py by scripts/twins.py. Do not edit.
"""Decision logs on everything that keeps one: made, opened by several at once, and opened again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from regionkit.backends.sql.bridge import create_engine
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.recovery_rules import RETENTION
from regionkit.transactions.xid import gtrid_of

__all__ = ["LOGS", "OLD", "SQL_LOGS", "LogRig", "new_gtrid", "soon"]

IS_ASYNC = False
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


class LogRig:
    """One log's storage; logs on it."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self.kind = kind
        self.url = url
        self.folder = folder
        self._engines: list[Any] = []
        self._logs: list[Any] = []
        self._memory = MemoryDecisionLog()

    @classmethod
    def of(cls, request: pytest.FixtureRequest, kind: str, folder: Path) -> LogRig:
        """On an empty database, or in an empty folder."""
        url = f"sqlite:///{folder / 'log.db'}"
        if kind in SQL_LOGS and kind != "sqlite":
            servers: Any = request.getfixturevalue({"postgresql": "pg"}.get(kind, kind))
            url = str(servers.primary.url_for(servers.database()))
        return cls(kind, url, folder)

    def engine(self, **options: Any) -> Any:
        """Of the application's."""
        parsed = sqlalchemy.make_url(self.url)
        made = create_engine(parsed.set(drivername=DRIVERS[self.kind]) if IS_ASYNC else parsed, **options)
        self._engines.append(made)
        return made

    def log(self, **options: Any) -> Any:
        """One that is not opened."""
        if self.kind == "memory":
            return self._memory
        if self.kind == "file":
            made: Any = FileDecisionLog(self.folder / "decisions", unsafe_place=True)
            self._logs.append(made)
            return made
        made = SqlDecisionLog(self.engine(**options), unsafe_async_replica=True)
        self._logs.append(made)
        return made

    def made(self) -> Any:
        """One that is made and opened."""
        log = self.log()
        log.create_tables(NAMESPACE, soon())
        log.open(NAMESPACE, soon())
        return log

    def another(self, log: Any) -> Any:
        """A second one on the same storage, of another process; the same, where there can be one only."""
        return log if self.kind in ("memory", "file") else self._opened()

    def _opened(self) -> Any:
        log = self.log()
        log.open(NAMESPACE, soon())
        return log

    def again(self, log: Any) -> Any:
        """After a restart."""
        log.close()
        return self._opened()

    def close(self) -> None:
        """Close what was opened."""
        for log in self._logs:
            log.close()
        for engine in self._engines:
            engine.dispose()
