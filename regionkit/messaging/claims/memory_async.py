"""Claims in one process: a table under a lock. What it holds is gone with the process."""

from __future__ import annotations

import threading
from collections import deque

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.messaging.claim import Answer, Kept, Step, Wish, stepped, taken

__all__ = ["AsyncMemoryClaims"]

FORGOTTEN_AT_ONCE = 2
"""Records looked at for each new one, oldest first: the table shrinks faster than it can grow."""


class AsyncMemoryClaims:
    """Implements `AsyncClaims`. Safe to share between threads and tasks."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._kept: dict[tuple[bytes, bytes], Kept] = {}
        self._order: deque[tuple[tuple[bytes, bytes], float]] = deque()

    async def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        name = (wish.scope, wish.id)
        with self._lock:
            now = self._now()
            before = self._kept.get(name)
            answer, after = taken(before, wish, now)
            if after is not None:
                self._kept[name] = after
                if before is None:
                    self._order.append((name, wish.remembered))
                    self._forget(FORGOTTEN_AT_ONCE, now)
        return answer

    async def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made."""
        name = (wish.scope, wish.id)
        with self._lock:
            after = stepped(self._kept.get(name), step, wish, fence, self._now(), result)
            if after is None:
                return False
            self._kept[name] = after
        return True

    def _forget(self, most: int, now: float) -> int:
        gone = 0
        for _ in range(min(most, len(self._order))):
            name, remembered = self._order[0]
            if self._kept[name].ends + remembered > now:
                self._order.rotate(-1)  # in use, or remembered for longer than those behind it
            else:
                self._order.popleft()
                del self._kept[name]
                gone += 1
        return gone

    async def sweep(self, *, within: float) -> int:
        """Take away what is remembered no longer."""
        with self._lock:
            return self._forget(len(self._order), self._now())

    async def create_tables(self, deadline: Deadline) -> None:
        """Nothing is to be made."""

    async def close(self) -> None:
        """Nothing is held."""
