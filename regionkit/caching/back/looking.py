# Generated from looking_async.py by scripts/twins.py. Do not edit.
"""What an application and an operator ask of a write-back buffer: how it stands, what is dirty, what is parked, and what becomes
of it.

1. `flush` writes by itself what is due, beside whatever flusher there is, until nothing is dirty that was so when it was called.
2. Where there is a journal it is looked at first: what the buffer lost is no longer dirty, and not in its row.
3. A parked value is retried with its own version: a row that has a later one stays. It is discarded for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from regionkit.caching.back.flushing import Flushing
from regionkit.caching.back.log_buffer import LogBuffer
from regionkit.caching.back.parts import BackParts
from regionkit.caching.back.receipt import BufferState, Flushed, Parked
from regionkit.caching.back.record import change_in
from regionkit.caching.back.sink import SinkDown
from regionkit.caching.back.steps import Listed, Status
from regionkit.caching.entry import Unreadable
from regionkit.caching.keys import canonical
from regionkit.caching.parts import Call
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import Backpressure, CacheError

__all__ = ["MOST_LISTED", "Looking"]

T = TypeVar("T")

MOST_LISTED = 1000
"""Keys that one look gives, by default: an operator reads them."""
AGAIN = 0.02
"""Seconds between two looks of `flush` while others write what it waits for; each pause is half as long again."""
LONGEST_AGAIN = 0.5


class Looking:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: BackParts, flushing: Flushing) -> None:
        self._parts = parts
        self._flushing = flushing

    def state(self) -> BufferState:
        """How the buffer stands."""
        status = self._status()
        silent = max(0.0, -status.flusher) if status.dirty else 0.0
        return BufferState(status.dirty, status.parked, status.bytes, status.oldest or 0.0, silent, status.entries)

    def flush(self, key: Any = None, timeout: float | None = None) -> Flushed:
        """Write until nothing is dirty that was so at the call (of one key: until its row shows its value, or it is parked)."""
        parts = self._parts
        deadline = Deadline(parts.clock, parts.strategy.write_timeout if timeout is None else timeout)
        stored, pause = None if key is None else canonical(key), AGAIN
        called = (self._status()).clock
        away: SinkDown | None = None
        while True:
            replayed = True
            try:
                if parts.journaling is not None:
                    replayed = parts.journaling.settled()
                while (self._flushing.batch()).written and deadline.remaining() > 0:
                    pause = AGAIN
            except SinkDown as down:
                away = down
                self._flushing.away(str(down))
            except (TierDown, Backpressure):
                replayed = parts.journaling is None  # tried again, until the time is over
            status = self._status()
            since = status.since if stored is None else self._asked(lambda: parts.buffer.since(stored))
            clean = replayed and (
                since is None or since > called
            )  # a row is behind since the call where it shows what was dirty then
            if clean or deadline.remaining() <= 0:
                if clean:
                    parts.flushed()
                elif away is not None and not parts.checked:
                    raise parts.sink_away(away)
                return Flushed(clean, status.dirty, status.parked)
            sleep(min(pause, deadline.remaining()))
            pause = min(pause * 1.5, LONGEST_AGAIN)

    def dirty(self, limit: int = MOST_LISTED) -> list[Any]:
        """Keys whose row is behind."""
        return [listed.record.key for listed in self._listed(limit, parked=False)]

    def parked(self, limit: int = MOST_LISTED) -> list[Parked[Any]]:
        """Values that the sink did not take."""
        found = []
        for listed in self._listed(limit, parked=True):
            record = listed.record
            value = None if record.deleted else self._aside(listed)
            found.append(Parked(record.key, record.version, listed.reason, value, record.deleted, listed.behind))
        return found

    def _aside(self, listed: Listed) -> Any:
        """The value that is parked; None where it cannot be read here."""
        buffer = self._parts.buffer
        if not isinstance(buffer, LogBuffer):
            return self._readable(listed.record.key)
        record = self._asked(lambda: buffer.set_aside(listed.name))
        try:
            return None if record is None else change_in(record, self._parts.cache.fetcher.parts.shaper).value
        except (Unreadable, ValueError):
            return None

    def _readable(self, key: Any) -> Any:
        """Of a key; None where another version of the application has put it, which this one cannot read."""
        try:
            return self._value(key)
        except CacheError as error:
            if isinstance(error.__cause__, Unreadable):
                return None
            raise

    def _value(self, key: Any) -> Any:
        """Of a key, as readers get it."""
        inside = self._parts.cache.fetcher
        call = Call(key, canonical(key), None, None, -math.inf, False, None, b"")
        entry, _ = inside.entry(call)
        return None if entry is None else inside.parts.shaper.value(entry)

    def retry(self, key: Any = None) -> int:
        """Have parked values written after all; how many were dirty again. None: all that are parked."""
        names = self._names(key)
        told = self._asked(lambda: self._parts.buffer.retry(names))
        if "open" in told:
            self._asked(self._parts.open)
            told = self._asked(lambda: self._parts.buffer.retry(names))
        self._told(key)
        return told.count("dirty")

    def discard(self, key: Any) -> bool:
        """Forget a parked value for good; whether there was one."""
        names = self._names(key)
        found = self._asked(lambda: self._parts.buffer.discard(names))
        self._told(key)
        return bool(found)

    def _told(self, key: Any) -> None:
        """What this process has of a key is not what there is."""
        if key is not None:
            self._parts.cache.teller.told(canonical(key))

    def _names(self, key: Any) -> Sequence[bytes]:
        """Of what is parked, oldest first; of one key, or of all."""
        buffer, most = self._parts.buffer, self._parts.strategy.max_dirty
        if isinstance(buffer, LogBuffer):
            wanted = None if key is None else canonical(key)
            found = [listed for listed in self._listed(most, parked=True)]
            return sorted(listed.name for listed in found if wanted is None or listed.record.stored == wanted)
        if key is not None:
            return [buffer.name(canonical(key))]
        return [listed.name for listed in self._listed(self._parts.strategy.max_dirty, parked=True)]

    def _listed(self, limit: int, *, parked: bool) -> Iterator[Listed]:
        """Keys, each once, in no order."""
        cursor, seen = 0, set[bytes]()
        while True:
            at = cursor
            page = self._asked(lambda at=at: self._parts.buffer.page(at, parked=parked))  # type: ignore[misc]
            for listed in page.keys:
                if len(seen) >= limit:
                    return
                if listed.name not in seen:
                    seen.add(listed.name)
                    yield listed
            cursor = page.cursor
            if not cursor:
                return

    def _status(self) -> Status:
        return self._asked(self._parts.buffer.status)

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except TierDown as down:
            raise CacheError(
                f"the write-back buffer of cache {self._parts.cache.name!r} does not answer.",
                why=f"{down}.",
                fix=down.fix or "try again when the shared tier answers.",
                retryable=not down.fix,
            ) from down
