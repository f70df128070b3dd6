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
from regionkit.messaging.inboxes.rows_async import (
    AsyncClaimRows,
    AsyncInboxRows,
    HeldRow,
    Note,
    Place,
    place_of,
    place_of_key,
)
from regionkit.messaging.retention import FOR_EVER, Retention

__all__ = ["AsyncKeptInbox", "AsyncKeptRows"]

MOST_HELD = 10_000
"""Messages behind one parked key: beyond, they stay in the source, where they are bounded too."""
SWEPT_AT_ONCE = 1000
"""Rows taken away in one unit: no other one waits long for it."""
_APPLY = Judged(Verdict.APPLY)
_change = msgspec.structs.replace


class AsyncKeptRows(ABC):
    """Gates, held messages and cases in one store, beside its claims."""

    gates = True
    retention = Retention()

    @abstractmethod
    def rows(self, unit: Any) -> AsyncInboxRows:
        """The rows, in a unit."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the store's clock."""

    @abstractmethod
    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit."""

    @abstractmethod
    async def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        """By the claim of a message alone."""

    async def judge(self, unit: Any, scope: bytes, envelope: Envelope, *, ordered: bool) -> Judged:
        """What is to be done, by gate or claim; what it says stands in the unit's transaction."""
        number, prev = envelope.number, envelope.prev
        if not ordered or envelope.key is None:
            return Judged(await self._claim(unit, scope, envelope))
        if number is None:
            return await self._by_lock(unit, scope, envelope)
        rows, place = self.rows(unit), place_of(scope, envelope)
        if prev.history == number.history:
            if await rows.advance(place, prev, number):
                return _APPLY
        elif prev == NOTHING_BEFORE and await rows.begin(place, Gate(number)):
            return _APPLY
        gate = await rows.gate(place)
        judged = judge(gate, number, prev)
        if judged.verdict is Verdict.APPLY:
            after = moved(gate, number)
            if gate is not None:
                await rows.set_gate(place, after)
            elif not await rows.begin(place, after):
                return Judged(Verdict.BUSY)  # another one began it just now: it is looked at again
            if judged.closes:
                await rows.gaps_due(place, self.now())
        elif judged.verdict is Verdict.HELD:
            return Judged(await self._hold(rows, place, envelope))
        return judged

    async def _by_lock(self, unit: Any, scope: bytes, envelope: Envelope) -> Judged:
        """Of a key that is kept in order and that nobody numbers: its gate is locked."""
        rows, place = self.rows(unit), place_of(scope, envelope)
        gate = await rows.gate(place)
        if gate is None:
            await rows.begin(place, Gate(NOTHING_BEFORE))
            gate = await rows.gate(place)
        verdict = await self._claim(unit, scope, envelope)
        if verdict is Verdict.APPLY and gate is not None and gate.parked:
            verdict = await self._hold(rows, place, envelope)
        return Judged(verdict)

    async def _hold(self, rows: AsyncInboxRows, place: Place, envelope: Envelope) -> Verdict:
        id = stored_id(envelope.id)
        if await rows.is_held(place.scope, id):
            return Verdict.DUPLICATE
        if await rows.held_count(place, MOST_HELD) >= MOST_HELD:
            return Verdict.BUSY
        number = envelope.number or NOTHING_BEFORE
        await rows.hold(place, HeldRow(place.scope, id, number, encode(envelope), self.now()))
        return Verdict.HELD

    async def start(self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool) -> int:
        """A run of a suspect begins, committed before it does. Which one it is, from 1; 0: it would not be applied now."""
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            if ordered and envelope.key is not None and envelope.number is not None:
                gate = await rows.look(place_of(scope, envelope))
                if judge(gate, envelope.number, envelope.prev).verdict is not Verdict.APPLY:
                    return 0
            return await rows.start(scope, stored_id(envelope.id), self.now())

    async def unstart(self, scope: bytes, envelope: Envelope, started: int, deadline: Deadline) -> None:
        """A run that was started did not begin: it counts no longer, where it is the last one."""
        async with self.unit(deadline, core=True) as unit:
            await self.rows(unit).unstart(scope, stored_id(envelope.id), started)

    async def admit(
        self, scope: bytes, case: Case, envelope: Envelope | None, deadline: Deadline, *, ordered: bool
    ) -> Judged:
        """Claim or gate, case, and parking in one unit; what else than APPLY comes back has become of the message meanwhile."""
        async with self.unit(deadline, core=True) as unit:
            if envelope is not None:
                judged = await self.judge(unit, scope, envelope, ordered=ordered)
                if judged.verdict is not Verdict.APPLY:
                    return judged
            rows = self.rows(unit)
            await self._admit(rows, case, aside=envelope is None)
            if case.parks and envelope is not None:
                await self._park(rows, place_of(scope, envelope), "case")
        return _APPLY

    async def _admit(self, rows: AsyncInboxRows, case: Case, *, aside: bool = False) -> None:
        there = await rows.admit(case)
        if not there and not aside:  # its message has a case that is over: this is another one
            there = await rows.admit(_change(case, message_id=b"again:" + case.id.encode()))
        if there:
            await self._note(rows, case.id, "admitted", case.reason)

    async def _note(self, rows: AsyncInboxRows, case_id: str, what: str, reason: str) -> None:
        """A line of the audit trail, in the unit's transaction."""
        await rows.note(Note(case_id, self.now(), "consumer", what, reason))

    async def _park(self, rows: AsyncInboxRows, place: Place, how: Any) -> None:
        gate = await rows.gate(place)
        if gate is not None:
            await rows.set_gate(place, _change(gate, parked=how))

    async def admit_gap(self, scope: bytes, case: Case, envelope: Envelope, deadline: Deadline) -> Judged:
        """Park a key before a gap, with the message that waits behind it; what else than HELD comes back has closed it."""
        place = place_of(scope, envelope)
        assert envelope.number is not None
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            gate = await rows.gate(place)
            judged = judge(gate, envelope.number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if gate is None and not await rows.begin(place, Gate(NOTHING_BEFORE, parked="gap")):
                    return Judged(Verdict.BUSY)
                await self._park(rows, place, "gap")
                never = gate is None or gate.at == NOTHING_BEFORE
                await self._admit(rows, case if never else _change(case, due_at=None))
            elif judged.verdict is not Verdict.HELD:
                return judged
            return Judged(await self._hold(rows, place, envelope))

    async def due(self, scope: bytes, most: int, deadline: Deadline) -> list[Case]:
        """Cases to run, and ended ones whose key has not gone on."""
        async with self.unit(deadline, core=True) as unit:
            return await self.rows(unit).due(scope, self.now(), most)

    async def begin_treatment(self, case: Case, until: float, deadline: Deadline) -> Case | None:
        """Start the next run of a case, committed before it runs; None where another one has.

        The case as it stands then: it may have been edited since it was found to be due.
        """
        started = _change(case, status="treating", attempts=case.attempts + 1, due_at=until, changed_at=self.now())
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            return await rows.case(case) if await rows.change_case(case, started) else None

    async def discharge(self, unit: Any, case: Case) -> bool:
        """In the unit of the effect: this run has applied it. False where the case is another run's by now."""
        rows, now = self.rows(unit), self.now()
        over = _change(case, status="discharged", due_at=now if case.parks else None, changed_at=now)
        if not await rows.change_case(case, over):
            return False
        await self._note(rows, case.id, "discharged", f"run {case.attempts}")
        return True

    async def end_treatment(self, case: Case, after: Case, deadline: Deadline) -> bool:
        """A run has failed: the case as it stands after it. False where it is another run's by now."""
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows(unit)
            changed = await rows.change_case(case, after)
            if changed and after.status == "admitted":
                await self._note(rows, case.id, "given up", f"run {case.attempts}: {after.error.type}")
            return changed

    async def next_held(self, unit: Any, scope: bytes, key: Key) -> HeldMessage | None:
        """The lowest of a key's held messages, its gate locked; None where the key is not to go on, or has no more."""
        rows, place = self.rows(unit), place_of_key(scope, key)
        gate = await rows.gate(place)
        parking = await rows.parking(place)
        if any(case.reason != "gap" and case.status in OPEN for case in parking):
            return None
        held = await rows.lowest(place)
        if held is not None:
            return held
        if gate is not None and gate.parked:
            await rows.set_gate(place, _change(gate, parked=""))
        for gap in (case for case in parking if case.status in OPEN):
            await self._note(rows, gap.id, "discharged", "its key has gone on")
        await rows.gaps_over(place, self.now())
        await rows.done_with(place)
        return None

    async def take_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope) -> Judged:
        """What is to be done with it. APPLY: its row goes, and the gate moves, in the unit's transaction; GAP: the key waits.

        BUSY: it is not held any more; another process has let it go on.
        """
        rows, place, judged, number = self.rows(unit), place_of(scope, envelope), _APPLY, envelope.number
        gate = await rows.gate(place)
        assert gate is not None, "a key with held messages has a gate"
        if number is not None:
            judged = judge(_change(gate, parked=""), number, envelope.prev)
            if judged.verdict is Verdict.GAP:
                if not await self._given_up(rows, place, gate):
                    await self._gap_again(rows, place, gate, envelope, held)
                    return judged
                judged = Judged(Verdict.APPLY, began=True)
        if not await rows.unhold(scope, held):
            return Judged(Verdict.BUSY)
        if number is not None and judged.verdict is Verdict.APPLY:
            if judged.began:
                await rows.gaps_used(place)  # the next gap is another one
            await rows.set_gate(place, begun(gate, number) if judged.began else moved(gate, number))
        return judged

    async def _given_up(self, rows: AsyncInboxRows, place: Place, gate: Gate) -> bool:
        """Whether what is missing is not waited for any more: somebody has buried the case, or the key never began."""
        never, now = gate.at == NOTHING_BEFORE, self.now()
        gaps = [case for case in await rows.parking(place) if case.reason == "gap"]
        return any(
            (case.status == "buried" and not case.attempts)
            or (never and case.due_at is not None and case.due_at <= now)
            for case in gaps
        )

    async def _gap_again(
        self, rows: AsyncInboxRows, place: Place, gate: Gate, envelope: Envelope, held: HeldMessage
    ) -> None:
        """Behind what was released there is a gap: the key waits for it."""
        await rows.set_gate(place, _change(gate, parked="gap"))
        if not any(case.reason == "gap" and case.status in OPEN for case in await rows.parking(place)):
            await self._admit(rows, gap_case(place.scope, envelope, held.body, self.now(), 0.0))
        await rows.gaps_due(place, None)
        await rows.done_with(place)

    async def park_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope, case: Case) -> None:
        """It could not be applied: a case takes its place, and the key waits for it."""
        judged = await self.take_held(unit, scope, held, envelope)
        if judged.verdict not in (Verdict.APPLY, Verdict.OVERTAKEN):
            return
        rows, place = self.rows(unit), place_of(scope, envelope)
        if case.parks:  # else those that let the key go on are not done with it
            await rows.done_with(place)
            await rows.gaps_due(place, None)
            await self._park(rows, place, "case")
        await self._admit(rows, case, aside=judged.verdict is not Verdict.APPLY and case.message_id != held.id)


class AsyncKeptInbox(AsyncKeptRows):
    """With the claims of a store that is no SQL database. Safe to share between threads (tasks of one loop)."""

    @abstractmethod
    def rows(self, unit: Any) -> AsyncClaimRows:
        """The rows, in a unit."""

    async def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        mark = fingerprint(envelope)
        foreign = made_at(envelope.id) is None
        there = await self.rows(unit).claim(scope, stored_id(envelope.id), mark, self.now(), foreign=foreign)
        return judge_claim(there, mark)

    async def prepare(self, accept_for: float, deadline: Deadline) -> None:  # nothing to do, nothing to forget
        """Claims need no place made for them."""

    async def sweep(self, retention: Retention, deadline: Deadline) -> bool:
        """Take away rows that no copy can ask for any more, a few; whether there may be more."""
        now = self.now()
        before = now - retention.keeps(ACCEPT_FOR)
        foreign = None if retention.foreign == FOR_EVER else now - retention.foreign
        async with self.unit(deadline, core=True) as unit:
            return await self.rows(unit).forget(before, foreign, SWEPT_AT_ONCE) >= SWEPT_AT_ONCE
