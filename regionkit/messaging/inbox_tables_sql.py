"""The tables of an inbox and its hospital; they stand in the database of the effect.

Ids, keys and scopes are bytes: on no server are two of them equal that differ. `scope` is the consumer, `lineage` the outbox
that numbered a message ("" for those that nobody numbered), `body` an envelope as it came.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text, event
from sqlalchemy.dialects import mysql

from regionkit.messaging.columns_sql import INNODB, SEQ, Bytes
from regionkit.messaging.inbox_days_sql import make_days

__all__ = ["gate", "held", "hospital", "hospital_event", "inbox", "started"]


def _text() -> Any:
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def _key(name: str, length: int) -> Column[Any]:
    return Column(name, Bytes(length), primary_key=True)


def inbox(meta: MetaData, name: str) -> Table:
    """Claims. `bucket`: the day of an id of ours, 0 for a foreign one, so a function of the id alone; PostgreSQL's partitions."""
    made = Table(
        name,
        meta,
        Column("bucket", Integer, primary_key=True, autoincrement=False),
        _key("scope", 64),
        _key("id", 64),
        Column("print", Bytes(16), nullable=False),
        Column("seen_at", Double, nullable=False),
        postgresql_partition_by="RANGE (bucket)",
        **INNODB,
    )
    event.listen(made, "after_create", make_days)
    return made


def gate(meta: MetaData, name: str) -> Table:
    """Gates. `past`: earlier histories, and where the key began; mostly empty. `parked`: "", "case" or "gap"."""
    return Table(
        name,
        meta,
        _key("scope", 64),
        _key("lineage", 40),
        _key("key", 120),
        Column("epoch", BigInteger, nullable=False),
        Column("history", Bytes(40), nullable=False),
        Column("n", BigInteger, nullable=False),
        Column("past", Bytes(800), nullable=False),
        Column("parked", String(4), nullable=False),
        **INNODB,
    )


def held(meta: MetaData, name: str) -> Table:
    """Held messages. Numbered ones are in the order of (epoch, n), others in that of `seq`."""
    return Table(
        name,
        meta,
        Column("seq", SEQ, primary_key=True, autoincrement=True),
        Column("scope", Bytes(64), nullable=False),
        Column("lineage", Bytes(40), nullable=False),
        Column("key", Bytes(120), nullable=False),
        Column("id", Bytes(64), nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("n", BigInteger, nullable=False),
        Column("body", Bytes(), nullable=False),
        Column("held_at", Double, nullable=False),
        Index(f"{name}_key", "scope", "lineage", "key", "epoch", "n"),
        Index(f"{name}_id", "scope", "id", unique=True),
        **INNODB,
    )


def started(meta: MetaData, name: str) -> Table:
    """Started runs of suspects."""
    return Table(
        name,
        meta,
        _key("scope", 64),
        _key("id", 64),
        Column("runs", Integer, nullable=False),
        Column("seen_at", Double, nullable=False),
        **INNODB,
    )


def hospital(meta: MetaData, name: str) -> Table:
    """Cases. `status`: retrying, treating, admitted, discharged, buried, redirected."""
    return Table(
        name,
        meta,
        Column("case_id", String(36), primary_key=True),
        Column("scope", Bytes(64), nullable=False),
        Column("message_id", Bytes(64), nullable=False),
        Column("status", String(12), nullable=False),
        Column("reason", String(24), nullable=False),
        Column("type", String(120), nullable=False),
        Column("lineage", Bytes(40), nullable=False),
        Column("key", Bytes(120), nullable=True),
        Column("parks", Integer, nullable=False),  # 1: the key waits for it
        Column("attempts", Integer, nullable=False),
        Column("due_at", Double, nullable=True),
        Column("error_type", String(200), nullable=False),
        Column("error", _text(), nullable=False),
        Column("stack", _text(), nullable=False),
        Column("stack_group", String(32), nullable=False),
        Column("region", String(64), nullable=False),
        Column("source", String(200), nullable=False),
        Column("position", String(200), nullable=False),
        Column("body", Bytes(), nullable=False),
        Column("admitted_at", Double, nullable=False),
        Column("changed_at", Double, nullable=False),
        Index(f"{name}_message", "scope", "message_id", unique=True),
        Index(f"{name}_due", "scope", "due_at"),
        Index(f"{name}_key", "scope", "lineage", "key"),
        Index(f"{name}_status", "status", "stack_group"),
        **INNODB,
    )


def hospital_event(meta: MetaData, name: str) -> Table:
    """The audit trail. `body`: the message before an edit."""
    return Table(
        name,
        meta,
        Column("seq", SEQ, primary_key=True, autoincrement=True),
        Column("case_id", String(36), nullable=False, index=True),
        Column("at", Double, nullable=False),
        Column("who", String(120), nullable=False),
        Column("what", String(40), nullable=False),
        Column("reason", _text(), nullable=False),
        Column("body", Bytes(), nullable=True),
        **INNODB,
    )
