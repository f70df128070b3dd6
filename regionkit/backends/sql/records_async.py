"""Records on a SQL endpoint: one row each, changed by compare-and-set in a transaction of its own or in a unit's.

Ends are told by the clock of the server that is asked: a copy's own for what is read there, this machine's for SQLite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, MetaData
from sqlalchemy.orm import Session

from regionkit.backends.sql.bridge_async import adrive
from regionkit.backends.sql.classify import missing_table
from regionkit.backends.sql.record_rows import delete_record, put_record, read_record
from regionkit.backends.sql.schema import record as record_table
from regionkit.backends.sql.server import SqlContext
from regionkit.backends.sql.statements_async import AsyncStatements
from regionkit.contract.endpoint_errors import unavailable
from regionkit.contract.kept_tables import RECORD
from regionkit.contract.record_checks import check_name_of_record, check_record
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.facts.record import Record

__all__ = ["AsyncSqlRecords"]

MOST_LOOKS = 5
"""Looks at a record that others make and take away in between; more than two say that something else is wrong."""
_WHAT = "records"


class AsyncSqlRecords:
    """The records of one SQL endpoint. Safe to share between threads or tasks."""

    def __init__(self, context: SqlContext, statements: AsyncStatements) -> None:
        self._context = context
        self._statements = statements
        self._table = record_table(MetaData(), table_name(context.namespace, RECORD.name))

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this endpoint has; None when it has none. Raises: as `AsyncRecords.get`."""
        check_name_of_record(kind, key)
        found: Record | None = await self._statements.read(
            deadline, _WHAT, lambda c: read_record(c, self._table, kind, key)
        )
        return found

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then. Raises: as `AsyncRecords.put`.

        With `within` the errors of the driver pass as they are: they are the unit's to judge.
        """
        check_record(record, expected, lasts)

        def work(connection: Connection) -> Record | None:
            for _ in range(MOST_LOOKS):
                if put_record(connection, self._table, record, expected, lasts):
                    return record
                stands = read_record(connection, self._table, record.kind, record.key, current=True)
                if stands is not None or expected:
                    return stands
            raise unavailable(
                self._context, f"record {record.key!r} was not put.", "others create and delete it all the time."
            )

        return await self._run(deadline, work, within)

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then. Raises: as `put`."""
        check_name_of_record(kind, key)

        def work(connection: Connection) -> Record | None:
            if delete_record(connection, self._table, kind, key, expected):
                return None
            return read_record(connection, self._table, kind, key, current=True)

        return await self._run(deadline, work, None)

    async def _run(self, deadline: Deadline, work: Callable[[Connection], Record | None], within: Any) -> Record | None:
        stands: Record | None
        if within is None:
            stands = await self._statements.change(deadline, _WHAT, work)
            return stands
        try:
            stands = await adrive(lambda: work(_connection_of(within)))
        except Exception as error:
            if missing_table(error):
                self._statements.fail(error, _WHAT)
            raise
        return stands


def _connection_of(within: Any) -> Connection:
    """The Connection of a unit, in its transaction; of what asyncio gives, the one below."""
    plain = getattr(within, "sync_session", None) or getattr(within, "sync_connection", None) or within
    connection = plain.connection() if isinstance(plain, Session) else plain
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            f"a {type(within).__name__} is not a SQL unit.", fix="hand in its native Session or Connection."
        )
    if connection._is_autocommit_isolation():
        raise ConfigurationError(
            "a record cannot be changed within a unit that is not a transaction.",
            why="its connection commits each statement by itself.",
            fix="hand in what a write unit types with.",
        )
    return connection
