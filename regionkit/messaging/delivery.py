"""What becomes of a delivered message. Pure: the one place where it is decided.

Intake, before any row is looked at (`take`); `now` is the clock of the inbox's database:

| the message                                        | verdict |
|----------------------------------------------------|---------|
| its id was made after now + SKEW; no gate for it   | FUTURE: a case |
| its id, or else what published it, is older than accept_for; no gate for it | STALE: a case |
| a tombstone                                        | TAKEN: there is nothing to look at in a case |
| expires_at has passed                              | EXPIRED: a case, or dropped by policy |
| no handler for its type                            | UNHANDLED: a case, or skipped by policy |
| else                                               | TAKEN |

What a gate judges is known for ever, however late a copy comes: its age does not matter.

The gate, one row for (consumer, lineage, key), in the effect's transaction (`judge`). (h, n) is where it stands:

1. No gate: the first message of the key begins it. Others have a GAP before them.
2. The message is of the gate's history: at or below n it is a DUPLICATE, with prev = (h, n) APPLY, else there is a GAP.
3. It is of another history, and prev = (h, n): APPLY. With a later epoch, and a prev that the gate has passed in this or an
   earlier history, or none: APPLY too, `diverged`: the gate has seen messages that a failover of the outbox has undone.
4. It is of a history that the gate has passed: what was at or below its last number is a DUPLICATE, the rest was OVERTAKEN by
   a failover of the outbox: a case. So is whatever is of an older epoch, or of the same one and another branch.
5. It is of a later epoch than the gate's: GAP; what is between has not come yet.
6. A key that is parked for a case: what would be APPLY or GAP is HELD, behind it. One that is parked for a gap: a GAP is HELD,
   and APPLY closes the gap.
7. What moves the gate moves it in the transaction of the effect. What is HELD does not move it: it moves when it is released.
8. A key that never began, and whose gap was waited for, begins at the lowest message that is held (`begun`): a new consumer of
   an old stream; so does one whose gap somebody has given up. What was missing, and comes all the same, is OVERTAKEN; what the
   key had applied before the gap is a DUPLICATE.

The claim, a row a message, where nobody numbered it (`judge_claim`): none: APPLY; the same payload: DUPLICATE; another: MISMATCH.

What follows (`Step`): a message is acknowledged only after its own effect, claim, case or held row is known to be committed.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec

from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, made_at

__all__ = [
    "ACCEPT_FOR",
    "MOST_PASSED",
    "SKEW",
    "Gate",
    "Intake",
    "Judged",
    "Park",
    "Verdict",
    "begun",
    "judge",
    "judge_claim",
    "moved",
    "take",
]

ACCEPT_FOR = 7 * 86_400.0
"""Seconds for which a message is taken after it was made: longer than a weekend's outage, shorter than dedup rows are kept."""
SKEW = 300.0
"""Seconds by which a producer's clock may be ahead: above what NTP ever leaves, below what a wrong time zone makes."""


class Intake(Enum):
    """What is seen of a message without any row."""

    TAKEN = "taken"
    FUTURE = "future"
    STALE = "stale"
    EXPIRED = "expired"
    UNHANDLED = "unhandled"


def take(envelope: Envelope, now: float, *, accept_for: float, handled: bool, gated: bool) -> Intake:
    """Whether the message may be taken at all. `now`: seconds since 1970 by the inbox's clock. `gated`: a gate judges it."""
    made = None if gated else made_at(envelope.id)
    if gated:
        pass
    elif made is not None:
        if made > now + SKEW:
            return Intake.FUTURE
        if made < now - accept_for:
            return Intake.STALE
    elif envelope.published_at and envelope.published_at < now - accept_for:
        return Intake.STALE
    if envelope.tomb:
        return Intake.TAKEN
    if envelope.expires_at is not None and envelope.expires_at <= now:
        return Intake.EXPIRED
    if not handled:
        return Intake.UNHANDLED
    return Intake.TAKEN


MOST_PASSED = 8
"""Earlier histories of an outbox that a gate remembers: failovers within the life of a late copy."""

Park = Literal["", "case", "gap"]
"""Why a key is parked: behind a case, or before a gap; "" where it is not."""


class Gate(msgspec.Struct, frozen=True, gc=False):
    """Where a key stands.

    Attributes:
        at: the last number.
        passed: the last numbers of earlier histories, and before a gap that was given up, the newest first, for copies that come
            late: at most `MOST_PASSED`.
        first: where it began (again), when that was not its first message.
        parked: why it does not go on.
    """

    at: Number
    passed: tuple[Number, ...] = ()
    first: Number = NOTHING_BEFORE
    parked: Park = ""


class Verdict(Enum):
    """What is to be done with a message that was taken."""

    APPLY = "apply"
    DUPLICATE = "duplicate"
    MISMATCH = "mismatch"
    BUSY = "busy"
    GAP = "gap"
    HELD = "held"
    OVERTAKEN = "overtaken"


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A verdict, and what is worth knowing about it.

    Attributes:
        verdict: what is to be done.
        diverged: its number was given out twice.
        began: its key begins with it, past its first message.
        closes: the gap that the key was parked for is closed by it.
    """

    verdict: Verdict
    diverged: bool = False
    began: bool = False
    closes: bool = False


_APPLY = Judged(Verdict.APPLY)
_DUPLICATE = Judged(Verdict.DUPLICATE)
_GAP = Judged(Verdict.GAP)
_HELD = Judged(Verdict.HELD)
_OVERTAKEN = Judged(Verdict.OVERTAKEN)


def judge(gate: Gate | None, number: Number, prev: Number) -> Judged:
    """What the gate says to a numbered message."""
    if gate is None:
        return _APPLY if prev == NOTHING_BEFORE else _GAP
    judged = _in_line(gate, number, prev)
    if not gate.parked or judged.verdict not in (Verdict.APPLY, Verdict.GAP):
        return judged
    if gate.parked == "gap" and judged.verdict is Verdict.APPLY:
        return Judged(Verdict.APPLY, diverged=judged.diverged, closes=True)
    return _HELD


def _in_line(gate: Gate, number: Number, prev: Number) -> Judged:
    at = gate.at
    if number.history == gate.first.history and number.n < gate.first.n:
        return _DUPLICATE if _has_passed(number, gate.passed) else _OVERTAKEN
    if number.history == at.history:
        if number.n <= at.n:
            return _DUPLICATE
        return _APPLY if prev == at else _GAP
    if prev == at:
        return _APPLY
    if number.epoch > at.epoch and (prev == NOTHING_BEFORE or _has_passed(prev, (at, *gate.passed))):
        return Judged(Verdict.APPLY, diverged=True)
    if _has_passed(number, gate.passed):
        return _DUPLICATE
    return _OVERTAKEN if number.epoch <= at.epoch else _GAP


def _has_passed(number: Number, passed: tuple[Number, ...]) -> bool:
    return any(number.history == seen.history and number.n <= seen.n for seen in passed)


def moved(gate: Gate | None, number: Number) -> Gate:
    """The gate after a message was applied; what it is parked for stays."""
    if gate is None:
        return Gate(number)
    passed = gate.passed
    if number.history != gate.at.history and gate.at != NOTHING_BEFORE:
        passed = (gate.at, *passed)[:MOST_PASSED]
    return Gate(number, passed, gate.first, gate.parked)


def begun(gate: Gate, number: Number) -> Gate:
    """The gate of a key that begins with a message that is not its first, or not the one after its last."""
    passed = gate.passed if gate.at == NOTHING_BEFORE else (gate.at, *gate.passed)[:MOST_PASSED]
    return Gate(number, passed, number, gate.parked)


def judge_claim(stored: bytes | None, fingerprint: bytes) -> Verdict:
    """What the claim of a message says. `stored`: the fingerprint that stands there; None: nobody has claimed it."""
    if stored is None:
        return Verdict.APPLY
    return Verdict.DUPLICATE if stored == fingerprint else Verdict.MISMATCH
