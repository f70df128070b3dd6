# Generated from made_async.py by scripts/twins.py. Do not edit.
"""A cache's write-back parts, put together."""

from __future__ import annotations

import weakref
from importlib import import_module
from typing import Any

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.durability import Durability
from regionkit.caching.back.flusher import Flusher
from regionkit.caching.back.flushing import Flushing
from regionkit.caching.back.holders import HOLDERS
from regionkit.caching.back.journal import Journal
from regionkit.caching.back.journaling import Journaling
from regionkit.caching.back.log_buffer import LogBuffer
from regionkit.caching.back.log_flushing import LogFlushing
from regionkit.caching.back.looking import Looking
from regionkit.caching.back.modes import mode_named
from regionkit.caching.back.parts import BackParts
from regionkit.caching.back.putting import Putting
from regionkit.caching.back.refusals import SinkDown
from regionkit.caching.inside import Inside
from regionkit.caching.journals import FileJournal, SqlJournal
from regionkit.caching.keys import canonical
from regionkit.caching.shared import SharedTier
from regionkit.caching.strategies import WriteBack
from regionkit.core.clock import Clock
from regionkit.core.given import check_seconds
from regionkit.errors import CacheError

__all__ = ["Back", "back_of"]

IS_ASYNC = False

CLAIMS_WITHIN = 1.0
"""Seconds that closing a cache waits until what it claimed last, and did not write, is given back."""


class Back:
    """Of one cache. Safe to share between threads (tasks of one loop).

    Attributes:
        putting: puts and deletes.
        looking: what is asked of the buffer.
    """

    def __init__(self, parts: BackParts) -> None:
        self._parts = parts
        HOLDERS.hold(parts.sink, self, parts.cache.scope)
        buffer = parts.buffer
        flushing = LogFlushing(parts, buffer) if isinstance(buffer, LogBuffer) else Flushing(parts)
        self.putting = Putting(parts)
        self.looking = Looking(parts, flushing)
        self._flushing = flushing
        self._flushers: weakref.WeakSet[Flusher] = weakref.WeakSet()

    def flusher(self, drain: float) -> Flusher:
        """A flusher of this process."""
        check_seconds("drain", drain, 0.0, 3600.0)
        made = Flusher(self._parts, self._flushing, self.looking, drain)
        self._flushers.add(made)
        return made

    def create_tables(self) -> None:
        """What the sink keeps beside the rows.

        Raises:
            CacheError: the sink does not answer.
        """
        try:
            self._parts.sink.create_tables()
            if self._parts.journaling is not None:
                self._parts.journaling.journal.create_tables()
        except SinkDown as down:
            raise CacheError(
                f"the sink of cache {self._parts.cache.name!r} does not answer.", why=f"{down}.", retryable=True
            ) from down

    def flushed(self) -> None:
        """Rows were written: in a kit the current session has seen them."""
        self._parts.flushed()

    def forget_here(self, key: Any) -> None:
        """What this process has of a key is not what there is."""
        self._parts.cache.teller.told(canonical(key))

    def close(self) -> None:
        """End the flushers of this process, and close what the sink opened unless another cache uses it.

        What is dirty stays in the buffer.
        """
        for flusher in list(self._flushers):
            flusher.stop()
        self._flushing.left.ended(CLAIMS_WITHIN)
        if self._parts.journaling is not None:
            self._parts.journaling.stop()
        if HOLDERS.let_go(self._parts.sink, self):
            self._parts.sink.close()

    def renew(self) -> None:
        """After a fork."""
        HOLDERS.renew()
        self._parts.renew()
        self._flushing.left.renew()
        if self._parts.journaling is not None:
            self._parts.journaling.renew()
        for flusher in list(self._flushers):
            flusher.renew()


def back_of(cache: Inside, clock: Clock) -> Back:
    """The write-back parts of a cache that has such a strategy and a shared tier."""
    strategy, tier = cache.strategy, cache.tier
    assert isinstance(strategy, WriteBack)
    assert isinstance(tier, SharedTier)
    if hasattr(strategy.sink, "of_type"):
        strategy.sink.of_type(cache.fetcher.parts.shaper.coder.kind)
    durability = Durability(
        tier,
        mode_named(strategy.durability),
        clock,
        replicas=strategy.replicas,
        timeout=strategy.wait,
        assume=strategy.assume,
    )
    journal = _journal_of(cache, strategy, clock)
    kind = Buffer if strategy.coalesce else LogBuffer
    buffer = kind(
        tier, max_dirty=strategy.max_dirty, max_bytes=strategy.max_bytes, durability=durability, journal=journal
    )
    parts = BackParts(cache, strategy, buffer, clock)
    if journal is not None:
        parts.journaling = Journaling(parts, journal)
    return Back(parts)


def _journal_of(cache: Inside, strategy: WriteBack, clock: Clock) -> Journal | None:
    """The journal of a cache whose durability is one. Nothing is opened yet."""
    way = "_async" if IS_ASYNC else ""
    given = strategy.journal
    journal: Journal
    if isinstance(given, FileJournal):  # needs Unix
        files = import_module(f"regionkit.caching.back.journal_file{way}")
        journal = files.JournalFiles(given, cache.namespace, cache.name, strategy.write_timeout)
        return journal
    if isinstance(given, SqlJournal):
        tables = import_module(f"regionkit.caching.back.journal_sql{way}")
        journal = tables.JournalTable(given, cache.name, clock)
        return journal
    return None
