"""The table of queues: one row a message, and who has it.

`due_at` is when a message may be given next, by the server's clock: at once for a new one, after the lease for one that somebody
has, after its delay for one that was given back. `token` is the delivery's.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, Table
from sqlalchemy.dialects import mysql
from sqlalchemy.types import LargeBinary

__all__ = ["LONGEST_NAME", "queue"]

LONGEST_NAME = 64
"""Bytes of a queue's name."""


def queue(meta: MetaData, name: str) -> Table:
    """The table of queues."""
    return Table(
        name,
        meta,
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column(
            "queue",
            LargeBinary(LONGEST_NAME).with_variant(mysql.VARBINARY(LONGEST_NAME), "mysql", "mariadb"),
            nullable=False,
        ),
        Column("due_at", Double, nullable=False),
        Column("given", Integer, nullable=False),
        Column("token", LargeBinary(16).with_variant(mysql.VARBINARY(16), "mysql", "mariadb"), nullable=True),
        Column("published_at", Double, nullable=False),
        Column("body", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"), nullable=False),
        Index(f"{name}_due", "queue", "due_at", "id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,  # a number that was acknowledged is never another message's
    )
