"""The tables of caches. Intents say which cached keys a transaction has written; they are replicated with the data. Epochs
and marks are what a write-back cache keeps beside its rows.

`id` of an intent is unique: a row under it says that the write has committed, or, of kind "x", that it never will. Names are
base64, as not every driver sends bytes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

__all__ = ["cache_intent", "wb_epoch", "wb_journal", "wb_mark", "wb_position"]


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


_BYTE_FOR_BYTE: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def wb_epoch(meta: MetaData, name: str) -> Table:
    """The last epoch of each write-back cache."""
    return Table(
        name,
        meta,
        Column("cache", String(22), primary_key=True),
        Column("epoch", BigInteger, nullable=False),
        **_BYTE_FOR_BYTE,
    )


def wb_mark(meta: MetaData, name: str) -> Table:
    """Versions of deletes, by a digest of the key; `made` is for people who look at it."""
    return Table(
        name,
        meta,
        Column("cache", String(22), primary_key=True),
        Column("key", String(32), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("made", Double, nullable=False),
        Index(f"{name}_version", "cache", "version"),
        **_BYTE_FOR_BYTE,
    )


def wb_journal(meta: MetaData, name: str) -> Table:
    """Records of puts, base64, by cache and version."""
    return Table(
        name,
        meta,
        Column("cache", String(22), primary_key=True),
        Column("version", BigInteger, primary_key=True, autoincrement=False),
        Column("expected", BigInteger, nullable=True),
        Column("made", Double, nullable=False),
        Column("record", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
        **_BYTE_FOR_BYTE,
    )


def wb_position(meta: MetaData, name: str) -> Table:
    """The version of the last put that was applied or refused, of each write-back cache in log mode; and the last refused one."""
    return Table(
        name,
        meta,
        Column("cache", String(22), primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("refused", BigInteger),
        **_BYTE_FOR_BYTE,
    )
