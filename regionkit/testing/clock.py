"""A clock that moves only when a test moves it, for code that takes its clock as an argument."""

from __future__ import annotations

import threading


class VirtualClock:
    """Both clocks of the system under a test's command: `monotonic()` and `wall()`, in seconds. Safe for threads.

    Args:
        monotonic: What `monotonic()` says at first.
        wall: What `wall()` says at first, in seconds since 1970; the default is 2023-11-14 22:13:20 UTC.
    """

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        with self._lock:
            return self._monotonic

    def wall(self) -> float:
        """Return the seconds since 1970."""
        with self._lock:
            return self._wall

    def advance(self, seconds: float) -> None:
        """Move both clocks on.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("time does not go back; use set_wall() for a wall clock that is set back")
        with self._lock:
            self._monotonic += seconds
            self._wall += seconds

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock, back or on, as an operator or NTP may; the monotonic clock stays."""
        with self._lock:
            self._wall = seconds
