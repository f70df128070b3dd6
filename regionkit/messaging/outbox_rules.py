"""How messages are numbered, and what leaves an outbox. The one place where it is decided; pure but for the chance in `begun`.

1. A number is (epoch, history, n) of one (outbox, destination, key). It is taken last in the producer's transaction, all keys
   of it sorted, under the row of the key, which stays locked until the COMMIT: numbers have no holes, and their order is that
   of the commits. `prev` is the number before it, whatever its history.
2. A history is one run of the owner of the database. Where the server is not the one that the row of the run names, the
   transaction that sees it begins another: a later epoch, and an id that nobody else has made (`begun`). `n` goes on.
3. What is delayed has no number: it takes one when it is due. What has no key never has one.
4. A row is there until it leaves: published and confirmed, as itself or as a tombstone. `leaving` says how: a row with a number
   whose time is over is a tombstone, and so is one that was buried; without a number it is dropped.
5. Rows are published in the order of their numbering. A batch goes out in waves: of each key, one row a wave (`waves`), unless
   all consumers have gates. What is not confirmed was not published; later rows of its key wait (`Sending`) until it is.
6. What is refused for good is stuck: a case, and its key waits; all others go on.
7. A poll may begin at a floor: below it all rows that will ever be there have been seen (`Floor`). Now and then, and at a
   take-over, it begins at 0.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from regionkit.core.storable import storable
from regionkit.messaging.envelope import NOTHING_BEFORE, Number

__all__ = [
    "BATCH",
    "FULL_SCAN",
    "Event",
    "Floor",
    "Leaving",
    "Overtaken",
    "Polled",
    "Row",
    "Run",
    "Sending",
    "Taken",
    "begun",
    "in_order",
    "leaving",
    "numbered",
    "takes",
    "waves",
]

BATCH = 500
"""Rows of one poll: some 150 kB of small messages; and so many at most are published again where a relay dies."""
FULL_SCAN = 30.0
"""Seconds after which a poll begins at 0 again: what a floor has missed against all rules waits no longer than that."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One message on its way into an outbox, for one destination. `body`: None where several rows share it.

    `expires_in` counts from the statement that writes it; one that was delayed has `published_at` and `expires_at` already.
    """

    id: str
    destination: bytes
    key: bytes | None
    body: bytes | None
    expires_in: float | None = None
    delay: float = 0.0
    published_at: float | None = None
    expires_at: float | None = None


class Run(msgspec.Struct, frozen=True, gc=False):
    """The run of the owner, as the database has it."""

    epoch: int
    history: str


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of the outbox as a relay reads it. `number`: None for what has none."""

    seq: int
    id: str
    key: bytes | None
    body: bytes
    number: Number | None
    prev: Number
    published_at: float
    expires_at: float | None = None
    tomb: str = ""


class Overtaken(Exception):
    """Another relay has the destination: what was to be changed is rolled back."""


class Polled(msgspec.Struct, frozen=True):
    """What a poll found.

    Attributes:
        rows: that may be published, in order.
        now: by the clock of the database.
        epoch: of the destination's lease, as it stands.
        due: delayed messages have become due.
        xmin, xmax: of its snapshot (PostgreSQL).
    """

    rows: list[Row]
    now: float
    epoch: int
    due: bool = False
    xmin: int = 0
    xmax: int = 0


Place = tuple[bytes, bytes]
"""(destination, key)."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What the row of a key says after `size` numbers were taken: the last of them, and the history before."""

    epoch: int
    history: str
    n: int
    prev_epoch: int
    prev_history: str


def begun(epoch: int, incarnation: str, *, now: float) -> Run:
    """The run after one of `epoch`, on a server of that name; `now`: seconds since 1970 by its clock.

    The epoch is a time, so that it is above those of runs that a failover has undone, whose rows nobody has any more. The
    history has chance in it: two servers that were promoted apart may well have one name.
    """
    epoch = max(epoch + 1, int(now))
    return Run(epoch, f"{epoch}.{hashlib.sha256(incarnation.encode() + os.urandom(16)).hexdigest()[:12]}")


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events as they are written: sorted by destination and key, those of one key as they were published."""
    return sorted(events, key=lambda e: (e.destination, e.key is not None, e.key or b""))


def takes(events: Iterable[Event]) -> dict[Place, int]:
    """How many numbers each key takes, in the order in which keys are locked."""
    counts: dict[Place, int] = {}
    for event in in_order(events):
        if event.key is not None:
            place = (event.destination, event.key)
            counts[place] = counts.get(place, 0) + 1
    return counts


def numbered(events: Sequence[Event], taken: Mapping[Place, Taken]) -> list[tuple[Event, Number | None, Number]]:
    """Each event with its number and the one before it."""
    left = takes(events)
    sizes = dict(left)
    found: list[tuple[Event, Number | None, Number]] = []
    for event in in_order(events):
        if event.key is None:
            found.append((event, None, NOTHING_BEFORE))
            continue
        place = (event.destination, event.key)
        last, left[place] = taken[place], left[place] - 1
        n = last.n - left[place]
        first = left[place] == sizes[place] - 1
        before = (last.prev_epoch, last.prev_history) if first else (last.epoch, last.history)
        found.append((event, Number(last.epoch, last.history, n), Number(*before, n - 1)))
    return found


class Leaving(Enum):
    """How a row leaves."""

    ITSELF = "itself"
    TOMBSTONE = "tombstone"
    DROPPED = "dropped"


def leaving(row: Row, now: float) -> tuple[Leaving, str]:
    """How a row leaves, and why not as itself. `now`: by the clock of the outbox's database."""
    why = row.tomb or ("expired" if row.expires_at is not None and row.expires_at <= now else "")
    if not why:
        return Leaving.ITSELF, ""
    return (Leaving.DROPPED if row.number is None else Leaving.TOMBSTONE), why


def waves(rows: Sequence[Row], *, gated: bool) -> list[list[Row]]:
    """The rows of a poll, as they go out. `gated`: all consumers have gates, and everything may go at once."""
    if gated:
        return [list(rows)] if rows else []
    found: list[list[Row]] = []
    depth: dict[bytes, int] = {}
    for row in rows:
        at = 0
        if row.key is not None:
            at = depth.get(row.key, 0)
            depth[row.key] = at + 1
        if at == len(found):
            found.append([])
        found[at].append(row)
    return found


class Sending:
    """One batch on its way: what may still go, and what became of the rest."""

    __slots__ = ("_waiting", "confirmed", "refused", "unknown")

    def __init__(self) -> None:
        self.confirmed: list[Row] = []
        self.refused: list[tuple[Row, str]] = []
        self.unknown: list[Row] = []
        self._waiting: set[bytes] = set()

    def may_go(self, wave: Sequence[Row]) -> list[Row]:
        """Those rows of a wave whose key waits for nothing."""
        return [row for row in wave if row.key not in self._waiting]

    def became(self, row: Row, *, confirmed: bool, refused: str = "") -> None:
        """What became of a row."""
        if confirmed:
            self.confirmed.append(row)
            return
        if refused:
            self.refused.append((row, storable(refused)))  # it goes into a row
        else:
            self.unknown.append(row)
        if row.key is not None:
            self._waiting.add(row.key)


class Floor:
    """Where a poll may begin (PostgreSQL): dead rows below it are not walked over, however old a snapshot keeps them.

    What was not committed at a poll has an xid below the snapshot's xmax. Once a later poll's xmin has passed that, all of it
    has ended, and that poll has seen it: nothing more comes at or below the last seq of the first. But for what had drawn its
    seq, and no xid yet; the full scan finds that.
    """

    __slots__ = ("_mark", "_scanned_at", "at")

    def __init__(self) -> None:
        self.at = 0
        self._scanned_at = float("-inf")
        self._mark: tuple[int, int] | None = None

    def begin(self, now: float) -> int:
        """After which seq the poll at `now` (monotonic seconds) begins."""
        if now - self._scanned_at >= FULL_SCAN:
            self._scanned_at, self.at, self._mark = now, 0, None
        return self.at

    def polled(self, rows: Sequence[Row], xmin: int, xmax: int) -> None:
        """What a poll from `at` gave, the first of all rows there. No xmax: this server tells no snapshots, and 0 stays."""
        if not xmax:
            return
        if self._mark is not None and xmin >= self._mark[1]:
            last = min(self._mark[0], rows[0].seq - 1 if rows else self._mark[0])
            self.at, self._mark = max(self.at, last), None
        if self._mark is None and rows:
            self._mark = (rows[-1].seq, xmax)
