"""The lanes of a consumer: a key is always of one lane, and a lane works at one message at a time.

1. A message with a gap before it is aside, and looked at again after each other one of its lane, and soon when there is none.
2. While the store does not answer, one lane asks it, with a back-off; the others wait, and nothing is fetched.
3. A lane that is to stop ends the message under way, and leaves the others undone: they are given back.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import AsyncFlag, AsyncLock
from regionkit.messaging.applying_async import AsyncApplier, Step
from regionkit.messaging.envelope import Malformed, decode
from regionkit.messaging.events import ConsumerPaused, ConsumerResumed
from regionkit.messaging.sources.source_async import Delivery

__all__ = ["AsyncLane", "AsyncStoreWatch", "lane_of"]

ASIDE_LOOK = 0.02
"""Seconds until a message that is aside is looked at again, at first."""
ASIDE_LONGEST = 0.5
"""Seconds between two looks at most."""
MOST_ASIDE = 16
"""Messages of a lane that are aside, half of what it has under way: beyond, the oldest one waits in the database."""
IDLE = 0.5
"""Seconds that a lane waits for something to do before it looks whether it is to stop."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two questions to a store that does not answer."""


def lane_of(delivery: Delivery, lanes: int) -> int:
    """Which lane a message is of: by its key, without one by its bytes."""
    try:
        envelope = decode(delivery.body)
    except Malformed:
        return zlib.crc32(delivery.body) % lanes
    return zlib.crc32((envelope.key or envelope.id).encode("utf-8", "surrogatepass")) % lanes


class AsyncStoreWatch:
    """Whether the store answers, for all lanes of one consumer."""

    def __init__(self, applier: AsyncApplier, stopping: AsyncFlag) -> None:
        self._applier = applier
        self._stopping = stopping
        self._asking = AsyncLock()
        self.down = False

    async def again(self, delivery: Delivery) -> Step:
        """Work at the message until the store answers, or the consumer stops."""
        if not self.down:
            self.down = True
            self._applier.tell(ConsumerPaused(self._applier.options.name, "its store does not answer"))
        pause = FIRST_PAUSE
        async with self._asking:
            while not await self._stopping.wait(pause if self.down else 0.0):
                step = await self._applier.work(delivery)
                if step is not Step.PAUSE:
                    self._answers()
                    return step
                self.down = True
                pause = min(2.0 * pause, LONGEST_PAUSE)
        return Step.BACK

    def _answers(self) -> None:
        if self.down:
            self.down = False
            self._applier.tell(ConsumerResumed(self._applier.options.name))


class _Aside(msgspec.Struct):
    delivery: Delivery
    since: float


class AsyncLane:
    """One lane."""

    def __init__(
        self,
        applier: AsyncApplier,
        watch: AsyncStoreWatch,
        clock: Clock,
        stopping: AsyncFlag,
        done: Callable[[Delivery, Step], None],
    ) -> None:
        self._applier = applier
        self._watch = watch
        self._clock = clock
        self._stopping = stopping
        self._done = done
        self._waiting: deque[Delivery] = deque()
        self._aside: list[_Aside] = []
        self._given = AsyncFlag()
        self._look = ASIDE_LOOK

    def give(self, delivery: Delivery) -> None:
        """One more message."""
        self._waiting.append(delivery)
        self._given.set()

    async def run(self) -> None:
        """Work until the consumer stops."""
        while not self._stopping.is_set():
            if self._waiting:
                delivery = self._waiting.popleft()
                await self._end(delivery, await self._work(delivery))
                continue
            self._given.clear()
            if self._waiting:  # it came just now
                continue
            if await self._given.wait(self._look if self._aside else IDLE):
                continue
            if self._aside:
                self._look = min(2.0 * self._look, ASIDE_LONGEST)
                await self._look_again()

    async def _work(self, delivery: Delivery) -> Step:
        step = await self._applier.work(delivery)
        return await self._watch.again(delivery) if step is Step.PAUSE else step

    async def _end(self, delivery: Delivery, step: Step) -> None:
        if step is Step.ASIDE:
            self._aside.append(_Aside(delivery, self._clock.monotonic()))
            if len(self._aside) > MOST_ASIDE:
                await self._look_again(crowded=True)
            return
        self._done(delivery, step)
        if step is Step.ACK and self._aside:
            self._look = ASIDE_LOOK
            await self._look_again()

    async def _look_again(self, *, crowded: bool = False) -> None:
        """At each that is aside, as long as one of them goes on. `crowded`: the oldest have waited long enough."""
        moved = True
        while moved and not self._stopping.is_set():
            moved, now = (
                False,
                self._clock.monotonic(),
            )  # one time for all: the oldest of a key parks it, before its followers
            for aside in tuple(self._aside):
                waited = now - aside.since > self._applier.options.gap_wait
                step = await self._work(aside.delivery)
                if step is Step.ASIDE and (waited or (crowded and len(self._aside) > MOST_ASIDE)):
                    step = await self._applier.close_gap(aside.delivery)
                if step not in (Step.ASIDE, Step.PAUSE):
                    moved = True
                    self._aside.remove(aside)
                    self._done(aside.delivery, step)
