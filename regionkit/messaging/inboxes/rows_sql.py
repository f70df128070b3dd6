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
from regionkit.messaging.case import OPEN
from regionkit.messaging.columns_sql import NOW, is_missing
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, made_at, stored_key
from regionkit.messaging.kept_tables import GATE, HELD, HOSPITAL, HOSPITAL_EVENT, INBOX, STARTED

__all__ = [
    "MOVED",
    "InboxStatements",
    "Prepared",
    "columns_of",
    "engine_of",
    "gate_key",
    "gate_of",
    "insert_once",
    "key_of",
    "listed",
    "tables_expected",
]


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
        if not is_missing(error):
            raise
        raise ConfigurationError(
            f"the inbox in {name!r} has no tables.",
            why="claims, gates and cases are kept in the data's database.",
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


def _listed(name: str, kind: str) -> str:
    """A parameter of `listed` values as an array."""
    return f"CAST(string_to_array(CAST(:{name} AS text), ',') AS {kind}[])"


def listed(values: Sequence[bytes | int]) -> str:
    """Values as one text: the driver needs fifteen times as long for a list of bytes. None of them is the empty text."""
    return ",".join([f"\\x{value.hex()}" if isinstance(value, bytes) else str(value) for value in values])


_CLAIM_MANY = f"""
INSERT INTO {{inbox}} (bucket, scope, id, print, seen_at)
SELECT a.bucket, CAST(:b_scope AS bytea), a.id, a.print, CAST(:b_seen_at AS double precision)
FROM unnest({_listed("a_bucket", "int")}, {_listed("a_id", "bytea")}, {_listed("a_print", "bytea")}) AS a(bucket, id, print)
ORDER BY a.id ON CONFLICT DO NOTHING RETURNING id"""  # noqa: S608  # names of this module's
_CLAIMS_THERE = f"""
SELECT i.id, i.print FROM unnest({_listed("b_ids", "bytea")}) AS a(id) CROSS JOIN LATERAL
(SELECT id, print FROM {{inbox}} WHERE bucket = :b_bucket AND scope = :b_scope AND id = a.id LIMIT 1) AS i"""  # noqa: S608
"""One by one: a list makes PostgreSQL read the whole table while it has no statistics of it."""
_AS_TYPES = {
    **{"lineage": "bytea", "key": "bytea", "epoch": "bigint", "history": "bytea", "n": "bigint"},
    "past": "bytea",
}
"""The key, and what moves: a gate that is parked is judged alone."""
_MOVE_GATES = (
    "UPDATE {gate} AS g SET "  # noqa: S608  # names of this module's
    + ", ".join(f"{name} = a.{name}" for name in list(_AS_TYPES)[2:])
    + " FROM unnest("
    + ", ".join(_listed(f"a_{name}", kind) for name, kind in _AS_TYPES.items())
    + f") AS a({', '.join(_AS_TYPES)}) WHERE g.scope = :b_scope AND g.lineage = a.lineage AND g.key = a.key"
)
MOVED = tuple(_AS_TYPES)
"""Columns that `move_gates` is given, each `listed`."""


def _put(dialect: str, gate: Table) -> Any:
    """Gates as they are now; they are there, and locked. MariaDB takes many of these in one statement, and no UPDATE so."""
    names = list(columns_of(Gate(NOTHING_BEFORE)))
    if dialect in ("mysql", "mariadb"):
        upsert = mysql.insert(gate)
        return upsert.on_duplicate_key_update({name: upsert.inserted[name] for name in names})
    put = sqlite.insert(gate)
    return put.on_conflict_do_update(gate.primary_key.columns.keys(), set_={name: put.excluded[name] for name in names})


class InboxStatements:
    """Tables of a namespace, and what is asked of them. Immutable."""

    CHANGES = ("status", "attempts", "due_at", "error_type", "error", "stack", "stack_group", "changed_at", "reason")
    """Columns of a case that a run changes."""

    def __init__(self, namespace: str, native: Any) -> None:
        meta = MetaData()
        self._compiler = engine_of(native).dialect
        self.dialect = str(self._compiler.name)
        self.has_days = self.dialect == "postgresql"
        self._of_day = dict[tuple[Prepared, int], Prepared]()
        self._fused = dict[str, Prepared]()  # as many as the application has statements
        self.inbox = tables.inbox(meta, table_name(namespace, INBOX.name))
        self.gate = tables.gate(meta, table_name(namespace, GATE.name))
        self.held = tables.held(meta, table_name(namespace, HELD.name))
        self.started = tables.started(meta, table_name(namespace, STARTED.name))
        self.hospital = tables.hospital(meta, table_name(namespace, HOSPITAL.name))
        self.event = tables.hospital_event(meta, table_name(namespace, HOSPITAL_EVENT.name))
        self.tell = insert(self.event)
        self.now = text(f"SELECT {NOW[self.dialect]}")
        self._of_gates()
        self._of_claims()
        self._of_batches()
        self._of_held_messages()
        self._of_runs()
        self._of_cases()

    def _of_gates(self) -> None:
        g, here = self.gate, key_of(self.gate)
        self.begin_gate = insert_once(self.dialect, g)
        self.look_gate = select(g).where(here)
        self.lock_gate = self.look_gate.with_for_update()
        names = columns_of(Gate(NOTHING_BEFORE))
        self.move_gate = update(g).where(here).values({name: bindparam(f"n_{name}") for name in names})
        at = and_(g.c.epoch == bindparam("p_epoch"), g.c.history == bindparam("p_history"), g.c.n == bindparam("p_n"))
        advance: Any = update(g).where(here, at, g.c.parked == "").values(n=bindparam("n_n"))
        self.advance = Prepared(advance, self._compiler)

    def _of_claims(self) -> None:
        i, g = self.inbox, self.gate
        claimed = select(i.c.print).where(i.c.bucket == bindparam("b_bucket"), _id_of(i))
        self.look_claim = claimed
        claimed = claimed.with_for_update(read=True) if self.dialect in ("mysql", "mariadb") else claimed
        row = {column.name: bindparam(f"b_{column.name}", type_=column.type) for column in i.c}
        claim = insert_once(self.dialect, i).values(row)
        unparked = select(*row.values()).select_from(g).where(key_of(g), g.c.parked == "").with_for_update()
        keyed_claim = insert_once(self.dialect, i).from_select(list(row), unparked)
        self.claimed, self.claim, self.keyed_claim = (
            Prepared(statement, self._compiler) for statement in (claimed, claim, keyed_claim)
        )

    def _of_batches(self) -> None:
        i, g = self.inbox, self.gate
        scope: Any = bindparam("b_scope")
        keys = g.c.key.in_(bindparam("b_keys", expanding=True))
        of_lineage = and_(g.c.scope == scope, g.c.lineage == bindparam("b_lineage"), keys)
        self.lock_gates = select(g).where(of_lineage).order_by(g.c.key).with_for_update()
        buckets = i.c.bucket.in_(bindparam("b_buckets", expanding=True))
        among = and_(i.c.scope == scope, buckets, i.c.id.in_(bindparam("b_ids", expanding=True)))
        self.claims = select(i.c.id, i.c.print).where(among)
        self.put_claims = insert_once(self.dialect, i)
        self.put_gates = _put(self.dialect, g)
        self.claim_many = self.claims_there = self.move_gates = None
        if self.has_days:
            self.claim_many = Prepared(text(_CLAIM_MANY.format(inbox=i.name)), self._compiler)
            self.claims_there = Prepared(text(_CLAIMS_THERE.format(inbox=i.name)), self._compiler)
            self.move_gates = Prepared(text(_MOVE_GATES.format(gate=g.name)), self._compiler)

    def _of_held_messages(self) -> None:
        h, here = self.held, key_of(self.held)
        self.is_held = select(h.c.seq).where(_id_of(h))
        self.held_count = select(func.count()).select_from(h).where(here)
        self.hold = insert(h)
        self.lowest = select(h.c.seq, h.c.id, h.c.body).where(here).order_by(h.c.epoch, h.c.n, h.c.seq).limit(1)
        self.unhold = delete(h).where(h.c.seq == bindparam("b_seq"), h.c.id == bindparam("b_id"))

    def _of_runs(self) -> None:
        s = self.started
        self.begin_start = insert_once(self.dialect, s)
        self.start = update(s).where(_id_of(s)).values(runs=s.c.runs + 1)
        self.unstart = update(s).where(_id_of(s), s.c.runs == bindparam("b_runs")).values(runs=s.c.runs - 1)
        self.runs = select(s.c.runs).where(_id_of(s))

    def _of_cases(self) -> None:
        c = self.hospital
        self.admit = insert_once(self.dialect, c)
        ids: Any = bindparam("b_ids", expanding=True)
        self.look_case = select(c.c.case_id).where(c.c.scope == bindparam("b_scope"), c.c.message_id.in_(ids)).limit(1)
        of_key = and_(key_of(c), c.c.parks == 1)
        self.parking = select(c.c.case_id.label("id"), c.c.reason, c.c.status, c.c.due_at, c.c.attempts).where(of_key)
        is_due = and_(c.c.scope == bindparam("b_scope"), c.c.due_at <= bindparam("b_now"))
        self.due = select(c).where(is_due).order_by(c.c.due_at).limit(bindparam("b_most"))
        this = c.c.case_id == bindparam("b_case")
        self.case = select(c).where(this)
        self.same_run = and_(this, c.c.status == bindparam("b_status"), c.c.attempts == bindparam("b_attempts"))
        changes: dict[str, Any] = {name: bindparam(f"n_{name}") for name in self.CHANGES}
        self.change_case = update(c).where(self.same_run).values(changes)
        self.done_with = update(c).where(of_key, c.c.status.not_in(OPEN)).values(parks=0, due_at=None)
        open_gap = and_(of_key, c.c.reason == "gap", c.c.status.in_(OPEN))
        self.gap_due = update(c).where(open_gap).values(due_at=bindparam("n_due"))
        over: dict[str, Any] = {"status": "discharged", "parks": 0, "due_at": None, "changed_at": bindparam("b_now")}
        self.gap_over = update(c).where(open_gap).values(over)
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


def key_of(table: Table) -> Any:
    """Rows of one key."""
    return and_(*(table.c[name] == bindparam(f"b_{name}") for name in ("scope", "lineage", "key")))


def _id_of(table: Table) -> Any:
    """The row of one message."""
    return and_(*(table.c[name] == bindparam(f"b_{name}") for name in ("scope", "id")))


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
