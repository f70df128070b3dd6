# Generated from cases_sql_async.py by scripts/twins.py. Do not edit.
"""Cases, held messages and parked keys of a SQL inbox. Each step is one transaction; the gate's row is the lock of its key.

| step            | in one transaction |
|-----------------|--------------------|
| admit           | claim or gate, the case, `parked` on the gate |
| admit_gap       | `parked` = "gap", the message that waits into `held`, the case |
| begin_treatment | the number of the run |
| discharge       | the case is over, with the effect |
| next, take_held | the gate locked, the lowest held message, its row gone and the gate moved, with the effect |
| the last one    | nothing held: `parked` = "", ended cases are done with |
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import msgspec

from regionkit.contract.backing import Backing
from regionkit.core.deadline import Deadline
from regionkit.messaging.case import OPEN, Case, Failed, HeldMessage, Key, gap_case
from regionkit.messaging.cipher import Cipher, sealed, unsealed
from regionkit.messaging.delivery import Gate, Judged, Verdict, begun, judge, moved
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope
from regionkit.messaging.inboxes.rows_sql import InboxRows, columns_of, gate_key, key_of

__all__ = ["SqlCases"]

_APPLY = Judged(Verdict.APPLY)


class SqlCases:
    """What a SQL inbox does for the hospital."""

    backing: Backing
    cipher: Cipher | None

    @abstractmethod
    def rows_for(self, unit: Any) -> InboxRows:
        """The statements of its dialect."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""

    @abstractmethod
    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit."""

    @abstractmethod
    def judge(self, unit: Any, scope: bytes, envelope: Envelope, *, ordered: bool) -> Judged:
        """By gate or claim."""

    @abstractmethod
    def hold(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        """Put a message behind its key."""

    @abstractmethod
    def locked_gate(self, native: Any, rows: InboxRows, where: dict[str, Any]) -> Gate | None:
        """The gate, locked."""

    @abstractmethod
    def begin(self, unit: Any, where: dict[str, Any], gate: Gate) -> bool:
        """Whether the gate of a key was made."""

    @abstractmethod
    def insert(self, native: Any, statement: Any, values: dict[str, Any]) -> bool:
        """Whether a row went in."""

    def admit(
        self, scope: bytes, case: Case, envelope: Envelope | None, deadline: Deadline, *, ordered: bool
    ) -> Judged:
        """Claim or gate, case, and parking in one unit; what else than APPLY comes back has become of the message meanwhile."""
        with self.unit(deadline, core=True) as unit:
            if envelope is not None:
                judged = self.judge(unit, scope, envelope, ordered=ordered)
                if judged.verdict is not Verdict.APPLY:
                    return judged
            self._admit(unit, case, always=envelope is not None)
            if case.parks and envelope is not None:
                self._park(unit, gate_key(scope, envelope), "case")
        return _APPLY

    def _admit(self, unit: Any, case: Case, *, always: bool = False) -> None:
        """`always`: it takes a message's place; where an older case has its name, it has one of its own."""
        rows = self.rows_for(unit)
        row = {**_columns(case), "body": sealed(self.cipher, case.body)}
        made = self.insert(unit.native, rows.admit, row)
        if not made and always:
            made = self.insert(unit.native, rows.admit, {**row, "message_id": b"again:" + case.id.encode()})
        if made:
            self.note(unit, case.id, "admitted", case.reason)

    def note(self, unit: Any, case_id: str, what: str, reason: str, who: str = "consumer") -> None:
        """A line of the audit trail, in the unit's transaction."""
        event = {"case_id": case_id, "at": self.now(), "who": who, "what": what, "reason": reason}
        unit.native.execute(self.rows_for(unit).tell, event)

    def _park(self, unit: Any, where: dict[str, Any], how: str) -> None:
        unit.native.execute(self.rows_for(unit).park, {**where, "n_parked": how})

    def admit_gap(self, scope: bytes, case: Case, envelope: Envelope, deadline: Deadline) -> Judged:
        """Park a key before a gap, with the message that waits behind it; what else than HELD comes back has closed it."""
        where = gate_key(scope, envelope)
        assert envelope.number is not None
        with self.unit(deadline, core=True) as unit:
            gate = self.locked_gate(unit.native, self.rows_for(unit), where)
            judged = judge(gate, envelope.number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if gate is None and not self.begin(unit, where, Gate(NOTHING_BEFORE, parked="gap")):
                    return Judged(Verdict.BUSY)
                self._park(unit, where, "gap")
                never = gate is None or gate.at == NOTHING_BEFORE
                self._admit(unit, case if never else msgspec.structs.replace(case, due_at=None))
            elif judged.verdict is not Verdict.HELD:
                return judged
            return Judged(self.hold(unit, scope, envelope))

    def due(self, scope: bytes, most: int, deadline: Deadline) -> list[Case]:
        """Cases to run, and ended ones whose key has not gone on."""
        with self.unit(deadline, core=True) as unit:
            asked = {"b_scope": scope, "b_now": self.now(), "b_most": most}
            return [case_of(row, self.cipher) for row in unit.native.execute(self.rows_for(unit).due, asked)]

    def begin_treatment(self, case: Case, until: float, deadline: Deadline) -> Case | None:
        """Start the next run of a case, committed before it runs; None where another one has.

        The case as it stands then: it may have been edited since it was found to be due.
        """
        started = msgspec.structs.replace(
            case, status="treating", attempts=case.attempts + 1, due_at=until, changed_at=self.now()
        )
        with self.unit(deadline, core=True) as unit:
            if not self._change(unit, case, started):
                return None
            row = (unit.native.execute(self.rows_for(unit).case, {"b_case": case.id})).one()
            return case_of(row, self.cipher)

    def discharge(self, unit: Any, case: Case) -> bool:
        """In the unit of the effect: this run has applied it. False where the case is another run's by now."""
        now = self.now()
        over = msgspec.structs.replace(case, status="discharged", due_at=now if case.parks else None, changed_at=now)
        if not self._change(unit, case, over):
            return False
        self.note(unit, case.id, "discharged", f"run {case.attempts}")
        return True

    def end_treatment(self, case: Case, after: Case, deadline: Deadline) -> bool:
        """A run has failed: the case as it stands after it. False where it is another run's by now."""
        with self.unit(deadline, core=True) as unit:
            changed = self._change(unit, case, after)
            if changed and after.status == "admitted":
                self.note(unit, case.id, "given up", f"run {case.attempts}: {after.error.type}")
            return changed

    def _change(self, unit: Any, case: Case, after: Case) -> bool:
        values = {
            **{"b_case": case.id, "b_status": case.status, "b_attempts": case.attempts},
            **{f"n_{name}": value for name, value in _columns(after).items() if name in InboxRows.CHANGES},
        }
        return bool((unit.native.execute(self.rows_for(unit).change_case, values)).rowcount == 1)

    def next_held(self, unit: Any, scope: bytes, key: Key) -> HeldMessage | None:
        """The lowest of a key's held messages, its gate locked; None where the key is not to go on, or has no more."""
        native, rows, where = unit.native, self.rows_for(unit), key_of(scope, key)
        gate = self.locked_gate(native, rows, where)
        parking = (native.execute(rows.parking, where)).all()
        if any(row.reason != "gap" and row.status in OPEN for row in parking):
            return None
        row = (native.execute(rows.lowest, where)).first()
        if row is not None:
            return HeldMessage(row.seq, bytes(row.id), unsealed(self.cipher, bytes(row.body)))
        if gate is not None and gate.parked:
            self._park(unit, where, "")
        for gap in (row for row in parking if row.status in OPEN):
            self.note(unit, gap.case_id, "discharged", "its key has gone on")
        native.execute(rows.gap_over, {**where, "b_now": self.now()})
        native.execute(rows.done_with, where)
        return None

    def take_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope) -> Judged:
        """What is to be done with it. APPLY: its row goes, and the gate moves, in the unit's transaction; GAP: the key waits.

        BUSY: it is not held any more; another process has let it go on.
        """
        native, rows, where = unit.native, self.rows_for(unit), gate_key(scope, envelope)
        judged, number = _APPLY, envelope.number
        gate = self.locked_gate(native, rows, where)
        assert gate is not None, "a key with held messages has a gate"
        if number is not None:
            judged = judge(msgspec.structs.replace(gate, parked=""), number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if not self._given_up(unit, where, gate):
                    self._gap_again(unit, scope, where, envelope, held)
                    return judged
                judged = Judged(Verdict.APPLY, began=True)
        if (native.execute(rows.unhold, {"b_seq": held.seq, "b_id": held.id})).rowcount != 1:
            return Judged(Verdict.BUSY)
        if number is not None and judged.verdict is Verdict.APPLY:
            if judged.began:
                native.execute(rows.gap_used, where)  # the next gap is another one
            after = begun(gate, number) if judged.began else moved(gate, number)
            native.execute(rows.move_gate, {**where, **columns_of(after, "n_")})
        return judged

    def _given_up(self, unit: Any, where: dict[str, Any], gate: Gate) -> bool:
        """Whether what is missing is not waited for any more: somebody has buried the case, or the key never began."""
        never, now = gate.at == NOTHING_BEFORE, self.now()
        gaps = [row for row in unit.native.execute(self.rows_for(unit).parking, where) if row.reason == "gap"]
        return any(
            (row.status == "buried" and not row.attempts) or (never and row.due_at is not None and row.due_at <= now)
            for row in gaps
        )

    def _gap_again(self, unit: Any, scope: bytes, where: dict[str, Any], envelope: Envelope, held: HeldMessage) -> None:
        """Behind what was released there is a gap: the key waits for it."""
        native, rows = unit.native, self.rows_for(unit)
        self._park(unit, where, "gap")
        parking = (native.execute(rows.parking, where)).all()
        if not any(row.reason == "gap" and row.status in OPEN for row in parking):
            self._admit(unit, gap_case(scope, envelope, held.body, self.now(), 0.0))
        native.execute(rows.gap_due, {**where, "n_due": None})
        native.execute(rows.done_with, where)

    def park_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope, case: Case) -> None:
        """It could not be applied: a case takes its place, and the key waits for it."""
        judged = self.take_held(unit, scope, held, envelope)
        if judged.verdict not in (Verdict.APPLY, Verdict.OVERTAKEN):
            return
        where = gate_key(scope, envelope)
        if case.parks:  # else those that let the key go on are not done with it
            unit.native.execute(self.rows_for(unit).done_with, where)
            unit.native.execute(self.rows_for(unit).gap_due, {**where, "n_due": None})
            self._park(unit, where, "case")
        self._admit(unit, case, always=judged.verdict is Verdict.APPLY)


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
