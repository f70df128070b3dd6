"""Time as a value that is handed in.

Durations are float seconds. The monotonic clock counts suspension too where the system offers it (CLOCK_BOOTTIME): a
laptop or a virtual machine that slept must not believe that what it knew before is fresh.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]

_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """Where the library reads time. `regionkit.testing.VirtualClock` is another one."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970 (UTC); may step."""
        ...


class SystemClock:
    """The clock of this machine. Thread-safe.

    Its functions are the interpreter's own: every decision reads the time, and a method around them would double the cost.
    """

    __slots__ = ()

    monotonic = staticmethod(time.monotonic if _BOOT is None else partial(time.clock_gettime, _BOOT))
    wall = staticmethod(time.time)


SYSTEM_CLOCK: Clock = SystemClock()
