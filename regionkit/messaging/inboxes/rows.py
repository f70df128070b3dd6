# Generated from rows_async.py by scripts/twins.py. Do not edit.
"""The rows of an inbox: what its store has to do, each call inside one unit.

1. What is written is seen by the unit, and by others when it commits; what it rolls back nobody has seen.
2. `claim`, `advance`, `begin`, `gate` and `change_case` lock their row until the unit ends: whoever comes meanwhile waits, or has
   its unit rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from regionkit.messaging.case import OPEN, Case, HeldMessage, Key
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import Envelope, Number, stored_key

__all__ = ["ClaimRows", "HeldRow", "InboxRows", "Note", "ParkingRows", "Place", "place_of"]


class Place(NamedTuple):
    """Which gate."""

    scope: bytes
    lineage: bytes
    key: bytes


class HeldRow(msgspec.Struct, frozen=True, gc=False):
    """A message behind a parked key, in the order of its number, or else of its coming."""

    scope: bytes
    id: bytes
    number: Number
    body: bytes
    held_at: float


class Note(msgspec.Struct, frozen=True, gc=False):
    """A line of the audit trail."""

    case_id: str
    at: float
    who: str
    what: str
    reason: str


class InboxRows(Protocol):
    """The rows, in one unit."""

    def advance(self, place: Place, prev: Number, number: Number) -> bool:
        """Move a gate that stands at `prev` and is not parked; whether it did."""
        ...

    def begin(self, place: Place, gate: Gate) -> bool:
        """Make a gate; False where there is one."""
        ...

    def gate(self, place: Place) -> Gate | None:
        """The gate, locked."""
        ...

    def look(self, place: Place) -> Gate | None:
        """The gate as it stands."""
        ...

    def set_gate(self, place: Place, gate: Gate) -> None:
        """How a gate stands from now on; it is locked."""
        ...

    def hold(self, place: Place, row: HeldRow) -> None:
        """Put a message behind its key, the gate locked."""
        ...

    def is_held(self, scope: bytes, id: bytes) -> bool:
        """Whether a message is held."""
        ...

    def held_count(self, place: Place, most: int) -> int:
        """How many are held behind a key; counting ends at `most`."""
        ...

    def lowest(self, place: Place) -> HeldMessage | None:
        """The first of those."""
        ...

    def unhold(self, scope: bytes, held: HeldMessage) -> bool:
        """It is held no longer; False where it was not."""
        ...

    def start(self, scope: bytes, id: bytes, now: float) -> int:
        """Count a run of a suspect; which one it is."""
        ...

    def unstart(self, scope: bytes, id: bytes, started: int) -> None:
        """Count it no longer, where it is the last one."""
        ...

    def admit(self, case: Case) -> bool:
        """Keep a case; False where the message has one."""
        ...

    def case(self, case: Case) -> Case | None:
        """A case as it stands."""
        ...

    def parking(self, place: Place) -> Sequence[Any]:
        """Cases that a key waits for: of each its id, reason, status, due_at and attempts."""
        ...

    def change_case(self, case: Case, after: Case) -> bool:
        """Change what a run changes of a case, where status and run are still those of `case`."""
        ...

    def gaps_due(self, place: Place, at: float | None) -> None:
        """When the open gaps that a key waits for are due; None: not by themselves."""
        ...

    def gaps_used(self, place: Place) -> None:
        """The key has begun behind a gap that was given up: the next one is another."""
        ...

    def gaps_over(self, place: Place, now: float) -> None:
        """Its open gaps are discharged, and the key waits for them no longer."""
        ...

    def done_with(self, place: Place) -> None:
        """The key waits no longer for cases that are over."""
        ...

    def due(self, scope: bytes, now: float, most: int) -> list[Case]:
        """Cases whose time has come, the earliest first."""
        ...

    def note(self, note: Note) -> None:
        """A line of the audit trail."""
        ...


class ClaimRows(InboxRows, Protocol):
    """With the claims, where `kept_async` makes them."""

    def claim(self, scope: bytes, id: bytes, mark: bytes, now: float, *, foreign: bool) -> bytes | None:
        """Claim a message; None: it is ours, else the fingerprint that stands there. `foreign`: its id has no time."""
        ...

    def forget(self, before: float, foreign: float | None, most: int) -> int:
        """Take away starts and claims from before, and those of foreign ids from before `foreign`, None: never; how many."""
        ...


class ParkingRows(InboxRows):
    """What becomes of the cases that a key waits for, one after another."""

    def _change_gaps(self, place: Place, of: Sequence[str], **values: Any) -> None:
        for case in self.parking(place):
            if case.reason == "gap" and case.status in of:
                self.change_case(case, msgspec.structs.replace(case, **values))

    def gaps_due(self, place: Place, at: float | None) -> None:
        self._change_gaps(place, OPEN, due_at=at)

    def gaps_used(self, place: Place) -> None:
        self._change_gaps(place, ("buried",), attempts=1)

    def gaps_over(self, place: Place, now: float) -> None:
        self._change_gaps(place, OPEN, status="discharged", parks=False, due_at=None, changed_at=now)

    def done_with(self, place: Place) -> None:
        for case in self.parking(place):
            if case.status not in OPEN:
                self.change_case(case, msgspec.structs.replace(case, parks=False, due_at=None))


def place_of(scope: bytes, envelope: Envelope) -> Place:
    """Which gate a message is judged by."""
    assert envelope.key is not None
    lineage = b"" if envelope.number is None else envelope.lineage.encode()
    return Place(scope, lineage, stored_key(envelope.key))


def place_of_key(scope: bytes, key: Key) -> Place:
    """Which gate a key has."""
    return Place(scope, key.lineage, key.key)


def place_of_case(case: Case) -> Any:
    """Which gate a case is of; None where it is of none."""
    return None if case.key is None else Place(case.scope, case.lineage, case.key)
