"""The statements of a SQL inbox: made once a dialect, compiled once by SQLAlchemy.

Those of every message are `Prepared`, and change at most one row: how many they have changed is their whole answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from types import MappingProxyType
from typing import Any

from sqlalchemy import MetaData, Table, and_, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.core.codec import Codec
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.messaging import inbox_tables_sql as tables
from regionkit.messaging.case import OPEN, Key
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, made_at, stored_key
from regionkit.messaging.kept_tables import GATE, HELD, HOSPITAL, HOSPITAL_EVENT, INBOX, STARTED

__all__ = [
    "InboxRows",
    "Prepared",
    "columns_of",
    "engine_of",
    "gate_key",
    "gate_of",
    "insert_once",
    "key_of",
    "tables_expected",
]

NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "mysql": "SELECT unix_timestamp(now(6))",
    "mariadb": "SELECT unix_timestamp(now(6))",
}
"""Seconds since 1970 by the server's clock."""


def engine_of(native: Any) -> Any:
    """What a Session or Connection, of either world, is bound to."""
    return native.get_bind() if hasattr(native, "get_bind") else native


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


_PAST: Codec[tuple[Number, tuple[Number, ...]]] = Codec(tuple[Number, tuple[Number, ...]])


DAY = 86_400.0


def bucket_of(id: str) -> int:
    """The day of an id of ours, from 1; 0 for a foreign one: a function of the id alone."""
    made = made_at(id)
    return 0 if made is None else 1 + int(made // DAY)


def require_taken(error: IntegrityError) -> None:
    """MariaDB alone raises where a key is taken: the others' INSERT does nothing then."""
    told: Any = error.orig
    if told.args[:1] != (1062,):
        raise error


class Prepared:
    """A statement as the driver takes it, past what SQLAlchemy looks up at each run: half of what a statement costs here."""

    OPTIONS: Mapping[str, Any] = MappingProxyType({"preserve_rowcount": True})

    def __init__(self, statement: Any, dialect: Any) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup
        self._given = {name: value for name, value in compiled.params.items() if value is not None}
        found = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
        self._processed = {name: process for name, process in found.items() if process is not None}

    def on(self, table: str, other: str) -> Prepared:
        """The same on another table."""
        made = copy(self)
        made.text = re.sub(rf"\b{re.escape(table)}\b", other, self.text)  # an application's name may begin like it
        return made

    def values(self, given: Mapping[str, Any]) -> Any:
        """Parameters in the driver's style."""
        values = {**self._given, **given}
        for name, process in self._processed.items():
            if name in given:
                values[name] = process(given[name])
        return values if self._order is None else tuple([values[name] for name in self._order])


MOST_OF_DAYS = 100
"""Statements on single days that are kept: of some days, few statements each."""
NO_LINEAGE = b""
"""Of messages that nobody numbered."""


_CLAIM_MANY = """
INSERT INTO {inbox} (bucket, scope, id, print, seen_at)
SELECT a.bucket, CAST(:b_scope AS bytea), a.id, a.print, CAST(:b_seen_at AS double precision)
FROM unnest(CAST(:a_bucket AS int[]), CAST(:a_id AS bytea[]), CAST(:a_print AS bytea[])) AS a(bucket, id, print)
ORDER BY a.id ON CONFLICT DO NOTHING RETURNING id"""
_CLAIMS_THERE = """
SELECT i.id, i.print FROM unnest(CAST(:b_ids AS bytea[])) AS a(id) CROSS JOIN LATERAL
(SELECT id, print FROM {inbox} WHERE bucket = :b_bucket AND scope = :b_scope AND id = a.id LIMIT 1) AS i"""
"""One by one: a list makes PostgreSQL read the whole table while it has no statistics of it."""
_AS_TYPES = {
    **{"lineage": "bytea", "key": "bytea", "epoch": "bigint", "history": "bytea", "n": "bigint"},
    **{"before_epoch": "bigint", "before_history": "bytea", "before_n": "bigint"},
    **{"past": "bytea", "parked": "text"},
}
_MOVE_GATES = (
    "UPDATE {gate} AS g SET "  # noqa: S608  # names of this module's
    + ", ".join(f"{name} = a.{name}" for name in list(_AS_TYPES)[2:])
    + " FROM unnest("
    + ", ".join(f"CAST(:a_{name} AS {kind}[])" for name, kind in _AS_TYPES.items())
    + f") AS a({', '.join(_AS_TYPES)}) WHERE g.scope = :b_scope AND g.lineage = a.lineage AND g.key = a.key"
)


def _put(dialect: str, gate: Table) -> Any:
    """Gates as they are now; they are there, and locked. MariaDB takes many of these in one statement, and no UPDATE so."""
    names = list(columns_of(Gate(NOTHING_BEFORE)))
    if dialect in ("mysql", "mariadb"):
        upsert = mysql.insert(gate)
        return upsert.on_duplicate_key_update({name: upsert.inserted[name] for name in names})
    put = sqlite.insert(gate)
    return put.on_conflict_do_update(gate.primary_key.columns.keys(), set_={name: put.excluded[name] for name in names})


class InboxRows:
    """Tables of a namespace, and what is asked of them. Immutable."""

    CHANGES = ("status", "attempts", "due_at", "error_type", "error", "stack", "stack_group", "changed_at", "reason")
    """Columns of a case that a run changes."""

    def __init__(self, namespace: str, native: Any) -> None:
        meta = MetaData()
        compiler = engine_of(native).dialect
        self.dialect = dialect = str(compiler.name)
        self.has_days = dialect == "postgresql"
        self._of_day = dict[tuple[Prepared, int], Prepared]()
        self._compiler, self._fused = compiler, dict[str, Prepared]()  # as many as the application has statements
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
        advance: Any = update(g).where(here, at, g.c.parked == "").values(n=bindparam("n_n"))
        self.begin_gate = insert_once(dialect, g)
        self.look_gate = select(g).where(here)
        self.lock_gate = self.look_gate.with_for_update()
        self.move_gate = (
            update(g).where(here).values({name: bindparam(f"n_{name}") for name in columns_of(Gate(NOTHING_BEFORE))})
        )
        self.park = update(g).where(here).values(parked=bindparam("n_parked"))
        claimed = select(i.c.print).where(
            i.c.bucket == bindparam("b_bucket"), i.c.scope == scope, i.c.id == bindparam("b_id")
        )
        self.look_claim = claimed
        ids: Any = bindparam("b_ids", expanding=True)
        self.look_case = select(c.c.case_id).where(c.c.scope == scope, c.c.message_id.in_(ids)).limit(1)
        claimed = claimed.with_for_update(read=True) if dialect in ("mysql", "mariadb") else claimed
        self.claimed = Prepared(claimed, compiler)
        row = {column.name: bindparam(f"b_{column.name}", type_=column.type) for column in i.c}
        claim = insert_once(dialect, i).values(row)
        unparked = select(*row.values()).select_from(g).where(here, g.c.parked == "").with_for_update()
        keyed_claim = insert_once(dialect, i).from_select(list(row), unparked)
        self.advance, self.claim, self.keyed_claim = (Prepared(s, compiler) for s in (advance, claim, keyed_claim))
        self.lock_gates = (
            select(g)
            .where(g.c.scope == scope, g.c.lineage == lineage, g.c.key.in_(bindparam("b_keys", expanding=True)))
            .order_by(g.c.key)
            .with_for_update()
        )
        self.claims = select(i.c.id, i.c.print).where(
            i.c.scope == scope,
            i.c.bucket.in_(bindparam("b_buckets", expanding=True)),
            i.c.id.in_(bindparam("b_ids", expanding=True)),
        )
        self.put_claims = insert_once(dialect, i)
        self.put_gates = _put(dialect, g)
        self.claim_many = self.claims_there = self.move_gates = None
        if self.has_days:
            self.claim_many = Prepared(text(_CLAIM_MANY.format(inbox=i.name)), compiler)
            self.claims_there = Prepared(text(_CLAIMS_THERE.format(inbox=i.name)), compiler)
            self.move_gates = Prepared(text(_MOVE_GATES.format(gate=g.name)), compiler)
        held_here = and_(h.c.scope == scope, h.c.lineage == lineage, h.c.key == key)
        self.is_held = select(h.c.seq).where(h.c.scope == scope, h.c.id == bindparam("b_id"))
        self.held_count = select(func.count()).select_from(h).where(held_here)
        self.hold = insert(h)
        self.lowest = select(h.c.seq, h.c.id, h.c.body).where(held_here).order_by(h.c.epoch, h.c.n, h.c.seq).limit(1)
        self.unhold = delete(h).where(h.c.seq == bindparam("b_seq"), h.c.id == bindparam("b_id"))
        self.begin_start = insert_once(dialect, s)
        self.start = update(s).where(s.c.scope == scope, s.c.id == bindparam("b_id")).values(runs=s.c.runs + 1)
        of_run = and_(s.c.scope == scope, s.c.id == bindparam("b_id"), s.c.runs == bindparam("b_runs"))
        self.unstart = update(s).where(of_run).values(runs=s.c.runs - 1)
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

    def of_day(self, statement: Prepared, bucket: int) -> Prepared:
        """A statement on the one partition that it is about: PostgreSQL plans for all of them otherwise, each time."""
        if not self.has_days:
            return statement
        made = self._of_day.get((statement, bucket))
        if made is None:
            if len(self._of_day) >= MOST_OF_DAYS:
                self._of_day.clear()
            made = self._of_day[statement, bucket] = statement.on(self.inbox.name, f"{self.inbox.name}_d{bucket}")
        return made

    def fused(self, statement: Any) -> Prepared:
        """A statement of the application's together with a claim."""
        made = self._fused.get(statement.sql)
        if made is None:
            made = self._fused[statement.sql] = Prepared(text(statement.with_claim(self.inbox.name)), self._compiler)
        return made


def gate_key(scope: bytes, envelope: Envelope) -> dict[str, Any]:
    """Which gate a message is judged by."""
    assert envelope.key is not None
    lineage = NO_LINEAGE if envelope.number is None else envelope.lineage.encode()
    return {"b_scope": scope, "b_lineage": lineage, "b_key": stored_key(envelope.key)}


def gate_of(row: Any) -> Gate:
    """A gate as its row has it."""
    at = Number(row.epoch, bytes(row.history).decode(), row.n)
    if not row.past:
        return Gate(at, parked=row.parked)
    first, passed = _PAST.decode(bytes(row.past))
    return Gate(at, passed, first, row.parked)


def columns_of(gate: Gate, prefix: str = "") -> dict[str, Any]:
    """A gate as its row has it."""
    plain = gate.first == NOTHING_BEFORE and not gate.passed
    values = {
        "epoch": gate.at.epoch,
        "history": gate.at.history.encode(),
        "n": gate.at.n,
        "past": b"" if plain else _PAST.encode((gate.first, gate.passed)),
        "parked": gate.parked,
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


def key_of(scope: bytes, key: Key) -> dict[str, Any]:
    """Which gate a key has."""
    return {"b_scope": scope, "b_lineage": key.lineage, "b_key": key.key}
