"""The tables regionkit keeps beside the application's, replicated with its data.

history: one row per history of the store (facts/history.py). `parent` is unique, so that in one database each history
has at most one child: two observers of one promotion write one row.
marker: one row per idempotency key (marker.py).
placement: one row per key of a directory of homes (routing/placements.py).
position: SQLite only; one row, raised by one in each write block's own transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, MetaData, String, Table, Text

__all__ = ["KEY_LENGTH", "metadata"]

KEY_LENGTH = 200
"""Longest idempotency key, characters: fits an index key of every server in four-byte characters."""


def metadata(namespace: str) -> MetaData:
    """The tables of a namespace."""
    meta = MetaData()
    exact: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}
    Table(
        f"{namespace}_rk_history",
        meta,
        Column("history", String(36), primary_key=True),
        Column("parent", String(36), nullable=False, unique=True),  # '' for the first one: NULLs would not be unique
        Column("fork", Text, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("origin", String(120), nullable=False),
        Column("written_at", Double, nullable=False),
        **exact,
    )
    Table(
        f"{namespace}_rk_marker",
        meta,
        Column("key", String(KEY_LENGTH), primary_key=True),
        Column("partition", String(120), nullable=False),
        Column("fingerprint", String(120), nullable=False),
        Column("attempt", String(36), nullable=False),
        Column("applied", Integer, nullable=False),
        Column("result", LargeBinary(4096), nullable=True),
        Column("written_at", Double, nullable=False, index=True),
        **exact,
    )
    Table(
        f"{namespace}_rk_placement",
        meta,
        Column("store", String(48), primary_key=True),
        Column("key", String(512), primary_key=True),
        Column("home", Text, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("version", Integer, nullable=False),
        **exact,
    )
    Table(
        f"{namespace}_rk_position",
        meta,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("value", BigInteger, nullable=False),
        **exact,
    )
    return meta
