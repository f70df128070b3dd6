"""The clock of a database, as it is known here: asked now and then, and carried on by this machine's monotonic clock."""

from __future__ import annotations

from regionkit.core.clock import Clock

__all__ = ["ASKED_EVERY", "StoreClock"]

ASKED_EVERY = 60.0
"""Seconds until a database is asked again what time it has: clocks drift by far less than what is judged with it."""


class StoreClock:
    """Seconds since 1970 as a database has them. Thread-safe: each change is one assignment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[float, float] | None = None

    @property
    def due(self) -> bool:
        """Whether it should be asked."""
        known = self._known
        return known is None or self._clock.monotonic() - known[1] > ASKED_EVERY

    def set(self, seconds: float) -> None:
        """What the database has just said."""
        self._known = (seconds, self._clock.monotonic())

    def now(self) -> float:
        """What it has now; this machine's own time before it was asked."""
        known = self._known
        if known is None:
            return self._clock.wall()
        return known[0] + (self._clock.monotonic() - known[1])
