"""The table of intents: which cached keys a transaction has written. It is replicated with the data, and comes with them.

`id` is unique: a row under it says that the write has committed, or, of kind "x", that it never will. Names are base64, as not
every driver sends bytes.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

__all__ = ["cache_intent"]


def cache_intent(meta: MetaData, name: str) -> Table:
    """The table of intents."""
    return Table(
        name,
        meta,
        Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("id", String(32), nullable=False, unique=True),
        Column("cache", String(48), nullable=False),
        Column("kind", String(1), nullable=False),
        Column("names", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        Column("made", Double, nullable=False),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
