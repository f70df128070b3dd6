"""The tables regionkit keeps beside the application's, replicated with its data.

history: one row per history of the store (facts/history.py). `parent` is unique, so that in one database each history
has at most one child: two observers of one promotion write one row.
marker: one row per idempotency key (marker.py).
record: small versioned rows (record_rows.py).
position: SQLite only; one row, raised by one in each write block's own transaction.
tables: the version of each of these (table_making.py).

Texts in keys are `Bytewise`: on no server are two of them equal that differ in a blank, in case or in an accent. Those of
histories are hex digits of regionkit's own, and MariaDB's JSON functions refuse a row that mixes collations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Double, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from regionkit.contract.kept_tables import tables_of
from regionkit.contract.record_checks import LONGEST_KEY, LONGEST_KIND
from regionkit.core import tables as kept
from regionkit.facts.record import LARGEST_RECORD

__all__ = [
    "KEY_LENGTH",
    "Bytewise",
    "history",
    "marker",
    "metadata",
    "position",
    "record",
    "tables",
]

KEY_LENGTH = 200
"""Longest idempotency key, characters: fits an index key of every server in four-byte characters."""

_INNODB: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


BINARY_COLLATION = (8, 0, 17)
"""The first MySQL that has utf8mb4_0900_bin."""


class Bytewise(TypeDecorator[str]):
    """A text that compares byte for byte, blanks at its end too.

    MariaDB's `utf8mb4_bin` ignores those (PAD SPACE), and PostgreSQL's comparison is the database's to choose. MySQL has a
    collation for it from 8.0.17 on; before that the column holds bytes.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The server's own type."""
        length = self.impl_instance.length  # type: ignore[attr-defined]  # of the String above
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(length, collation="C"))
        if dialect.name in ("mysql", "mariadb"):
            seen: Any = dialect  # before a connection was made nobody knows which of the two it is: MariaDB, then
            is_mysql = seen.server_version_info is not None and not seen.is_mariadb
            if is_mysql and seen.server_version_info < BINARY_COLLATION:
                return dialect.type_descriptor(
                    mysql.VARCHAR(4 * length, charset="binary")
                )  # VARBINARY, but sent as text
            collation = "utf8mb4_0900_bin" if is_mysql else "utf8mb4_nopad_bin"
            return dialect.type_descriptor(mysql.VARCHAR(length, collation=collation))
        return dialect.type_descriptor(String(length))  # SQLite's own comparison is BINARY

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """The text, also of a column that holds its bytes."""
        return value.decode() if isinstance(value, bytes) else value


def history(meta: MetaData, name: str) -> Table:
    """The table of histories."""
    return Table(
        name,
        meta,
        Column("history", String(36), primary_key=True),
        Column("parent", String(36), nullable=False, unique=True),  # '' for the first one: NULLs would not be unique
        Column("fork", Text, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("origin", String(120), nullable=False),
        Column("written_at", Double, nullable=False),
        **_INNODB,
    )


def marker(meta: MetaData, name: str) -> Table:
    """The table of idempotency markers."""
    return Table(
        name,
        meta,
        Column("key", Bytewise(KEY_LENGTH), primary_key=True),
        Column("partition", String(120), nullable=False),
        Column("fingerprint", String(120), nullable=False),
        Column("attempt", String(36), nullable=False),
        Column("applied", Integer, nullable=False),
        Column("result", LargeBinary(4096), nullable=True),
        Column("written_at", Double, nullable=False, index=True),
        **_INNODB,
    )


def record(meta: MetaData, name: str) -> Table:
    """The table of records. `ends_at`: seconds since 1970 by the server's clock; NULL for one that stays."""
    return Table(
        name,
        meta,
        Column("kind", Bytewise(LONGEST_KIND), primary_key=True),
        Column("key", Bytewise(LONGEST_KEY), primary_key=True),
        Column("value", LargeBinary(LARGEST_RECORD), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("ends_at", Double, nullable=True),
        **_INNODB,
    )


def position(meta: MetaData, name: str) -> Table:
    """SQLite's position."""
    return Table(
        name,
        meta,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("value", BigInteger, nullable=False),
        **_INNODB,
    )


def tables(meta: MetaData, name: str) -> Table:
    """The table of tables."""
    return Table(
        name,
        meta,
        Column("name", Bytewise(120), primary_key=True),
        Column("version", Integer, nullable=False),
        **_INNODB,
    )


def metadata(namespace: str, pillars: Sequence[str] = ("routing",)) -> MetaData:
    """The tables of a namespace, and the table of their versions."""
    meta = MetaData()
    tables(meta, kept.table_name(namespace, kept.TABLES))
    for table in tables_of(pillars):
        define = table.definition("sql")
        if define is not None:  # else it is kept on other servers only
            define(meta, kept.table_name(namespace, table.name))
    return meta
