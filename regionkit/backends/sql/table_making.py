"""Makes what pillars keep on a SQL store, once, and notes each table's version in the table of tables.

1. Of many processes that come at once, one at a time does it. PostgreSQL: an advisory lock that ends with the transaction.
   MariaDB: a lock of the session's, as its DDL commits; it is let go of after the commit, or the connection is closed.
   SQLite: the transaction itself, which begins IMMEDIATE.
2. A table that stands there without a version was made before versions were kept: it is of version 1.
3. The versions are noted, in one statement, before the first table is made: MariaDB commits at once what it makes. A version
   without a table counts for nothing; a table of version 2 without a version would count as one of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, MetaData, inspect, select, text

from regionkit.backends.sql import schema
from regionkit.backends.sql.marker import MYSQL
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.endpoint_errors import too_late
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES, Table, check_versions, table_name

__all__ = ["make_missing", "making_tables"]

_POSTGRES = text("SELECT pg_advisory_xact_lock(hashtextextended(:name || current_database(), 0))")
_NAME = "CONCAT('regionkit ', SHA1(CONCAT(:name, DATABASE())))"
"""A lock of MariaDB's is the whole server's, and its name may have 64 characters."""
_TAKE = text(f"SELECT GET_LOCK({_NAME}, :seconds)")
_LET_GO = text(f"SELECT RELEASE_LOCK({_NAME})")


@contextmanager
def making_tables(connection: Connection, context: SqlContext, deadline: Deadline) -> Iterator[None]:
    """A transaction that sees what others made before it, and in which nobody else makes tables of this namespace.

    Raises:
        DeadlineExceeded: others held the lock until the deadline (MariaDB; elsewhere the server's own error).
    """
    name = f"tables of {context.namespace} in "
    if connection.dialect.name in MYSQL:
        with _held(connection, name, context, deadline), connection.begin():
            yield
        return
    with connection.begin():
        if connection.dialect.name == "postgresql":
            left = int(1000 * deadline.require("waiting for others that make tables"))
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))  # else it sees what was before
            connection.execute(text(f"SET LOCAL lock_timeout = {left + 1}"))
            connection.execute(_POSTGRES, {"name": name})
        yield


@contextmanager
def _held(connection: Connection, name: str, context: SqlContext, deadline: Deadline) -> Iterator[None]:
    left = deadline.require("waiting for others that make tables")
    with connection.begin():
        if connection.execute(_TAKE, {"name": name, "seconds": left}).scalar() != 1:
            raise too_late(context, f"others were making the tables of {context.store.name!r} all the time.")
    try:
        yield
    finally:
        if not connection.invalidated:
            try:
                with connection.begin():
                    connection.execute(_LET_GO, {"name": name})
            except Exception:  # the work is done, or its error says why not; with the connection goes the lock
                connection.invalidate()


def make_missing(connection: Connection, namespace: str, tables: Sequence[Table]) -> None:
    """Make the tables that are missing, and note versions.

    Raises:
        ConfigurationError: one stands there in another version. Nothing of `tables` was made.
    """
    wanted = [table for table in tables if table.definition("sql") is not None]
    meta = MetaData()
    versions = schema.tables(meta, table_name(namespace, TABLES))
    there = set(inspect(connection).get_table_names())
    if versions.name not in there:
        versions.create(connection)
    noted = {row[0]: row[1] for row in connection.execute(select(versions.c.name, versions.c.version))}
    found = {t.name: noted.get(t.name, 1) for t in wanted if table_name(namespace, t.name) in there}
    missing = check_versions(namespace, wanted, found)
    news = [table for table in wanted if noted.get(table.name) != table.version]
    if stale := [table.name for table in news if table.name in noted]:
        connection.execute(versions.delete().where(versions.c.name.in_(stale)))
    if news:
        connection.execute(versions.insert().values([{"name": one.name, "version": one.version} for one in news]))
    for table in wanted:
        if table in missing:
            table.definition("sql")(meta, table_name(namespace, table.name)).create(connection)
