"""What a block has done so far at its endpoint. One value, kept by the backend and read by routing."""

from __future__ import annotations

from typing import Protocol

from regionkit.core.deadline import FOREVER
from regionkit.facts.position import Position

__all__ = ["NOTHING", "BlockProgress", "Progress"]


class Progress(Protocol):
    """Of one block. Read only, for whoever did not make it."""

    @property
    def used(self) -> bool:
        """A statement was sent."""
        ...

    @property
    def commits(self) -> int:
        """Commits so far; where there is no transaction, writes that were acknowledged."""
        ...

    @property
    def position(self) -> Position | None:
        """Where the newest of them lies; None when nothing was committed or nobody can tell."""
        ...

    @property
    def implicit(self) -> bool:
        """A statement committed by itself (DDL on MariaDB)."""
        ...

    @property
    def expired(self) -> bool:
        """The server had not answered when the deadline passed."""
        ...

    @property
    def unknown(self) -> bool:
        """A commit was sent and its answer never came; without transactions, a write that a majority did not confirm."""
        ...

    @property
    def had(self) -> float:
        """Seconds that the server had for the last answer that was waited for, at most; FOREVER where nobody counts."""
        ...

    @property
    def undone(self) -> bool:
        """Its transaction was rolled back, by the block itself or by the server, so that what was done before is not there."""
        ...

    @property
    def warning(self) -> str:
        """What the server warned of at the commit; "" for nothing."""
        ...


class BlockProgress:
    """A `Progress` for handles that count themselves. Not shared between threads or tasks."""

    __slots__ = ("commits", "expired", "had", "implicit", "position", "undone", "unknown", "used", "warning")

    def __init__(self) -> None:
        self.used = False
        self.commits = 0
        self.position: Position | None = None
        self.implicit = False
        self.expired = False
        self.unknown = False
        self.undone = False
        self.had = FOREVER
        self.warning = ""


NOTHING: Progress = BlockProgress()
"""Of a block that has no connection yet."""
