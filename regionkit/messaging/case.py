"""A case of the error hospital: a message that could not be applied, and what was tried. Pure.

| status     | what it means                                    | its key, where it parks one | next |
|------------|--------------------------------------------------|-----------------------------|------|
| retrying   | runs again by itself when it is due              | waits                       | treating |
| treating   | a run was started; it died where `due_at` passed | waits                       | discharged, retrying, admitted |
| admitted   | waits for somebody                               | waits                       | retrying, buried, redirected |
| discharged | applied                                          | goes on                     | - |
| buried     | given up                                         | goes on                     | - |
| redirected | sent elsewhere                                   | goes on                     | - |

1. A case is known by (consumer, message id): admitting it twice is admitting it once.
2. The number of a run is its fence: who ends a run ends it only while it is the last one that was started.
3. A case that has ended and parks a key is `due` until the key has gone on.
"""

from __future__ import annotations

import hashlib
import random
import traceback

import msgspec

from regionkit.core.ids import uuid7
from regionkit.core.storable import storable, words_of
from regionkit.messaging.envelope import LARGEST_MESSAGE, Envelope, stored_key

__all__ = [
    "FIRST_RETRY",
    "LONGEST_RETRY",
    "OPEN",
    "Case",
    "Failed",
    "HeldMessage",
    "Key",
    "failed",
    "gap_case",
    "retry_after",
]

OPEN = ("retrying", "treating", "admitted")
"""Status of a case that is not over."""
FIRST_RETRY = 1.0
"""Seconds before the first retry by the hospital: what is over sooner is retried in place."""
LONGEST_RETRY = 300.0
"""Seconds between two retries at most: an outage of an hour costs five minutes after it."""
LONGEST_ERROR = 2000
"""Characters of an error's text that are kept."""
LONGEST_STACK = 8000
"""Characters of a traceback that are kept."""
assert LARGEST_MESSAGE <= 1 << 24, "a body fits every column"


class Failed(msgspec.Struct, frozen=True, gc=False):
    """An error as it is kept: never its locals, which may hold anybody's data. `group`: of errors raised at one place."""

    type: str
    text: str
    stack: str
    group: str


NO_ERROR = Failed("", "", "", "")


def failed(error: BaseException) -> Failed:
    """The error as it is kept, whatever it says: a case that cannot be written would stop its queue."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"{frame.filename}:{frame.name}" for frame in frames)
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    group = hashlib.blake2b(f"{name}\n{places}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    stack = storable("".join(traceback.format_list(frames)))
    return Failed(storable(name)[:200], words_of(error)[:LONGEST_ERROR], stack[-LONGEST_STACK:], group)


class Case(msgspec.Struct, frozen=True, gc=False):
    """One case as it stands.

    Attributes:
        id: of the case.
        scope: the consumer.
        message_id: as it stands in tables.
        status: see the table above.
        reason: "failed", "crashed", "gap", "mismatch", "expired", "stale", "future", "overtaken", "unhandled", "malformed",
            "in_doubt"; of bytes that are no message "undecodable", "no_id", "too_large".
        parks: its key waits for it.
        attempts: started runs.
        due_at: when it runs next, seconds since 1970 by the database's clock; None: not by itself.
        body: the envelope as it came.
    """

    id: str
    scope: bytes
    message_id: bytes
    status: str
    reason: str
    type: str
    lineage: bytes
    key: bytes | None
    parks: bool
    attempts: int
    due_at: float | None
    error: Failed
    region: str
    source: str
    position: str
    body: bytes
    admitted_at: float
    changed_at: float


class Key(msgspec.Struct, frozen=True, gc=False):
    """A key of one consumer, as its gate knows it."""

    lineage: bytes
    key: bytes


class HeldMessage(msgspec.Struct, frozen=True, gc=False):
    """A message behind a parked key."""

    seq: int
    id: bytes
    body: bytes


def retry_after(age: float, chance: random.Random) -> float:
    """Seconds until the next run of a case of that age: as long again as it has waited, jittered by a quarter."""
    pause = min(max(FIRST_RETRY, age), LONGEST_RETRY)
    return pause * (0.75 + 0.5 * chance.random())


def gap_case(
    scope: bytes,
    envelope: Envelope,
    body: bytes,
    now: float,
    wait: float,
    *,
    region: str = "",
    source: str = "",
    position: str = "",
) -> Case:
    """A case for what is missing before a message. `wait`: seconds that a key that never began waits for it."""
    prev = envelope.prev
    assert envelope.number is not None and envelope.key is not None
    missing = f"what follows ({prev.history}, {prev.n}) is there, and what leads up to it is not"
    case_id = str(uuid7())
    return Case(
        id=case_id,
        message_id=b"gap:"
        + case_id.encode(),  # of no message; whoever makes it has seen under the gate's lock that none is open
        scope=scope,
        status="admitted",
        reason="gap",
        type=storable(envelope.type),
        lineage=envelope.lineage.encode(),
        key=stored_key(envelope.key),
        parks=True,
        attempts=0,
        due_at=now + wait,
        error=Failed("", missing, "", "gap"),
        region=region,
        source=source,
        position=position,
        body=body,
        admitted_at=now,
        changed_at=now,
    )
