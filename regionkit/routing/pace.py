"""How often a store's endpoints are asked where they stand, by what the store is used for. Pure.

| what happened within the last `LATELY` probe intervals                      | asked every           |
|-----------------------------------------------------------------------------|-----------------------|
| somebody needed positions: a bounded read, a wait for a copy                | `sample_every`        |
| a block was opened; or the endpoint is in trouble, or nobody owns the store | `probe_every`         |
| nothing: the process rests                                                  | `REST` x `probe_every` |

1. There is a round every `sample_every`, so a need is noticed soon. A round first looks for an answer that arrived another way:
   to a block, to a read that waited, or to another process of this host. Such an answer counts like its own.
2. Time is measured by the pauses between rounds, so a clock that stops or jumps has no effect here.
3. A process that starts counts as used. After a rest, the first write asks for what was missed (`StoreState.met`).
4. After a start, and after an endpoint recovers, positions count as needed for `PROOFS` probe intervals: proving a copy takes an
   answer of the owner and then one of the copy.
"""

from __future__ import annotations

import msgspec

from regionkit.topology import Profile

__all__ = ["LATELY", "PROOFS", "REST", "Pace", "answered", "begun", "paced"]

LATELY = 10.0
"""Probe intervals for which a use counts: requests of a quiet service come every few seconds."""
PROOFS = 2.0
"""Probe intervals after a start for which positions are needed: what is proved at all is proved by then."""
REST = 6.0
"""Probe intervals between two questions of a process that rests: less than one in five, jitter included."""
LONG_AGO = float("inf")
_HAIR = 1e-6


class Pace(msgspec.Struct, frozen=True, gc=False):
    """What a job remembers between its rounds, in seconds.

    `unused`, `unneeded`: since the last use and need. `waited`: since the last answer, or question. `interval`: between two
    questions. `pause`: between two rounds.
    """

    unused: float = 0.0
    unneeded: float = LONG_AGO
    waited: float = LONG_AGO
    interval: float = 0.0
    pause: float = 0.0
    rests: bool = False

    @property
    def asks(self) -> bool:
        """Whether this round asks."""
        return self.waited >= self.interval - _HAIR


def begun(profile: Profile) -> Pace:
    """The pace of a process that starts."""
    return Pace(unneeded=(LATELY - PROOFS) * profile.probe_every)


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
    if troubled:
        unneeded = min(unneeded, lately - PROOFS * profile.probe_every)
    rests = unused >= lately and not troubled
    interval = REST * profile.probe_every if rests else profile.probe_every
    if unneeded < lately and not troubled:
        interval = profile.sample_every
    pause = min(profile.sample_every, profile.probe_every)
    return Pace(unused, unneeded, before.waited + before.pause, interval, pause, rests)


def answered(pace: Pace, age: float) -> Pace:
    """After an answer to a question that left `age` seconds ago; or after a failed one, with 0."""
    return msgspec.structs.replace(pace, waited=min(max(age, 0.0), pace.interval))
