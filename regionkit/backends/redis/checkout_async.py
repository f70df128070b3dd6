"""One connection of the pool in the hands of one block, and the questions that are asked on it."""

from __future__ import annotations

from collections.abc import Callable

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection
from regionkit.contract.guard import Guard
from regionkit.core.clock import Clock
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind

__all__ = ["AsyncRedisCheckout"]


class AsyncRedisCheckout:
    """One connection, for one block. Not shared.

    Args:
        connection: nobody else has it.
        kind: what the block may do.
        deadline: of the block: no wait on the connection outlasts it.
        clock: of the guard, and of bounds within the deadline.
        give_back: takes the connection at the end.
    """

    __slots__ = ("_clock", "_deadline", "_give_back", "_guard", "connection", "guarded", "progress")

    def __init__(
        self,
        connection: AsyncRedisConnection,
        kind: Kind,
        deadline: Deadline,
        clock: Clock,
        give_back: Callable[[AsyncRedisConnection], None],
    ) -> None:
        self.connection = connection
        self.progress = connection.begin(deadline, reading=kind is Kind.READ)
        self.guarded = False
        self._deadline = deadline
        self._clock = clock
        self._give_back = give_back
        self._guard: Guard | None = None

    @property
    def observation(self) -> Observation:
        """What the server last said on this connection."""
        return self.connection.observation

    async def observe(self, within: float = FOREVER) -> Observation:
        """Ask the server where it stands, on this connection, within `within` seconds and the block's deadline."""
        if not 0.0 < within < self._deadline.remaining():
            return await self.connection.observe()
        self.connection.stop()
        self.connection.start(Deadline(self._clock, within))
        observation = await self.connection.observe()
        if not self.connection.expired:
            self.connection.stop()
            self.connection.start(self._deadline)
        return observation

    def keep(self, guard: Guard) -> None:
        """Before each command that finds the guard due, ask the server anew; each answer is of the data known now."""
        self.guarded, self._guard = True, guard
        self.progress.checked_by = guard

    async def recheck(self) -> None:
        """Ask now, where the time has come."""
        if self._guard is not None and self._guard.due(self._clock.monotonic()):
            self._guard.renew(await self.connection.observe())

    async def release(self) -> None:
        """Give the connection back, or close it."""
        self._guard = self.progress.checked_by = None  # it refers to the block
        self._give_back(self.connection)
