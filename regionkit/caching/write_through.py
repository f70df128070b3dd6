# Generated from write_through_async.py by scripts/twins.py. Do not edit.
"""Writes of a cache: an intent before the COMMIT, the value or an invalidation after it, and repair when neither came.

| step                                 | when it fails                                | what readers see |
|--------------------------------------|----------------------------------------------|------------------|
| 1 intent at the tier                 | nothing is written; committed "no"           | the old value |
| 2 the store's work, the intent's row | rolled back: the intent goes; committed "no" | the owner's: the old value |
| 3 COMMIT                             | unknown: the intent stays until its end      | the owner's, whichever it is |
| 4 publish                            | told later; the intent stays until its end   | the owner's: the new value |
| the writer dies                      | between any two of them                      | the owner's, then see 2 |

1. While an intent stands nobody stores the key, and every get asks the owner: no value that may be rolled back is kept, and
   none that has been replaced.
2. Whoever meets an intent over its time finds out first what became of the write (`settling`): the row stands, and the key is
   invalidated; or a tombstone goes in its place, and that write can never commit.
3. Without a backing nobody can find out. The intent ends, and a COMMIT that comes later than that leaves a value that is stale
   until its ttl ends: `explain()` says so.
4. What is published has as `lo` a position taken in the transaction after the store's work, as `hi` one after its COMMIT.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from regionkit.caching.inside import Inside
from regionkit.caching.keys import Stored, canonical, place_of, stored_name
from regionkit.caching.ledger import Verdict
from regionkit.caching.outcome import Outcome, outcome_of
from regionkit.caching.settling import Settling
from regionkit.caching.source import called
from regionkit.caching.steps import BATCH, TierDown
from regionkit.caching.strategies import WriteThrough
from regionkit.caching.version import NOTHING, OWNER_ONLY, of_position, of_stamp
from regionkit.contract.unit import Committed
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.errors import CacheError, RegionKitError, UsageError

__all__ = ["Writer", "new_id"]

IS_ASYNC = False

MOST_TOLD = 10_000
"""Keys told in one transaction: a hundred rows, some megabytes."""


def new_id() -> bytes:
    """The id of a write: 16 hex digits at the tier and in the row."""
    return os.urandom(8).hex().encode()


class Writer:
    """The writes of one cache. Safe to share between threads (tasks of one loop).

    Attributes:
        parts: the intents of each part of the store, the nearest first.
        intents: the first of them; None without any.
        settling: finds out what became of writes that died.
    """

    def __init__(self, cache: Inside, parts: Mapping[str, Any], clock: Clock, *, spreads: bool) -> None:
        self._cache = cache
        self._clock = clock
        self._spreads = spreads
        self.parts: dict[str, Any] = {}
        if parts and (spreads or isinstance(cache.strategy, WriteThrough)):
            module = import_module(f"regionkit.caching.intents_sql{'_async' if IS_ASYNC else ''}")
            self.parts = {part: module.Intents(of, cache.name, clock) for part, of in parts.items()}
        self.intents: Any = next(iter(self.parts.values()), None)
        self.settling = Settling(cache, clock, self.parts)

    def deadline(self) -> Deadline:
        """Of one write, or one look at what became of it."""
        strategy = self._cache.strategy
        return Deadline(self._clock, strategy.write_timeout if isinstance(strategy, WriteThrough) else 10.0)

    def names(self, keys: Sequence[Stored]) -> list[tuple[bytes, bytes]]:
        """The keys as rows have them: as they stand at a server, with the tenant's place, as one tail tells for all tenants."""
        digest, place = self._cache.fetcher.parts.shaper.digest, place_of(self._cache.scope)
        return [(place + stored_name(key), digest(key)) for key in keys]

    def put(self, key: Any, stored: Stored, value: Any) -> None:
        """Intent, store, publish."""
        cache, strategy = self._cache, self._cache.strategy
        assert isinstance(strategy, WriteThrough)
        if strategy.store is None:
            raise UsageError(f"cache {cache.name!r} has no store function.", fix="give WriteThrough(store=...).")
        self._check(value)
        part = cache.source.home(key)
        id = new_id()
        told = self.intend([stored], id)
        crash_point("cache.intended")
        if self.intents is None:
            self._stored_alone(strategy, key, stored, value, id)
        else:
            self._stored_within(strategy, key, stored, value, id, part, told=told)

    def _check(self, value: Any) -> None:
        """Refuse early what could not be cached.

        Raises:
            CacheError: it is of another type than the cache's.
        """
        try:
            self._cache.fetcher.parts.shaper.coder.check(value)
        except TypeError as error:
            raise CacheError(
                f"a value for cache {self._cache.name!r} cannot be cached.",
                why=f"{error}. Nothing was written.",
                fix="put a value of the cache's type.",
            ) from error

    def _stored_alone(self, strategy: WriteThrough, key: Any, stored: Stored, value: Any, id: bytes) -> None:
        """`store(key, value)` commits by itself."""
        assert strategy.store is not None
        try:
            given = called(strategy.store, key, value)
        except BaseException as error:
            if isinstance(error, RegionKitError) and error.committed == "no":
                self.aborted([stored], id)
            raise
        self._publish(stored, id, value if given is None else given, NOTHING, NOTHING)

    def _stored_within(
        self, strategy: WriteThrough, key: Any, stored: Stored, value: Any, id: bytes, part: str, *, told: bool
    ) -> None:
        """`store(db, key, value)` in our transaction, which holds the intent's row."""
        assert strategy.store is not None
        outcome: list[Committed] = []
        intents = self.parts[part]
        unit = intents.backing.write(deadline=self.deadline())
        unit.on_outcome(outcome.append)
        try:
            with unit:
                unit.hold("put ends the transaction when the store function has returned")
                with intents.expected():
                    unit.native.execute(intents.statement(id, "w", self.names([stored])))
                given = called(strategy.store, unit.native, key, value)
                if hasattr(unit.native, "flush"):
                    unit.native.flush()
                lo = of_position(unit.owner.epoch, unit.position())
                crash_point("cache.stored")
        except BaseException:
            if outcome == ["no"]:
                self.aborted([stored], id)
            raise
        crash_point("cache.committed")
        hi = of_stamp(unit.stamp)
        self._cache.source.wrote(unit.stamp, part)
        if not told:  # the tier was down: the row tells it
            self._cache.teller.told(stored)
            return
        self._publish(stored, id, value if given is None else given, lo, hi or OWNER_ONLY)

    def intend(self, stored: Sequence[Stored], id: bytes) -> bool:
        """Tell the tier of a write that is about to commit; False: it was not told, and the row will do.

        Raises:
            CacheError: the tier could not be told, and nothing else would tell readers.
        """
        cache, strategy = self._cache, self._cache.strategy
        assert isinstance(strategy, WriteThrough)
        try:
            cache.tier.intend(stored, id, strategy.write_timeout)
            return True
        except TierDown as down:
            if strategy.on_shared_down == "commit" and self.intents is not None:
                cache.counters.shared_down += 1
                return False
            raise CacheError(
                f"cache {cache.name!r} could not announce a write to its shared tier.",
                why=f"{down}. Nothing was written: readers would have kept the old value.",
                fix=down.fix or 'try again when the tier answers; or use on_shared_down="commit" with a backing.',
                retryable=not down.fix,
                committed="no",
            ) from down
        finally:
            for key in stored:
                cache.teller.told(key)

    def aborted(self, stored: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        try:
            self._cache.tier.abort(stored, id)
        except TierDown:
            pass  # it ends by itself

    def _publish(self, stored: Stored, id: bytes, value: Any, lo: str, hi: str) -> None:
        """The write has committed: its value, or an invalidation."""
        cache = self._cache
        shaper, table = cache.fetcher.parts.shaper, cache.fetcher.parts.table
        outcome: Outcome = outcome_of(value, cache.scope, lo, hi=hi)
        mark = table.mark(stored, shaper.digest(stored))
        try:
            entry, sealing = shaper.sealed(stored, outcome, shaper.life(found=outcome.found, ttl=outcome.ttl))
            if sealing is None:
                cache.tier.invalidate([stored], hi, id)
                cache.tier.abort([stored], id)
                return
            verdict, entry.stamp = cache.tier.publish(stored, id, sealing, hi)
            if verdict is Verdict.STORED:
                table.put(entry, mark)
        except TierDown:
            cache.teller.tell_later("keys", (stored,), hi)
            cache.teller.told(stored)  # a load of this process that began before the COMMIT is nobody else's
        finally:
            table.unmark(mark)

    def over(self, written: Mapping[Stored, Any], id: bytes, committed: Committed) -> None:
        """A transaction of the application's that was tracked is over: what may have been written is not what it was."""
        if committed == "no":
            self.aborted(list(written), id)
            return
        homes, _ = self._homes(written.values())
        for part, keys in homes.items():
            self._over(list(map(canonical, keys)), id, committed, part)

    def _homes(self, keys: Iterable[Any]) -> tuple[dict[str | None, list[Any]], Exception | None]:
        """Keys by the part where they live, None where that could not be found out; and the first error."""
        homes: dict[str | None, list[Any]] = {}
        failed: Exception | None = None
        for key in keys:
            part: str | None = None
            try:
                part = self._cache.source.home(key)
            except Exception as error:
                failed = failed or error
            homes.setdefault(part, []).append(key)
        return homes, failed

    def _over(self, stored: Sequence[Stored], id: bytes, committed: Committed, part: str | None) -> None:
        cache = self._cache
        hi = cache.source.newest(None, part)
        try:
            cache.tier.invalidate(stored, hi, id if committed == "yes" else b"")
            if committed == "yes":
                cache.tier.abort(stored, id)
        except TierDown:
            cache.teller.tell_later("keys", tuple(stored), hi)
        finally:
            for key in stored:
                cache.teller.told(key)

    def tell_keys(
        self, keys: Iterable[Any], session: Any, tell: Callable[[list[Stored], str, Sequence[bytes]], None]
    ) -> None:
        """Tell of keys, those of each part of the store for themselves; an error is raised when all were told."""
        homes, failed = self._homes(keys)
        for part, some in homes.items():
            for start in range(0, len(some), MOST_TOLD):
                stored = list(map(canonical, some[start : start + MOST_TOLD]))

                def told(version: str, ids: Sequence[bytes], stored: list[Stored] = stored) -> None:
                    tell(stored, version, ids)

                try:
                    if part is None:
                        told(OWNER_ONLY, ())
                    else:
                        self.tell("k", self.names(stored), some[0], session, told)
                except Exception as error:
                    failed = failed or error
        if failed is not None:
            raise failed

    def tell(
        self,
        kind: str,
        names: Sequence[tuple[bytes, bytes]],
        key: Any,
        session: Any,
        tell: Callable[[str, Sequence[bytes]], None],
    ) -> None:
        """Tell this region, and others where there are any; an error of the others is raised when this one knows.

        `key`: one that lives where all of them do; None: anywhere, and the row stands in the nearest part.
        """
        ids = [new_id() for _ in range(0, len(names) or 1, BATCH)]
        try:
            version = self._floor(kind, names, key, session, ids)
        except Exception:  # whatever it is: a table that is not there, too
            tell(OWNER_ONLY, ())
            raise
        tell(version, ids)

    def _floor(
        self, kind: str, names: Sequence[tuple[bytes, bytes]], key: Any, session: Any, ids: Sequence[bytes]
    ) -> str:
        """What is told to be invalidated: a version that covers all that was committed until now; told to other regions, too.

        Raises:
            RegionKitError: the row for other regions could not be written. This region is told all the same.
        """
        source = self._cache.source
        part = None if key is None else source.home(key)
        if self.intents is None or not self._spreads:
            return source.newest(source.view(session, key), part)
        intents = self.intents if part is None else self.parts[part]
        version = str(intents.announce(ids, kind, names, self.deadline()))
        return OWNER_ONLY if part is None and len(self.parts) > 1 else version

    def close(self) -> None:
        """Ask for no write any more."""
        self.settling.close()

    def renew(self) -> None:
        """After a fork: the parent asks for what it wanted to know."""
        self.settling.renew()

    def create_tables(self) -> None:
        """Make the table of intents."""
        for intents in self.parts.values():
            intents.create_tables(Deadline(self._clock, 15.0))
