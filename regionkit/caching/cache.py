# Generated from cache_async.py by scripts/twins.py. Do not edit.
"""The cache: what the application calls. What is behind each verb stands in `fetch`, `ledger` and `policy`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, overload

from regionkit.caching.cache_changes import CacheChanges
from regionkit.caching.calls import Calls
from regionkit.caching.counters import Counters
from regionkit.caching.entry import Coder
from regionkit.caching.explanation import CacheExplanation, explain_cache
from regionkit.caching.fetch import Fetcher
from regionkit.caching.flights import Flights
from regionkit.caching.forks import ALIVE
from regionkit.caching.frozen import is_frozen
from regionkit.caching.glance import MISSING, NO_HEAD, UNSURE, Glance
from regionkit.caching.keys import CacheKey, K, canonical, scope_of, several
from regionkit.caching.local_table import FEW, Entry, LocalTable
from regionkit.caching.lookup import Lookup
from regionkit.caching.making import (
    Made,
    back_of,
    checked_name,
    checked_tiers,
    longest_local,
    tier_of,
)
from regionkit.caching.many import Many
from regionkit.caching.news import News
from regionkit.caching.parts import Call, Parts
from regionkit.caching.sampler import Sampler
from regionkit.caching.shaping import Shaper
from regionkit.caching.source import PlainSource, Source
from regionkit.caching.strategies import Strategy, WriteThrough, check_strategy
from regionkit.caching.tail import Tail
from regionkit.caching.telling import Teller
from regionkit.caching.tier import Tier
from regionkit.caching.tiers import MAX_VALUE, Local, Memcached, Shared
from regionkit.caching.write_through import Writer
from regionkit.contract.backing import backing_of
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.coarse_clock import COARSE_CLOCK
from regionkit.core.events import EventHooks, Hook
from regionkit.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from regionkit.caching.track_sql import Tracked

__all__ = ["Cache"]

V = TypeVar("V")

IS_ASYNC = False


class Cache(CacheChanges[V]):
    """One cache: values of one type, by key. Shared by all threads (Cache: by all tasks of one loop). A context manager.

    Keys are a str, an int, bytes, a UUID, or a tuple of these; "42" is not 42. Values are of one type: a msgspec struct, a
    dataclass, or plain data. What can be changed is a copy for each caller. `explain()` says what is promised.

    Args:
        name: `[a-z][a-z0-9_]*`; with the namespace it is the prefix of the cache's keys on a server.
        kind: the type of the values; `typing.Any` or `dict` for plain data.
        strategy: TTL, Lazy, WriteThrough or WriteBack.
        tiers: `Local(...)`, `Shared(...)`, or both, the local one first. Default: `[Local()]`, which needs no server.
        namespace: of the application.
        tenant: part of every key: another tenant's entries are never read.
        backing: for WriteThrough: an engine of the application; its transaction holds the intent of each `put`.
        codec: "msgpack" or "json".
        floor_life: seconds for which an invalidation is remembered: longer than any copy lags that a loader reads from.
        sample_every: seconds; one value that is served here is then compared with the owner's. None: never.
        clock: the clock to use.

    Raises:
        ConfigurationError: options that cannot work, and what to write instead.
        MissingDriver: a tier needs a driver that is not installed.
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        name: str,
        kind: type[V],
        *,
        strategy: Strategy,
        tiers: Sequence[Local | Shared | Memcached] | None = None,
        namespace: str = "regionkit",
        tenant: str = "",
        backing: Any = None,
        codec: str = "msgpack",
        floor_life: float = 60.0,
        sample_every: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
        made: Made | None = None,
    ) -> None: ...
    @overload
    def __init__(  # no kind, or one that type checkers know no class of: `int | str`, `Any`
        self: Cache[Any],
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
        sample_every: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
        made: Made | None = None,
    ) -> None: ...
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
        sample_every: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
        made: Made | None = None,
    ) -> None:
        checked_name(name, namespace)
        check_strategy(strategy)
        local, shared = checked_tiers(tiers, strategy)
        self.name = name
        self.strategy = strategy
        self.counters = Counters()
        self._hooks = EventHooks() if made is None else made.hooks
        self._clock = clock
        self._closed = False
        self.namespace = namespace
        given = None if backing is None else backing_of(backing, namespace=namespace)
        self._backing = given = given if made is None else made.backing
        self.settles = isinstance(strategy, WriteThrough) and given is not None
        self.scope = scope_of(namespace, name, tenant)
        self.emit = self._hooks.emit
        self._made = made
        self._tracked: ContextVar[Tracked | None] = ContextVar(f"regionkit_tracked_{name}", default=None)
        self.local, self.shared, self.floor_life = local, shared, floor_life
        self.spreads, self.routed = made is not None and made.spreads, made is not None
        largest = MAX_VALUE if shared is None else shared.max_value_bytes
        compress = shared.compress_above if isinstance(shared, Shared) else None
        coder: Coder[Any] = Coder(kind, codec=codec, largest=largest, compress_above=compress)
        self._table = LocalTable(local.max_items if local else 1, local.max_bytes if local else 1, self._look_up_in)
        self._table.open = self._always_open = local is not None and shared is None
        self._flights = Flights()
        self.source: Source = PlainSource(self.scope) if made is None else made.source
        self.heard = News(name, self._table, self._flights, self.counters, self.emit, has_local=local is not None)
        self.tier: Tier = tier_of(self, shared, clock, floor_life)
        parts: Mapping[str, Any] = {} if given is None else {"": given} if made is None else made.parts
        alone = len(parts) <= 1
        self.homes = not alone
        self.teller = Teller(name, self._table, self._flights, self.tier, self.counters, self.emit, clock, alone=alone)
        self._writer = Writer(self, parts, clock, spreads=self.spreads)
        self._tails = {
            part: Tail(self, intents, clock, part, alone=alone) for part, intents in self._writer.parts.items()
        }
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
                    routed=made is not None,
                    scope=self.scope,
                    longest_local=longest_local(local, shared, strategy),
                ),
                table=self._table,
                tier=self.tier,
                flights=self._flights,
                source=self.source,
                counters=self.counters,
                clock=clock,
                emit=self._hooks.emit,
                settle=self._writer.settling.settle,
            )
        )
        self._many = Many(self.fetcher)
        self.back = back_of(self, shared, clock)
        self._background: list[Tail | Sampler] = [*self._tails.values()]
        if sample_every is not None:
            self._background.append(Sampler(self.fetcher.parts, sample_every, self._news_within()))
        self._calls = Calls(name, strategy, self.source, clock, self._usable)
        self._glance: Glance | None = None
        works = self._background or getattr(strategy, "sliding", False)
        if local is None and isinstance(shared, Shared) and made is None and not works:
            self._glance = Glance(self.tier, coder, self.scope, self.counters, self.fetcher.misses)
        COARSE_CLOCK.hold(self)
        ALIVE.add(self)

    def _look_up_in(self, entries: dict[Any, Entry]) -> None:
        self._fresh = entries

    def __enter__(self) -> Cache[V]:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the background work, close what the cache opened, forget the local tier. May be called twice."""
        self._closed, self._glance = True, None
        ALIVE.discard(self)
        COARSE_CLOCK.let_go(self)
        self._table.drop_all(open=False)
        for job in self._background:
            job.close()
        if self.back is not None:
            self.back.close()
        self._writer.close()
        self.tier.close()
        self.teller.close()
        if self._backing is not None and self._made is None:
            self._backing.close()

    def get(  # give the rest by name; CPython takes a quarter longer for a hit where a signature asks for that
        self,
        key: CacheKey,
        ttl: float | None = None,
        max_stale: float | None = None,
        refresh: bool = False,
        session: Any = None,
    ) -> V | None:
        """The value, loaded if the strategy has a loader; None if there is no value.

        Args:
            key: of the value.
            ttl: seconds that a value loaded now lives, in place of the strategy's.
            max_stale: seconds; an older value is loaded again.
            refresh: always load.
            session: of a kit: a value that does not show what it wrote or saw is loaded. Default: the current one; False: none.

        Raises:
            CacheError: the loader returned a value that cannot be cached.
            DeadlineExceeded: the loader did not answer in time.
            Exception: what the loader raised, if no older value may be served.
        """
        try:
            entry = self._fresh[key]
            if (
                entry.fresh_until > COARSE_CLOCK.now or (key.__class__ is int and entry.number_until > COARSE_CLOCK.now)
            ) and (max_stale is None and session is None and not refresh):
                hits = entry.hits
                if hits < FEW:
                    entry.hits = hits + 1
                    return entry.value  # type: ignore[no-any-return]
                entry.more_hits, entry.hits, entry.turned = entry.more_hits + hits, 1, 0
                return entry.value  # type: ignore[no-any-return]
        except (KeyError, TypeError):  # nothing is there, or it cannot be a key
            pass
        rejected = b""
        if self._glance is not None and max_stale is None and session is None and not refresh:
            value: Any = self._glance.value(key if key.__class__ is str else canonical(key))
            if value is MISSING:
                rejected = NO_HEAD
            elif value is not UNSURE:
                return value  # type: ignore[no-any-return]
        call = self._calls.of(key, ttl, max_stale, refresh, session, rejected=rejected)
        found, _ = self.fetcher.entry(call)
        return self._given(found, call)

    def peek(self, key: CacheKey) -> V | None:
        """The cached value, never loaded; None without one."""
        call = self._calls.of(key, None, None, False, None, loads=False)
        return self._given((self.fetcher.entry(call))[0], call)

    def lookup(
        self,
        key: CacheKey,
        *,
        ttl: float | None = None,
        max_stale: float | None = None,
        refresh: bool = False,
        session: Any = None,
    ) -> Lookup[V | None]:
        """As `get`, with where the value came from, its age, and whether anything is there at all."""
        call = self._calls.of(key, ttl, max_stale, refresh, session)
        found, tier = self.fetcher.entry(call)
        self._given(found, call)
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
        """As `get`, with another loader. It never shares a load of another loader."""
        if not callable(load):
            raise UsageError(f"a {type(load).__name__} cannot load.", fix="pass a function of the key.")
        call = self._calls.of(key, ttl, max_stale, refresh, session, load=load)
        return self._given((self.fetcher.entry(call))[0], call)

    def get_many(self, keys: Iterable[K], *, ttl: float | None = None, session: Any = None) -> dict[K, V]:
        """The values of several keys, those that are there: one question to the shared tier, one `load_many` for what is missing.

        Each value is as good as one of `get`; together they are not a snapshot.
        """
        calls = [self._calls.of(key, ttl, None, False, session) for key in several("get_many", keys)]
        found = self._many.entries(calls)
        given = {call.key: self._given(found[call.key], call) for call in calls if call.key in found}
        return {key: value for key, value in given.items() if found[key].found}  # type: ignore[misc]

    def _given(self, entry: Entry | None, call: Call) -> V | None:
        if entry is None:
            return None
        if not entry.found:
            self.counters.negative += 1
        if call.session is not None:
            self.source.saw(entry.hi, call.session)
        value: V | None = self.fetcher.parts.shaper.value(entry)
        return value

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def endpoint_named(self, store: str) -> Any:
        """The endpoint of a kit's store that is the shared tier.

        Raises:
            ConfigurationError: there is no kit, or no such store.
        """
        if self._made is None:
            raise ConfigurationError(f"{store!r} is not a URL.", fix='write Shared("redis://..."), or use a kit.')
        return self._made.shared_at(store)

    def _news_within(self) -> float:
        """Seconds within which an invalidation of this region has arrived here."""
        return 1.0 + (self.shared.max_local_stale if isinstance(self.shared, Shared) else 0.0)

    def _usable(self) -> None:
        for job in self._background:
            job.start()
        if self._closed:
            raise UsageError(f"cache {self.name!r} is closed.", fix="make a new one.")

    def create_tables(self) -> None:
        """Create the cache's tables beside the data, on its backing or its sink; in a kit `kit.create_tables()` does this."""
        if self.back is not None:
            self.back.create_tables()
            return
        self._writer.create_tables()

    def explain(self) -> CacheExplanation:
        """What this cache promises, what it does not, and the figures of both; prints as a table, `.to_dict()` for JSON."""
        return explain_cache(self)

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with a frozen details object at each event; call the result to unsubscribe."""
        return self._hooks.add(hook)

    def status(self) -> dict[str, Any]:
        """What the cache has done so far, and what it holds in this process."""
        told = self.counters.to_dict()
        told["local_hits"] += self._table.hits
        tracking = getattr(getattr(self.tier, "tracking", None), "state", "off")
        return told | {"local_items": len(self._table), "local_bytes": self._table.bytes, "tracking": tracking}

    def renew(self) -> None:
        """After a fork: entries and loads of the parent are not used here."""
        self._table.renew()
        self._table.open = self._always_open
        self._flights.renew()
        self.heard.renew()
        self.fetcher.renew()
        self.tier.renew()
        self.teller.renew()
        self._writer.renew()
        if self.back is not None:
            self.back.renew()
        for job in self._background:
            job.renew()
        COARSE_CLOCK.hold(self)
