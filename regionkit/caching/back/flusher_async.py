"""The flusher: writes the rows of a write-back cache in the background. What it does when is in `flush_rules`."""

from __future__ import annotations

import contextlib
import random

from regionkit.caching.back.flush_rules import idle_pause, sink_pause
from regionkit.caching.back.flushing_async import AsyncFlushing
from regionkit.caching.back.looking_async import AsyncLooking
from regionkit.caching.back.parts_async import AsyncBackParts
from regionkit.caching.back.rules import version_of
from regionkit.caching.back.sink_async import SinkDown
from regionkit.caching.steps import TierDown
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import Backpressure, CacheError

__all__ = ["DRAIN", "MARKS_STAY", "AsyncFlusher"]

DRAIN = 10.0
"""Seconds that leaving a flusher's block waits for what is dirty, by default: what orchestrators give a process to end."""
LONGEST_BACK_OFF = 5.0
"""Seconds between two rounds that failed by surprise."""
MARKS_STAY = 7 * 86_400.0
"""Seconds that the mark of a delete stays: longer than any older put can be on its way, or come back with a restored buffer."""
FORGET_EVERY = 3600.0
"""Seconds between two looks for marks to drop, of one flusher; the first at a random part of them."""
MORE_TO_FORGET = 1.0
"""And where some were dropped: there may be more, and each look is one short transaction."""


class AsyncFlusher:
    """Writes the rows of one cache in the background. A context manager; leaving it writes what is dirty.

    As many processes as there are may run one each: no two work on one record, and if they did, nothing would be undone.
    """

    def __init__(self, parts: AsyncBackParts, flushing: AsyncFlushing, looking: AsyncLooking, drain: float) -> None:
        self._parts = parts
        self._flushing = flushing
        self._looking = looking
        self._drain = drain
        self._supervisor = AsyncSupervisor(parts.clock)
        self._failures = 0
        self._runs = False
        self._left_clean = False
        self._forgets_from = parts.clock.monotonic() + FORGET_EVERY * random.random()

    async def __aenter__(self) -> AsyncFlusher:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Flush in the background, until `stop`.

        Raises:
            ConfigurationError: the sink cannot hold what is promised, or the server not give the durability.
            CacheError: sink or shared tier do not answer.
        """
        try:
            await self._parts.check(strict=True)
        except SinkDown as down:
            raise self._parts.sink_away(down) from down
        await self._looking.state()
        if self._parts.journaling is not None:
            await self._parts.journaling.ready()
        self._runs = True
        self._supervisor.start("write-back", self._round, self._failed, longest_back_off=LONGEST_BACK_OFF)

    async def stop(self, *, drain: float | None = None) -> bool:
        """Write what is dirty, for at most `drain` seconds, and end; whether nothing is dirty.

        What is left then, another flusher writes. May be called twice: the second time says what the first did.
        """
        if not self._runs:
            return self._left_clean
        self._runs = False
        seconds = self._drain if drain is None else drain
        try:
            self._left_clean = seconds > 0 and bool(await self._looking.flush(timeout=seconds))
        except CacheError:
            pass  # the buffer does not answer: what is in it stays there
        finally:
            await self._supervisor.stop()
        return self._left_clean

    async def _round(self) -> float:
        """Claim and write until nothing is due."""
        pause = idle_pause(self._parts.strategy.max_age)
        try:
            while (await self._flushing.batch()).claimed:
                self._failures = 0
            await self._forget()
        except (SinkDown, Backpressure) as down:
            self._failures += 1
            self._flushing.away(str(down))
            return max(pause, sink_pause(self._failures, random.random()))
        except TierDown:
            pass  # said by the tier itself
        return pause

    async def _forget(self) -> None:
        """Drop marks of deletes that nobody needs any more: nothing that is older can come back."""
        parts = self._parts
        now = parts.clock.monotonic()
        if now < self._forgets_from:
            return
        self._forgets_from = now + FORGET_EVERY
        status = await parts.buffer.status()
        below = version_of(status.epoch, status.number)
        with contextlib.suppress(SinkDown):  # said by the next flush
            if await parts.sink.forget_marks(parts.cache.name, below, parts.clock.wall() - MARKS_STAY):
                self._forgets_from = now + MORE_TO_FORGET

    def _failed(self, error: BaseException) -> None:
        self._flushing.away(f"{type(error).__name__}: {error}")

    def renew(self) -> None:
        """After a fork: the parent's job runs in the parent."""
        self._runs = False
        self._supervisor = AsyncSupervisor(self._parts.clock)
