"""What a kit's session owes a transaction of its own: where a branch stands, and what the session remembers of it.

Implemented by routing, which knows nothing of transactions; a manager without a kit has none.
"""

from __future__ import annotations

from typing import Any, Protocol

from regionkit.core.deadline import Deadline

__all__ = ["AsyncPlace", "AsyncPlaces"]


class AsyncPlace(Protocol):
    """The owner at which one branch opened. Of the transaction's task (thread), but for `moved`.

    Attributes:
        history: of the store's data there; "" where it is not known.
    """

    history: str

    def moved(self) -> str:
        """Why the branch may not prepare any more: another endpoint owns the store now. "" while it may. No I/O."""
        ...

    def left(self, committed: bool | None) -> None:
        """The transaction's block ended: the session's bookmark covers what was committed; None: it may be, later."""
        ...

    async def settled(self, deadline: Deadline) -> None:
        """What was None before is committed, or rolled back, by now."""
        ...


class AsyncPlaces(Protocol):
    """The stores of one transaction, as its session sees them."""

    async def find(self, store: str, key: str | None, deadline: Deadline) -> tuple[str, Any]:
        """The source (see `regionkit.facts.bookmark.source`) that holds the key, and what `take` is to be given.

        Raises:
            UsageError: the transaction was not begun for this store; a key is missing, or another one than the session's.
            UnknownHome: the key has no home.
        """
        ...

    async def take(self, found: Any, reading: bool, deadline: Deadline) -> AsyncPlace:
        """The owner of it now, as a write would be routed: residency and history are checked.

        Raises:
            ResidencyViolation, Fenced, NoEligibleEndpoint: none may be written.
            UsageError: the session has a block of its own open there.
        """
        ...
