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

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Table,
    and_,
    cast,
    extract,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from regionkit.backends.sql.marker import MYSQL, insert_unless_there, sent_bytes
from regionkit.backends.sql.schema import LONGEST_KEY, LONGEST_KIND
from regionkit.core.deadline import FOREVER
from regionkit.errors import ConfigurationError
from regionkit.facts.record import LARGEST_RECORD, Record

__all__ = ["check_known_by", "check_record", "delete_record", "put_record", "read_record"]


def check_known_by(kind: str, key: str) -> None:
    """Refuse a kind or key that no server keeps as it is.

    Raises:
        ConfigurationError: it is too long, or holds a lone surrogate or NUL.
    """
    for what, text, longest in (("kind", kind, LONGEST_KIND), ("key", key, LONGEST_KEY)):
        if len(text) > longest:
            raise ConfigurationError(
                f"the {what} of a record has {len(text)} characters.",
                why=f"at most {longest} fit into a server's index.",
                fix="take a shorter one, or a hash of it.",
            )
        if "\0" in text or not _is_text(text):
            raise ConfigurationError(
                f"the {what} of a record is no text that a server can keep.",
                why="it holds a NUL or a lone surrogate.",
                fix="encode it, for example in base64.",
            )


def check_record(record: Record, expected: int, lasts: float | None) -> None:
    """Refuse what can not be put.

    Raises:
        ConfigurationError: kind or key as above, too large a value, a version that does not go up, or no time to last.
    """
    check_known_by(record.kind, record.key)
    if len(record.value) > LARGEST_RECORD:
        raise ConfigurationError(
            f"the value of record {record.key!r} has {len(record.value)} bytes.",
            why=f"at most {LARGEST_RECORD} are kept in a record.",
            fix="keep it in a table of its own, and its key in the record.",
        )
    if record.version <= expected:
        raise ConfigurationError(
            f"record {record.key!r} would go from version {expected} to {record.version}.",
            why="a compare-and-set tells two states apart by their version.",
            fix="raise the version by one.",
        )
    if lasts is not None and not 0.0 < lasts < FOREVER:
        raise ConfigurationError(
            f"lasts={lasts!r} is not usable.", fix="give seconds, or None for a record that stays."
        )


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
        "ends_at": None if lasts is None else _now(connection) + lasts,
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


def _changed(connection: Connection, statement: Any) -> bool:
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def _is(table: Table, kind: str, key: str) -> ColumnElement[bool]:
    return and_(table.c.kind == kind, table.c.key == key)


def _over(connection: Connection, table: Table) -> ColumnElement[bool]:
    """The record ended. Never NULL, so that it can be negated."""
    return and_(table.c.ends_at.is_not(None), table.c.ends_at <= _now(connection))


def _now(connection: Connection) -> ColumnElement[float]:
    """Seconds since 1970 by the server's clock. Of this moment, not of the transaction's begin: a unit may have been long."""
    name = connection.dialect.name
    if name == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()), Double)
    if name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)
    return literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)", Double)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
