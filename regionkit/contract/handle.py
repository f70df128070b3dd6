# Generated from handle_async.py by scripts/twins.py. Do not edit.
"""A handle: what stands between a block and the object the user types with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from regionkit.contract.checkout import Checkout
from regionkit.contract.message import Answer, Statement
from regionkit.contract.progress import Progress

__all__ = ["Handle"]


class Handle(Protocol):
    """What one block does at one endpoint."""

    native: Any

    def begin(self, checkout: Checkout) -> None:
        """Take the connection now; else it is taken at the first statement."""
        ...

    def finish(self) -> None:
        """The block ended well: commit a write; of a read, refuse changes left pending."""
        ...

    def abort(self) -> None:
        """The block raised: roll back."""
        ...

    def close(self) -> None:
        """Let go of everything but the checkout."""
        ...

    @property
    def progress(self) -> Progress:
        """What the block has done so far."""
        ...

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Several statements in one round trip, in the block's transaction.

        Raises:
            ConfigurationError: the backend is no SQL server.
        """
        ...

    def hold(self, why: str) -> None:
        """Only the block's end ends its transaction from now on; whoever else tries hears `why`. Again: whether that has held."""
        ...

    def outcome(self, result: Any) -> Any:
        """What `execute_write` gives back for what its function returned, once the block has ended."""
        ...
