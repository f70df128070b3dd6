"""A turn: what is done by one after the other, and waited for no longer than the caller has time."""

from __future__ import annotations

from regionkit.core.concurrency_async import AsyncSlots
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded

__all__ = ["AsyncTurn"]


class AsyncTurn:
    """Held over I/O, between `take` and `end`. After a fork make a new one: the parent's may be taken for ever."""

    def __init__(self) -> None:
        self._slots = AsyncSlots(1)

    async def take(self, deadline: Deadline, doing: str) -> None:
        """Wait for it. `doing`: for what, at the begin of a sentence.

        Raises:
            DeadlineExceeded: another one still had it when the time was over.
        """
        if not self._slots.try_acquire() and not await self._slots.acquire(deadline.require(doing)):
            raise DeadlineExceeded(
                f"{doing} did not begin within {deadline.timeout:g} s.",
                why="another call was at it all the time, and has not ended.",
                fix="see what it waits for: regionkit tpc doctor; or pass a larger timeout=.",
            )

    def end(self) -> None:
        """Let the next one in."""
        self._slots.release()
