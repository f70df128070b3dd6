"""Turns at a file that has one writer at a time, for processes that write all the time.

SQLite gives its lock to whoever asks at the right moment: of four processes one had nearly all. Here whoever wants a turn goes
through a gate first, and holds it until the turn is his: whoever has just had one finds the gate shut. Both are locks of the
system (flock) on empty files beside the database, and end with the process that has them.
"""

from __future__ import annotations

import os

from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows: no turns, and SQLite's own lock is enough to be right
    flock = None  # type: ignore[assignment]

__all__ = ["AsyncFileTurn"]

LOOK_EVERY = 0.001
"""Seconds between two looks at a lock: a transaction of SQLite takes as long."""


class AsyncFileTurn:
    """Turns at one file. Safe to share between threads or tasks.

    Args:
        path: of the database; "": there are no turns.
    """

    def __init__(self, path: str) -> None:
        self._path = path if flock is not None else ""

    async def take(self, deadline: Deadline) -> int:
        """Wait for a turn; what to end it with.

        Raises:
            DeadlineExceeded: it did not come.
        """
        if not self._path:
            return -1
        gate = await self._locked("-rk-gate", deadline)
        try:
            return await self._locked("-rk-turn", deadline)
        finally:
            os.close(gate)

    def end(self, turn: int) -> None:
        """The turn is over."""
        if turn >= 0:
            os.close(turn)

    async def _locked(self, ending: str, deadline: Deadline) -> int:
        lock = os.open(self._path + ending, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    flock(lock, LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    deadline.require("waiting for a turn at the file")
                    await asleep(LOOK_EVERY)
                else:
                    return lock
        except BaseException:
            os.close(lock)
            raise
