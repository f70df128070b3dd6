"""Records as rows: what one statement or two do on a connection that is in a transaction (records_async.py runs them).

| change          | PostgreSQL, SQLite                     | MariaDB                                                    |
|-----------------|----------------------------------------|------------------------------------------------------------|
| put on absence  | INSERT, else UPDATE of one that ended  | INSERT IGNORE; UPDATE of one that ended, when one is there |
| put, delete     | UPDATE, DELETE where version and end are as expected | the same                                     |

MariaDB's ON DUPLICATE KEY UPDATE does not tell an insert from a row left as it was, where a client asks for rows found.
What stands after a lost race is read with a lock: a plain read may show the snapshot that the transaction began with.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from regionkit.backends.sql.marker import MYSQL, insert_unless_there, sent_bytes
from regionkit.backends.sql.server_time import server_now
from regionkit.facts.record import Record

__all__ = ["delete_record", "forget_ended", "put_record", "read_record"]


def read_record(connection: Connection, table: Table, kind: str, key: str, *, current: bool = False) -> Record | None:
    """The record under kind and key. `current`: what is committed now, not what a snapshot of this transaction shows."""
    asked = select(table.c.value, table.c.version).where(_is(table, kind, key), ~_over(connection, table))
    row = connection.execute(asked.with_for_update(read=True) if current else asked).first()
    return None if row is None else Record(kind, key, bytes(row[0]), row[1])


def put_record(connection: Connection, table: Table, record: Record, expected: int, lasts: float | None) -> bool:
    """Put a record where the version is `expected`; whether it was."""
    values = {
        "value": sent_bytes(connection, record.value),
        "version": record.version,
        "ends_at": None if lasts is None else server_now(connection) + lasts,
    }
    row = {"kind": record.kind, "key": record.key, **values}
    over = _over(connection, table)
    name = connection.dialect.name
    statement: Any
    if expected:
        live = and_(_is(table, record.kind, record.key), table.c.version == expected, ~over)
        statement = update(table).where(live).values(values)
    elif name in MYSQL:
        if insert_unless_there(connection, table, row):
            return True
        if read_record(connection, table, record.kind, record.key, current=True) is not None:
            return False
        statement = update(table).where(_is(table, record.kind, record.key), over).values(values)
    else:
        insert = (postgresql if name == "postgresql" else sqlite).insert(table).values(row)
        new = {column: insert.excluded[column] for column in values}
        statement = insert.on_conflict_do_update(index_elements=[table.c.kind, table.c.key], set_=new, where=over)
    return _changed(connection, statement)


def delete_record(connection: Connection, table: Table, kind: str, key: str, expected: int) -> bool:
    """Take a record away where its version is `expected`; whether it was."""
    live = and_(_is(table, kind, key), table.c.version == expected, ~_over(connection, table))
    return _changed(connection, table.delete().where(live))


def forget_ended(connection: Connection, table: Table, most: int) -> int:
    """Delete at most `most` records that have ended; how many were."""
    over = _over(connection, table)
    rows = connection.execute(select(table.c.kind, table.c.key).where(over).limit(most)).all()
    for kind, key in rows:
        connection.execute(table.delete().where(_is(table, kind, key), over))
    return len(rows)


def _changed(connection: Connection, statement: Any) -> bool:
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def _is(table: Table, kind: str, key: str) -> ColumnElement[bool]:
    return and_(table.c.kind == kind, table.c.key == key)


def _over(connection: Connection, table: Table) -> ColumnElement[bool]:
    """The record ended. Never NULL, so that it can be negated."""
    return and_(table.c.ends_at.is_not(None), table.c.ends_at <= server_now(connection))
