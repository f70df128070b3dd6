# Generated from putting_async.py by scripts/twins.py. Do not edit.
"""Puts and deletes of a write-back cache. What a put is answered stands in `rules`; what is done with the answer, here.

| answer     | what the caller does |
|------------|----------------------|
| DONE, SEEN | gives the receipt |
| OPEN       | has the buffer opened, asks again |
| FULL       | waits for room; then writes the row itself with the version that is reserved, or raises Backpressure |
| CONFLICT   | raises VersionConflict: nothing was written |
| LOAD       | loads the row, so that its version is known, and asks again |
| OVERTAKEN  | asks again: with a journal, others write the key all the time |
| FORGOTTEN  | raises DurabilityUnknown: what became of the first attempt is not known any more |

1. No flusher for `max_age`: an event says so, each `WARN_EVERY` seconds. None for `silence_of(max_age)`: Backpressure.
2. A shared tier that does not answer is Backpressure where nothing was sent, and DurabilityUnknown where the put may be there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import structs

from regionkit.caching.back.events import FlusherMissing
from regionkit.caching.back.flush_rules import silence_of
from regionkit.caching.back.parts import BackParts
from regionkit.caching.back.reading import without_row
from regionkit.caching.back.receipt import Receipt
from regionkit.caching.back.refusals import JournalBroken, JournalFull
from regionkit.caching.back.rules import EPOCH, MOST_EPOCHS, Answer, Change, Verdict
from regionkit.caching.back.sink import SinkDown, SinkRefused
from regionkit.caching.back.steps import Put, PutAnswer
from regionkit.caching.entry import BODY, DIGEST
from regionkit.caching.keys import Stored, canonical
from regionkit.caching.local_table import Entry
from regionkit.caching.outcome import Outcome
from regionkit.caching.steps import Sealing, TierDown
from regionkit.caching.version import NOTHING, of_row
from regionkit.core.concurrency import sleep
from regionkit.core.events import crash_point
from regionkit.errors import Backpressure, CacheError, DurabilityUnknown, UsageError, VersionConflict

__all__ = ["Putting"]

T = TypeVar("T")

MOST_ROUNDS = 5
"""Times that a put is asked again after it opened the buffer, or loaded a version: by then others undo it each time."""
ROOM_EVERY = 0.02
"""Seconds between two looks for room."""
WARN_EVERY = 10.0
"""Seconds between two events that no flusher works."""


class Putting:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: BackParts) -> None:
        self._parts = parts
        self._cache = parts.cache
        self._looked = self._warned = parts.clock.monotonic() - WARN_EVERY
        self._silent = 0.0

    def put(
        self,
        key: Any,
        value: Any,
        *,
        deleted: bool = False,
        expected: int | None = None,
        again: DurabilityUnknown | None = None,
    ) -> Receipt:
        """Put a value, or a delete, into the buffer.

        Raises:
            CacheError: it cannot be cached.
            UsageError: the key has no row of its own; `expected` is no version; or `again` is not of this put.
            Backpressure, DurabilityUnknown, VersionConflict: as the table says.
        """
        cache, stored = self._cache, canonical(key)
        if expected is not None and (type(expected) is not int or not 0 <= expected < MOST_EPOCHS * EPOCH):
            raise UsageError(
                f"if_version={expected!r} is no version.",
                why="a version is a whole number, as a Receipt has it; that of a Lookup is a text for people. Nothing was put.",
                fix="pass `version` of a Receipt, or 0 for a key that is not there; or use update(), which reads the version.",
            )
        self._parts.check(strict=False)  # a sink that has looked at its table knows its keys
        self._check_key(key)
        entry, sealing = self._sealed(stored, value, deleted=deleted)
        self._heard_flusher()
        if self._parts.journaling is not None:
            self._parts.journaling.ready()
        inside = cache.fetcher.parts
        cache.teller.told(stored)
        mark = inside.table.mark(stored, sealing.data[DIGEST])
        done = False
        try:
            lost = None if again is None else self._lost(again, stored, sealing, deleted, expected)
            begun = self._parts.buffer.begun
            put: Put = lost if lost is not None else self._asked(begun, stored, sealing, deleted, expected)
            given, durable = self._settled(key, put, value, first=lost is None)
            crash_point("write-back.put")
            if given.answer is Answer.DONE:
                entry.stamp, entry.lo, done = given.stamp, of_row(given.version), True
                cache.heard.invalidated(mark.digest, given.stamp)  # gets of this process that began before
                inside.table.put(entry, mark)
        finally:
            if not done:  # the same: it may be there, whatever was answered
                cache.teller.told(stored)
            inside.table.unmark(mark)
        cache.counters.puts += 1
        return Receipt(given.version, durable)

    def _lost(
        self, again: DurabilityUnknown, stored: Stored, sealing: Sealing, deleted: bool, expected: int | None
    ) -> Put:
        """The put that an error speaks of, if it is this very one."""
        put = getattr(again, "put", None)
        if (
            not isinstance(put, Put)
            or (put.stored, put.deleted, put.sealing.data[BODY:]) != (stored, deleted, sealing.data[BODY:])
            or expected not in (None, put.expected)
        ):
            raise UsageError(
                "`again` is not the error of this put: of its key, its value, its if_version.",
                why="a put whose answer was lost is done once; another one is another put.",
                fix="pass the DurabilityUnknown that this put raised, or leave `again` out.",
            )
        return put

    def _check_key(self, key: Any) -> None:
        """Bad input is refused early: a key that has no row of its own would never get there."""
        check = getattr(self._parts.sink, "check_key", None)
        try:
            if check is not None:
                check(key)
        except SinkRefused as refused:
            raise without_row(self._cache.name, key, refused) from refused

    def _sealed(self, stored: Stored, value: Any, *, deleted: bool) -> tuple[Entry, Sealing]:
        """The entry of a value, or of nothing, and how it is stored."""
        shaper = self._cache.fetcher.parts.shaper
        life = shaper.life(found=not deleted) or shaper.life()
        entry, sealing = shaper.sealed(stored, Outcome(value, found=not deleted), life)
        if sealing is None:
            raise CacheError(
                f"a value for cache {self._cache.name!r} is too large.",
                why=f"at most {shaper.coder.largest} bytes are cached. Nothing was put.",
                fix="raise max_value_bytes, or cache less of it.",
            )
        return entry, sealing

    def _settled(self, key: Any, put: Put, value: Any, *, first: bool) -> tuple[PutAnswer, str]:
        """Ask until there is an answer that ends it; what holds the value then."""
        parts, strategy = self._parts, self._parts.strategy
        until = parts.clock.monotonic() + strategy.waits
        for _ in range(MOST_ROUNDS):
            given = self._asked(parts.buffer.again, put, first)
            while given.answer is Answer.FULL and parts.clock.monotonic() < until:
                sleep(ROOM_EVERY)
                given = self._asked(parts.buffer.again, put, first)
            match given.answer:
                case Answer.DONE | Answer.SEEN:
                    return given, self._durable_in()
                case Answer.FULL:
                    return self._written(key, put, value, given)
                case Answer.OPEN:
                    self._asked(parts.open)
                case Answer.OVERTAKEN | Answer.RESERVED:
                    continue  # others write the key all the time
                case Answer.LOAD:
                    put = self._with_row(key, put, given)
                case Answer.CONFLICT:
                    raise VersionConflict(
                        f"a put to cache {self._cache.name!r} was to replace another version of its key.",
                        why="the key was written meanwhile. Nothing was put.",
                        fix="read it and decide again, as update(key, fn) does.",
                        retryable=False,
                        version=given.version,
                    )
                case Answer.FORGOTTEN:
                    raise DurabilityUnknown(
                        f"what became of a put to cache {self._cache.name!r} is not known any more.",
                        why="so many came since that the buffer has forgotten it, or the buffer is another.",
                        fix="read the key, and put it again if need be.",
                    )
        raise Backpressure(
            f"a put to cache {self._cache.name!r} did not come through in {MOST_ROUNDS} attempts.",
            why="others open the buffer, or write the key, all the time. Nothing was put.",
            fix="try again.",
        )

    def _asked(self, question: Callable[..., T], *of: Any) -> T:
        """What the buffer answers.

        Raises:
            Backpressure: nothing was sent.
        """
        try:
            return question(*of)
        except (JournalFull, JournalBroken) as broken:
            assert self._parts.journaling is not None
            raise self._parts.journaling.broken(broken) from broken
        except TierDown as down:
            raise Backpressure(
                f"the shared tier of cache {self._cache.name!r} did not take a put.",
                why=f"{down}. Nothing was put.",
                fix=down.fix or "try again when it answers.",
                retryable=not down.fix,
            ) from down

    def _durable_in(self) -> str:
        if self._parts.journaling is not None:
            return self._parts.journaling.journal.where
        durability = self._parts.buffer.durability
        assumed = durability is not None and durability.assumed
        return f"redis-{self._parts.strategy.durability}{' (assumed)' if assumed else ''}"

    def _with_row(self, key: Any, put: Put, given: PutAnswer) -> Put:
        """The same put, with the version of the row, which nobody near knows."""
        try:
            loaded = self._parts.sink.load(key)
        except SinkDown as down:
            raise Backpressure(
                f"cache {self._cache.name!r} does not know the version of a key that is to be replaced.",
                why=f"the sink, which has it, does not answer: {down}. Nothing was put.",
                fix="try again when it does.",
            ) from down
        row = 0 if loaded is None or not loaded.found else loaded.version or 0
        return structs.replace(put, row=row, stamp=given.stamp)

    def _written(self, key: Any, put: Put, value: Any, given: PutAnswer) -> tuple[PutAnswer, str]:
        """There is no room: the row is written here, with the version that the buffer has reserved.

        Raises:
            Backpressure: that is not wanted, or does not go.
            CacheError: the sink refuses the value, or another writer's row is there; or, committed, the tier was not told.
        """
        parts = self._parts
        why = "as many keys, or bytes, are dirty as may be"
        if not parts.strategy.writes_through or put.expected is not None:
            raise Backpressure(
                f"the write-back buffer of cache {self._cache.name!r} is full.",
                why=f"{why}. Nothing was put.",
                fix="look at dirty(), parked() and the sink's speed; raise max_dirty or max_bytes.",
            )
        change = Change(key, given.version, None if put.deleted else value, put.deleted)
        settled, shown = False, NOTHING
        try:
            if self._flushed(change, why) is Verdict.CONFLICT:
                settled = True
                raise CacheError(
                    f"the row of a key of cache {self._cache.name!r} is written by somebody else.",
                    why="it has a version that no put of this cache had. Nothing was written.",
                    fix="name the writer, or give it a table of its own.",
                )
            shown = of_row(given.version)
            crash_point("write-back.through")
            parts.buffer.wrote(put.stored, given.version)
            settled = True
        except TierDown as down:
            raise CacheError(
                f"the row of a key of cache {self._cache.name!r} was written, and its shared tier was not told.",
                why=f"{down}. Where an older value of the key is dirty, gets return it until the flusher has come.",
                fix="nothing: the invalidation is repeated until the tier answers. You may put the value again.",
                retryable=True,
                committed="yes",
            ) from down
        except SinkRefused as refused:
            settled = True
            raise CacheError(
                f"the sink of cache {self._cache.name!r} refuses a value.", why=f"{refused}.", fix="put another."
            ) from refused
        finally:
            if not settled:  # the row may show it, and the cache something older
                self._cache.teller.tell_later("keys", (put.stored,), shown)
            self._cache.teller.told(put.stored)
        parts.flushed()
        return given, "table"

    def _flushed(self, change: Change, why: str) -> Verdict:
        """What the sink did with one change.

        Raises:
            Backpressure: it does not answer, and the row may show the change.
            SinkRefused: it does not take it.
        """
        parts = self._parts
        try:
            parts.check(strict=True)
            [verdict] = parts.sink.flush(self._cache.name, parts.buffer.epoch, [change])
        except SinkDown as down:
            raise Backpressure(
                f"the write-back buffer of cache {self._cache.name!r} is full, and the sink does not take the row.",
                why=f"{why}; {down}.",
                fix="try again: a put that comes through later wins over this one.",
                committed="unknown",
            ) from down
        return verdict

    def _heard_flusher(self) -> None:
        """Rule 1; the buffer is asked once in `max_age`, at most each second."""
        parts, now = self._parts, self._parts.clock.monotonic()
        max_age = parts.strategy.max_age
        if now - self._looked >= max(1.0, max_age):
            self._looked = now
            try:
                status = parts.buffer.status()
            except TierDown:
                return
            self._silent = max(0.0, -status.flusher) if status.dirty else 0.0
            if self._silent > max_age and now - self._warned >= WARN_EVERY:
                self._warned = now
                self._cache.emit(FlusherMissing(self._cache.name, self._silent, status.dirty))
        if self._silent > silence_of(max_age):
            raise Backpressure(
                f"no flusher of cache {self._cache.name!r} has worked for {self._silent:.0f} s.",
                why="what is put would wait for nobody. Nothing was put.",
                fix="run one: `with cache.flusher():`, or `regionkit write-back run`.",
            )
