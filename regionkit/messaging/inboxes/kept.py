# Generated from kept_async.py by scripts/twins.py. Do not edit.
"""What an inbox does with its rows: the promises of `inbox_async` over `rows_async`. Each step is one unit.

| step            | in one unit |
|-----------------|-------------|
| judge           | gate or claim, and what is held, with the effect |
| admit           | claim or gate, the case, `parked` on the gate |
| admit_gap       | `parked` = "gap", the message that waits, the case |
| discharge       | the case is over, with the effect |
| next, take_held | the gate locked, the lowest held message gone and the gate moved, with the effect |
| the last one    | nothing held: `parked` = "", ended cases are done with |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.messaging.case import OPEN, Case, HeldMessage, Key, gap_case
from regionkit.messaging.delivery import ACCEPT_FOR, Gate, Judged, Verdict, begun, judge, judge_claim, moved
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, encode, fingerprint, made_at, stored_id
from regionkit.messaging.inboxes.rows import (
    ClaimRows,
    HeldRow,
    InboxRows,
    Note,
    Place,
    place_of,
    place_of_key,
)
from regionkit.messaging.retention import FOR_EVER, Retention

__all__ = ["KeptInbox", "KeptRows"]

MOST_HELD = 10_000
"""Messages behind one parked key: beyond, they stay in the source, where they are bounded too."""
SWEPT_AT_ONCE = 1000
"""Rows taken away in one unit: no other one waits long for it."""
_APPLY = Judged(Verdict.APPLY)
_change = msgspec.structs.replace


class KeptRows(ABC):
    """Gates, held messages and cases in one store, beside its claims."""

    gates = True
    retention = Retention()

    @abstractmethod
    def rows(self, unit: Any) -> InboxRows:
        """The rows, in a unit."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the store's clock."""

    @abstractmethod
    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit."""

    @abstractmethod
    def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        """By the claim of a message alone."""

    def judge(self, unit: Any, scope: bytes, envelope: Envelope, *, ordered: bool) -> Judged:
        """What is to be done, by gate or claim; what it says stands in the unit's transaction."""
        number, prev = envelope.number, envelope.prev
        if not ordered or envelope.key is None:
            return Judged(self._claim(unit, scope, envelope))
        if number is None:
            return self._by_lock(unit, scope, envelope)
        rows, place = self.rows(unit), place_of(scope, envelope)
        if prev.history == number.history:
            if rows.advance(place, prev, number):
                return _APPLY
        elif prev == NOTHING_BEFORE and rows.begin(place, Gate(number)):
            return _APPLY
        gate = rows.gate(place)
        judged = judge(gate, number, prev)
        if judged.verdict is Verdict.APPLY:
            after = moved(gate, number)
            if gate is not None:
                rows.set_gate(place, after)
            elif not rows.begin(place, after):
                return Judged(Verdict.BUSY)  # another one began it just now: it is looked at again
            if judged.closes:
                rows.gaps_due(place, self.now())
        elif judged.verdict is Verdict.HELD:
            return Judged(self._hold(rows, place, envelope))
        return judged

    def _by_lock(self, unit: Any, scope: bytes, envelope: Envelope) -> Judged:
        """Of a key that is kept in order and that nobody numbers: its gate is locked."""
        rows, place = self.rows(unit), place_of(scope, envelope)
        gate = rows.gate(place)
        if gate is None:
            rows.begin(place, Gate(NOTHING_BEFORE))
            gate = rows.gate(place)
        verdict = self._claim(unit, scope, envelope)
        if verdict is Verdict.APPLY and gate is not None and gate.parked:
            verdict = self._hold(rows, place, envelope)
        return Judged(verdict)

    def _hold(self, rows: InboxRows, place: Place, envelope: Envelope) -> Verdict:
        id = stored_id(envelope.id)
        if rows.is_held(place.scope, id):
            return Verdict.DUPLICATE
        if rows.held_count(place, MOST_HELD) >= MOST_HELD:
            return Verdict.BUSY
        number = envelope.number or NOTHING_BEFORE
        rows.hold(place, HeldRow(place.scope, id, number, encode(envelope), self.now()))
        return Verdict.HELD

    def start(self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool) -> int:
        """A run of a suspect begins, committed before it does. Which one it is, from 1; 0: it would not be applied now."""
        with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            if ordered and envelope.key is not None and envelope.number is not None:
                gate = rows.look(place_of(scope, envelope))
                if judge(gate, envelope.number, envelope.prev).verdict is not Verdict.APPLY:
                    return 0
            return rows.start(scope, stored_id(envelope.id), self.now())

    def unstart(self, scope: bytes, envelope: Envelope, started: int, deadline: Deadline) -> None:
        """A run that was started did not begin: it counts no longer, where it is the last one."""
        with self.unit(deadline, core=True) as unit:
            self.rows(unit).unstart(scope, stored_id(envelope.id), started)

    def admit(
        self, scope: bytes, case: Case, envelope: Envelope | None, deadline: Deadline, *, ordered: bool
    ) -> Judged:
        """Claim or gate, case, and parking in one unit; what else than APPLY comes back has become of the message meanwhile."""
        with self.unit(deadline, core=True) as unit:
            if envelope is not None:
                judged = self.judge(unit, scope, envelope, ordered=ordered)
                if judged.verdict is not Verdict.APPLY:
                    return judged
            rows = self.rows(unit)
            self._admit(rows, case, aside=envelope is None)
            if case.parks and envelope is not None:
                self._park(rows, place_of(scope, envelope), "case")
        return _APPLY

    def _admit(self, rows: InboxRows, case: Case, *, aside: bool = False) -> None:
        there = rows.admit(case)
        if not there and not aside:  # its message has a case that is over: this is another one
            there = rows.admit(_change(case, message_id=b"again:" + case.id.encode()))
        if there:
            self._note(rows, case.id, "admitted", case.reason)

    def _note(self, rows: InboxRows, case_id: str, what: str, reason: str) -> None:
        """A line of the audit trail, in the unit's transaction."""
        rows.note(Note(case_id, self.now(), "consumer", what, reason))

    def _park(self, rows: InboxRows, place: Place, how: Any) -> None:
        gate = rows.gate(place)
        if gate is not None:
            rows.set_gate(place, _change(gate, parked=how))

    def admit_gap(self, scope: bytes, case: Case, envelope: Envelope, deadline: Deadline) -> Judged:
        """Park a key before a gap, with the message that waits behind it; what else than HELD comes back has closed it."""
        place = place_of(scope, envelope)
        assert envelope.number is not None
        with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            gate = rows.gate(place)
            judged = judge(gate, envelope.number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if gate is None and not rows.begin(place, Gate(NOTHING_BEFORE, parked="gap")):
                    return Judged(Verdict.BUSY)
                self._park(rows, place, "gap")
                never = gate is None or gate.at == NOTHING_BEFORE
                self._admit(rows, case if never else _change(case, due_at=None))
            elif judged.verdict is not Verdict.HELD:
                return judged
            return Judged(self._hold(rows, place, envelope))

    def due(self, scope: bytes, most: int, deadline: Deadline) -> list[Case]:
        """Cases to run, and ended ones whose key has not gone on."""
        with self.unit(deadline, core=True) as unit:
            return self.rows(unit).due(scope, self.now(), most)

    def begin_treatment(self, case: Case, until: float, deadline: Deadline) -> Case | None:
        """Start the next run of a case, committed before it runs; None where another one has.

        The case as it stands then: it may have been edited since it was found to be due.
        """
        started = _change(case, status="treating", attempts=case.attempts + 1, due_at=until, changed_at=self.now())
        with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            return rows.case(case) if rows.change_case(case, started) else None

    def discharge(self, unit: Any, case: Case) -> bool:
        """In the unit of the effect: this run has applied it. False where the case is another run's by now."""
        rows, now = self.rows(unit), self.now()
        over = _change(case, status="discharged", due_at=now if case.parks else None, changed_at=now)
        if not rows.change_case(case, over):
            return False
        self._note(rows, case.id, "discharged", f"run {case.attempts}")
        return True

    def end_treatment(self, case: Case, after: Case, deadline: Deadline) -> bool:
        """A run has failed: the case as it stands after it. False where it is another run's by now."""
        with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            changed = rows.change_case(case, after)
            if changed and after.status == "admitted":
                self._note(rows, case.id, "given up", f"run {case.attempts}: {after.error.type}")
            return changed

    def next_held(self, unit: Any, scope: bytes, key: Key) -> HeldMessage | None:
        """The lowest of a key's held messages, its gate locked; None where the key is not to go on, or has no more."""
        rows, place = self.rows(unit), place_of_key(scope, key)
        gate = rows.gate(place)
        parking = rows.parking(place)
        if any(case.reason != "gap" and case.status in OPEN for case in parking):
            return None
        held = rows.lowest(place)
        if held is not None:
            return held
        if gate is not None and gate.parked:
            rows.set_gate(place, _change(gate, parked=""))
        for gap in (case for case in parking if case.status in OPEN):
            self._note(rows, gap.id, "discharged", "its key has gone on")
        rows.gaps_over(place, self.now())
        rows.done_with(place)
        return None

    def take_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope) -> Judged:
        """What is to be done with it. APPLY: its row goes, and the gate moves, in the unit's transaction; GAP: the key waits.

        BUSY: it is not held any more; another process has let it go on.
        """
        rows, place, judged, number = self.rows(unit), place_of(scope, envelope), _APPLY, envelope.number
        gate = rows.gate(place)
        assert gate is not None, "a key with held messages has a gate"
        if number is not None:
            judged = judge(_change(gate, parked=""), number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if not self._given_up(rows, place, gate):
                    self._gap_again(rows, place, gate, envelope, held)
                    return judged
                judged = Judged(Verdict.APPLY, began=True)
        if not rows.unhold(scope, held):
            return Judged(Verdict.BUSY)
        if number is not None and judged.verdict is Verdict.APPLY:
            if judged.began:
                rows.gaps_used(place)  # the next gap is another one
            rows.set_gate(place, begun(gate, number) if judged.began else moved(gate, number))
        return judged

    def _given_up(self, rows: InboxRows, place: Place, gate: Gate) -> bool:
        """Whether what is missing is not waited for any more: somebody has buried the case, or the key never began."""
        never, now = gate.at == NOTHING_BEFORE, self.now()
        gaps = [case for case in rows.parking(place) if case.reason == "gap"]
        return any(
            (case.status == "buried" and not case.attempts)
            or (never and case.due_at is not None and case.due_at <= now)
            for case in gaps
        )

    def _gap_again(self, rows: InboxRows, place: Place, gate: Gate, envelope: Envelope, held: HeldMessage) -> None:
        """Behind what was released there is a gap: the key waits for it."""
        rows.set_gate(place, _change(gate, parked="gap"))
        if not any(case.reason == "gap" and case.status in OPEN for case in rows.parking(place)):
            self._admit(rows, gap_case(place.scope, envelope, held.body, self.now(), 0.0))
        rows.gaps_due(place, None)
        rows.done_with(place)

    def park_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope, case: Case) -> None:
        """It could not be applied: a case takes its place, and the key waits for it."""
        judged = self.take_held(unit, scope, held, envelope)
        if judged.verdict not in (Verdict.APPLY, Verdict.OVERTAKEN):
            return
        rows, place = self.rows(unit), place_of(scope, envelope)
        if case.parks:  # else those that let the key go on are not done with it
            rows.done_with(place)
            rows.gaps_due(place, None)
            self._park(rows, place, "case")
        self._admit(rows, case, aside=judged.verdict is not Verdict.APPLY and case.message_id != held.id)


class KeptInbox(KeptRows):
    """With the claims of a store that is no SQL database. Safe to share between threads (tasks of one loop)."""

    @abstractmethod
    def rows(self, unit: Any) -> ClaimRows:
        """The rows, in a unit."""

    def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        mark = fingerprint(envelope)
        foreign = made_at(envelope.id) is None
        there = self.rows(unit).claim(scope, stored_id(envelope.id), mark, self.now(), foreign=foreign)
        return judge_claim(there, mark)

    def prepare(self, accept_for: float, deadline: Deadline) -> None:  # nothing to do, nothing to forget
        """Claims need no place made for them."""

    def sweep(self, retention: Retention, deadline: Deadline) -> bool:
        """Take away rows that no copy can ask for any more, a few; whether there may be more."""
        now = self.now()
        before = now - retention.keeps(ACCEPT_FOR)
        foreign = None if retention.foreign == FOR_EVER else now - retention.foreign
        with self.unit(deadline, core=True) as unit:
            return self.rows(unit).forget(before, foreign, SWEPT_AT_ONCE) >= SWEPT_AT_ONCE
