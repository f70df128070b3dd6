"""What becomes of a delivered message. Pure: the one place where it is decided.

Intake, before any row is looked at (`take`); `now` is the clock of the inbox's database:

| the message                                        | verdict |
|----------------------------------------------------|---------|
| its id was made after now + SKEW                   | FUTURE: a case |
| its id, or what published it, is older than accept_for | STALE: a case |
| expires_at has passed                              | EXPIRED: a case, or dropped by policy |
| no handler for its type                            | UNHANDLED: a case, or skipped by policy |
| else                                               | TAKEN |

The gate, one row for (consumer, lineage, key), in the effect's transaction (`judge`). (h, n) is where it stands:

1. No gate: the first message of the key, or one that has waited long enough, begins it. Others have a GAP before them.
2. The message is of the gate's history: at or below n it is a DUPLICATE, with prev = (h, n) APPLY, else there is a GAP.
3. It is of another history, and prev = (h, n): APPLY. Of a later epoch, with prev of the gate's history at or below n, or of an
   epoch before the gate's: APPLY too, `diverged`: the gate has seen messages that a failover of the outbox has undone (all
   of its history, or the whole key, whose prev is nothing), and their numbers were given out again.
4. It is of the history before the gate's: what was at or below its last number is a DUPLICATE, the rest was OVERTAKEN by a
   failover of the outbox: a case. So is whatever is of an older epoch, or of the same one and another branch.
5. It is of a later epoch than the gate's: GAP; what is between has not come yet.
6. A key that is parked for a case: what would be APPLY or GAP is HELD, behind it. One that is parked for a gap: a GAP is HELD,
   and APPLY closes the gap.
7. What moves the gate moves it in the transaction of the effect. What is HELD does not move it: it moves when it is released.

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
    "SKEW",
    "Gate",
    "Intake",
    "Judged",
    "Park",
    "Verdict",
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


def take(envelope: Envelope, now: float, *, accept_for: float, handled: bool) -> Intake:
    """Whether the message may be taken at all. `now`: seconds since 1970 by the inbox's clock."""
    made = made_at(envelope.id)
    if made is not None:
        if made > now + SKEW:
            return Intake.FUTURE
        if made < now - accept_for:
            return Intake.STALE
    elif envelope.published_at and envelope.published_at < now - accept_for:
        return Intake.STALE
    if envelope.expires_at is not None and envelope.expires_at <= now:
        return Intake.EXPIRED
    if not handled and not envelope.tomb:
        return Intake.UNHANDLED
    return Intake.TAKEN


Park = Literal["", "case", "gap"]
"""Why a key is parked: behind a case, or before a gap; "" where it is not."""


class Gate(msgspec.Struct, frozen=True, gc=False):
    """Where a key stands. `before`: the last number of the history before, for copies that come late."""

    at: Number
    before: Number = NOTHING_BEFORE
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
    """A verdict, and what is worth counting about it. `began`: a key that nobody had seen begins past its first message."""

    verdict: Verdict
    diverged: bool = False
    began: bool = False


_APPLY = Judged(Verdict.APPLY)
_DUPLICATE = Judged(Verdict.DUPLICATE)
_GAP = Judged(Verdict.GAP)
_HELD = Judged(Verdict.HELD)
_OVERTAKEN = Judged(Verdict.OVERTAKEN)


def judge(gate: Gate | None, number: Number, prev: Number, *, waited: bool = False) -> Judged:
    """What the gate says to a numbered message. `waited`: its predecessor had its time to come."""
    if gate is None:
        if prev == NOTHING_BEFORE:
            return _APPLY
        return Judged(Verdict.APPLY, began=True) if waited else _GAP
    judged = _in_line(gate, number, prev)
    if not gate.parked or judged.verdict not in (Verdict.APPLY, Verdict.GAP):
        return judged
    return judged if gate.parked == "gap" and judged.verdict is Verdict.APPLY else _HELD


def _in_line(gate: Gate, number: Number, prev: Number) -> Judged:
    at = gate.at
    if number.history == at.history:
        if number.n <= at.n:
            return _DUPLICATE
        return _APPLY if prev == at else _GAP
    if prev == at:
        return _APPLY
    undone = prev.epoch < at.epoch or (prev.history == at.history and prev.n <= at.n)
    if undone and number.epoch > at.epoch:
        return Judged(Verdict.APPLY, diverged=True)
    if number.history == gate.before.history:
        return _DUPLICATE if number.n <= gate.before.n else _OVERTAKEN
    return _OVERTAKEN if number.epoch <= at.epoch else _GAP


def moved(gate: Gate | None, number: Number) -> Gate:
    """The gate after a message was applied; what it is parked for stays."""
    if gate is None:
        return Gate(number)
    before = gate.before if number.history == gate.at.history else gate.at
    return Gate(number, before, gate.parked)


def judge_claim(stored: bytes | None, fingerprint: bytes) -> Verdict:
    """What the claim of a message says. `stored`: the fingerprint that stands there; None: nobody has claimed it."""
    if stored is None:
        return Verdict.APPLY
    return Verdict.DUPLICATE if stored == fingerprint else Verdict.MISMATCH
