"""What one block did on its Redis connection: told to routing as its progress. No I/O."""

from __future__ import annotations

import msgspec

from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER

__all__ = ["RedisProgress"]


class RedisProgress(msgspec.Struct, eq=False):
    """What one block did on its connection.

    Attributes:
        reading: the block may only read.
        process: that opened the block.
        used: a command was sent.
        sent: writes whose answer is still to come.
        commits: writes that were answered.
        position: offset behind the last of them; None when it was not asked, or others were sent since.
        expired: the server had not answered when the deadline passed.
        changed: the connection is another one than it was: it serves no further block.
        opened: a transaction or a watch is open on it.
        queuing: the server queues commands, after MULTI.
        checked_by: told when the data are not those that were proved; None where nothing was.
    """

    reading: bool
    process: int
    used: bool = False
    sent: int = 0
    commits: int = 0
    position: int | None = None
    expired: bool = False
    changed: bool = False
    opened: bool = False
    queuing: bool = False
    checked_by: Guard | None = None

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
