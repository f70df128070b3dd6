"""Measured staleness, on one clock and without writes.

The monitor keeps a ring of (sent_at, position) samples of the owner. A copy at position r is at most now - sent_at
behind, for the newest sample whose position it has reached: everything committed before sent_at is in that sample.
No wall clocks are compared, an idle pair reads as fresh, and when the owner is silent the bound grows, as it should.

1. A sample counts only for the history in which it was taken; the ring empties when the history or the owner changes.
2. sent_at is when the question left, not when the answer came.
3. A sample's position covers every commit acknowledged before sent_at, flushed or not; the backend sees to that.
"""

from __future__ import annotations

from collections import deque

import msgspec

from regionkit.facts.position import Position, Reached, reaches

__all__ = ["RING", "Ring", "Sample"]

RING = 512
"""Samples kept: two minutes at the default four a second. A copy further behind has no bound, and says so."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The owner was at `position` at or after `sent_at` (monotonic seconds)."""

    sent_at: float
    position: Position


class Ring:
    """Samples of one owner in one history. Not thread-safe: its holder locks."""

    __slots__ = ("_owner", "_samples")

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=RING)
        self._owner: tuple[str, str] = ("", "")

    def add(self, owner: str, history: str, sample: Sample) -> None:
        """Take a sample; one of another owner or history empties the ring first."""
        if (owner, history) != self._owner:
            self._samples.clear()
            self._owner = (owner, history)
        if not self._samples or sample.sent_at > self._samples[-1].sent_at:
            self._samples.append(sample)

    def clear(self) -> None:
        """Forget all: the owner changed, or is in doubt."""
        self._samples.clear()
        self._owner = ("", "")

    def fresh_at(self, history: str, have: Reached | None) -> float | None:
        """The newest instant at which everything then committed is in `have`; None when no sample proves any."""
        if have is None or history != self._owner[1]:
            return None
        for sample in reversed(self._samples):
            if reaches(have, sample.position):
                return sample.sent_at
        return None
