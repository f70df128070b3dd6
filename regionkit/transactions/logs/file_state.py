"""What a decision log's file says: its records, and the state that they add up to. Pure.

A record is applied in the order of the file, by whoever reads it and by whoever wrote it: both get the same state. `records`
gives the shortest file that says the same.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import Row, forgotten, unsettled

__all__ = ["FileState", "Record", "decoded", "encoded"]


class _Record(msgspec.Struct, frozen=True, gc=False, tag_field="k", array_like=True):
    pass


class Made(_Record, frozen=True, tag="made"):
    """The first one: the log's id, and its history."""

    id: str
    history: str


class Decided(_Record, frozen=True, tag="row"):
    """A whole row."""

    gtrid: str
    decision: int
    branches: dict[str, str | None]
    by: str
    at: float
    done: bool = False
    hazards: dict[str, str] = {}


class Acknowledged(_Record, frozen=True, tag="ack"):
    """By gtrid and branch, the participant's history."""

    histories: dict[str, dict[str, str]]


class Hazards(_Record, frozen=True, tag="hazard"):
    """Of one row, all of them; none: they were forgotten."""

    gtrid: str
    hazards: dict[str, str]


class Noted(_Record, frozen=True, tag="participant"):
    """Which instance stands behind a name."""

    name: str
    instance: str


class Swept(_Record, frozen=True, tag="sweep"):
    """The floor, and the rows that are gone."""

    floor: str
    gtrids: list[str]


Record = Made | Decided | Acknowledged | Hazards | Noted | Swept
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
LOWEST = "0" * 32


def encoded(record: Record) -> bytes:
    """A record's payload."""
    return msgspec.msgpack.encode(record)


def decoded(payload: bytes) -> Record:
    """The record of a payload.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _DECODER.decode(payload)


class FileState:
    """What stands. Not safe to share: its owner has a lock.

    Attributes:
        rows: by gtrid.
        dead: records that say nothing any more, since the file was written anew.
    """

    def __init__(self) -> None:
        self.id = ""
        self.history = ""
        self.floor = LOWEST
        self.rows: dict[str, Row] = {}
        self.instances: dict[str, str] = {}
        self.dead = 0
        self._order: list[str] = []
        self._open: set[str] = set()

    def apply(self, record: Record) -> None:
        """What follows from a record."""
        match record:
            case Made():
                self.id, self.history = record.id, record.history
            case Decided():
                decision = Decision(record.decision)
                self._put(
                    Row(
                        record.gtrid,
                        decision,
                        record.branches,
                        record.done,
                        record.hazards,
                        record.by,
                        record.at,
                    )
                )
            case Acknowledged():
                self.dead += 1
                self._acknowledge(record.histories)
            case Hazards():
                self.dead += 1
                row = self.rows[record.gtrid]
                replaced = msgspec.structs.replace(row, hazards=record.hazards)
                self._put(replaced if record.hazards else forgotten(row))
            case Noted():
                self.dead += record.name in self.instances
                self.instances[record.name] = record.instance
            case Swept():
                self.dead += 1 + len(record.gtrids)
                self.floor = max(self.floor, record.floor)
                for gtrid in record.gtrids:
                    self.rows.pop(gtrid, None)
                if record.gtrids:
                    self._order = [gtrid for gtrid in self._order if gtrid in self.rows]
                    self._open &= self.rows.keys()

    def _acknowledge(self, histories: Mapping[str, Mapping[str, str]]) -> None:
        for gtrid, by_branch in histories.items():
            row = self.rows.get(gtrid)
            if row is not None and row.decision is Decision.COMMIT:
                branches = {**row.branches, **{b: h for b, h in by_branch.items() if b in row.branches}}
                done = None not in branches.values()
                self._put(msgspec.structs.replace(row, branches=branches, done=done))

    def records(self) -> Iterator[Record]:
        """The shortest file."""
        yield Made(self.id, self.history)
        yield Swept(self.floor, [])
        for name, instance in self.instances.items():
            yield Noted(name, instance)
        for row in self.rows.values():
            yield Decided(
                row.gtrid,
                row.decision.value,
                dict(row.branches),
                row.decided_by,
                row.decided_at,
                row.done,
                dict(row.hazards),
            )

    def compacted(self) -> list[bytes]:
        """Their payloads; nothing is dead any more."""
        self.dead = 0
        return [encoded(record) for record in self.records()]

    def open_rows(self, after: str, most: int) -> list[Row]:
        """COMMIT rows that are not done, and all that bear a hazard, in order above `after`."""
        return [self.rows[gtrid] for gtrid in sorted(name for name in self._open if name > after)[:most]]

    def done_rows(self, after: str, most: int) -> list[Row]:
        """COMMIT rows that are done, in order above `after`."""
        above = (self.rows[gtrid] for gtrid in islice(self._order, bisect(self._order, after), None))
        return list(islice((row for row in above if row.decision is Decision.COMMIT and row.done), most))

    def sweepable(self, floor: str, most: int) -> list[str]:
        """Tombstones and done rows at or below the floor, without a hazard."""
        below = islice(self._order, bisect(self._order, floor))
        return list(islice((gtrid for gtrid in below if not self.rows[gtrid].hazards and self._over(gtrid)), most))

    def _over(self, gtrid: str) -> bool:
        row = self.rows[gtrid]
        return row.done or row.decision is Decision.ABORT

    def _put(self, row: Row) -> None:
        if row.gtrid not in self.rows:
            insort(self._order, row.gtrid)  # nearly always behind the last one
        self.rows[row.gtrid] = row
        (self._open.add if unsettled(row) else self._open.discard)(row.gtrid)
