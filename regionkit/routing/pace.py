"""How often a store's endpoints are asked where they stand, by what the store is used for. Pure.

| what happened within the last `LATELY` probe intervals               | a round each   | asks in        |
|----------------------------------------------------------------------|----------------|----------------|
| somebody needed positions: a bounded read, a wait for a copy          | `sample_every` | each round     |
| a block was opened; or the endpoint is in trouble, or nobody owns the store | `probe_every` | each round |
| nothing: the process rests                                            | `probe_every`  | one round of `REST` |

1. Rounds look before they ask: an answer that came on another way since the last round (to a block, to somebody who waited, to
   another process of this host) is this round's.
2. Time is told by the rounds' own pauses, so that a clock that stands still or leaps changes nothing here.
3. A process that starts counts as used. What was missed while it rested is asked for by the first write (`StoreState.met`).
"""

from __future__ import annotations

import msgspec

from regionkit.topology import Profile

__all__ = ["LATELY", "REST", "Pace", "paced"]

LATELY = 10.0
"""Probe intervals for which a use counts: requests of a quiet service come every few seconds."""
REST = 6
"""Rounds of a process that rests, one of which asks: less than one question in five probe intervals, jitter included."""
LONG_AGO = float("inf")


class Pace(msgspec.Struct, frozen=True, gc=False):
    """What a job remembers between its rounds: seconds since a use and since a need, rounds without a question, its pause."""

    unused: float = 0.0
    unneeded: float = LONG_AGO
    rested: int = 0
    pause: float = 0.0
    rests: bool = False

    @property
    def interval(self) -> float:
        """Seconds between two questions, about."""
        return REST * self.pause if self.rests else self.pause

    @property
    def asks(self) -> bool:
        """Whether this round asks."""
        return self.rested == 0


def paced(before: Pace, profile: Profile, *, used: bool, needed: bool, troubled: bool) -> Pace:
    """This round's pace.

    Args:
        before: of the last round.
        profile: its intervals.
        used: a block was opened since the last round.
        needed: positions were needed since then.
        troubled: what is known of the endpoint, or of who owns the store, is no peace.
    """
    lately = LATELY * profile.probe_every
    unused = 0.0 if used or needed else before.unused + before.pause
    unneeded = 0.0 if needed else before.unneeded + before.pause
    if unneeded < lately and not troubled:
        return Pace(unused, unneeded, 0, profile.sample_every)
    if unused < lately or troubled:
        return Pace(unused, unneeded, 0, profile.probe_every)
    return Pace(unused, unneeded, (before.rested + 1) % REST, profile.probe_every, rests=True)
