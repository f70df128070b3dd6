"""The record of one message or call: who may run it now, and what came of it. Pure: `now` is handed in, in seconds.

1. A record is free, claimed, calling or done. Claimed: somebody holds it until its lease ends. Calling: whoever holds it may have
   called outside by now. Done: what came of it is kept until it ends; then it counts as free.
2. A claim takes what is free and what is held beyond its lease, and raises the fence by one; the fence never falls, as a record
   is kept for `LONGEST_LIFE` beyond its use. Taking over `calling` leaves it `calling`: a second crash loses no doubt.
3. Who comes with another fingerprint than the one that is held or done gets Mismatch, however old the lease: it is another
   message under the same id. Without a fingerprint on either side nothing is compared.
4. A claim that is asked for again by the owner that has it is the same claim: an answer that was lost is asked for again.
5. A step needs owner and fence unchanged, and a state that it may leave:

   | step     | from                    | to      | lease                     |
   |----------|-------------------------|---------|---------------------------|
   | renew    | claimed, calling        | same    | begins anew               |
   | call     | claimed, calling        | calling | as it was                 |
   | complete | claimed, calling, done  | done    | ends when it is forgotten |
   | release  | claimed, calling        | free    | over                      |
   | doubt    | claimed, calling        | calling | over; nobody's            |

   The lease itself is not looked at: late, with nobody in between, is in time. Completing twice is completing.
6. Time is that of the clock of the store that keeps the record, never the application's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

import msgspec

__all__ = [
    "CALLING",
    "CLAIMED",
    "DONE",
    "FREE",
    "LEAVES",
    "LONGEST_LIFE",
    "Answer",
    "Busy",
    "Done",
    "Kept",
    "Mismatch",
    "Step",
    "Wish",
    "Won",
    "stepped",
    "taken",
]

FREE: Final = "free"
CLAIMED: Final = "claimed"
CALLING: Final = "calling"
DONE: Final = "done"

Step = Literal["renew", "call", "complete", "release", "doubt"]
LEAVES = MappingProxyType(
    {
        "renew": (CLAIMED, CALLING),
        "call": (CLAIMED, CALLING),
        "complete": (CLAIMED, CALLING, DONE),
        "release": (CLAIMED, CALLING),
        "doubt": (CLAIMED, CALLING),
    }
)
"""Rule 5: by step, the states that it leaves."""

LONGEST_LIFE = 86_400.0
"""Seconds beyond its use for which a record is kept at least: no process that was frozen, or moved with its machine, comes back
later than that, so it never meets a fence that began anew."""


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What is asked for, and the name by which each later step of it goes.

    Attributes:
        scope: whose ids they are: a consumer's, a function's. At most `LONGEST_NAME` bytes, as `id`.
        id: of the message or call in it.
        owner: new for each claim, 16 random bytes.
        fingerprint: of what came with the id; b"" for none.
        lease: seconds.
        keep: seconds for which `done` is kept, and an unfinished claim is remembered.
        calling: it may call outside from the beginning.
    """

    scope: bytes
    id: bytes
    owner: bytes
    fingerprint: bytes = b""
    lease: float = 30.0
    keep: float = LONGEST_LIFE
    calling: bool = False

    @property
    def remembered(self) -> float:
        """Seconds for which the record is kept beyond its lease."""
        return max(self.keep, LONGEST_LIFE)


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A record as it stands. `ends`: of the lease, or of done. `was`: what the last claim took over; "" for nothing."""

    state: str
    fence: int
    ends: float
    owner: bytes
    fingerprint: bytes = b""
    was: str = ""
    result: bytes | None = None


class Won(msgspec.Struct, frozen=True, gc=False):
    """It is the asker's. `taken_over`: the state when the earlier lease ended, "claimed" or "calling"; None: none ended."""

    fence: int
    taken_over: str | None = None


class Busy(msgspec.Struct, frozen=True, gc=False):
    """Another has it. `retry_after`: seconds that its lease has left, by the store's clock."""

    retry_after: float
    calling: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """It is done. `result`: what was kept of it; None where nothing was."""

    result: bytes | None = None

    @property
    def stored(self) -> bool:
        """Whether a result was kept."""
        return self.result is not None


class Mismatch(msgspec.Struct, frozen=True, gc=False):
    """Something else stands under the same id."""


Answer = Won | Busy | Done | Mismatch


_FIRST = Won(1)


def taken(kept: Kept | None, wish: Wish, now: float) -> tuple[Answer, Kept | None]:
    """The answer to a claim, and the record that it leaves; None where it leaves all as it was."""
    if kept is None:
        return _FIRST, Kept(CALLING if wish.calling else CLAIMED, 1, now + wish.lease, wish.owner, wish.fingerprint)
    alive = kept.ends > now
    held = kept.state in (CLAIMED, CALLING)
    if held or (kept.state == DONE and alive):
        if kept.fingerprint and wish.fingerprint and kept.fingerprint != wish.fingerprint:
            return Mismatch(), None
        if not held:
            return Done(kept.result), None
        if alive and kept.owner == wish.owner:
            return Won(kept.fence, kept.was or None), None
        if alive:
            return Busy(kept.ends - now, kept.state == CALLING), None
    was = kept.state if held else ""
    state = CALLING if wish.calling or was == CALLING else CLAIMED
    fence = kept.fence + 1
    return Won(fence, was or None), Kept(state, fence, now + wish.lease, wish.owner, wish.fingerprint, was)


def stepped(
    kept: Kept | None, step: Step, wish: Wish, fence: int, now: float, result: bytes | None = None
) -> Kept | None:
    """The record that a step leaves; None where it is refused."""
    if kept is None or kept.fence != fence or kept.owner != wish.owner or kept.state not in LEAVES[step]:
        return None
    if step == "complete":  # the step of every call; a copy by `replace` takes three times as long
        return Kept(DONE, fence, now + wish.keep, kept.owner, kept.fingerprint, kept.was, result)
    change = msgspec.structs.replace
    if step == "renew":
        return change(kept, ends=now + wish.lease)
    if step == "call":
        return change(kept, state=CALLING)
    if step == "release":
        return change(kept, state=FREE, ends=0.0)
    return change(kept, state=CALLING, ends=0.0, owner=b"")
