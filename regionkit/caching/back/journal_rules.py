"""What a write-back journal keeps, and what it may forget. Pure.

A journal keeps each put until its row shows it, beside the server of the cache: so what was acknowledged survives the loss of
that server. It is a file of this process (`journal`) or a table (`sql-journal`).

| a put                                    | what is done |
|------------------------------------------|--------------|
| 1 the buffer reserves a version          | nothing is in the buffer yet |
| 2 its record is made durable             | puts of a moment share one sync, or one INSERT; no room: Backpressure |
| 3 it is put with that version            | DONE: acknowledged |
| 3 OVERTAKEN                              | from 1 on, a few times; the later record of the put counts |
| 3 it was surely not put, and is given up | its record is withdrawn durably, before an error says that nothing was put |
| 3 no answer                              | DurabilityUnknown: the record stays |

| a record whose put is over                      | what becomes of it |
|-------------------------------------------------|--------------------|
| a later put of the key stands here and was DONE | forgotten |
| the buffer says HELD                            | it stays |
| the buffer says SETTLED                         | forgotten |
| the buffer says REPLAY                          | written to the sink, whose guard decides; the sink is down: it stays |
| ... the sink refuses it, or finds a conflict    | back into the buffer with its version: a flusher parks it; it stays here |
| ... it is conditional, and the row's version is between the expected and its own | forgotten: it was never put |

1. A record whose put is under way is looked at by nobody: its process knows that it is not over. Of a process that ended all are.
   In a table nobody knows; there a record that is forgotten too early makes its put OVERTAKEN (rule 12 of `rules`).
2. What a process left behind is taken over by another one of the same cache: read whole, written into its own file, synced, and
   only then deleted. It may stand in two files then: a replay of both changes nothing.
3. A file whose tail was never answered is read without it. One that is damaged elsewhere is refused by its name: what was
   acknowledged may be missing.
4. After a sync that failed nothing is known of the file: the journal is not used any more by this process. A write that found
   no room is cut off and synced: its records surely do not stand there, and the next one is tried.
5. What is older than the marks of deletes may bring a deleted row back. It is not replayed, and is named.
6. A closed file of which a quarter is needed at most is emptied into the present one. So its size follows that of what is dirty.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from regionkit.caching.back.record import DIGEST, unpacked
from regionkit.caching.back.rules import DIGITS, EPOCH, number_of, text_of

__all__ = [
    "OLDEST_LEFT",
    "JournalState",
    "Kept",
    "Meta",
    "Note",
    "meta_in",
    "note_in",
    "payload_of",
    "withdrawal_of",
    "withdrawn_in",
]

PUT, WITHDRAWN = b"p", b"w"
ANY = b" " * DIGITS
MADE = 13
"""Digits of milliseconds since 1970."""
RECORD = 1 + DIGITS + MADE
OLDEST_LEFT = 6 * 86_400.0
"""Seconds: what was written longer ago is not replayed, as marks of deletes stay a day longer."""
SPARSE = 4
"""A closed file is emptied where at most a quarter of it is needed: what is written anew is little beside what is put."""


class Note(msgspec.Struct, frozen=True):
    """One record of a journal.

    Attributes:
        version: of the put.
        record: of the buffer, packed.
        expected: the version that it was to replace; None: any.
        made: seconds since 1970, by the clock of the machine that wrote it down; 0: it is not yet.
    """

    version: int
    record: bytes
    expected: int | None = None
    made: float = 0.0

    @property
    def digest(self) -> bytes:
        """Of its key."""
        return self.record[DIGEST]


class Meta(msgspec.Struct, frozen=True):
    """What a file of a journal is of: the first of its frames.

    Attributes:
        namespace, cache: of the cache.
        epoch: of the buffer when it was begun.
        made: seconds since 1970.
    """

    namespace: str
    cache: str
    epoch: int
    made: float


def payload_of(note: Note) -> bytes:
    """The payload of a record's frame."""
    expected = ANY if note.expected is None else text_of(note.expected).encode()
    return b"%b%b%0*d%b" % (PUT, expected, MADE, round(note.made * 1000), note.record)


def withdrawal_of(version: int) -> bytes:
    """The payload that takes a record back."""
    return WITHDRAWN + text_of(version).encode()


def withdrawn_in(payload: bytes) -> int | None:
    """The version that a payload takes back; None: it is another one."""
    return number_of(payload[1 : 1 + DIGITS]) if payload[:1] == WITHDRAWN else None


def note_in(payload: bytes) -> Note:
    """The record of a payload.

    Raises:
        ValueError: it is none.
    """
    if payload[:1] != PUT:
        raise ValueError("no record of a journal")
    expected, made, record = payload[1 : 1 + DIGITS], payload[1 + DIGITS : RECORD], payload[RECORD:]
    version = unpacked(record).version
    return Note(version, record, None if expected == ANY else number_of(expected), int(made) / 1000)


def meta_in(payload: bytes) -> Meta:
    """What a file says that it is of.

    Raises:
        ValueError: it says nothing of that.
    """
    return msgspec.json.decode(payload, type=Meta)


class Kept(msgspec.Struct):
    """Where a record stands.

    Attributes:
        digest: of the key.
        place: number of the file.
        at, size: of its payload in the file, bytes.
        over: its put is over.
    """

    digest: bytes
    place: int
    at: int
    size: int
    over: bool = False


class JournalState:
    """Which records of a journal are needed. Not thread-safe: whoever uses it holds a lock."""

    def __init__(self) -> None:
        self.kept: dict[int, Kept] = {}
        self._needed: dict[int, int] = {}  # bytes, by number of the file
        self._of_key: dict[bytes, set[int]] = {}
        self._early: set[int] = set()  # their puts were given up before they were written

    def written(self, version: int, kept: Kept) -> None:
        """A record is durable. One that stood in another file before stands there no more."""
        self.forget([version])
        self.kept[version] = kept
        self._needed[kept.place] = self._needed.get(kept.place, 0) + kept.size
        self._of_key.setdefault(kept.digest, set()).add(version)
        if version in self._early:
            self._early.discard(version)
            kept.over = True

    def over(self, version: int, *, done: bool) -> None:
        """Its put is over; `done`: acknowledged, so that what is older of its key is not needed."""
        kept = self.kept.get(version)
        if kept is None:
            self._early.add(version)
            return
        kept.over = True
        if done:
            self.forget([older for older in self._of_key[kept.digest] if older < version and self.kept[older].over])

    def forget(self, versions: Iterable[int]) -> None:
        """They are not needed."""
        for version in versions:
            kept = self.kept.pop(version, None)
            if kept is None:
                continue
            self._needed[kept.place] -= kept.size
            of_key = self._of_key[kept.digest]
            of_key.discard(version)
            if not of_key:
                del self._of_key[kept.digest]

    def unsettled(self, after: int, most: int) -> list[int]:
        """Versions above `after` whose puts are over, the lowest first."""
        return sorted(version for version, kept in self.kept.items() if kept.over and version > after)[:most]

    def needed(self, place: int) -> int:
        """Bytes of a file that are."""
        return self._needed.get(place, 0)

    def within(self, place: int) -> list[int]:
        """The versions that stand in a file."""
        return [version for version, kept in self.kept.items() if kept.place == place]

    def gone(self, place: int) -> None:
        """A file was deleted."""
        self._needed.pop(place, None)

    def is_sparse(self, place: int, size: int) -> bool:
        """Whether a closed file of `size` bytes is worth emptying."""
        return self.needed(place) * SPARSE <= size

    @property
    def epochs(self) -> set[int]:
        """Of the versions that are needed."""
        return {version // EPOCH for version in self.kept}
