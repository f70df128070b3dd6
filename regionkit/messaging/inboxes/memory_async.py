"""An inbox in this process: for tests, and where what was taken may be forgotten with the process.

1. What a unit writes is its own until it ends well; then all of it stands at once.
2. A row that is locked is waited for until the unit's deadline; rows are locked until the unit ends.
3. The effect is whatever the handler does, with `db` None: it is not undone with the unit.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, cast

from regionkit.contract.backing_async import AsyncBacking
from regionkit.contract.unit_async import Committed
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded
from regionkit.messaging.case import Case, HeldMessage
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import Number
from regionkit.messaging.inboxes.kept_async import AsyncKeptInbox
from regionkit.messaging.inboxes.rows_async import AsyncParkingRows, HeldRow, Note, Place, place_of_case
from regionkit.messaging.records_async import AsyncMemoryRecords

__all__ = ["AsyncMemoryInbox"]

LOOK_AGAIN = 0.002
"""Seconds between two looks at a row that another unit has."""


class _Memory:
    """What all units share: rows by kind and key, and who has locked which."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[str, dict[Any, Any]] = {kind: {} for kind in ("claim", "gate", "held", "start", "case", "note")}
        self.locked: dict[tuple[str, Any], object] = {}
        self.numbers = itertools.count(1)


class _Unit:
    """One unit. Not shared between threads or tasks."""

    atomic = True
    native: Any = None
    stamp = None

    def __init__(self, memory: _Memory, deadline: Deadline) -> None:
        self._memory = memory
        self._deadline = deadline
        self._changes: dict[tuple[str, Any], Any] = {}
        self._locks: list[tuple[str, Any]] = []
        self._hearing: list[Callable[[Committed], None]] = []
        self.rows = _Rows(self, memory)

    async def __aenter__(self) -> _Unit:
        self._deadline.require("a unit in memory")
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        memory = self._memory
        late = error is None and self._deadline.remaining() <= 0.0
        with memory.lock:
            for (table, key), value in () if late or error is not None else self._changes.items():
                if value is None:
                    memory.rows[table].pop(key, None)
                else:
                    memory.rows[table][key] = value
            for row in self._locks:
                del memory.locked[row]
        for hear in self._hearing:
            hear("yes" if error is None and not late else "no")
        if late:
            self._deadline.require("the end of a unit in memory")

    def hold(self, why: str) -> None:
        """Nothing can end it from outside."""

    def on_outcome(self, hear: Callable[[Committed], None]) -> None:
        """Call `hear` once."""
        self._hearing.append(hear)

    async def lock(self, kind: str, key: Any) -> Any:
        """The row as it stands, and nobody else's until the unit ends."""
        row = (kind, key)
        while True:
            with self._memory.lock:
                if self._memory.locked.setdefault(row, self) is self:
                    if row not in self._locks:
                        self._locks.append(row)
                    break
            if self._deadline.remaining() <= 0.0:
                raise DeadlineExceeded(
                    "a row in memory stayed locked.", why="another message has it.", fix="it is delivered again."
                )
            await asleep(LOOK_AGAIN)
        return self.get(kind, key)

    def get(self, kind: str, key: Any) -> Any:
        """The row as this unit sees it."""
        if (kind, key) in self._changes:
            return self._changes[kind, key]
        with self._memory.lock:
            return self._memory.rows[kind].get(key)

    def all(self, kind: str) -> dict[Any, Any]:
        """All rows of a kind, as this unit sees them."""
        with self._memory.lock:
            found = dict(self._memory.rows[kind])
        for (table, key), value in self._changes.items():
            if table == kind:
                found[key] = value
        return {key: value for key, value in found.items() if value is not None}

    def put(self, kind: str, key: Any, value: Any) -> None:
        """Write a row; None takes it away."""
        self._changes[kind, key] = value


class _Rows(AsyncParkingRows):
    """Implements `AsyncClaimRows`."""

    def __init__(self, unit: _Unit, memory: _Memory) -> None:
        self._unit = unit
        self._memory = memory

    async def claim(self, scope: bytes, id: bytes, mark: bytes, now: float, *, foreign: bool) -> bytes | None:
        found: tuple[bytes, float, bool] | None = await self._unit.lock("claim", (scope, id))
        if found is None:
            self._unit.put("claim", (scope, id), (mark, now, foreign))
            return None
        return found[0]

    async def advance(self, place: Place, prev: Number, number: Number) -> bool:
        return False  # judged by the gate: there is no round trip to save

    async def begin(self, place: Place, gate: Gate) -> bool:
        if await self._unit.lock("gate", place) is not None:
            return False
        self._unit.put("gate", place, gate)
        return True

    async def gate(self, place: Place) -> Gate | None:
        return cast(Gate | None, await self._unit.lock("gate", place))

    async def look(self, place: Place) -> Gate | None:
        return cast(Gate | None, self._unit.get("gate", place))

    async def set_gate(self, place: Place, gate: Gate) -> None:
        self._unit.put("gate", place, gate)

    async def hold(self, place: Place, row: HeldRow) -> None:
        self._unit.put("held", (row.scope, row.id), (place, next(self._memory.numbers), row))

    async def is_held(self, scope: bytes, id: bytes) -> bool:
        return self._unit.get("held", (scope, id)) is not None

    def _held(self, place: Place) -> list[tuple[int, str, int, HeldRow]]:
        found = self._unit.all("held").values()
        return sorted((row.number.epoch, row.number.n, seq, row) for at, seq, row in found if at == place)

    async def held_count(self, place: Place, most: int) -> int:
        return len(self._held(place))

    async def lowest(self, place: Place) -> HeldMessage | None:
        for *_, seq, row in self._held(place):
            return HeldMessage(seq, row.id, row.body)
        return None

    async def unhold(self, scope: bytes, held: HeldMessage) -> bool:
        there = await self._unit.lock("held", (scope, held.id)) is not None
        self._unit.put("held", (scope, held.id), None)
        return there

    async def start(self, scope: bytes, id: bytes, now: float) -> int:
        runs, *_ = await self._unit.lock("start", (scope, id)) or (0,)
        self._unit.put("start", (scope, id), (runs + 1, now, False))
        return int(runs + 1)

    async def unstart(self, scope: bytes, id: bytes, started: int) -> None:
        runs, *more = await self._unit.lock("start", (scope, id)) or (0,)
        if runs == started:
            self._unit.put("start", (scope, id), (runs - 1, *more))

    async def admit(self, case: Case) -> bool:
        if await self._unit.lock("case", (case.scope, case.message_id)) is not None:
            return False
        self._unit.put("case", (case.scope, case.message_id), case)
        return True

    async def case(self, case: Case) -> Case | None:
        return cast(Case | None, self._unit.get("case", (case.scope, case.message_id)))

    async def parking(self, place: Place) -> list[Case]:
        found: list[Case] = list(self._unit.all("case").values())
        return [case for case in found if case.parks and place_of_case(case) == place]

    async def change_case(self, case: Case, after: Case) -> bool:
        found: Case | None = await self._unit.lock("case", (case.scope, case.message_id))
        if found is None or (found.id, found.status, found.attempts) != (case.id, case.status, case.attempts):
            return False
        self._unit.put("case", (case.scope, case.message_id), after)
        return True

    async def due(self, scope: bytes, now: float, most: int) -> list[Case]:
        found = [c for c in self._unit.all("case").values() if c.scope == scope]
        return sorted((c for c in found if c.due_at is not None and c.due_at <= now), key=lambda c: c.due_at)[:most]

    async def note(self, note: Note) -> None:
        self._unit.put("note", next(self._memory.numbers), note)

    async def forget(self, before: float, foreign: float | None, most: int) -> int:
        count = 0
        for kind in ("claim", "start"):
            for key, (_, seen_at, is_foreign) in self._unit.all(kind).items():
                until = foreign if is_foreign else before
                if until is not None and seen_at < until and count < most:
                    self._unit.put(kind, key, None)
                    count += 1
        return count


class AsyncMemoryInbox(AsyncKeptInbox):
    """An inbox in this process. Safe to share between threads (tasks of one loop).

    Args:
        clock: the clock to use.
    """

    transactional = False
    effects: tuple[str, ...] = ("transaction", "external")
    notes: tuple[str, ...] = ("claims are lost with the process, and effects are not undone",)

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.given = self
        self.backing = cast(AsyncBacking, None)  # there is no database
        self.records = AsyncMemoryRecords()
        self._clock = clock
        self._memory = _Memory()

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Nothing is to be made."""

    async def open(self, deadline: Deadline) -> None:
        """Nothing is to be opened."""

    def now(self) -> float:
        """Seconds since 1970 by the clock of this machine."""
        return self._clock.wall()

    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit for an effect."""
        return _Unit(self._memory, deadline)

    def rows(self, unit: Any) -> _Rows:
        """The rows, in a unit."""
        assert isinstance(unit, _Unit)
        return unit.rows

    async def close(self) -> None:
        """End its records. May be called twice."""
        await self.records.close()
