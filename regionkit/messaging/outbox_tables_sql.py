"""The tables of an outbox; they stand in the database of the producer, and are replicated with its data.

Names, keys and histories are bytes: on no server are two of them equal that differ. `body` is an envelope without its number;
where a message goes to several destinations it stands once, in `outbox_payload`, and the rows have none.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table

from regionkit.messaging.columns_sql import INNODB, SEQ, Bytes

__all__ = ["outbox", "outbox_key", "outbox_later", "outbox_lease", "outbox_payload", "outbox_run"]


def _name(name: str, length: int) -> Column[Any]:
    return Column(name, Bytes(length), primary_key=True)


def _message(*columns: Any) -> list[Any]:
    """What a row of a message has, due or not. Times: seconds since 1970 by the clock of this database."""
    return [
        Column("seq", SEQ, primary_key=True, autoincrement=True),
        Column("outbox", Bytes(24), nullable=False),
        Column("destination", Bytes(64), nullable=False),
        Column("key", Bytes(120), nullable=True),
        Column("id", String(36), nullable=False),
        Column("body", Bytes(), nullable=True),
        Column("published_at", Double, nullable=False),
        Column("expires_at", Double, nullable=True),
        *columns,
    ]


def outbox(meta: MetaData, name: str) -> Table:
    """Messages to be published: a row is there until it is confirmed. `stuck`: 1, refused for good; its key waits behind it."""
    return Table(
        name,
        meta,
        *_message(),
        Column("epoch", BigInteger, nullable=False),  # of its number; n is 0 where it has none
        Column("history", Bytes(40), nullable=False),
        Column("n", BigInteger, nullable=False),
        Column("prev_epoch", BigInteger, nullable=False),
        Column("prev_history", Bytes(40), nullable=False),
        Column("prev_n", BigInteger, nullable=False),
        Column("stuck", Integer, nullable=False),
        Column("tomb", String(16), nullable=False),
        Index(f"{name}_poll", "outbox", "destination", "stuck", "seq"),
        **INNODB,
    )


def outbox_later(meta: MetaData, name: str) -> Table:
    """Messages that are not due. They move to the outbox when they are, and take their numbers then."""
    return Table(
        name,
        meta,
        *_message(Column("due_at", Double, nullable=False)),
        Index(f"{name}_due", "outbox", "destination", "due_at"),
        **INNODB,
    )


def outbox_payload(meta: MetaData, name: str) -> Table:
    """Envelopes of messages that have several rows."""
    return Table(
        name,
        meta,
        _name("outbox", 24),
        Column("id", String(36), primary_key=True),
        Column("body", Bytes(), nullable=False),
        **INNODB,
    )


def outbox_key(meta: MetaData, name: str) -> Table:
    """The last number of a key at a destination, and of which history the one before it was."""
    return Table(
        name,
        meta,
        _name("outbox", 24),
        _name("destination", 64),
        _name("key", 120),
        Column("epoch", BigInteger, nullable=False),
        Column("history", Bytes(40), nullable=False),
        Column("n", BigInteger, nullable=False),
        Column("prev_epoch", BigInteger, nullable=False),
        Column("prev_history", Bytes(40), nullable=False),
        **INNODB,
    )


def outbox_run(meta: MetaData, name: str) -> Table:
    """One row an outbox: its lineage for ever, and the history that numbers have now, on which incarnation of the server."""
    return Table(
        name,
        meta,
        _name("outbox", 24),
        Column("lineage", String(36), nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("history", Bytes(40), nullable=False),
        Column("incarnation", String(120), nullable=False),
        **INNODB,
    )


def outbox_lease(meta: MetaData, name: str) -> Table:
    """How often a destination was taken over: what a relay of an older epoch deletes stays."""
    return Table(
        name,
        meta,
        _name("outbox", 24),
        _name("destination", 64),
        Column("epoch", BigInteger, nullable=False),
        **INNODB,
    )
