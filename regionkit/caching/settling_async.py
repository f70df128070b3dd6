"""What became of a write whose intent is over its time: the database is asked, in the background.

1. Whoever meets such an intent asks. Gets wait for the answer in the first `SETTLED_WITHIN` seconds of the question. The owner
   may be far, a new connection may be needed, and a writer that stands still in its transaction keeps everybody waiting: the
   question goes on alone, for `ASKED_FOR` seconds. Until it is answered, gets of the key read the owner and store nothing.
2. A write is asked for once at a time in this process. A question without an answer is asked again after `ASKED_AGAIN` seconds.
3. The answer is final: the row stands, and the key is invalidated; or a tombstone stands in its place, and that write can never
   commit. Then the intent goes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from regionkit.caching.events import IntentSettled
from regionkit.caching.inside_async import AsyncInside
from regionkit.caching.keys import Stored
from regionkit.caching.version import OWNER_ONLY
from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import AsyncFlag, AsyncTask, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError

__all__ = ["AsyncSettling"]

SETTLED_WITHIN = 1.0
"""Seconds from the question on in which gets wait to hear what became of a write; then they read the owner and store nothing."""
ASKED_FOR = 10.0
"""Seconds that a question may take in the background: the first connection to an owner on another continent takes a few."""
ASKED_AGAIN = 5.0
"""Seconds until a question without an answer is asked again: meanwhile gets of the key read the owner."""
MOST_UNSETTLED = 1000
"""Writes whose end is not known that are remembered; beyond, all of them are asked for again."""
MOST_ASKED = 8
"""Questions at once: a get that meets one more reads the owner."""

_Name = tuple[bytes, Stored]
"""A write and one of its keys."""


class _Question:
    """A question under way. `settled`: it has its answer, and the tier was told. `error`: it failed otherwise than by waiting."""

    def __init__(self, now: float) -> None:
        self.waited_until = now + SETTLED_WITHIN
        self.over = AsyncFlag()
        self.settled = False
        self.error: Exception | None = None


class AsyncSettling:
    """The questions of one cache. Safe to share between threads (tasks of one loop). `parts`: the intents of each part."""

    def __init__(self, cache: AsyncInside, clock: Clock, parts: Mapping[str, Any]) -> None:
        self._cache = cache
        self._clock = clock
        self._parts = parts
        self.renew()

    def renew(self) -> None:
        """After a fork: the parent's questions are not asked here."""
        self._lock = threading.Lock()
        self._asked: dict[_Name, _Question] = {}
        self._tasks: dict[_Name, AsyncTask] = {}
        self._unsettled: dict[_Name, float] = {}

    async def settle(self, intents: Sequence[bytes], stored: Stored, key: Any) -> bool:
        """Find out what became of writes of a key, and say so to the tier; False: not yet.

        Raises:
            TierDown: the tier could not be told.
        """
        part = await self._cache.source.home(key)
        for id in intents:
            question = self._question((id, stored), part)
            if question is None or not await question.over.wait(self._left(question)):
                return False
            if question.error is not None:
                raise question.error
            if not question.settled:
                return False
        return True

    def _left(self, question: _Question) -> float:
        return max(0.0, question.waited_until - self._clock.monotonic())

    def _question(self, name: _Name, part: str) -> _Question | None:
        """The question under way, or a new one; None while there is to be none."""
        with self._lock:
            question = self._asked.get(name)
            if question is not None:
                return question
            now = self._clock.monotonic()
            if self._unsettled.get(name, now) > now or len(self._asked) >= MOST_ASKED:
                return None
            question = self._asked[name] = _Question(now)
        try:
            task = spawn_async("regionkit settle", lambda: self._ask(name, part, question))
        except RuntimeError:  # no thread can be started
            self._end(name, question)
            return None
        with self._lock:
            if name in self._asked:
                self._tasks[name] = task
        return question

    def _end(self, name: _Name, question: _Question) -> None:
        with self._lock:
            self._asked.pop(name, None)
            self._tasks.pop(name, None)
        question.over.set()

    async def _ask(self, name: _Name, part: str, question: _Question) -> None:
        try:
            question.settled = await self._answered(name, part)
        except Exception as error:
            question.error = error
        finally:
            self._end(name, question)

    async def _answered(self, name: _Name, part: str) -> bool:
        cache, (id, stored) = self._cache, name
        try:
            committed = not await self._parts[part].never(id, Deadline(self._clock, ASKED_FOR))
        except RegionKitError:
            with self._lock:
                if len(self._unsettled) >= MOST_UNSETTLED:
                    self._unsettled.clear()
                self._unsettled[name] = self._clock.monotonic() + ASKED_AGAIN
            return False
        self._unsettled.pop(name, None)
        if committed:
            await cache.tier.invalidate([stored], await cache.source.newest(None, part) or OWNER_ONLY, id)
        await cache.tier.abort([stored], id)
        cache.emit(IntentSettled(cache.name, committed))
        return True

    async def close(self) -> None:
        """Ask no more."""
        with self._lock:
            tasks = list(self._tasks.values())
        for task in tasks:
            await task.stop()
