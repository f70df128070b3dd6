"""The members that an endpoint stands for: one by its URL; of an application's client the replica set, whose primary is used."""

from __future__ import annotations

import contextlib

from pymongo import _csot
from pymongo.errors import PyMongoError

from regionkit.backends.mongo.dial import Address, Dial
from regionkit.backends.mongo.member_async import AsyncMember, limited
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import unavailable
from regionkit.core.concurrency_async import AsyncLock
from regionkit.errors import RegionUnavailable
from regionkit.facts.observation import Observation
from regionkit.topology import MongoStore, Role

__all__ = ["AsyncMembers"]


class AsyncMembers:
    """One endpoint's. Safe to share between threads or tasks. `member` is the one that is used now."""

    def __init__(self, context: EndpointContext[MongoStore], dial: Dial) -> None:
        self.context = context
        self._dial = dial
        self._looking = AsyncLock()
        self._term = 0
        self._closed = False
        self._known: dict[Address, AsyncMember] = {}
        self.member = self._at(dial.hosts[0])

    def _at(self, address: Address) -> AsyncMember:
        if address not in self._known:
            made = self._known[address] = AsyncMember(self.context, self._dial, address)
            made.closed = self._closed
        return self._known[address]

    @property
    def is_warm(self) -> bool:
        """Whether the member has a connection, and is believed to be the one to use."""
        return self.member.is_warm and not (self._dial.follows and self.member.suspect)

    @property
    def is_watched(self) -> bool:
        """Whether the monitor has a connection to it, and it is believed to be the one to use."""
        return self.member.is_watched and not (self._dial.follows and self.member.suspect)

    async def ready(self) -> None:
        """Before a command of regionkit's own: the member to use is known, within the limit of `limited`."""
        if self._dial.follows and not self.is_warm:
            await self.observe(history=False)
        await self.member.open()

    async def observe(self, *, history: bool) -> Observation:
        """Ask the member where it stands, within the limit of `limited`; of several, the one that is primary now.

        Raises:
            ConfigurationError: it is not what the topology says.
            RegionUnavailable, pymongo.errors.PyMongoError: it cannot be asked, or none is primary.
        """
        if not self._dial.follows:
            return await self.member.observe(history=history)
        async with self._looking:
            return await self._primary(history=history)

    async def _primary(self, *, history: bool) -> Observation:
        """Ask the member used until now, then those that it and the others name. A silent one costs half of what is left."""
        failed: Exception | None = None
        asked: list[Address] = []
        waiting = [self.member.address]
        while waiting:
            address = waiting.pop(0)
            asked.append(address)
            member = self._at(address)
            left = _csot.remaining()
            others = [a for a in (*waiting, *self._dial.hosts, *self._known, *member.peers) if a not in asked]
            try:
                with limited(left / 2.0) if left is not None and others else contextlib.nullcontext():
                    seen = await member.observe(history=history)
            except (PyMongoError, RegionUnavailable) as error:
                failed = error
            else:
                if (
                    seen.role is Role.PRIMARY and seen.term >= self._term
                ):  # one that was replaced unseen calls itself primary
                    self.member, self._term = member, seen.term
                    return seen
            waiting = [a for a in dict.fromkeys((*member.peers, *waiting, *others)) if a not in asked]
        if failed is not None:
            raise failed
        names = ", ".join(f"{host}:{port}" for host, port in asked)
        raise unavailable(
            self.context,
            f"the replica set of {self.context.store.name!r} has no primary.",
            f"tried: {names}: an election is in progress, or there is no majority.",
        )

    def evict(self) -> None:
        """Connections made until now are closed when they are next touched."""
        for member in tuple(self._known.values()):
            member.suspect = self._dial.follows
            member.evict()

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        self._closed = True
        for member in tuple(self._known.values()):
            await member.close()
