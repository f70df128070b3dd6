"""The time to a fiftieth of a second, for what reads it too often to ask the machine.

1. One thread of the process advances it while somebody needs it. It runs beside every event loop, so that a loop that is
   blocked does not stop the time.
2. It is never ahead. It is behind by one tick, or by as long as no Python code of another thread could run.
3. After a fork the time stands until a reader that has the true time says so (`held` is false, and nothing is fresh).
"""

from __future__ import annotations

import math
import os
import threading
import weakref

from regionkit.core.clock import SYSTEM_CLOCK

__all__ = ["COARSE_CLOCK", "TICK", "CoarseClock"]

TICK = 0.02
"""Seconds between two ticks: a fiftieth of a second is far below any life of a cached value, and costs 0.1 % of a core."""


class CoarseClock:
    """Monotonic seconds that stand still for a tick. Thread-safe.

    Attributes:
        now: the time; infinity while nobody holds the clock, so that nothing is taken for fresh.
    """

    __slots__ = ("__weakref__", "_holders", "_lock", "_running", "now")

    def __init__(self) -> None:
        self.now = math.inf
        self._holders: weakref.WeakSet[object] = weakref.WeakSet()
        self.renew()

    def renew(self) -> None:
        """After a fork: the thread is the parent's."""
        self.now = math.inf
        self._lock = threading.Lock()
        self._running = False

    def hold(self, holder: object) -> None:
        """`holder` reads `now` from here on, until it lets go or is forgotten. Again after a fork."""
        with self._lock:
            self._holders.add(holder)
            if not self._running:
                self._running = True
                self.now = SYSTEM_CLOCK.monotonic()
                threading.Thread(target=self._run, name="regionkit clock", daemon=True).start()

    def let_go(self, holder: object) -> None:
        """`holder` reads it no more."""
        with self._lock:
            self._holders.discard(holder)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            with self._lock:
                if not self._holders:
                    self._running, self.now = False, math.inf
                    return
                self.now = SYSTEM_CLOCK.monotonic()
            pause.wait(TICK)


COARSE_CLOCK = CoarseClock()
"""The one of this process, as the machine has one clock."""
os.register_at_fork(after_in_child=COARSE_CLOCK.renew)
