# Generated from parts_async.py by scripts/twins.py. Do not edit.
"""What the verbs and the flusher of a write-back cache share: buffer, sink, and what has to be known before either is used.

1. The sink is looked at once (`check`), before the first put and the first flush. A put goes on where it does not answer then,
   and looks again at a later one; a flush does not.
2. A buffer that is not open is opened with an epoch that the sink gives out: by one caller of the process, and only where
   nobody else has opened it meanwhile.
3. A journal is opened before the first put and the first flush, and what others left behind is taken over (`journaling`).
4. The server gives the durability that is asked for: `durability_async` says when that is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.events import BufferOpened
from regionkit.caching.back.kit_source import BufferSource
from regionkit.caching.back.refusals import other_mode
from regionkit.caching.back.sink import Sink, SinkDown
from regionkit.caching.inside import Inside
from regionkit.caching.strategies import WriteBack
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Slots
from regionkit.errors import Backpressure, CacheError

if TYPE_CHECKING:
    from regionkit.caching.back.journaling import Journaling

__all__ = ["BackParts"]

CHECK_AGAIN = 10.0
"""Seconds after which a sink that did not answer is looked at again by puts."""


class BackParts:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, cache: Inside, strategy: WriteBack, buffer: Buffer, clock: Clock) -> None:
        self.cache = cache
        self.strategy = strategy
        self.buffer = buffer
        self.sink: Sink = strategy.sink
        self.clock = clock
        self._checked = False
        self._checks_from = 0.0
        self._opening = Slots(1)
        self.journaling: Journaling | None = None

    @property
    def checked(self) -> bool:
        """Whether the sink was looked at, and can hold what is promised."""
        return self._checked

    def sink_away(self, down: SinkDown) -> CacheError:
        """The error of a caller who needs a sink that could not be looked at."""
        return CacheError(
            f"the sink of cache {self.cache.name!r} does not answer.",
            why=f"{down}.",
            fix="try again when it does; what is dirty stays in the buffer.",
            retryable=True,
        )

    def check(self, *, strict: bool) -> None:
        """Rules 1. `strict`: raise where the sink does not answer.

        Raises:
            ConfigurationError: the sink cannot hold what is promised.
            SinkDown: it does not answer.
        """
        if self._checked or (not strict and self.clock.monotonic() < self._checks_from):
            return
        try:
            self.sink.check()
        except SinkDown:
            self._checks_from = self.clock.monotonic() + CHECK_AGAIN
            if strict:
                raise
            return
        self._checked = True

    def open(self, *, anew: bool = False) -> None:
        """Rule 2. `anew`: although it is open, as a later epoch was given out.

        Raises:
            Backpressure: the sink does not answer; nothing was put.
            ConfigurationError: the buffer is in the other mode, and not empty.
            TierDown: the buffer does not.
        """
        if not self._opening.acquire(self.strategy.write_timeout):
            return
        try:
            before = self.buffer.status()
            if before.is_open and not anew:
                return
            if before.log is not bool(self.buffer.mode) and (before.dirty or before.parked or before.entries):
                raise other_mode(logs=not before.log)
            try:
                epoch = self.sink.raise_epoch(self.cache.name, before.epoch)
            except SinkDown as down:
                raise Backpressure(
                    f"the write-back buffer of cache {self.cache.name!r} cannot be opened.",
                    why=f"its server was restarted, replaced or emptied, and the sink, which has to give out a new epoch, "
                    f"does not answer: {down}.",
                    fix="try again when the sink answers. Nothing was put.",
                ) from down
            is_open, now = self.buffer.open(epoch)
            if is_open and now == epoch:
                self.cache.emit(BufferOpened(self.cache.name, epoch, before.dirty))
        finally:
            self._opening.release()

    def flushed(self) -> None:
        """Rows were written: in a kit the current session has seen them."""
        if isinstance(self.cache.source, BufferSource):
            self.cache.source.flushed()

    def renew(self) -> None:
        """After a fork: nobody opens here."""
        self._opening = Slots(1)
