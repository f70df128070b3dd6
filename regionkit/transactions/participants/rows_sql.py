"""The rows of markers on every SQL server, and what an error of one says. On a Connection whose transaction its caller ends.

1. A marker commits with its branch. A tombstone under the same key waits for an open one, and then one of the two stands.
2. What stands is read with a lock, after the insert: a snapshot would show the time before it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy import Connection, MetaData, Table, delete, insert, literal_column, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.core.tables import table_name
from regionkit.transactions.kept_tables import BRANCH, LOG
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.tables_sql import NOW, tpc_branch
from regionkit.transactions.xid import Xid

__all__ = ["COMMITTED", "ONE_PHASE", "TOMBSTONE", "MarkerRows", "code_of", "is_barred"]

COMMITTED, TOMBSTONE, ONE_PHASE, NOTE = 1, 2, 3, 4
"""States of a marker's row."""
DUPLICATE = ("23505", 1062, "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
"""What servers call a row that stands under a key already."""
NOTES = "0" * 32
"""The gtrid of notes: of no transaction."""


def code_of(error: BaseException | None) -> Any:
    """The server's code: five characters of PostgreSQL's, a number of MariaDB's, None where there is none."""
    under = error.orig if isinstance(error, DBAPIError) else error
    found = getattr(under, "sqlstate", None)
    if isinstance(found, str) and type(under).__module__.startswith("psycopg"):
        return found
    return under.args[0] if under is not None and under.args else None


def is_barred(error: BaseException, xid: Xid) -> bool:
    """Whether a row stands under the branch's key, or the log's, already."""
    under = getattr(error, "orig", None) or error
    code = getattr(under, "sqlite_errorname", None) or code_of(error)
    return code in DUPLICATE and any(name in str(under) for name in (xid.gtrid, BRANCH.name, LOG.name))


class MarkerRows:
    """Markers in one database. `schema`: where their table stands, on servers with schemas."""

    def __init__(self, server: str, namespace: str, schema: str = "") -> None:
        self.name = table_name(namespace, BRANCH.name)
        self.table: Table = tpc_branch(MetaData(schema=schema or None), self.name)
        self._server, self._now = server, NOW[server]
        self._qualified = f'"{schema}".{self.name}' if schema else self.name

    def marker(self, xid: Xid, state: int, gtrid: str | None = None) -> str:
        """The statement that leaves a branch's marker. `gtrid`: SQL in place of the name itself."""
        return (
            f"INSERT INTO {self._qualified} (log_id, gtrid, branch, state, at) "  # noqa: S608  # names of regionkit's own
            f"VALUES ('{xid.log}', {gtrid or repr(xid.gtrid)}, '{xid.branch}', {state}, {self._now})"
        )

    def evidence(self, connection: Connection, xid: Xid, *, locked: bool = False) -> Evidence:
        """What stands under a branch's key."""
        table = self.table
        asked = select(table.c.state).where(
            table.c.log_id == xid.log, table.c.gtrid == xid.gtrid, table.c.branch == xid.branch
        )
        state = connection.execute(asked.with_for_update() if locked else asked).scalar()
        if state is None:
            return Evidence.NONE
        return Evidence.BARRED if state == TOMBSTONE else Evidence.COMMITTED

    def bar(self, connection: Connection, xid: Xid) -> Evidence:
        """Put a tombstone there unless something stands; what stands then."""
        values = {"log_id": xid.log, "gtrid": xid.gtrid, "branch": xid.branch, "state": TOMBSTONE}
        if self._server == "postgresql":  # also where it finds a marker: that one's standby has it then, too
            connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
        try:
            with connection.begin_nested():
                connection.execute(insert(self.table).values(**values, at=literal_column(self._now)))
        except IntegrityError:
            pass
        return self.evidence(connection, xid, locked=True)

    def noted(self, connection: Connection, name: str, value: float | None) -> float | None:
        """A note of a database's own beside its markers, which no sweep takes: what stands there; else `value`, written now."""
        table, key = self.table, {"log_id": "", "gtrid": NOTES, "branch": name}
        asked = select(table.c.at).filter_by(**key)
        found = connection.execute(asked).scalar()
        if found is None and value is not None:
            with contextlib.suppress(IntegrityError), connection.begin_nested():
                connection.execute(insert(table).values(**key, state=NOTE, at=value))
            found = connection.execute(asked.with_for_update()).scalar()
        return found

    def markers(self, connection: Connection, log: str, above: str, most: int) -> list[tuple[str, str, int]]:
        """(gtrid, branch, phases), tombstones left out."""
        table = self.table
        asked = select(table.c.gtrid, table.c.branch, table.c.state).where(
            table.c.log_id == log, table.c.gtrid > above, table.c.state != TOMBSTONE
        )
        found = connection.execute(asked.order_by(table.c.gtrid, table.c.branch).limit(most)).all()
        return [(gtrid, branch, 1 if state == ONE_PHASE else 2) for gtrid, branch, state in found]

    def sweep(self, connection: Connection, log: str, floor: str, most: int) -> int:
        """Delete at most `most` rows at or below the floor; rows of one gtrid go together."""
        table = self.table
        old = select(table.c.gtrid).where(table.c.log_id == log, table.c.gtrid <= floor).order_by(table.c.gtrid)
        names = connection.execute(old.limit(most)).scalars().all()
        if not names:
            return 0
        gone = delete(table).where(table.c.log_id == log, table.c.gtrid <= names[-1])
        return int(connection.execute(gone).rowcount)
