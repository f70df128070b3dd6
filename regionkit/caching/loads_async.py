"""The loads of one cache in this process: so many at once, each within its time, and none that waits for itself.

1. At most `MOST_LOADS` are under way. A load that is called from a load of the same cache takes no room of its own: those that
   it would wait for wait for it.
2. A loader that gets a key that it is loading is refused at once, in its own thread or task: the get would wait for the load, and
   the load for the get. From another thread it waits as long as a load may take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from regionkit.caching.counters import Counters
from regionkit.caching.keys import Stored
from regionkit.caching.strategies import TTL, Strategy, load_at_most
from regionkit.core.concurrency_async import AsyncSlots, Elapsed, astray, awithin
from regionkit.errors import DeadlineExceeded, UsageError

__all__ = ["MOST_LOADS", "AsyncLoads"]

T = TypeVar("T")

MOST_LOADS = 64
"""Loads under way at once in a process, a cache: what a database sees of a process whose shared tier is down."""
_UNDER_WAY: ContextVar[frozenset[Any]] = ContextVar("regionkit_loads_under_way", default=frozenset())
"""The loads that this code is called from: of which cache, and (cache, key) of each of their keys."""


async def _run(load: Callable[[], Awaitable[T]], loading: frozenset[Any], slots: AsyncSlots | None) -> T:
    before = _UNDER_WAY.set(loading)
    try:
        return await load()
    finally:
        _UNDER_WAY.reset(before)
        if slots is not None:
            slots.release()


class AsyncLoads:
    """The loads of one cache. Safe to share between threads (tasks of one loop).

    Attributes:
        patience: seconds that one load may take, and that others wait for it.
    """

    def __init__(self, name: str, strategy: Strategy, counters: Counters) -> None:
        self._name = name
        self._limit = None if isinstance(strategy, TTL) else strategy.load_timeout
        self._counters = counters
        self.patience = load_at_most(strategy)
        self.renew()

    def renew(self) -> None:
        """After a fork: the parent's loads are not here."""
        self._slots = AsyncSlots(MOST_LOADS)

    def check(self, key: Stored) -> None:
        """Refuse a load that would wait for itself.

        Raises:
            UsageError: this code is called from a load of the key.
        """
        if (id(self), key) in _UNDER_WAY.get():
            raise UsageError(
                f"the loader of cache {self._name!r} gets the key that it is loading.",
                why="the get would wait for the load, and the load for the get.",
                fix="read the store in the loader; for the previous value use previous= or peek(key).",
            )

    async def bounded(self, load: Callable[[], Awaitable[T]], keys: Iterable[Stored]) -> T:
        """What a load of keys brings.

        Raises:
            DeadlineExceeded: it was not over in time, or found no room.
            Exception: what it raised.
        """
        under_way = _UNDER_WAY.get()
        nested = id(self) in under_way
        if not nested and not self._slots.try_acquire() and not await self._slots.acquire(self.patience):
            raise self._too_late(f"{MOST_LOADS} loads were already running")
        slots = None if nested else self._slots
        loading = under_way.union([id(self)], [(id(self), key) for key in keys])
        try:
            if self._limit is None:
                return await _run(load, loading, slots)
            return await awithin(self._limit, partial(_run, load, loading, slots))
        except Elapsed:
            self._counters.load_timeouts += 1
            raise self._too_late(f"its loader did not finish within {self._limit} s") from None
        except BaseException as error:
            self._counters.load_errors += isinstance(error, Exception) or astray(error)
            raise

    def _too_late(self, why: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"cache {self._name!r} could not load in time.",
            why=f"{why}.",
            fix="raise load_timeout, or give stale_if_error, so that the last value is served.",
            retryable=True,
            committed="no",
        )
