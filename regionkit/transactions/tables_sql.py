"""The tables of a log and of a participant's markers. Ids are hex digits of regionkit's own; they compare byte for byte.

tpc_meta: row 1 is read by each decision. `floor`: gtrids at or below it are closed. Row 2 is for what changes often, so that no
decision waits for it. `beats_until`: by the server's clock; `made_at`: raised by readers on MariaDB and MySQL, to have
something to commit.
tpc_log: `state` 1 COMMIT, 2 ABORT (a tombstone). `branches`, `hazards`: JSON objects, see recovery_rules.Row.
tpc_branch: `state` 1 committed as a branch of two phases, 2 a tombstone, 3 committed in one phase.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from sqlalchemy import CheckConstraint, Column, Double, Index, MetaData, SmallInteger, String, Table, Text
from sqlalchemy.dialects import mysql

__all__ = ["NOW", "tpc_branch", "tpc_log", "tpc_meta", "tpc_participant"]

NOW = MappingProxyType(
    {
        "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
        **dict.fromkeys(("mariadb", "mysql"), "(UNIX_TIMESTAMP(NOW(6)) + 0.0e0)"),
        "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    }
)
"""Seconds since 1970 by the server's clock."""

_INNODB: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def _ascii(length: int) -> Any:
    """Hex digits and names: a bytewise comparison on every server."""
    text = String(length)
    text = text.with_variant(String(length, collation="C"), "postgresql")
    return text.with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def tpc_meta(meta: MetaData, name: str) -> Table:
    """The log's own rows."""
    return Table(
        name,
        meta,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("log_id", _ascii(8), nullable=False),
        Column("history", _ascii(64), nullable=False),
        Column("floor", _ascii(32), nullable=False),
        Column("made_at", Double, nullable=False),
        Column("beats_until", Double, nullable=False),
        **_INNODB,
    )


def tpc_log(meta: MetaData, name: str) -> Table:
    """Decisions. `done_at` NULL: not every branch has acknowledged. `unsettled` 1: COMMIT and not done, or with a hazard."""
    return Table(
        name,
        meta,
        Column("gtrid", _ascii(32), primary_key=True),
        Column("state", SmallInteger, nullable=False),
        Column("branches", Text, nullable=False),
        Column("hazards", Text, nullable=False),
        Column("decided_by", String(120), nullable=False),
        Column("decided_at", Double, nullable=False),
        Column("done_at", Double, nullable=True),
        Column("unsettled", SmallInteger, nullable=False),
        CheckConstraint("length(gtrid) = 32", name=f"{name}_gtrid"),
        Index(f"{name}_open", "unsettled", "gtrid"),
        **_INNODB,
    )


def tpc_participant(meta: MetaData, name: str) -> Table:
    """Which instance stands behind a name."""
    return Table(
        name,
        meta,
        Column("name", _ascii(22), primary_key=True),
        Column("instance", String(200), nullable=False),
        Column("noted_at", Double, nullable=False),
        **_INNODB,
    )


def tpc_branch(meta: MetaData, name: str) -> Table:
    """Markers. The check is what refuses a marker of another transaction than the branch's own."""
    return Table(
        name,
        meta,
        Column("log_id", _ascii(8), primary_key=True),
        Column("gtrid", _ascii(32), primary_key=True),
        Column("branch", _ascii(22), primary_key=True),
        Column("state", SmallInteger, nullable=False),
        Column("at", Double, nullable=False),
        CheckConstraint("length(gtrid) = 32", name=f"{name}_gtrid"),
        **_INNODB,
    )
