"""The right to use one member. It holds no connection: each command takes one of the member's, of the run that was proved."""

from __future__ import annotations

from pymongo.errors import AutoReconnect

from regionkit.backends.mongo.member_async import AsyncMember, limited
from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.facts.observation import Observation

__all__ = ["AsyncMongoCheckout"]


class AsyncMongoCheckout:
    """The right to use one member, in one run of its server, until the deadline."""

    __slots__ = ("_guard", "_handled", "deadline", "member", "observation")

    def __init__(self, member: AsyncMember, observation: Observation, deadline: Deadline) -> None:
        self._handled = False
        self._guard: Guard | None = None
        self.observation = observation
        self.deadline = deadline
        self.member = member

    async def observe(self, within: float = FOREVER) -> Observation:
        """Ask the member where it stands."""
        with limited(min(within, self.deadline.require("asking a member"))):
            observation = await self.member.observe(history=False)
        if self._handled and observation.incarnation != self.observation.incarnation:
            raise AutoReconnect("the server was restarted since the block began")
        self.observation = observation
        return observation

    def keep(self, guard: Guard) -> None:
        """Before each command that finds the guard due, ask the member anew."""
        self._guard = guard

    async def recheck(self) -> None:
        """Called before each command."""
        self._handled = True
        if self._guard is not None and self._guard.due(self.member.context.clock.monotonic()):
            self._guard.renew(await self.observe())

    async def release(self) -> None:
        """It holds nothing."""
