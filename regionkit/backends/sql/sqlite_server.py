"""Where a SQLite file stands: which run of it (its inode), its position counter, its histories, and hence its role.

A file can not tell whether it is a copy, so the newest history row does: it names the endpoint that owns the data.
Without the tables the configured role stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.server import SqlPlace, history_rows
from regionkit.backends.sql.sqlite import stop
from regionkit.backends.values import Capabilities
from regionkit.errors import ConfigurationError
from regionkit.routing.decision import Kind
from regionkit.routing.history import HistoryRow
from regionkit.routing.position import Position
from regionkit.routing.snapshot import Observation
from regionkit.topology import ParsedUrl, Role

__all__ = ["SqliteServer"]


class SqliteServer:
    """One SQLite endpoint."""

    capabilities = Capabilities(
        server="sqlite",
        positions=True,
        read_only="server",
        transactions=True,
        markers=True,
        detects_promotion=False,
        modes=frozenset({"core", "snapshot"}),
        notes=(
            "commits that no kit made do not move the position",
            "the role of a file is what its newest history row says",
        ),
    )

    def __init__(self, place: SqlPlace) -> None:
        self._place = place
        self._ask = (
            f"SELECT (SELECT value FROM {place.namespace}_rk_position WHERE id = 1), (SELECT json_group_array("  # noqa: S608
            "json_array(history, parent, fork, epoch, origin)) FROM (SELECT * FROM "
            f"{place.history_table} ORDER BY epoch DESC LIMIT 64))"
        )

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        if not url.database or url.database == ":memory:":
            raise ConfigurationError(
                "a SQLite endpoint needs a file.",
                why="a database in memory is private to one connection.",
                fix="name a file: sqlite:////absolute/path.db",
            )
        query = dict(url.query)
        arguments: dict[str, Any] = {
            "outage": query.pop("outage", None),
            "read": kind is Kind.READ,
            "position_table": f"{self._place.namespace}_rk_position",
        }
        return URL.create("sqlite+pysqlite", database=url.database, query=query), arguments

    def observe(self, dbapi_connection: Any) -> Observation:
        clock = self._place.clock
        driver = as_driver(dbapi_connection)
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
        lineage = history_rows(history)
        me = self._place.endpoint.id
        role = None
        if lineage is not None:
            role = Role.PRIMARY if lineage.current.origin == me else Role.REPLICA
        return Observation(
            role=role,
            incarnation=self._inode(driver),
            lineage=lineage,
            origin=me if role is not Role.REPLICA else "",
            reached=position,
            sent_at=sent_at,
            rtt=clock.monotonic() - sent_at,
        )

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

    def prove_promotion(self, dbapi: Callable[[], Any], parent: HistoryRow, seen: Observation) -> Position | None:
        """A file keeps no record of promotions; `SqliteRegions.promote` writes the history row itself."""
        return None
