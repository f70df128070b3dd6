"""The statements of a SQL inbox: made once a dialect, compiled once by SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import MetaData, Table, and_, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.messaging import inbox_tables_sql as tables
from regionkit.messaging.case import OPEN, Key
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, stored_key
from regionkit.messaging.kept_tables import GATE, HELD, HOSPITAL, HOSPITAL_EVENT, INBOX, STARTED

__all__ = ["InboxRows", "columns_of", "dialect_of", "gate_key", "gate_of", "insert_once", "key_of", "tables_expected"]

NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "mysql": "SELECT unix_timestamp(now(6))",
    "mariadb": "SELECT unix_timestamp(now(6))",
}
"""Seconds since 1970 by the server's clock."""


def dialect_of(native: Any) -> str:
    """SQLAlchemy's name of the dialect of a Session or Connection, of either world."""
    given = native.get_bind() if hasattr(native, "get_bind") else native
    return str(given.dialect.name)


def insert_once(dialect: str, table: Table) -> Any:
    """An INSERT that does nothing where the key is taken; on MariaDB it raises IntegrityError then, as IGNORE hides too much."""
    made: Any = insert(table)
    if dialect == "postgresql":
        made = postgresql.insert(table).on_conflict_do_nothing()
    if dialect == "sqlite":
        made = sqlite.insert(table).on_conflict_do_nothing()
    return made.execution_options(preserve_rowcount=True)  # else an INSERT tells none after its cursor is closed


@contextmanager
def tables_expected(name: str) -> Iterator[None]:
    """Inside, the tables are needed.

    Raises:
        ConfigurationError: one is not there.
    """
    try:
        yield
    except DBAPIError as error:
        told: Any = error.orig
        missing = getattr(told, "sqlstate", "") == "42P01" or told.args[:1] == (1146,) or "no such table" in str(told)
        if not missing:
            raise
        raise ConfigurationError(
            f"the inbox in {name!r} has no tables.",
            why="claims, gates and cases stand beside the data.",
            fix="call create_tables() of the inbox once, inside a kit kit.create_tables(); and whenever you deploy.",
        ) from error


NO_LINEAGE = b""
"""Of messages that nobody numbered."""


class InboxRows:
    """Tables of a namespace, and what is asked of them. Immutable."""

    CHANGES = ("status", "attempts", "due_at", "error_type", "error", "stack", "stack_group", "changed_at", "reason")
    """Columns of a case that a run changes."""

    def __init__(self, namespace: str, dialect: str) -> None:
        meta = MetaData()
        self.dialect = dialect
        self.inbox = i = tables.inbox(meta, table_name(namespace, INBOX.name))
        self.gate = g = tables.gate(meta, table_name(namespace, GATE.name))
        self.held = h = tables.held(meta, table_name(namespace, HELD.name))
        self.started = s = tables.started(meta, table_name(namespace, STARTED.name))
        self.hospital = c = tables.hospital(meta, table_name(namespace, HOSPITAL.name))
        self.event = tables.hospital_event(meta, table_name(namespace, HOSPITAL_EVENT.name))
        self.tell = insert(self.event)
        self.now = text(NOW[dialect])
        scope: Any = bindparam("b_scope")
        lineage: Any = bindparam("b_lineage")
        key: Any = bindparam("b_key")
        here = and_(g.c.scope == scope, g.c.lineage == lineage, g.c.key == key)
        at = and_(g.c.epoch == bindparam("p_epoch"), g.c.history == bindparam("p_history"), g.c.n == bindparam("p_n"))
        self.advance = update(g).where(here, at, g.c.parked == "").values(n=bindparam("n_n"))
        self.begin_gate = insert_once(dialect, g)
        self.lock_gate = select(g).where(here).with_for_update()
        self.move_gate = (
            update(g).where(here).values({name: bindparam(f"n_{name}") for name in columns_of(Gate(NOTHING_BEFORE))})
        )
        self.park = update(g).where(here).values(parked=bindparam("n_parked"))
        self.claim = insert_once(dialect, i)
        claimed = select(i.c.print).where(
            i.c.bucket == bindparam("b_bucket"), i.c.scope == scope, i.c.id == bindparam("b_id")
        )
        self.claimed = claimed.with_for_update(read=True) if dialect in ("mysql", "mariadb") else claimed
        held_here = and_(h.c.scope == scope, h.c.lineage == lineage, h.c.key == key)
        self.is_held = select(h.c.seq).where(h.c.scope == scope, h.c.id == bindparam("b_id"))
        self.held_count = select(func.count()).select_from(h).where(held_here)
        self.hold = insert(h)
        self.lowest = select(h.c.seq, h.c.id, h.c.body).where(held_here).order_by(h.c.epoch, h.c.n, h.c.seq).limit(1)
        self.unhold = delete(h).where(h.c.seq == bindparam("b_seq"), h.c.id == bindparam("b_id"))
        self.begin_start = insert_once(dialect, s)
        self.start = update(s).where(s.c.scope == scope, s.c.id == bindparam("b_id")).values(runs=s.c.runs + 1)
        self.runs = select(s.c.runs).where(s.c.scope == scope, s.c.id == bindparam("b_id"))
        self.admit = insert_once(dialect, c)
        of_key = and_(c.c.scope == scope, c.c.lineage == lineage, c.c.key == key, c.c.parks == 1)
        self.parking = select(c.c.case_id, c.c.reason, c.c.status, c.c.due_at, c.c.attempts).where(of_key)
        self.due = (
            select(c)
            .where(c.c.scope == scope, c.c.due_at <= bindparam("b_now"))
            .order_by(c.c.due_at)
            .limit(bindparam("b_most"))
        )
        same_run = and_(
            c.c.case_id == bindparam("b_case"),
            c.c.status == bindparam("b_status"),
            c.c.attempts == bindparam("b_attempts"),
        )
        self.case = select(c).where(c.c.case_id == bindparam("b_case"))
        self.change_case = update(c).where(same_run).values({name: bindparam(f"n_{name}") for name in self.CHANGES})
        ended = c.c.status.not_in(OPEN)
        self.done_with = update(c).where(of_key, ended).values(parks=0, due_at=None)
        open_gap = and_(of_key, c.c.reason == "gap", c.c.status.in_(OPEN))
        self.gap_due = update(c).where(open_gap).values(due_at=bindparam("n_due"))
        self.gap_over = (
            update(c).where(open_gap).values(status="discharged", parks=0, due_at=None, changed_at=bindparam("b_now"))
        )
        given_up = and_(of_key, c.c.reason == "gap", c.c.status == "buried")
        self.gap_used = update(c).where(given_up).values(attempts=1)
        self.old_claims = select(i.c.bucket, i.c.scope, i.c.id).where(
            or_(
                and_(i.c.bucket > 0, i.c.bucket < bindparam("b_bucket")),
                and_(i.c.bucket == 0, i.c.seen_at < bindparam("b_before")),
            )
        )


def gate_key(scope: bytes, envelope: Envelope) -> dict[str, Any]:
    """Which gate a message is judged by."""
    assert envelope.key is not None
    lineage = NO_LINEAGE if envelope.number is None else envelope.lineage.encode()
    return {"b_scope": scope, "b_lineage": lineage, "b_key": stored_key(envelope.key)}


def gate_of(row: Any) -> Gate:
    """A gate as its row has it."""
    at = Number(row.epoch, bytes(row.history).decode(), row.n)
    before = Number(row.before_epoch, bytes(row.before_history).decode(), row.before_n)
    first = Number(0, bytes(row.first_history).decode(), row.first_n)
    return Gate(at, before, first, row.parked)


def columns_of(gate: Gate, prefix: str = "") -> dict[str, Any]:
    """A gate as its row has it."""
    values = {
        "epoch": gate.at.epoch,
        "history": gate.at.history.encode(),
        "n": gate.at.n,
        "before_epoch": gate.before.epoch,
        "before_history": gate.before.history.encode(),
        "before_n": gate.before.n,
        "first_history": gate.first.history.encode(),
        "first_n": gate.first.n,
        "parked": gate.parked,
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


def key_of(scope: bytes, key: Key) -> dict[str, Any]:
    """Which gate a key has."""
    return {"b_scope": scope, "b_lineage": key.lineage, "b_key": key.key}
