"""The idempotency marker: one row per key, in the effect's own transaction.

| statement                      | nothing there | applied            | tombstone                   |
|--------------------------------|---------------|--------------------|-----------------------------|
| take (first of an attempt)     | ours          | what stands there  | ours: no one held it        |
| put_tombstone (resolve)        | tombstone     | stays              | stays                       |

The insert of a second attempt waits in the server for the first one's transaction to end, so whoever finds nothing there
knows that no earlier attempt can still commit. What it finds is read with a lock: a plain read shows what stood there when
the transaction's snapshot was taken, and that may be nothing. Nothing found is never taken for ours.

The server's clock measures its age: a process whose own clock is a day ahead would delete fresh markers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from regionkit.backends.sql.server_time import server_now
from regionkit.contract.idempotency import Claim, Marker
from regionkit.errors import TransactionRolledBack

__all__ = [
    "MYSQL",
    "forget",
    "insert_unless_there",
    "put_tombstone",
    "read_marker",
    "save_result",
    "sent_bytes",
    "take",
]

MYSQL = ("mysql", "mariadb")
"""SQLAlchemy's names of MariaDB's dialect."""


def take(connection: Connection, table: Table, claim: Claim) -> Marker | None:
    """Claim a key as the first statement of the transaction: None when it is ours, else what stands there.

    After anything but None the transaction is only good for rolling back.
    """
    if insert_unless_there(connection, table, _row(connection, claim, applied=1)):
        return None
    found = read_marker(connection, table, claim.key, current=True)
    if found is not None and found.applied:
        return found
    revived = connection.execute(
        update(table)
        .where(table.c.key == claim.key, table.c.applied == 0)
        .values(applied=1, attempt=claim.attempt, fingerprint=claim.fingerprint, written_at=server_now(connection))
    )
    if revived.rowcount == 1:
        return None
    found = read_marker(connection, table, claim.key, current=True)
    if found is None:
        raise TransactionRolledBack(
            "the marker of an idempotency key was deleted while it was being claimed.",
            why="it was swept, being older than markers are kept.",
            fix="run the write again.",
        )
    return found


def put_tombstone(connection: Connection, table: Table, claim: Claim) -> bool:
    """Keep an attempt from ever committing: True when the tombstone is ours, False when something stands there."""
    return insert_unless_there(connection, table, _row(connection, claim, applied=0))


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """One statement; it waits for an open transaction that holds the key."""
    name = connection.dialect.name
    statement: Any
    if name == "postgresql":
        statement = postgresql.insert(table).values(dict(row)).on_conflict_do_nothing()
    elif name == "sqlite":
        statement = sqlite.insert(table).values(dict(row)).on_conflict_do_nothing()
    else:
        statement = insert(table).prefix_with("IGNORE").values(dict(row))
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def read_marker(connection: Connection, table: Table, key: str, *, current: bool = False) -> Marker | None:
    """What stands under a key. `current`: what is committed now, not what a snapshot of this transaction shows."""
    columns = (table.c.applied, table.c.fingerprint, table.c.result)
    asked = select(*columns).where(table.c.key == key)
    row = connection.execute(asked.with_for_update(read=True) if current else asked).first()
    return None if row is None else Marker(applied=bool(row[0]), fingerprint=row[1], result=row[2])


def save_result(connection: Connection, table: Table, claim: Claim, result: bytes) -> None:
    """Keep a result with its marker."""
    value = sent_bytes(connection, result)
    connection.execute(update(table).where(table.c.key == claim.key).values(result=value))


def sent_bytes(connection: Connection, value: bytes) -> Any:
    """Bytes as a statement takes them."""
    if connection.dialect.name in MYSQL:
        return func.unhex(value.hex())  # aiomysql cannot send bytes with a PyMySQL of today
    return value


def forget(connection: Connection, table: Table, older_than: float, most: int) -> int:
    """Delete at most `most` markers older than `older_than` seconds."""
    before = connection.execute(select(server_now(connection))).scalar_one() - older_than
    keys = [row[0] for row in connection.execute(select(table.c.key).where(table.c.written_at < before).limit(most))]
    if keys:
        connection.execute(table.delete().where(table.c.key.in_(keys), table.c.written_at < before))
    return len(keys)


def _row(connection: Connection, claim: Claim, applied: int) -> dict[str, object]:
    return {
        "key": claim.key,
        "partition": "",
        "fingerprint": claim.fingerprint,
        "attempt": claim.attempt,
        "applied": applied,
        "written_at": server_now(connection),
    }
