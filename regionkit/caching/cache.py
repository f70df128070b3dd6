# Generated from cache_async.py by scripts/twins.py. Do not edit.
"""The cache: what the application calls. What is behind each verb stands in `fetch`, `ledger` and `policy`."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from regionkit.caching.counters import Counters
from regionkit.caching.entry import Coder
from regionkit.caching.explanation import CacheExplanation, explain_cache
from regionkit.caching.fetch import Call, Fetcher, Parts
from regionkit.caching.flights import Flights
from regionkit.caching.frozen import is_frozen
from regionkit.caching.keys import CacheKey, canonical
from regionkit.caching.local_table import Entry, LocalTable
from regionkit.caching.lookup import Lookup
from regionkit.caching.making import Made, checked_name, checked_tiers, tier_of
from regionkit.caching.many import Many
from regionkit.caching.news import News
from regionkit.caching.outcome import Outcome, tag_digest
from regionkit.caching.shaping import Shaper
from regionkit.caching.source import PlainSource, Source
from regionkit.caching.steps import TierDown
from regionkit.caching.strategies import TTL, Lazy, Strategy, check_verb
from regionkit.caching.telling import Teller
from regionkit.caching.tier import Tier
from regionkit.caching.tiers import MAX_VALUE, Local, Memcached, Shared
from regionkit.caching.version import NOTHING, of_row
from regionkit.caching.write_through import Writer
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.coarse_clock import COARSE_CLOCK
from regionkit.core.events import EventHooks, Hook
from regionkit.errors import CacheError, ConfigurationError, UsageError

__all__ = ["Cache"]

V = TypeVar("V")

IS_ASYNC = False


class Cache(Generic[V]):
    """One cache: values of one type, by key. Shared by all threads (Cache: by all tasks of one loop). A context manager.

    Keys are a str, an int, bytes, a UUID, or a tuple of these; "42" is not 42. Values are of one type: a msgspec struct, a
    dataclass, or plain data. What can be changed is a copy for each caller. `explain()` says what is promised.

    Args:
        name: `[a-z][a-z0-9_]*`; with the namespace it names what the cache keeps at a server.
        kind: the type of the values; `typing.Any` or `dict` for plain data.
        strategy: TTL, Lazy or WriteThrough.
        tiers: `Local(...)`, `Shared(...)`, or both, the local one first. Default: `[Local()]`, which needs no server.
        namespace: of the application.
        tenant: part of every key: another tenant's entries are never read.
        backing: of WriteThrough: an engine of the application's, whose transaction holds the intent of each `put`.
        codec: "msgpack" or "json".
        floor_life: seconds for which an invalidation is remembered: longer than any copy lags that a loader reads from.
        clock: where time is read.

    Raises:
        ConfigurationError: what cannot work, with what to write in its place.
        MissingDriver: a tier needs a driver that is not installed.
    """

    def __init__(
        self,
        name: str,
        kind: Any = Any,
        *,
        strategy: Strategy,
        tiers: Sequence[Local | Shared | Memcached] | None = None,
        namespace: str = "regionkit",
        tenant: str = "",
        backing: Any = None,
        codec: str = "msgpack",
        floor_life: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
        made: Made | None = None,
    ) -> None:
        checked_name(name, namespace)
        if not isinstance(strategy, TTL | Lazy):
            raise ConfigurationError(
                f"{strategy!r} is no strategy.", fix="use TTL(...), Lazy(...) or WriteThrough(...)."
            )
        local, shared = checked_tiers(tiers, strategy)
        self.name = name
        self.strategy = strategy
        self.counters = Counters()
        self._hooks = EventHooks() if made is None else made.hooks
        self._clock = clock
        self._closed = False
        self.namespace = namespace
        self.settles = False
        self.tenant = f"{namespace}/{name}/{tenant}".encode()
        self.emit = self._hooks.emit
        self._local, self._shared = local, shared
        largest = MAX_VALUE if shared is None else shared.max_value_bytes
        compress = shared.compress_above if isinstance(shared, Shared) else None
        coder: Coder[Any] = Coder(kind, codec=codec, largest=largest, compress_above=compress)
        self._table = LocalTable(local.max_items if local else 1, local.max_bytes if local else 1, self._look_up_by)
        self._table.open = local is not None and shared is None
        self._flights = Flights()
        self._source: Source = PlainSource(self.tenant) if made is None else made.source
        self.heard = News(name, self._table, self._flights, self.counters, self.emit, has_local=local is not None)
        self.tier: Tier = tier_of(self, shared, clock, floor_life)
        self.teller = Teller(name, self._table, self._flights, self.tier, self.counters, self._hooks.emit, clock)
        self._writer = Writer(self, backing if made is None else made.backing, clock)
        self.fetcher = Fetcher(
            Parts(
                name=name,
                strategy=strategy,
                shaper=Shaper(
                    name,
                    strategy,
                    coder,
                    clock,
                    self.counters,
                    shares=is_frozen(kind),
                    tenant=self.tenant,
                    longest_local=_longest_local(local, shared, strategy),
                ),
                table=self._table,
                tier=self.tier,
                flights=self._flights,
                source=self._source,
                counters=self.counters,
                clock=clock,
                emit=self._hooks.emit,
                settle=self._writer.settle,
            )
        )
        self._many = Many(self.fetcher)
        COARSE_CLOCK.hold(self)
        _ALIVE.add(self)

    def _look_up_by(self, get: Callable[[Any], Entry | None]) -> None:
        self._fresh = get

    def __enter__(self) -> Cache[V]:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the background work, close what the cache opened, forget the local tier. May be called twice."""
        self._closed = True
        _ALIVE.discard(self)
        COARSE_CLOCK.let_go(self)
        self._table.drop_all(open=False)
        self.tier.close()
        self.teller.close()

    def get(
        self,
        key: CacheKey,
        *,
        ttl: float | None = None,
        max_stale: float | None = None,
        refresh: bool = False,
        session: Any = None,
    ) -> V | None:
        """The value, loaded where the strategy loads; None where nothing is there.

        Args:
            key: of the value.
            ttl: seconds that a value loaded now lives, in place of the strategy's.
            max_stale: seconds; an older value is loaded anew.
            refresh: load anew, whatever is there.
            session: of a kit: a value that does not show what it wrote or saw is loaded. Default: the current one.

        Raises:
            CacheError: the loader gave what cannot be cached.
            DeadlineExceeded: the loader did not answer in time.
            Exception: what the loader raised, where nothing older may be served.
        """
        entry = self._fresh(key) if type(key) is str else None  # bytes of the caller's may be how another key stands
        if entry is not None and entry.fresh_until > COARSE_CLOCK.now and not refresh and max_stale is session is None:
            entry.hits += 1
            return entry.value  # type: ignore[no-any-return]
        found, _ = self.fetcher.entry(self._call(key, ttl, max_stale, refresh, session))
        return self._given(found, session)

    def peek(self, key: CacheKey) -> V | None:
        """The value that is there, never loaded; None without one."""
        call = self._call(key, None, None, False, None, loads=False)
        return self._given((self.fetcher.entry(call))[0], None)

    def lookup(
        self,
        key: CacheKey,
        *,
        ttl: float | None = None,
        max_stale: float | None = None,
        refresh: bool = False,
        session: Any = None,
    ) -> Lookup:
        """As `get`, with where the value came from, its age, and whether anything is there at all."""
        found, tier = self.fetcher.entry(self._call(key, ttl, max_stale, refresh, session))
        self._given(found, session)
        return self.fetcher.parts.shaper.lookup(found, tier)

    def get_or_load(
        self,
        key: CacheKey,
        load: Callable[..., Any],
        *,
        ttl: float | None = None,
        max_stale: float | None = None,
        refresh: bool = False,
        session: Any = None,
    ) -> V | None:
        """As `get`, with another loader. It never takes what another loader is loading in this moment."""
        if not callable(load):
            raise UsageError(f"a {type(load).__name__} cannot load.", fix="pass a function of the key.")
        call = self._call(key, ttl, max_stale, refresh, session, load=load)
        return self._given((self.fetcher.entry(call))[0], session)

    def get_many(self, keys: Iterable[CacheKey], *, ttl: float | None = None, session: Any = None) -> dict[CacheKey, V]:
        """The values of several keys, those that are there: one question to the shared tier, one `load_many` for what is missing.

        Each value is as good as one of `get`; together they are no snapshot.
        """
        calls = [self._call(key, ttl, None, False, session) for key in dict.fromkeys(keys)]
        found = self._many.entries(calls)
        return {key: self._given(entry, session) for key, entry in found.items() if entry.found}  # type: ignore[misc]

    def _given(self, entry: Entry | None, session: Any) -> V | None:
        if entry is None:
            return None
        if not entry.found:
            self.counters.negative += 1
        if entry.seen is not None:
            self._source.saw(entry.seen, self._source.session(session))
        value: V | None = self.fetcher.parts.shaper.value(entry)
        return value

    def _call(
        self,
        key: Any,
        ttl: float | None,
        max_stale: float | None,
        refresh: bool,
        session: Any,
        *,
        load: Callable[..., Any] | None = None,
        loads: bool = True,
    ) -> Call:
        self._usable()
        if loads and load is None and not isinstance(self.strategy, TTL):
            load = self.strategy.load
            if load is None and self.strategy.load_many is None:
                raise UsageError(
                    f"cache {self.name!r} has no loader.", fix="use get_or_load(key, loader), or give load=."
                )
            load = load or self._many.loader
        youngest = -math.inf
        if max_stale is not None:
            if isinstance(max_stale, bool) or not isinstance(max_stale, int | float) or not max_stale >= 0.0:
                raise ConfigurationError(f"max_stale={max_stale!r} is no time.", fix="give seconds from 0.")
            youngest = self._clock.monotonic() - max_stale
        if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.0 < ttl < 1e9):
            raise ConfigurationError(f"ttl={ttl!r} is no time.", fix="give seconds above 0.")
        return Call(key, canonical(key), load, ttl, youngest, refresh, self._source.session(session))

    def _usable(self) -> None:
        if self._closed:
            raise UsageError(f"cache {self.name!r} is closed.", fix="make a new one.")

    def set(self, key: CacheKey, value: V, *, ttl: float | None = None) -> None:
        """Set a value (TTL only). A later set or delete wins over an earlier one, and over loads that began before.

        Raises:
            UsageError: the strategy has no set.
            CacheError: the value cannot be cached, or the shared tier did not take it.
        """
        check_verb("set", self.strategy, self.name)
        call = self._call(key, ttl, None, False, None, loads=False)
        life = self.fetcher.parts.shaper.life(ttl=ttl)
        entry, sealing = self.fetcher.parts.shaper.sealed(call.stored, Outcome(value), life)
        if sealing is None:
            raise CacheError(
                f"a value for cache {self.name!r} is too large.",
                why=f"at most {self.fetcher.parts.shaper.coder.largest} bytes are cached.",
                fix="raise max_value_bytes, or cache less of it.",
            )
        self.teller.told(call.stored)
        mark = self._table.mark(call.stored)
        try:
            entry.stamp = self.tier.put(call.stored, sealing)
            self._table.put(entry, mark)
        except TierDown as down:
            raise self.teller.not_told(down) from down
        finally:
            self._table.unmark(mark)

    def delete(self, key: CacheKey) -> None:
        """Forget a value (TTL only)."""
        check_verb("delete", self.strategy, self.name)
        self.teller.invalidate([canonical(key)], NOTHING)

    def put(self, key: CacheKey, value: V) -> None:
        """Write a value to the store and the cache (WriteThrough only). See `regionkit.caching.write_through_async`.

        Raises:
            UsageError: the strategy has no put.
            CacheError: the shared tier could not be told first; nothing was written.
            Exception: what `store` or its COMMIT raised; `committed` of a RegionKitError says what became of the write.
        """
        check_verb("put", self.strategy, self.name)
        self._usable()
        self._writer.put(key, canonical(key), value)

    def invalidate(self, key: CacheKey, *, version: int | None = None, session: Any = None) -> None:
        """The value is not what it was: no reader keeps it, and no load that began before is stored.

        Call it after your own write has committed.

        Args:
            key: of the value.
            version: of the row now, where loaders tell versions: a load from a copy that lags is refused, too.
            session: of a kit, whose write it was. Default: the current one; without one the owner is asked how far it is.

        Raises:
            CacheError: the shared tier did not take it; it is told again until it does, and meanwhile others may serve the
                old value.
        """
        self.invalidate_many([key], version=version, session=session)

    def invalidate_many(self, keys: Iterable[CacheKey], *, version: int | None = None, session: Any = None) -> None:
        """The same for several keys, in one round trip for each hundred."""
        self._usable()
        stored = [canonical(key) for key in keys]
        self.teller.invalidate(stored, self._floor(version, session))

    def _floor(self, version: int | None, session: Any) -> str:
        if version is not None:
            return of_row(version)
        return self._source.newest(self._source.session(session))

    def invalidate_tag(self, tag: str, *, session: Any = None) -> None:
        """What carries the tag is not what it was."""
        self._usable()
        digest = tag_digest(tag, self.tenant)
        self.teller.invalidate_tag(digest, self._floor(None, session))

    def clear(self, *, session: Any = None) -> None:
        """Nothing is what it was."""
        self._usable()
        self.teller.clear(self._floor(None, session))

    def expire(self, key: CacheKey) -> None:
        """Load the key at its next get, and serve what there is if that fails. Another verb than `invalidate`."""
        self._usable()
        stored = canonical(key)
        entry = self._table.get(stored)
        if entry is not None:
            entry.fresh_until = entry.soft = entry.hard = -math.inf
        try:
            self.tier.expire([stored])
        except TierDown as down:
            raise self.teller.not_told(down) from down

    def explain(self) -> CacheExplanation:
        """What this cache promises, what it does not, and the figures of both; prints as a table, `.to_dict()` for JSON."""
        return explain_cache(self)

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with a frozen details object at each event; the result takes it away again."""
        return self._hooks.add(hook)

    def status(self) -> dict[str, Any]:
        """What the cache has done so far, and what it holds in this process."""
        told = self.counters.to_dict()
        told["local_hits"] += self._table.hits
        return told | {"local_items": len(self._table), "local_bytes": self._table.bytes}

    def _renew(self) -> None:
        """After a fork: nothing of the parent's is served or waited for here."""
        self._table.renew()
        self._flights.renew()
        self.tier.renew()
        self.teller.renew()
        COARSE_CLOCK.hold(self)


def _longest_local(local: Local | None, shared: Shared | Memcached | None, strategy: Strategy) -> float:
    """Seconds that an entry lives in this process at most."""
    limits = [math.inf]
    if local is not None and local.ttl is not None:
        limits.append(local.ttl)
    if isinstance(strategy, TTL) and strategy.sliding and shared is not None:
        limits.append(strategy.ttl / 4)  # gets of this process have to reach the server now and then
    return min(limits)


_ALIVE: weakref.WeakSet[Cache[Any]] = weakref.WeakSet()
"""The caches of this process, for what has to be done after a fork."""


def _after_fork() -> None:
    for cache in list(_ALIVE):
        cache._renew()


os.register_at_fork(after_in_child=_after_fork)
