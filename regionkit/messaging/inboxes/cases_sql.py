# Generated from cases_sql_async.py by scripts/twins.py. Do not edit.
"""The rows of a SQL inbox in one unit: gates, held messages, runs and cases. Its claims are `sql_async`'s own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from regionkit.messaging.case import Case, Failed, HeldMessage
from regionkit.messaging.cipher import Cipher, sealed, unsealed
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import Number
from regionkit.messaging.inboxes.rows import HeldRow, InboxRows, Note, Place
from regionkit.messaging.inboxes.rows_sql import InboxStatements, Prepared, columns_of, gate_of, require_taken

__all__ = ["SqlRows", "asked", "case_of"]


def asked(native: Any, statement: Prepared, values: Any) -> Any:
    """What a prepared statement gives in the unit's transaction."""
    connection = native if hasattr(native, "exec_driver_sql") else native.connection()
    return connection.exec_driver_sql(statement.text, statement.values(values), execution_options=Prepared.OPTIONS)


class SqlRows(InboxRows):
    """The rows, in the transaction of one unit."""

    def __init__(self, native: Any, statements: InboxStatements, cipher: Cipher | None) -> None:
        self._native = native
        self._sql = statements
        self._cipher = cipher

    def _do(self, statement: Any, values: dict[str, Any]) -> Any:
        return self._native.execute(statement, values)

    def _insert(self, statement: Any, values: dict[str, Any]) -> bool:
        """Whether a row went in; False where its key is taken."""
        try:
            return bool((self._do(statement, values)).rowcount == 1)
        except IntegrityError as error:
            require_taken(error)
            return False

    def advance(self, place: Place, prev: Number, number: Number) -> bool:
        before = {"p_epoch": prev.epoch, "p_history": prev.history.encode(), "p_n": prev.n, "n_n": number.n}
        moved = asked(self._native, self._sql.advance, {**_where(place), **before})
        return bool(moved.rowcount == 1)

    def begin(self, place: Place, gate: Gate) -> bool:
        return self._insert(self._sql.begin_gate, {**place._asdict(), **columns_of(gate)})

    def gate(self, place: Place) -> Gate | None:
        row = (self._do(self._sql.lock_gate, _where(place))).first()
        return None if row is None else gate_of(row)

    def look(self, place: Place) -> Gate | None:
        row = (self._do(self._sql.look_gate, _where(place))).first()
        return None if row is None else gate_of(row)

    def set_gate(self, place: Place, gate: Gate) -> None:
        self._do(self._sql.move_gate, {**_where(place), **columns_of(gate, "n_")})

    def hold(self, place: Place, row: HeldRow) -> None:
        values = {"id": row.id, "epoch": row.number.epoch, "n": row.number.n, "held_at": row.held_at}
        self._do(self._sql.hold, {**place._asdict(), **values, "body": sealed(self._cipher, row.body)})

    def is_held(self, scope: bytes, id: bytes) -> bool:
        return (self._do(self._sql.is_held, {"b_scope": scope, "b_id": id})).first() is not None

    def held_count(self, place: Place, most: int) -> int:
        return int((self._do(self._sql.held_count, _where(place))).scalar_one())

    def lowest(self, place: Place) -> HeldMessage | None:
        row = (self._do(self._sql.lowest, _where(place))).first()
        return None if row is None else HeldMessage(row.seq, bytes(row.id), unsealed(self._cipher, bytes(row.body)))

    def unhold(self, scope: bytes, held: HeldMessage) -> bool:
        return bool((self._do(self._sql.unhold, {"b_seq": held.seq, "b_id": held.id})).rowcount == 1)

    def start(self, scope: bytes, id: bytes, now: float) -> int:
        if self._insert(self._sql.begin_start, {"scope": scope, "id": id, "runs": 1, "seen_at": now}):
            return 1
        where = {"b_scope": scope, "b_id": id}
        self._do(self._sql.start, where)
        return int((self._do(self._sql.runs, where)).scalar_one())

    def unstart(self, scope: bytes, id: bytes, started: int) -> None:
        self._do(self._sql.unstart, {"b_scope": scope, "b_id": id, "b_runs": started})

    def admit(self, case: Case) -> bool:
        return self._insert(self._sql.admit, {**_columns(case), "body": sealed(self._cipher, case.body)})

    def case(self, case: Case) -> Case | None:
        row = (self._do(self._sql.case, {"b_case": case.id})).first()
        return None if row is None else case_of(row, self._cipher)

    def parking(self, place: Place) -> Sequence[Any]:
        found: Sequence[Any] = (self._do(self._sql.parking, _where(place))).all()
        return found

    def change_case(self, case: Case, after: Case) -> bool:
        values = {
            **{"b_case": case.id, "b_status": case.status, "b_attempts": case.attempts},
            **{f"n_{name}": value for name, value in _columns(after).items() if name in InboxStatements.CHANGES},
        }
        return bool((self._do(self._sql.change_case, values)).rowcount == 1)

    def gaps_due(self, place: Place, at: float | None) -> None:
        self._do(self._sql.gap_due, {**_where(place), "n_due": at})

    def gaps_used(self, place: Place) -> None:
        self._do(self._sql.gap_used, _where(place))

    def gaps_over(self, place: Place, now: float) -> None:
        self._do(self._sql.gap_over, {**_where(place), "b_now": now})

    def done_with(self, place: Place) -> None:
        self._do(self._sql.done_with, _where(place))

    def due(self, scope: bytes, now: float, most: int) -> list[Case]:
        found = self._do(self._sql.due, {"b_scope": scope, "b_now": now, "b_most": most})
        return [case_of(row, self._cipher) for row in found]

    def note(self, note: Note) -> None:
        self._do(self._sql.tell, msgspec.structs.asdict(note))


def _where(place: Place) -> dict[str, Any]:
    return {"b_scope": place.scope, "b_lineage": place.lineage, "b_key": place.key}


_PLAIN = ("status", "reason", "type", "lineage", "key", "attempts", "due_at", "region", "source", "position", "body")


def _columns(case: Case) -> dict[str, Any]:
    return {
        **{name: getattr(case, name) for name in (*_PLAIN, "scope", "message_id", "admitted_at", "changed_at")},
        "case_id": case.id,
        "parks": int(case.parks),
        "error_type": case.error.type,
        "error": case.error.text,
        "stack": case.error.stack,
        "stack_group": case.error.group,
    }


def case_of(row: Any, cipher: Cipher | None = None) -> Case:
    """A case as its row has it."""
    return Case(
        id=row.case_id,
        scope=bytes(row.scope),
        message_id=bytes(row.message_id),
        status=row.status,
        reason=row.reason,
        type=row.type,
        lineage=bytes(row.lineage),
        key=None if row.key is None else bytes(row.key),
        parks=bool(row.parks),
        attempts=row.attempts,
        due_at=row.due_at,
        error=Failed(row.error_type, row.error, row.stack, row.stack_group),
        region=row.region,
        source=row.source,
        position=row.position,
        body=unsealed(cipher, bytes(row.body)),
        admitted_at=row.admitted_at,
        changed_at=row.changed_at,
    )
