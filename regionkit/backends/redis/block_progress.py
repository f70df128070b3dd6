"""What one block did on its Redis connection: told to routing as its progress. No I/O."""

from __future__ import annotations

import os

from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER

__all__ = ["RedisProgress"]


class RedisProgress:
    """What one block did on its connection.

    Attributes:
        reading: the block may only read.
        used: a command was sent.
        sent: writes whose answer is still to come.
        commits: writes that were answered.
        position: offset behind the last of them; None when it was not asked, or others were sent since.
        expired: the server had not answered when the deadline passed.
        changed: the connection is another one than it was: it serves no further block.
        opened: a transaction or a watch is open on it.
        queuing: the server queues commands, after MULTI.
        process: that opened the block.
        checked_by: told when the data are not those that were proved; None where nothing was.
    """

    __slots__ = (
        "changed",
        "checked_by",
        "commits",
        "expired",
        "opened",
        "position",
        "process",
        "queuing",
        "reading",
        "sent",
        "used",
    )

    def __init__(self, *, reading: bool) -> None:
        self.reading = reading
        self.used = False
        self.sent = 0
        self.commits = 0
        self.position: int | None = None
        self.expired = False
        self.changed = False
        self.opened = False
        self.queuing = False
        self.process = os.getpid()
        self.checked_by: Guard | None = None

    @property
    def unknown(self) -> bool:
        """Whether a write was sent and its answer never came."""
        return self.sent > 0

    @property
    def had(self) -> float:
        """Nobody counts."""
        return FOREVER

    @property
    def undone(self) -> bool:
        """Never: nothing is rolled back."""
        return False

    @property
    def implicit(self) -> bool:
        """Never: on Redis each write stands by itself, and `commits` counts them."""
        return False

    @property
    def warning(self) -> str:
        """Redis warns of nothing."""
        return ""
