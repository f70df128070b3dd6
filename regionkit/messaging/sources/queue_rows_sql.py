"""What is done with the rows of a queue, each in one transaction of its own on PostgreSQL, MariaDB, MySQL or SQLite.

1. A claim takes what is due in the order of (due_at, id), and passes over rows that another claim has locked. On SQLite writers
   come one after another: nothing to pass over.
2. Every claim has a token of its own. What acknowledges, extends or gives back a row names it, so whoever has lost it changes
   nothing.
3. Times are the server's.
4. MariaDB, whose transactions are REPEATABLE READ, locks the gaps of a range, and two claims of one range are a deadlock. There
   a claim looks without a lock, and locks by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    any_,
    bindparam,
    cast,
    delete,
    extract,
    func,
    insert,
    literal_column,
    select,
    update,
)

from regionkit.messaging.queue_tables_sql import queue

__all__ = ["Claimed", "Held", "Rows", "file_of"]

Claimed = tuple[int, bytes, int]
"""Id, body, deliveries before this one."""
Held = Sequence[tuple[bytes, Sequence[int]]]
"""What is held under each token, by id."""

CLAIMERS = 4
"""Times as many rows as are wanted are looked at where a claim first looks and then locks."""

_NOW = {
    "postgresql": select(cast(extract("epoch", func.clock_timestamp()), Double)).scalar_subquery(),
    "sqlite": select(literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)).scalar_subquery(),
    "mysql": literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)", Double),
}
"""Seconds since 1970 by the server's clock; asked once a statement, so that an index serves what is compared with it."""


class Rows:
    """The rows of one queue on one kind of server; statements are made once. Immutable.

    Args:
        table_name: of the table of queues.
        name: of the queue.
        dialect: "postgresql", "mysql", "mariadb" or "sqlite".
    """

    def __init__(self, table_name: str, name: bytes, dialect: str) -> None:
        self._table = table = queue(MetaData(), table_name)
        self._name = name
        self._dialect = "mysql" if dialect == "mariadb" else dialect
        self._now: Any = _NOW[self._dialect]
        c = table.c
        if dialect == "postgresql":
            ids = c.id == any_(bindparam("ids", type_=ARRAY(BigInteger)))
        else:
            ids = c.id.in_(bindparam("ids", expanding=True, type_=BigInteger))
        due_at = self._now + bindparam("seconds", type_=Double)
        held = (ids, c.token == bindparam("token_", type_=LargeBinary))
        self._gone = delete(table).where(*held)
        self._kept = update(table).where(*held).values(due_at=due_at)
        self._back = update(table).where(*held).values(due_at=due_at, token=None)
        taken = {"due_at": due_at, "given": c.given + 1, "token": bindparam("token_", type_=LargeBinary)}
        self._taken = update(table).where(ids).values(taken)
        self._claimed: Any = update(table).values(taken).returning(c.id, c.body, c.given)
        self._due = (
            select(c.id)
            .where(c.queue == bindparam("queue_", type_=LargeBinary), c.due_at <= self._now)
            .order_by(c.due_at, c.id)
            .limit(bindparam("most", type_=Integer))
        )

        self._locked = (
            select(c.id, c.body, c.given + 1)
            .where(ids, c.due_at <= self._now)
            .order_by(c.id)
            .limit(bindparam("most", type_=Integer))
            .with_for_update(skip_locked=True)
        )

    @cached_property
    def _claim(self) -> Any:
        """What takes rows, in one statement."""
        if self._dialect == "sqlite":
            return self._claimed.where(self._table.c.id.in_(self._due))
        ready = self._due.with_for_update(skip_locked=True).cte("ready")
        return self._claimed.where(self._table.c.id == ready.c.id)

    def _claim_by_number(self, connection: Connection, values: dict[str, Any]) -> Sequence[Any]:
        """The same where no UPDATE has RETURNING. More are looked at than are taken: others may look at the same."""
        most = values["most"]
        seen = connection.execute(self._due, {**values, "most": CLAIMERS * most}).scalars().all()
        found = connection.execute(self._locked, {"ids": seen, "most": most}).all() if seen else []
        if found:
            connection.execute(self._taken, {**values, "ids": [row[0] for row in found]})
        return found

    def claim(self, most: int, lease: float, token: bytes) -> Callable[[Connection], list[Claimed]]:
        """Take at most so many."""

        def work(connection: Connection) -> list[Claimed]:
            values = {"queue_": self._name, "most": most, "seconds": lease, "token_": token}
            if self._dialect == "mysql":
                found = self._claim_by_number(connection, values)
            else:
                found = connection.execute(self._claim, values).all()
            return sorted((id, bytes(body), given - 1) for id, body, given in found)

        return work

    def drop(self, held: Held) -> Callable[[Connection], int]:
        """Take away what is held; how many were."""

        def work(connection: Connection) -> int:
            gone = (connection.execute(self._gone, {"token_": token, "ids": ids}) for token, ids in held)
            return sum(result.rowcount for result in gone)

        return work

    def move(self, held: Held, seconds: float, *, keep: bool) -> Callable[[Connection], None]:
        """What is held is due again in so many seconds. `keep`: it stays whose it is until then."""

        def work(connection: Connection) -> None:
            for token, ids in held:
                values = {"token_": token, "ids": ids, "seconds": seconds}
                connection.execute(self._kept if keep else self._back, values)

        return work

    def publish(self, bodies: Sequence[bytes]) -> Callable[[Connection], None]:
        """Add messages in this order."""

        def work(connection: Connection) -> None:
            now = connection.execute(select(self._now)).scalar_one()
            row = {"queue": self._name, "due_at": now, "given": 0, "token": None, "published_at": now}
            connection.execute(insert(self._table), [{**row, "body": body} for body in bodies])

        return work


def file_of(connection: Connection) -> tuple[str, str]:
    """The name of the dialect; of SQLite, the file, "" of all others."""
    name = connection.dialect.name
    return name, str(connection.exec_driver_sql("PRAGMA database_list").all()[0][2] or "") if name == "sqlite" else ""
