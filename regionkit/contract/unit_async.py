"""A unit: one transaction on the current owner, or reads on one copy, as the pillars use it.

1. Where the backing has transactions a unit of `write` is one; elsewhere (Redis, Cassandra, MongoDB without a session) it is a
   batch of which nothing is rolled back, and `atomic` says so.
2. `on_outcome` hears once what became of it: "yes", "no" or "unknown". A COMMIT that did nothing is a "no", never a "yes".
3. After `hold` only the unit's end ends the transaction: a commit, rollback or close by whoever types with `native` raises.
4. Upper and lower are two numbers: `position` inside is a lower bound of what the unit will be, `stamp` after it an upper one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from regionkit.contract.message import Answer, Statement
from regionkit.facts.position import Position
from regionkit.facts.stamp import Owner, Stamp

__all__ = ["AsyncUnit", "Committed"]

Committed = Literal["yes", "no", "unknown"]
"""Whether a unit took effect."""


class AsyncUnit(Protocol):
    """One unit. Not shared between threads or tasks.

    Attributes:
        native: what one types with; on SQL a Session (with `core` a Connection).
        atomic: an exception rolls all of it back.
    """

    native: Any
    atomic: bool

    @property
    def owner(self) -> Owner:
        """Where the unit runs, as it was decided."""
        ...

    @property
    def stamp(self) -> Stamp | None:
        """After a write: an upper bound of what it did; of a read, what `take_stamp` told. None where nobody can tell."""
        ...

    @property
    def conflict(self) -> bool:
        """After its end: the server rolled it back for another transaction's sake; the same again may succeed."""
        ...

    async def position(self) -> Position | None:
        """Inside: a lower bound. After a row lock, all that was committed under that lock before lies at or before it."""
        ...

    async def take_stamp(self) -> Stamp | None:
        """Inside a read: an upper bound of all that it has shown so far, asked on its connection."""
        ...

    async def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Several statements in one round trip, in the unit's transaction. SQL only.

        Raises:
            ConfigurationError: the backing is no SQL server.
        """
        ...

    def hold(self, why: str) -> None:
        """Only the unit's end ends its transaction from now on. `why`: told to whoever tries. May be called again, to be sure.

        Raises:
            UsageError: it was held, and somebody has ended the transaction since. SQL only.
        """
        ...

    def on_outcome(self, hear: Callable[[Committed], None]) -> None:
        """Call `hear` once, with what became of the unit; at once where it has ended. A unit that did not open is a "no"."""
        ...
