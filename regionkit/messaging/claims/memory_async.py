"""Claims in one process: a table under a lock. What it holds is gone with the process."""

from __future__ import annotations

import threading
from collections import deque

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable
from regionkit.messaging.claim import DONE, Answer, Kept, Step, Wish, stepped, taken

__all__ = ["AsyncMemoryClaims"]

MOST_KEPT = 1_000_000
"""Records of one process: some 300 MB. Beyond, new ones are refused: one that is forgotten early would be run twice."""
FORGOTTEN_AT_ONCE = 2
"""Records that are looked at for a new one, oldest first: the table shrinks faster than it can grow."""


class _Row:
    """Records that are remembered equally long, oldest first: which, and since when. Two queues hold less than one of pairs."""

    __slots__ = ("names", "remembered", "since")

    def __init__(self, remembered: float) -> None:
        self.remembered = remembered
        self.names: deque[tuple[bytes, bytes]] = deque()
        self.since: deque[float] = deque()


class AsyncMemoryClaims:
    """Implements `AsyncClaims`. Safe to share between threads and tasks."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._kept: dict[tuple[bytes, bytes], Kept] = {}
        self._rows: dict[float, _Row] = {}  # by how long `done` is kept

    async def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        name = (wish.scope, wish.id)
        with self._lock:
            before, now = self._kept.get(name), self._now()
            answer, after = taken(before, wish, now)
            if after is not None:
                if before is None:
                    self._enter(name, wish, now)
                self._kept[name] = after
        return answer

    def _enter(self, name: tuple[bytes, bytes], wish: Wish, now: float) -> None:
        row = self._rows.get(wish.keep)
        if row is None:
            row = self._rows[wish.keep] = _Row(wish.remembered)
        elif row.since and row.since[0] <= now - row.remembered:
            self._forget(FORGOTTEN_AT_ONCE, now)
        if len(self._kept) >= MOST_KEPT:
            raise RegionUnavailable(
                f"{MOST_KEPT} calls are remembered in memory, and none is over.",
                why="each is kept for its ttl, a day at least.",
                fix="keep them in Redis or a database.",
            )
        row.names.append(name)
        row.since.append(now)

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
        """Of each row the oldest ones that are over; what is still in use goes to the end."""
        before = len(self._kept)
        for row in self._rows.values():
            remembered = row.remembered
            for _ in range(min(most, len(row.names))):
                if row.since[0] + remembered > now:
                    break
                row.since.popleft()
                name = row.names.popleft()
                kept = self._kept[name]
                if kept.ends + (0.0 if kept.state == DONE else remembered) > now:
                    row.names.append(name)
                    row.since.append(now)
                else:
                    del self._kept[name]
        return before - len(self._kept)

    async def sweep(self, *, within: float) -> int:
        """Take away what is remembered no longer."""
        with self._lock:
            return self._forget(len(self._kept), self._now())

    async def create_tables(self, deadline: Deadline) -> None:
        """Nothing is to be made."""

    async def close(self) -> None:
        """Nothing is held."""
