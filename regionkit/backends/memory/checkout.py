# Generated from checkout_async.py by scripts/twins.py. Do not edit.
"""A connection to one region in memory, for one block.

A clock that can be advanced is moved by whoever waits on it: a frozen region moves it to the deadline, a copy that is waited
for to the next arrival, or to the end of the wait. Nobody sleeps on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.contract.guard import Guard
from regionkit.contract.progress import BlockProgress
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import RegionUnavailable
from regionkit.facts.observation import Observation

if TYPE_CHECKING:
    from regionkit.backends.memory.endpoint import MemoryEndpoint

__all__ = ["MemoryCheckout"]


class MemoryCheckout:
    """A connection to one region, for one block. Not shared between threads or tasks."""

    __slots__ = (
        "_guard",
        "_run",
        "deadline",
        "endpoint",
        "observation",
        "progress",
    )

    def __init__(self, endpoint: MemoryEndpoint, deadline: Deadline) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self.progress = BlockProgress()
        self.observation = endpoint.look()
        self._run = endpoint.node.run
        self._guard: Guard | None = None

    def observe(self, within: float = FOREVER) -> Observation:
        """Where the region stands now."""
        self._require_answer(within)
        return self.endpoint.look()

    def keep(self, guard: Guard) -> None:
        """Before each command that finds the guard due, ask anew."""
        self._guard = guard

    def check(self) -> None:
        """Before each command.

        Raises:
            RegionUnavailable: the region went down since the checkout was taken.
            DeadlineExceeded: it is frozen, or the deadline has passed.
            StaleRead: a bounded read fell behind its bound.
        """
        self._require_answer()
        if self._guard is not None and self._guard.due(self.endpoint.clock.monotonic()):
            self._guard.renew(self.endpoint.look())

    def _require_answer(self, within: float = FOREVER) -> None:
        node = self.endpoint.node
        if node.is_down or node.run != self._run:
            raise self.lost()
        if node.is_frozen:
            self.progress.expired = True
            self.endpoint.pass_time(min(within, self.deadline.remaining()))
            raise self.endpoint.late()
        self.deadline.require(
            "a block", store=self.endpoint.store, region=self.endpoint.region
        )  # the region is fine: the block itself took too long

    def lost(self) -> RegionUnavailable:
        """What is told of a connection that broke."""
        return RegionUnavailable(
            f"the connection to {self.endpoint.region} was lost.",
            why="since the block began, the region went down or became a copy of another one.",
            fix="run the block again: it goes to an endpoint that answers.",
            store=self.endpoint.store,
            region=self.endpoint.region,
        )

    def release(self) -> None:
        """There is nothing to give back."""
