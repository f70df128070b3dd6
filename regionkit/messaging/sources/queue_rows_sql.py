"""What is done with the rows of a queue, each in one transaction of its own on PostgreSQL, MariaDB or SQLite.

1. A claim takes what is due in the order of (due_at, id), and passes over rows that another claim has locked. On SQLite writers
   come one after another: nothing to pass over.
2. Every claim has a token of its own. What acknowledges, extends or gives back a row names it, so whoever has lost it changes
   nothing.
3. Times are the server's. On MariaDB transactions are READ COMMITTED: gaps that two claims lock are a deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Double, Table, cast, delete, extract, func, insert, literal_column, select, update

__all__ = ["Claimed", "begun", "claim", "drop", "file_of", "move", "publish"]

Claimed = tuple[int, bytes, int]
"""Id, body, deliveries before this one."""


@contextmanager
def begun(connection: Connection) -> Iterator[None]:
    """A transaction."""
    with connection.begin():
        if connection.dialect.name in ("mysql", "mariadb"):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield


def _now(connection: Connection) -> Any:
    """Seconds since 1970 by the server's clock; asked once a statement."""
    name = connection.dialect.name
    if name == "postgresql":
        return select(cast(extract("epoch", func.clock_timestamp()), Double)).scalar_subquery()
    if name == "sqlite":
        return select(literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)).scalar_subquery()
    return literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)", Double)


def claim(table: Table, queue: bytes, most: int, lease: float, token: bytes) -> Callable[[Connection], list[Claimed]]:
    """Take at most so many."""
    c = table.c

    def work(connection: Connection) -> list[Claimed]:
        now = _now(connection)
        due = select(c.id).where(c.queue == queue, c.due_at <= now).order_by(c.due_at, c.id).limit(most)
        taken = {"due_at": now + lease, "given": c.given + 1, "token": token}
        columns = (c.id, c.body, c.given)
        match connection.dialect.name:
            case "postgresql":
                ready = due.with_for_update(skip_locked=True).cte("ready")
                rows = connection.execute(
                    update(table).where(c.id == ready.c.id).values(taken).returning(*columns)
                ).all()
            case "sqlite":
                rows = connection.execute(update(table).where(c.id.in_(due)).values(taken).returning(*columns)).all()
            case _:
                found = connection.execute(due.add_columns(c.body, c.given + 1).with_for_update(skip_locked=True)).all()
                rows = found
                if found:
                    connection.execute(update(table).where(c.id.in_([row[0] for row in found])).values(taken))
        return sorted((id, bytes(body), given - 1) for id, body, given in rows)

    return work


def drop(table: Table, held: Sequence[tuple[bytes, Sequence[int]]]) -> Callable[[Connection], int]:
    """Take away what is held under (token, ids); how many were."""
    c = table.c

    def work(connection: Connection) -> int:
        gone = (connection.execute(delete(table).where(c.id.in_(ids), c.token == token)) for token, ids in held)
        return sum(result.rowcount for result in gone)

    return work


def move(
    table: Table, held: Sequence[tuple[bytes, Sequence[int]]], seconds: float, *, keep: bool
) -> Callable[[Connection], None]:
    """What is held is due again in so many seconds. `keep`: it stays whose it is until then."""
    c = table.c

    def work(connection: Connection) -> None:
        values = {"due_at": _now(connection) + seconds} | ({} if keep else {"token": None})
        for token, ids in held:
            connection.execute(update(table).where(c.id.in_(ids), c.token == token).values(values))

    return work


def publish(table: Table, queue: bytes, bodies: Sequence[bytes]) -> Callable[[Connection], None]:
    """Add messages in this order."""

    def work(connection: Connection) -> None:
        now = connection.execute(select(_now(connection))).scalar_one()
        row = {"queue": queue, "due_at": now, "given": 0, "token": None, "published_at": now}
        connection.execute(insert(table), [{**row, "body": body} for body in bodies])

    return work


def file_of(connection: Connection) -> str:
    """Of SQLite, the file; "" of all others."""
    if connection.dialect.name != "sqlite":
        return ""
    return str(connection.exec_driver_sql("PRAGMA database_list").all()[0][2] or "")
