"""Which keys are asked for most: a bounded sketch (Metwally, Agrawal, El Abbadi 2005: Space-Saving), fed by every 61st call.

A key whose share of the sampled calls is above 1 / `CAPACITY` is in it for sure; its count is never too low, and too high by
at most the least count kept. Pure; unlocked: a race between threads loses a count, not the sketch.
"""

from __future__ import annotations

import msgspec

__all__ = ["CAPACITY", "EVERY", "HotKey", "HotKeys"]

CAPACITY = 64
"""Keys kept: names every key that has more than 1.6 % of the calls, in a few kilobytes."""
EVERY = 61
"""Calls per sample: the sketch then costs a call about 30 ns, and 100,000 calls still give 1,600 samples. A prime: calls that
come in turns of two, four or ten keys are sampled alike."""


class HotKey(msgspec.Struct, frozen=True):
    """A key with its share of the calls, 0 to 1; the true share is at least `at_least`."""

    key: str
    share: float
    at_least: float


class HotKeys:
    """Counts of sampled keys."""

    __slots__ = ("_counts", "_errors", "_total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._total = 0

    def add(self, key: str) -> None:
        """Count one sampled call."""
        counts = self._counts
        self._total += 1
        if key in counts:
            counts[key] += 1
        elif len(counts) < CAPACITY:
            counts[key] = 1
        else:
            least = min(counts, key=counts.__getitem__)
            count = counts.pop(least, 0)
            self._errors.pop(least, None)
            counts[key] = count + 1
            self._errors[key] = count

    def top(self, most: int = 5, above: float = 0.05) -> tuple[HotKey, ...]:
        """The keys with the largest shares, at most `most`, each surely above `above`."""
        total = self._total
        if not total:
            return ()
        rows = sorted(self._counts.items(), key=lambda row: -row[1])[:most]
        keys = (HotKey(k, n / total, (n - self._errors.get(k, 0)) / total) for k, n in rows)
        return tuple(hot for hot in keys if hot.at_least > above)
