"""What a cache and its write-back buffer say to each other. Values; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from regionkit.caching.back.record import Record, unpacked
from regionkit.caching.back.rules import Answer
from regionkit.caching.keys import Stored
from regionkit.caching.steps import Sealing

__all__ = [
    "CLAIM_BYTES",
    "MAX_BYTES",
    "MAX_DIRTY",
    "Audit",
    "Claimed",
    "Claims",
    "Listed",
    "Page",
    "Put",
    "PutAnswer",
    "Status",
    "claimed_in",
]

MAX_DIRTY = 50_000
"""Keys that are dirty or parked at once, by default: some minutes of work for a sink that writes hundreds a second."""
MAX_BYTES = 256 << 20
"""Bytes of their records, by default: what a small server has beside its cache."""
CLAIM_BYTES = 4 << 20
"""Bytes of one claim, but for its first record: a server that sends more does nothing else for some ten milliseconds."""


class Put(msgspec.Struct, frozen=True):
    """One put, whole: what it takes to ask it again when its answer was lost.

    Attributes:
        stored: the key as it stands in the process.
        id: 16 random bytes.
        sealing: of the value; of a delete, of "nothing is there".
        deleted: the row is to go.
        expected: the version that the key has to have; None: any. 0: there is no row.
        since: the last version that was known here before it was sent; 0: none.
        row: version of the row as the caller has read it (0: none was there), after LOAD; None: it has not.
        stamp: that LOAD told.
    """

    stored: Stored
    id: bytes
    sealing: Sealing
    deleted: bool = False
    expected: int | None = None
    since: int = 0
    row: int | None = None
    stamp: int = 0


class PutAnswer(NamedTuple):
    """What a put is answered.

    Attributes:
        answer: of the rules.
        version: of DONE and SEEN its own, of FULL the one reserved, of CONFLICT the present one; of OPEN the buffer's epoch.
        stamp: of DONE, of the account: what a local copy of the value has; of LOAD, what the put tells again with the row.
    """

    answer: Answer
    version: int = 0
    stamp: int = 0


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A record to be written.

    Attributes:
        name: of the key at the server.
        record: with its entry.
        tries: how often the sink was given this value and refused it, this time counted.
        at: milliseconds of the account's clock at the claim; an ACK tells it.
        epoch: of the buffer at the claim; what a sink is flushed with.
    """

    name: bytes
    record: Record
    tries: int
    at: int
    epoch: int


def claimed_in(words: Sequence[bytes], at: int, epoch: int) -> list[Claimed]:
    """Name, record and tries of each, as a claim is answered.

    Raises:
        ValueError: one is no record.
    """
    return [
        Claimed(name, unpacked(record), int(tries) + 1, at, epoch)
        for name, record, tries in zip(words[::3], words[1::3], words[2::3], strict=True)
    ]


class Claims(msgspec.Struct, frozen=True):
    """What a claim gives. Not `is_open`: raise the epoch above `epoch` and open the buffer first. `wanted`: records asked for."""

    is_open: bool
    epoch: int
    records: tuple[Claimed, ...] = ()
    wanted: int = 0


class Status(msgspec.Struct, frozen=True):
    """How a buffer stands.

    Attributes:
        is_open: it takes puts; else the epoch has to be raised above `epoch`.
        epoch: the last that it was opened with; 0: none.
        number: of the last put of it.
        dirty: keys.
        parked: keys.
        bytes: of the records of both.
        oldest: seconds since when some row is behind, of the dirty ones; None: no key is dirty.
        flusher: seconds that a flusher has said to be alive for, from now on; 0 or less: none is.
        clock: milliseconds of the account's clock.
        log: it is in log mode.
        entries: of the log.
    """

    is_open: bool
    epoch: int
    number: int
    dirty: int
    parked: int
    bytes: int
    oldest: float | None
    flusher: float
    clock: int = 0
    log: bool = False
    entries: int = 0

    @property
    def since(self) -> int | None:
        """The same as `oldest`: the time, in milliseconds of `clock`."""
        return None if self.oldest is None else self.clock - round(self.oldest * 1000)


class Listed(msgspec.Struct, frozen=True):
    """One key that is dirty or parked.

    Attributes:
        name: of it at the server.
        record: without its entry.
        behind: seconds since when the row is behind.
        tries: how often the sink has refused this value.
        reason: it is parked for; "" where it is dirty.
    """

    name: bytes
    record: Record
    behind: float
    tries: int
    reason: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some of the keys. `cursor`: where the next page begins; 0: there is none. A key that changes meanwhile may come twice."""

    keys: tuple[Listed, ...]
    cursor: int


class Audit(msgspec.Struct, frozen=True):
    """What a look at each record found.

    Attributes:
        records: dirty and parked.
        bytes: of them.
        counted: bytes as the buffer counts them.
        wrong: dirty records that nobody would claim, or whose age is not known.
    """

    records: int
    bytes: int
    counted: int
    wrong: int
