"""What a write-back buffer does with each put, claim and answer of the sink. Pure; `scripts/back_*.lua` do the same at a server.

The buffer of a cache holds for each dirty key one record (its latest value), when it is due, and since when the row is behind.

| step | when | what becomes of it |
|---|---|---|
| PUT | the buffer is of another run, or part of it lost | OPEN: nothing is done; the caller raises the epoch first |
| | `expected` is not the key's version | CONFLICT with the present one; LOAD where it is not known here |
| | there is no room: for one key more, or for the bytes | FULL with a reserved version: who writes the row itself uses it |
| | else | DONE: the record is replaced, due now if it was not dirty; the cache's value and lease go |
| RESERVE | as PUT | what PUT would answer; in place of DONE it is RESERVED: a version is given out, and nothing is put |
| PUT, reserved | the key has had a later version, or that is not known | OVERTAKEN: nothing is done; reserve anew |
| | else | as PUT, with that version |
| SETTLE | a record of a journal: the buffer has that version or a later one, dirty or parked | HELD |
| | it has not, and the version is of the buffer's epoch | SETTLED: the row shows it or a later one, or it was never put |
| | or the key's floor reaches it | SETTLED: a row has shown it or a later one, or it was discarded |
| | it has not, and the version is of an earlier epoch | REPLAY: the buffer may have lost it; the journal's owner writes the row |
| CLAIM | records that are due, the longest due first | due again when the claim's time is over |
| | the claim was ended: it comes late | nothing is given |
| END | a claim | what it has still is due now |
| ACK | the record is still that version, or an older one | CLEAN: it goes; the floor of the key is raised to the version told |
| | and the row shows the very record | it becomes the cache's value |
| | it is a later one | AGAIN: due now, behind since that claim |
| | there is none | GONE: what the cache has of the key goes if it is older |
| | a value that stands aside is no later than the version told | it goes too |
| FAIL | the record is still that version | due after a pause; where it was tried, its tries go up by one |
| | it is a later one | due now: the claim is over |
| | there is none | what the cache has of the key goes: the row may show it |
| PARK | the record is still that version | it stands aside with its reason; still what readers get |
| | it is a later one | due now |
| RETRY | parked, and the key is not dirty | dirty again with the version that it had; else NEWER |
| DISCARD | parked | gone: readers load the row; what is older than the discarded version is not kept for a floor's life |
| OPEN | the epoch is above the buffer's | puts count on from it; what is dirty stays dirty with its old version |
| | a flusher of an earlier epoch wrote until now | what the cache has loaded goes: another generation |

1. A version is epoch x 10^13 + number: a whole number below 2^63, in text 19 digits. Numbers go up by one at each put. Each run
   of the server, and a buffer that was lost, has an epoch of its own, which the sink gives out (`raise_epoch`): so a version
   is never given twice, and a later put is above every earlier one whatever the server forgot and whatever its clock shows.
2. A reader gets the dirty value, then the parked one, then the cache's. No lease is given for a key that is dirty or parked.
3. A row is written only where its version is below the record's (the guard). So a flusher that was frozen, or whose claim is
   over, changes nothing that a later one has written; claims save work, they do not make it right.
4. A delete is a record too. The sink keeps its version (a mark) as long as an older record can exist anywhere.
5. ACK, FAIL and PARK name a version: what they say of an older one leaves a newer as it is, and ends its claim.
6. A sink that wrote nothing has found a newer row. Where the buffer has issued such a version it was superseded (ACK). Where it
   has not, somebody else wrote the row: CONFLICT, and the record is parked, never taken for written. A superseded record does not
   become the cache's value: after a failover the row may show a later put that the buffer has lost.
7. A put is sent once. When its answer is lost it is done or not: the same put, with its id, is asked again, and the buffer
   answers with the version of the first (SEEN), does it now, or says FORGOTTEN: more than `PUTS_REMEMBERED` came since, or the
   epoch is another and what was done under the former may be lost.
8. What is dirty and parked together is bounded, by keys and by bytes. An overwrite needs no new key; it may need bytes.
9. Behind since: the time of the first put that the row does not show, or an earlier one. The oldest is what a loss would cost.
10. A flusher whose claim was over may write the row of a value that was parked and discarded since, and die before it says so.
    Its time ends before a floor does: until then an older row is read, and not kept.
11. With a journal a version is reserved, the record is made durable, and then put (`journal_rules`). Of one key versions are put
    in rising order only: OVERTAKEN sees to it. So what `expected` says holds at the put, not at the reservation.
12. A settled version is never put afterwards: SETTLE raises the floor of the key to it, so that a late put is OVERTAKEN.
13. A claim's time is what a process that died is waited for. One that lives ends each claim whose records it has not all told of
    (`claims`): whatever interrupted it, and also where it has not heard what it claimed. No two claims end in the same
    millisecond, so END touches no other's; a pause that ends with it may be over.
14. Tries are of one value, and count refusals only: a sink that was down for long leaves each value all its attempts.
"""

from __future__ import annotations

from enum import Enum

import msgspec

__all__ = [
    "DIGITS",
    "EPOCH",
    "MOST_EPOCHS",
    "PUTS_REMEMBERED",
    "Acked",
    "Answer",
    "Change",
    "Fate",
    "Verdict",
    "number_of",
    "text_of",
    "version_of",
]

EPOCH = 10**13
"""Puts that one epoch has room for: three hundred years at a thousand a second."""
MOST_EPOCHS = 900_000
"""Epochs: a version stays below 2^63, so a BIGINT holds it."""
DIGITS = 19
PUTS_REMEMBERED = 10_000
"""Ids of puts that a buffer remembers: some seconds at its full speed, far more than an answer is waited for."""


class Answer(Enum):
    """What a put is answered."""

    DONE = "done"
    SEEN = "seen"
    OPEN = "open"
    FULL = "full"
    CONFLICT = "conflict"
    LOAD = "load"
    FORGOTTEN = "forgotten"
    RESERVED = "reserved"
    OVERTAKEN = "overtaken"


class Acked(Enum):
    """What became of a record that the sink has written."""

    CLEAN = "clean"
    AGAIN = "again"
    GONE = "gone"


class Fate(Enum):
    """What becomes of a record of a journal."""

    HELD = "held"
    SETTLED = "settled"
    REPLAY = "replay"


class Verdict(Enum):
    """What a sink did with one change."""

    APPLIED = "applied"
    """The row shows it."""
    SUPERSEDED = "superseded"
    """The row shows a later version that this buffer has issued: it is done with, and not what the cache may show."""
    CONFLICT = "conflict"
    """The row has a version that this buffer has not issued: somebody else writes it."""


class Change(msgspec.Struct, frozen=True):
    """One record as a sink gets it.

    Attributes:
        key: as the application gave it.
        version: of rule 1.
        value: of the cache's type; None when `deleted`.
        deleted: the row is to go.
    """

    key: object
    version: int
    value: object = None
    deleted: bool = False


def version_of(epoch: int, number: int) -> int:
    """The version of the `number`-th put of an epoch."""
    return epoch * EPOCH + number


def text_of(version: int) -> str:
    """A version as records and scripts have it: 19 digits, which compare as numbers do."""
    return f"{version:019d}"


def number_of(text: str | bytes) -> int:
    """And back."""
    return int(text)
