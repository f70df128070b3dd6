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
from regionkit.messaging.inboxes.rows_async import AsyncInboxRows, HeldRow, Note, Place
from regionkit.messaging.inboxes.rows_sql import InboxStatements, Prepared, columns_of, gate_of, require_taken

__all__ = ["AsyncSqlRows", "asked", "case_of"]


async def asked(native: Any, statement: Prepared, values: Any) -> Any:
    """What a prepared statement gives in the unit's transaction."""
    connection = native if hasattr(native, "exec_driver_sql") else await native.connection()
    return await connection.exec_driver_sql(
        statement.text, statement.values(values), execution_options=Prepared.OPTIONS
    )


class AsyncSqlRows(AsyncInboxRows):
    """The rows, in the transaction of one unit."""

    def __init__(self, native: Any, statements: InboxStatements, cipher: Cipher | None) -> None:
        self._native = native
        self._sql = statements
        self._cipher = cipher

    async def _do(self, statement: Any, values: dict[str, Any]) -> Any:
        return await self._native.execute(statement, values)

    async def _insert(self, statement: Any, values: dict[str, Any]) -> bool:
        """Whether a row went in; False where its key is taken."""
        try:
            return bool((await self._do(statement, values)).rowcount == 1)
        except IntegrityError as error:
            require_taken(error)
            return False

    async def advance(self, place: Place, prev: Number, number: Number) -> bool:
        before = {"p_epoch": prev.epoch, "p_history": prev.history.encode(), "p_n": prev.n, "n_n": number.n}
        moved = await asked(self._native, self._sql.advance, {**_where(place), **before})
        return bool(moved.rowcount == 1)

    async def begin(self, place: Place, gate: Gate) -> bool:
        return await self._insert(self._sql.begin_gate, {**place._asdict(), **columns_of(gate)})

    async def gate(self, place: Place) -> Gate | None:
        row = (await self._do(self._sql.lock_gate, _where(place))).first()
        return None if row is None else gate_of(row)

    async def look(self, place: Place) -> Gate | None:
        row = (await self._do(self._sql.look_gate, _where(place))).first()
        return None if row is None else gate_of(row)

    async def set_gate(self, place: Place, gate: Gate) -> None:
        await self._do(self._sql.move_gate, {**_where(place), **columns_of(gate, "n_")})

    async def hold(self, place: Place, row: HeldRow) -> None:
        values = {"id": row.id, "epoch": row.number.epoch, "n": row.number.n, "held_at": row.held_at}
        await self._do(self._sql.hold, {**place._asdict(), **values, "body": sealed(self._cipher, row.body)})

    async def is_held(self, scope: bytes, id: bytes) -> bool:
        return (await self._do(self._sql.is_held, {"b_scope": scope, "b_id": id})).first() is not None

    async def held_count(self, place: Place, most: int) -> int:
        return int((await self._do(self._sql.held_count, _where(place))).scalar_one())

    async def lowest(self, place: Place) -> HeldMessage | None:
        row = (await self._do(self._sql.lowest, _where(place))).first()
        return None if row is None else HeldMessage(row.seq, bytes(row.id), unsealed(self._cipher, bytes(row.body)))

    async def unhold(self, scope: bytes, held: HeldMessage) -> bool:
        return bool((await self._do(self._sql.unhold, {"b_seq": held.seq, "b_id": held.id})).rowcount == 1)

    async def start(self, scope: bytes, id: bytes, now: float) -> int:
        if await self._insert(self._sql.begin_start, {"scope": scope, "id": id, "runs": 1, "seen_at": now}):
            return 1
        where = {"b_scope": scope, "b_id": id}
        await self._do(self._sql.start, where)
        return int((await self._do(self._sql.runs, where)).scalar_one())

    async def unstart(self, scope: bytes, id: bytes, started: int) -> None:
        await self._do(self._sql.unstart, {"b_scope": scope, "b_id": id, "b_runs": started})

    async def admit(self, case: Case) -> bool:
        return await self._insert(self._sql.admit, {**_columns(case), "body": sealed(self._cipher, case.body)})

    async def case(self, case: Case) -> Case | None:
        row = (await self._do(self._sql.case, {"b_case": case.id})).first()
        return None if row is None else case_of(row, self._cipher)

    async def parking(self, place: Place) -> Sequence[Any]:
        found: Sequence[Any] = (await self._do(self._sql.parking, _where(place))).all()
        return found

    async def change_case(self, case: Case, after: Case) -> bool:
        values = {
            **{"b_case": case.id, "b_status": case.status, "b_attempts": case.attempts},
            **{f"n_{name}": value for name, value in _columns(after).items() if name in InboxStatements.CHANGES},
        }
        return bool((await self._do(self._sql.change_case, values)).rowcount == 1)

    async def gaps_due(self, place: Place, at: float | None) -> None:
        await self._do(self._sql.gap_due, {**_where(place), "n_due": at})

    async def gaps_used(self, place: Place) -> None:
        await self._do(self._sql.gap_used, _where(place))

    async def gaps_over(self, place: Place, now: float) -> None:
        await self._do(self._sql.gap_over, {**_where(place), "b_now": now})

    async def done_with(self, place: Place) -> None:
        await self._do(self._sql.done_with, _where(place))

    async def due(self, scope: bytes, now: float, most: int) -> list[Case]:
        found = await self._do(self._sql.due, {"b_scope": scope, "b_now": now, "b_most": most})
        return [case_of(row, self._cipher) for row in found]

    async def note(self, note: Note) -> None:
        await self._do(self._sql.tell, msgspec.structs.asdict(note))


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
