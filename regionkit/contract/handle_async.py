"""A handle: what stands between a block and the object the user types with."""

from __future__ import annotations

from typing import Any, Protocol

from regionkit.contract.checkout_async import AsyncCheckout
from regionkit.facts.position import Position

__all__ = ["AsyncHandle"]


class AsyncHandle(Protocol):
    """What one block does at one endpoint."""

    native: Any

    async def begin(self, checkout: AsyncCheckout) -> None:
        """Take the connection now; else it is taken at the first statement."""
        ...

    async def finish(self) -> None:
        """The block ended well: commit a write; of a read, refuse changes left pending."""
        ...

    async def abort(self) -> None:
        """The block raised: roll back."""
        ...

    async def close(self) -> None:
        """Let go of everything but the checkout."""
        ...

    def position(self) -> Position | None:
        """Where the newest commit of this block lies; None when nothing was committed or nobody can tell."""
        ...

    @property
    def commits(self) -> int:
        """Commits of this block so far; where there is no transaction, writes that were acknowledged."""
        ...

    @property
    def used(self) -> bool:
        """Whether a statement was sent."""
        ...

    @property
    def implicit(self) -> bool:
        """Whether a statement committed by itself."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the server had not answered when the deadline passed."""
        ...

    @property
    def unknown(self) -> bool:
        """Whether a commit was sent and its answer never came."""
        ...

    @property
    def warning(self) -> str:
        """What the server warned of at the commit; "" for nothing."""
        ...

    def outcome(self, result: Any) -> Any:
        """What `execute_write` gives back for what its function returned, once the block has ended."""
        ...
