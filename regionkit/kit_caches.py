# Generated from kit_caches_async.py by scripts/twins.py. Do not edit.
"""The caches of a kit: made over one of its stores, closed with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Required, TypedDict, TypeVar, Unpack, overload

from regionkit.core.clock import Clock
from regionkit.core.events import EventHooks
from regionkit.errors import ConfigurationError, ResidencyViolation
from regionkit.kit_homes import Homes
from regionkit.kit_stores import Stores
from regionkit.routing.backing import StoreBacking
from regionkit.topology import CacheTiers, Contextual, Role, Store, Topology, WritePartitioning
from regionkit.topology.names import NAMESPACE
from regionkit.topology.validation import check_name

if TYPE_CHECKING:
    from regionkit.caching.cache import Cache
    from regionkit.caching.strategies import Strategy
    from regionkit.caching.tiers import Local, Memcached, Shared

__all__ = ["CacheOptions", "Caches", "MakesCaches"]

T = TypeVar("T")


class CacheOptions(TypedDict, total=False):
    """Options of `kit.cache`.

    strategy: Lazy, WriteThrough, WriteBack or TTL; needed.
    tiers: default as the topology's `[caches.NAME]` says, else `[Local()]`; `Shared("STORE")` names a Redis store of the kit.
    tenant: part of every key.
    codec: "msgpack" or "json".
    floor_life: seconds for which an invalidation is remembered.
    sample_every: seconds; one value that is served here is then compared with the owner's.
    partition: from a key of the cache to the key by which a partitioned store finds its home; default: they are the same.
    home: WriteBack: the region whose primary of the Redis store holds the buffer, for all regions; default: the region of the
        store's primary, as configured. It stays there when another endpoint is promoted.
    """

    strategy: Required[Strategy]
    tiers: Sequence[Local | Shared | Memcached] | None
    tenant: str
    codec: str
    floor_life: float
    sample_every: float | None
    partition: Callable[[Any], str] | None
    home: str | None


class Caches:
    """The caches of one kit. Safe to share between threads (tasks of one loop)."""

    def __init__(self, local: str, clock: Clock, hooks: EventHooks, current: Callable[[], Any]) -> None:
        self._local = local
        self._clock = clock
        self._hooks = hooks
        self._current = current
        self.by_name: dict[str, Cache[Any]] = {}
        self._making = threading.Lock()

    def make(self, *given: Any) -> Cache[Any]:
        """A cache over a store, one after the other: two of one name would not hear of each other's writes. See `_made`."""
        with self._making:
            return self._made(*given)

    def _made(
        self,
        topology: Topology,
        stores: Stores,
        backing: StoreBacking,
        find: Callable[[], Any],
        name: str,
        kind: Any,
        options: CacheOptions,
    ) -> Cache[Any]:
        """A cache over a store. See `RegionKit.cache`.

        Raises:
            ConfigurationError: a second cache of that name, a store without usable homes, or a tier that cannot be used.
            ResidencyViolation: the store's data may not be in this region.
        """
        check_name("name of a cache", name, NAMESPACE)
        store = topology.store(backing.name)
        if name in self.by_name and not self.by_name[name].closed:
            raise ConfigurationError(
                f"a cache {name!r} already exists.", fix="create each cache once and keep it; or close the first one."
            )
        homes = self._homes(store, find, backing.namespace, name, partition=options.get("partition"))
        self._check_residency(topology, store, name)
        described = topology.cache_tiers(name)
        if options.get("tiers") is None and described is not None:
            options = {**options, "tiers": _tiers(described)}
        from regionkit.caching.in_kit import made_in_kit  # not every application has caches

        given = {**options}
        buffers = getattr(options["strategy"], "buffers", False)
        region = self._region_of(topology, store, name, buffers, given.pop("home", None), homed=homes is not None)
        cache: Any = made_in_kit(
            name,
            kind,
            backing=backing,
            current=self._current,
            hooks=self._hooks,
            clock=self._clock,
            spreads=len(topology.regions) > 1,
            shared_at=lambda part, tier: self._shared_at(
                topology, stores, tier, _home_of(store, part) if buffers and homes is not None else region
            ),
            homes=homes,
            **given,  # type: ignore[arg-type]
        )
        self.by_name[name] = cache
        return cache  # type: ignore[no-any-return]  # or one with the same verbs

    def _homes(
        self,
        store: Store,
        find: Callable[[], Any],
        namespace: str,
        name: str,
        *,
        partition: Callable[[Any], str] | None,
    ) -> Homes | None:
        """Of a partitioned store.

        Raises:
            ConfigurationError: nobody but the caller knows a key's home, or `partition` has no use.
        """
        if not isinstance(store.strategy, WritePartitioning):
            if partition is not None:
                raise ConfigurationError(
                    f"cache {name!r} was given partition=, and store {store.name!r} is not partitioned.",
                    fix="leave it out.",
                )
            return None
        if isinstance(store.strategy.home, Contextual):
            raise ConfigurationError(
                f"store {store.name!r} cannot have a cache: its home function is Contextual.",
                why="only the caller knows a key's home, and background loads have no caller.",
                fix="use Intrinsic, Hashed or Directory; or a cache without the kit, with a loader that passes home=.",
            )
        return Homes(find, namespace, self._local)

    def _region_of(self, topology: Topology, store: Store, name: str, buffers: bool, home: Any, *, homed: bool) -> str:
        """Where the shared tier of a cache stands: here; the one of WriteBack in the home of the data.

        Raises:
            ConfigurationError: no such region, or none that could be the home; `home` where it has no use.
            ResidencyViolation: the store's data may not be there.
        """
        if not buffers or homed:
            if home is not None:
                raise ConfigurationError(
                    f"cache {name!r} was given home=, and "
                    + ("each key of its store has one." if homed else "is not WriteBack."),
                    why="puts are kept in the home of their key."
                    if homed
                    else "the caches of a region are kept there.",
                    fix="leave it out.",
                )
            return self._local
        if home is None:
            primaries = [endpoint.region for endpoint in store.endpoints if endpoint.role is Role.PRIMARY]
            if len(primaries) != 1:
                raise ConfigurationError(
                    f"the buffer of cache {name!r} has no home.",
                    why=f"store {store.name!r} does not name one primary, and all regions have to find the same place.",
                    fix="give kit.cache(home=...), the region that writes most, alike in all processes.",
                )
            home = primaries[0]
        topology.region(home)
        self._check_residency(topology, store, name, home)
        return str(home)

    def _check_residency(self, topology: Topology, store: Store, name: str, where: str | None = None) -> None:
        region = topology.region(where or self._local)
        if not store.residency.allows(region):
            raise ResidencyViolation(
                f"cache {name!r} would keep data of store {store.name!r} in {region}.",
                why=f"the store's residency is {store.residency}, and a cached value is a copy.",
                fix="cache it in the regions that may hold it.",
            )

    def _shared_at(self, topology: Topology, stores: Stores, name: str, region: str) -> Any:
        """The endpoint of a Redis store that serves the caches of a region."""
        if topology.store(name).backend != "redis":
            raise ConfigurationError(
                f"store {name!r} is not a Redis store.", fix="name one, or give Shared a URL or a client of yours."
            )
        for shard in stores.get(name).shards:
            for index, endpoint in enumerate(shard.state.shard.endpoints):
                if endpoint.region == region and endpoint.role is Role.PRIMARY:
                    return shard.backend(index)
        raise ConfigurationError(
            f"store {name!r} has no primary in {region!r}.",
            why="the caches of a region are kept in that region, the buffer of a write-back cache in the home of its data.",
            fix="give the store a primary in each region, with write partitioning.",
        )

    def create_tables(self) -> None:
        """Make what they keep beside the data."""
        for cache in list(self.by_name.values()):
            cache.create_tables()

    def to_dict(self) -> dict[str, Any]:
        """What each has done so far."""
        return {name: cache.status() for name, cache in list(self.by_name.items())}

    def close(self) -> None:
        """Close them all. May be called twice."""
        for cache in list(self.by_name.values()):
            cache.close()


class MakesCaches:
    """The part of a kit that makes caches."""

    _topology: Topology
    _all: Stores
    _caches: Caches

    def backing(self, store: str | Store) -> StoreBacking:
        """A store as the place where a pillar keeps its rows."""
        raise NotImplementedError

    @overload
    def cache(self, name: str, kind: type[T], *, store: str | Store, **options: Unpack[CacheOptions]) -> Cache[T]: ...
    @overload
    def cache(
        self, name: str, kind: Any = Any, *, store: str | Store, **options: Unpack[CacheOptions]
    ) -> Cache[Any]: ...
    def cache(self, name: str, kind: Any = Any, *, store: str | Store, **options: Unpack[CacheOptions]) -> Cache[Any]:
        """A cache over a store: its loader gets `(key, store)` and reads through `store.read()`, so fills carry versions.

        The current session's bookmark is honoured by `get` and moved by it. Closed with the kit. WriteBack over a store whose
        keys have homes gives an `HomedCache`, with the same methods.

        Args:
            name: of the cache; once in a kit.
            kind: type of the values.
            store: whose data they are: residency of the store covers its caches.
            options: see `CacheOptions`.

        Raises:
            ConfigurationError, ResidencyViolation: what cannot work; the store's data may not be in this region.
        """
        backing = self.backing(store)
        return self._caches.make(
            self._topology, self._all, backing, lambda: self._all.get(backing.name), name, kind, options
        )


def _home_of(store: Store, part: str) -> str:
    """The region where a part of a store has its primary, as configured."""
    for shard in store.strategy.shards(store.endpoints):
        if part in (shard.name, *shard.partitions):
            return shard.endpoints[0].region
    raise ConfigurationError(f"store {store.name!r} has no partition {part!r}.", fix="create the cache again.")


def _tiers(described: CacheTiers) -> list[Local | Shared | Memcached]:
    from regionkit.caching.tiers import Local, Shared

    tiers: list[Local | Shared | Memcached] = []
    if described.local is not None:
        tiers.append(Local(**described.local))
    if described.shared is not None:
        tiers.append(Shared(described.shared))
    return tiers
