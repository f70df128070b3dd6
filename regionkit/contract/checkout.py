# Generated from checkout_async.py by scripts/twins.py. Do not edit.
"""A checkout: one connection of an endpoint, in the hands of one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER
from regionkit.facts.observation import Observation

__all__ = ["Checkout", "TakeCheckout"]


class Checkout(Protocol):
    """One connection, for one block. Not shared."""

    @property
    def observation(self) -> Observation:
        """What the server said of itself on this connection, when it was made or later."""
        ...

    def observe(self, within: float = FOREVER) -> Observation:
        """Ask the server where it stands, on this connection, within `within` seconds and the block's deadline."""
        ...

    def keep(self, guard: Guard) -> None:
        """Before each statement that finds the guard due, ask the server anew.

        Where a server may exchange its data under a connection, each answer is checked to be of the data known now; else the
        guard is renewed, and may raise.
        """
        ...

    def release(self) -> None:
        """Give the connection back; one that broke or outlived its deadline is closed."""
        ...


TakeCheckout = Callable[[], Checkout]
"""What a handle calls when it first needs a connection."""
