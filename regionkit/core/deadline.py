"""One absolute deadline per call, passed down; each step gets what remains.

A retry may not outlive its caller, so no layer starts a time-out of its own: it asks the deadline.
"""

from __future__ import annotations

from regionkit.core.clock import Clock
from regionkit.core.given import is_number
from regionkit.errors import ConfigurationError, DeadlineExceeded

__all__ = ["FOREVER", "LONGEST_TIMEOUT", "Deadline"]

FOREVER = float("inf")
"""No bound: an instant that never comes, or seconds without end."""

LONGEST_TIMEOUT = 3600.0
"""Longest time-out taken, seconds: an hour bounds every wait; a longer job is no request."""


class Deadline:
    """An instant on a monotonic clock. Immutable; shared freely between threads and tasks."""

    __slots__ = ("_monotonic", "at", "timeout")

    def __init__(self, clock: Clock, timeout: float) -> None:
        if (
            not (type(timeout) is float or is_number(timeout, 0.0, LONGEST_TIMEOUT))
            or not 0.0 < timeout <= LONGEST_TIMEOUT
        ):
            raise ConfigurationError(
                f"a timeout of {str(timeout)[:80]!r} s is not usable.",
                why=f"it must be more than 0 and at most {LONGEST_TIMEOUT:.0f} s.",
                fix="pass timeout= in seconds, or leave it out to use the profile's.",
            )
        self._monotonic = clock.monotonic
        self.timeout = timeout
        self.at = self._monotonic() + timeout

    def remaining(self) -> float:
        """Seconds left; zero or less when it has passed."""
        return self.at - self._monotonic()

    def require(self, doing: str, *, store: str = "", region: str = "") -> float:
        """Seconds left.

        Raises:
            DeadlineExceeded: when none are, naming what was being done.
        """
        left = self.at - self._monotonic()
        if left <= 0.0:
            raise DeadlineExceeded(
                f"{doing} did not end within {self.timeout:g} s.",
                why="the call's one deadline passed.",
                fix="pass a larger timeout=, or check kit.status() for slow or dead regions.",
                store=store,
                region=region,
            )
        return left
