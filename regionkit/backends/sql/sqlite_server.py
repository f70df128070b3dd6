"""Where a SQLite file stands: which run of it (its inode), its position counter, its histories, and hence its role."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.capabilities import SQLITE
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.observation import sqlite_observation, sqlite_question
from regionkit.backends.sql.server import SqlContext
from regionkit.backends.sql.sqlite import stop
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, Role, sql_parameters

__all__ = ["SqliteServer"]


class SqliteServer:
    """One SQLite endpoint."""

    capabilities = SQLITE

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self._ask = sqlite_question(context.namespace, context.history_table)

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        if not url.database or url.database == ":memory:":
            raise ConfigurationError(
                "a SQLite endpoint needs a file.",
                why="a database in memory is private to one connection.",
                fix="name a file: sqlite:////absolute/path.db",
            )
        query = sql_parameters(url)
        arguments: dict[str, Any] = {
            "outage": query.pop("outage", None),
            "read": kind is Kind.READ,
            "copy": self._context.endpoint.role is Role.REPLICA,
            "position_table": f"{self._context.namespace}_rk_position",
        }
        return URL.create("sqlite+pysqlite", database=url.database, query=query), arguments

    def flush(self, dbapi_connection: Any) -> None:
        """Never asked: it counts what copies can have."""

    def observe(self, dbapi_connection: Any) -> Observation:
        driver = as_driver(dbapi_connection)
        with driver.own_statements():
            return self._observed(dbapi_connection, driver)

    def _observed(self, dbapi_connection: Any, driver: Any) -> Observation:
        clock = self._context.clock
        driver.require_up()
        sent_at = clock.monotonic()
        cursor = dbapi_connection.cursor()
        try:
            cursor.execute(self._ask)
            position, history = cursor.fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            position, history = None, None
        finally:
            cursor.close()
        inode, rtt = self._inode(driver), clock.monotonic() - sent_at
        return sqlite_observation((position, history), self._context.endpoint.id, inode, sent_at, rtt)

    def _inode(self, driver: Any) -> str:
        known: str = driver.inode
        if not known:
            path = driver.execute("PRAGMA database_list").fetchone()[2]
            stat = Path(path).stat()
            known = driver.inode = f"{stat.st_dev}:{stat.st_ino}"
        return known

    def alive(self, dbapi_connection: Any) -> bool:
        try:
            as_driver(dbapi_connection).require_up()
        except sqlite3.OperationalError:
            return False
        return True

    def drop(self, dbapi_connection: Any) -> None:
        adapted = getattr(dbapi_connection, "_connection", None)
        if adapted is None:
            dbapi_connection.close()
        else:
            stop(adapted)

    def widen(self, dbapi_connection: Any, seconds: float) -> None:
        """Nothing to widen: the deadline itself interrupts."""

    def prove_promotion(
        self, dbapi: Callable[[], Any], parent: HistoryRow, observation: Observation
    ) -> Position | None:
        """A file keeps no record of promotions; `SqliteRegions.promote` writes the history row itself."""
        return None
