# Generated from admitting_async.py by scripts/twins.py. Do not edit.
"""Into the hospital: a message that could not be applied leaves the source only when its case is committed.

1. A case takes the message's place: claim or gate, case and parking commit together.
2. One that is `aside` takes no place: its bytes are no message, its id is used twice, or its time is none that could be kept.
3. Admitting twice is admitting once: a case is known by the consumer and the message.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event, crash_point
from regionkit.core.ids import uuid7
from regionkit.core.storable import storable
from regionkit.messaging.case import Case, Failed, gap_case, retry_after
from regionkit.messaging.consumer_options import Options
from regionkit.messaging.counters import Counters
from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.envelope import LONGEST_ID, Envelope, Malformed, decode, fingerprint, stored_id, stored_key
from regionkit.messaging.events import CaseAdmitted
from regionkit.messaging.inboxes.inbox import Inbox
from regionkit.messaging.sources.source import Delivery

__all__ = ["MISMATCH", "OVERTAKEN", "ROWS_WITHIN", "Admitting", "Taken", "aside_id", "opened", "unreadable"]

ROWS_WITHIN = 30.0
"""Seconds for a unit that writes rows alone."""
_SEEN = ("failed", "crashed", "malformed", "mismatch", "overtaken", "in_doubt")
"""Reasons that count as cases by themselves; others have counts of their own."""


MISMATCH = Failed("", "its id was applied before with another payload", "", "mismatch")
OVERTAKEN = Failed("", "a failover of its outbox has undone it, and its key continued without it", "", "overtaken")


def aside_id(reason: str, envelope: Envelope) -> bytes:
    """How a case is known that takes no message's place. Two payloads under one id are two cases."""
    whole = f"{reason}:".encode() + stored_id(envelope.id)
    if reason != "mismatch" and len(whole) <= LONGEST_ID:
        return whole
    digest = hashlib.blake2b(stored_id(envelope.id) + fingerprint(envelope), digest_size=20)
    return f"{reason}:{digest.hexdigest()}".encode()


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A delivered message under way. `malformed`: its bytes are none; the envelope is named by what came, then."""

    delivery: Delivery
    envelope: Envelope
    malformed: Malformed | None = None


def opened(delivery: Delivery) -> Taken:
    """A delivery, decoded once."""
    try:
        return Taken(delivery, decode(delivery.body))
    except Malformed as error:
        return unreadable(delivery, error)


def unreadable(delivery: Delivery, error: Malformed) -> Taken:
    """A delivery that is no message."""
    return Taken(delivery, Envelope(fingerprint(Envelope("", "", delivery.body)).hex(), "", b""), error)


class Admitting:
    """Makes the cases of one consumer. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self, inbox: Inbox, options: Options, counters: Counters, tell: Callable[[Event], None], clock: Clock
    ) -> None:
        self._inbox = inbox
        self._options = options
        self._counters = counters
        self._tell = tell
        self._clock = clock
        self.chance = random.Random()
        self.changed: Callable[[], None] = lambda: None

    def admit(
        self,
        taken: Taken,
        reason: str,
        status: str,
        error: Failed,
        *,
        attempts: int = 0,
        park: bool = False,
        aside: bool = False,
    ) -> Judged:
        """Into the hospital; what else than APPLY comes back has become of the message meanwhile."""
        options, envelope = self._options, taken.envelope
        case = self.case(taken, reason, status, error, attempts=attempts, park=park)
        if aside:
            case = msgspec.structs.replace(case, message_id=aside_id(reason, envelope))
        judged = self._inbox.admit(
            options.scope,
            case,
            None if aside else envelope,
            Deadline(self._clock, ROWS_WITHIN),
            ordered=options.ordered,
        )
        if judged.verdict is Verdict.APPLY:
            crash_point("message.admitted")
            if reason in _SEEN:
                self._counters.add("retrying" if status == "retrying" else "parked")
            self._tell(CaseAdmitted(options.name, reason, status, envelope.type))
            self.changed()
        return judged

    def park_before_gap(self, taken: Taken) -> Judged:
        """What leads up to it has not come: its key is parked, and it waits behind."""
        inbox, options, delivery = self._inbox, self._options, taken.delivery
        case = gap_case(
            options.scope,
            taken.envelope,
            delivery.body,
            inbox.now(),
            options.gap_wait,
            region=options.region,
            source=options.source,
            position=delivery.position,
        )
        judged = inbox.admit_gap(options.scope, case, taken.envelope, Deadline(self._clock, ROWS_WITHIN))
        if judged.verdict is Verdict.HELD:
            self._tell(CaseAdmitted(options.name, "gap", "admitted", taken.envelope.type))
            self.changed()
        return judged

    def case(
        self, taken: Taken, reason: str, status: str, error: Failed, *, attempts: int = 0, park: bool = False
    ) -> Case:
        """A case as it is to stand."""
        options, envelope, now = self._options, taken.envelope, self._inbox.now()
        keyed = options.ordered and envelope.key is not None
        return Case(
            id=str(uuid7()),
            scope=options.scope,
            message_id=stored_id(envelope.id),
            status=status,
            reason=reason,
            type=storable(envelope.type),
            lineage=envelope.lineage.encode() if envelope.number is not None else b"",
            key=None if envelope.key is None else stored_key(envelope.key),
            parks=park and keyed and options.on_poison == "park_key",
            attempts=attempts,
            due_at=now + retry_after(0.0, self.chance) if status == "retrying" else None,
            error=error,
            region=options.region,
            source=options.source,
            position=taken.delivery.position,
            body=taken.delivery.body,
            admitted_at=now,
            changed_at=now,
        )
