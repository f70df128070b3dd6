"""Messages whose key has its home in another region: the home applies them, nobody else.

| elsewhere | what this region does with a message of another home | it leaves the source here when |
|-----------|------------------------------------------------------|--------------------------------|
| forward   | publishes it where its home takes its messages from  | that is confirmed |
| observe   | shows it to `observe(message)`, which has no effect  | the copy of the data here shows that it was applied |
| skip      | nothing                                              | the same |

1. Who applies is decided by the owner of the key's part, each time anew; the unit of the effect is fenced by its epoch.
2. What is observed or skipped stays in this region's source until the copy of the data that stands here has the effect: if the
   home is lost, and this copy takes over, it is applied from here. What the copy has not seen cannot have been left behind.
   A region without a copy of the part can never take over: there the home's own word counts.
3. A message is forwarded once in an epoch of its part: two regions that disagree about a home do not play ball.
4. A region that is away does not stop this one: what concerns it is given back, and comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from regionkit.contract.backing_async import AsyncBacking
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import UnknownHome
from regionkit.messaging.admitting_async import Taken
from regionkit.messaging.applying_async import AsyncApplier, Step
from regionkit.messaging.case import Failed, failed
from regionkit.messaging.counters import Counters
from regionkit.messaging.envelope import Envelope, encode, message_of
from regionkit.messaging.runs_async import DOWN, acalled
from regionkit.messaging.sources.source_async import AsyncTarget

__all__ = ["FORWARDED", "AsyncAppliers", "AsyncHomes", "Elsewhere"]

Elsewhere = Literal["forward", "observe", "skip"]
FORWARDED = "rk-forwarded"
"""Header of a message that was forwarded: the part and its epoch then."""
LOG = logging.getLogger("regionkit.messaging")
WITHIN = 10.0
"""Seconds for one question about a home, or one forwarded message."""


class AsyncHomes(Protocol):
    """The parts of a partitioned store, and where keys have their home. Of a kit."""

    parts: Mapping[str, AsyncBacking]
    local: str

    def regions_of(self, part: str) -> frozenset[str]:
        """Where copies of a part stand."""
        ...

    async def part_of(self, key: str, deadline: Deadline) -> str:
        """The part where a key has its home."""
        ...


class AsyncAppliers:
    """Gives each message to the part where its key has its home. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        homes: AsyncHomes,
        appliers: Mapping[str, AsyncApplier],
        *,
        elsewhere: Elsewhere,
        forward_to: Mapping[str, AsyncTarget],
        observe: Callable[..., Any] | None,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._homes = homes
        self._appliers = appliers
        self._elsewhere = elsewhere
        self._forward_to = forward_to
        self._observe = observe
        self._counters = counters
        self._clock = clock
        first = next(iter(appliers.values()))
        self.inbox = None  # each part has its own: nothing is shared, and no batch is of two parts
        self.handlers = first.handlers
        self.away = "a home"
        self.options = first.options
        self.tell = first.tell
        self.note = first.note

    async def work(self, taken: Taken) -> Step:
        """Take one delivered message as far as it goes now. Only what is of this region waits for its store."""
        envelope, first = taken.envelope, next(iter(self._appliers.values()))
        if taken.malformed is not None:  # of no home: it is a case of the first part here
            return await first.work(taken)
        try:
            part = await self._part_of(envelope)
            owner = await self._homes.parts[part].owner(deadline=self._deadline())
            if owner.region != self._homes.local and self._elsewhere == "forward":
                return await self._forward(taken, part, owner.region, owner.epoch)
            if owner.region != self._homes.local:
                return await self._look_on(envelope, part)
        except UnknownHome as error:
            return await self._homeless(taken, first, error)
        except DOWN:  # a region that is away does not stop this one
            return Step.BACK
        return await self._appliers[part].work(taken)

    async def _homeless(self, taken: Taken, first: AsyncApplier, error: BaseException) -> Step:
        """Nobody knows whose it is: a case of the first part."""
        try:
            await first.admitting.admit(taken, "no_home", "admitted", failed(error), aside=True)
        except DOWN:
            return Step.BACK
        self._counters.add("parked")
        return Step.ACK

    async def close_gap(self, taken: Taken) -> Step:
        """What leads up to it has not come in time."""
        try:
            return await self._appliers[await self._part_of(taken.envelope)].close_gap(taken)
        except (*DOWN, UnknownHome):
            return Step.BACK

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, WITHIN)

    async def _part_of(self, envelope: Envelope) -> str:
        """A message without a key is of the part that its id falls to."""
        return await self._homes.part_of(envelope.key or envelope.id, self._deadline())

    async def _forward(self, taken: Taken, part: str, region: str, epoch: int) -> Step:
        envelope, target = taken.envelope, self._forward_to.get(region)
        if target is None or _forwarded(envelope, part) >= epoch:
            return Step.BACK
        sent = encode(msgspec.structs.replace(envelope, headers={**envelope.headers, FORWARDED: f"{epoch} {part}"}))
        (answer,) = await target.publish([(envelope.key, sent)], self._deadline())
        if answer.refused:
            refused = Failed("", f"{target.name!r} does not take it: {answer.refused}", "", "not forwarded")
            await self._appliers[part].admitting.admit(taken, "not_forwarded", "admitted", refused, aside=True)
            self._counters.add("parked")
            return Step.ACK
        if not answer.confirmed:
            return Step.BACK
        self._counters.add("forwarded")
        return Step.ACK

    async def _look_on(self, envelope: Envelope, part: str) -> Step:
        applier = self._appliers[part]
        inbox: Any = applier.inbox  # of SQL: others have no copies that are known here
        seen_in = self._homes.local if self._homes.local in self._homes.regions_of(part) else None
        scope, ordered = applier.options.scope, applier.options.ordered
        if not await inbox.has_applied(scope, envelope, self._deadline(), ordered=ordered, seen_in=seen_in):
            return Step.BACK
        if self._observe is not None and not envelope.tomb:
            try:
                await acalled(self._observe, message_of(envelope))
            except Exception:
                LOG.exception("observe= raised; the message is applied at its home, and has left the source here")
        self._counters.add("seen")
        return Step.ACK


def _forwarded(envelope: Envelope, part: str) -> int:
    """In which epoch of the part it was forwarded last; -1: never."""
    epoch, _, whose = envelope.headers.get(FORWARDED, "").partition(" ")
    return int(epoch) if whose == part and epoch.isdecimal() else -1
