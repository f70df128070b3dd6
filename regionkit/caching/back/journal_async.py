"""What a write-back cache needs of its journal. The rules are in `journal_rules`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from regionkit.caching.back.journal_rules import Note

__all__ = ["AsyncJournal"]


class AsyncJournal(Protocol):
    """Safe to share between threads (AsyncJournal: tasks of one loop).

    Attributes:
        where: what a receipt says that holds the value, and what has to come back.
    """

    where: str

    async def create_tables(self) -> None:
        """Make what it is kept in. Idempotent."""
        ...

    async def open(self) -> None:
        """Make it ready, the first time, and take over what ended processes have left behind.

        Raises:
            ConfigurationError: it cannot be kept there; or what was left is damaged, with the name of the file.
        """
        ...

    async def write(self, note: Note) -> None:
        """Make a record durable.

        Raises:
            JournalFull: nothing was written.
            JournalBroken: it is not, or nobody knows.
        """
        ...

    async def withdraw(self, versions: Sequence[int]) -> None:
        """These were surely not put, durably so.

        Raises:
            JournalBroken: nobody knows.
        """
        ...

    def over(self, version: int, *, done: bool) -> None:
        """The put of a record is over; `done`: it was acknowledged."""
        ...

    async def take_over(self) -> Sequence[str]:
        """What ended processes have left behind is this one's from here on. What could not be taken, in words."""
        ...

    async def unsettled(self, after: int, most: int) -> Sequence[Note]:
        """Records above a version whose puts are over, the lowest versions first.

        Raises:
            JournalBroken: they cannot be read.
        """
        ...

    async def forget(self, versions: Sequence[int]) -> None:
        """They are not needed any more."""
        ...

    async def size(self) -> tuple[int, int]:
        """Records and bytes that stand there, about; of this process, where each has a journal of its own."""
        ...

    async def close(self) -> None:
        """Let go of it; what is needed stays. May be called twice."""
        ...

    def renew(self) -> None:
        """After a fork: the parent's journal is the parent's."""
        ...
