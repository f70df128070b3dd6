"""The topology: regions and stores as one frozen value, refused as a whole when any part of it cannot work.

A replica outside its store's residency is kept and shown as refused, never connected to: whoever asks must see why it
is not used. A primary there is refused, because every write would break the rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from regionkit.errors import ConfigurationError
from regionkit.topology.caches import CacheTiers
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.homes import Directory
from regionkit.topology.names import NAMESPACE
from regionkit.topology.preferences import check_regions
from regionkit.topology.regions import Region
from regionkit.topology.stores import Store
from regionkit.topology.strategies import WritePartitioning
from regionkit.topology.validation import check_name, did_you_mean, sequence_of, shown

__all__ = ["NAMESPACE", "Topology"]

MOST_NAMED = 1024
"""Regions, stores, caches of a topology, at most, each."""


@dataclass(frozen=True, slots=True, init=False)
class Topology:
    """Which regions there are, and which stores live where. Immutable; shared freely by threads and tasks.

    Attributes:
        namespace: prefix of every table, key, queue and xid that regionkit makes; `[a-z][a-z0-9_]{0,21}`.
        control: name of the store that keeps directories, leases and failovers; None: there is none.
        regions: in the order given.
        stores: in the order given; none is a mere reference.
        caches: tiers of caches, in the order given.
    """

    namespace: str
    control: str | None
    regions: tuple[Region, ...]
    stores: tuple[Store, ...]
    caches: tuple[CacheTiers, ...]
    _regions: dict[str, Region] = field(init=False, repr=False, compare=False)
    _stores: dict[str, Store] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        namespace: str = "regionkit",
        control: str | None = None,
        regions: Iterable[Region] = (),
        stores: Iterable[Store] = (),
        caches: Iterable[CacheTiers] = (),
    ) -> None:
        """Checks everything at once.

        Raises:
            ConfigurationError: an unusable namespace; no region; a region or store named twice; a store without
                endpoints; an endpoint in, or a replica of, an unknown region; a residency word that names nothing, or
                that cannot be decided; a primary outside its store's residency; endpoints that the store's strategy
                cannot work with; a control store that is none of the stores.
        """
        check_name("namespace", namespace, NAMESPACE)
        object.__setattr__(self, "namespace", namespace)
        object.__setattr__(self, "control", control)
        object.__setattr__(self, "regions", sequence_of("regions", regions, Region))
        object.__setattr__(self, "stores", sequence_of("stores", stores, Store))
        object.__setattr__(self, "caches", sequence_of("caches", caches, CacheTiers))
        object.__setattr__(self, "_regions", {region.name: region for region in self.regions})
        object.__setattr__(self, "_stores", {store.name: store for store in self.stores})
        if not self.regions:
            raise ConfigurationError("the topology has no region.", fix="name every region where the data lives.")
        _refuse_twice("region", [region.name for region in self.regions])
        _refuse_twice("store", [store.name for store in self.stores])
        self._check_jurisdictions()
        for store in self.stores:
            self._check_store(store)
        if control is not None and control not in self._stores:
            raise ConfigurationError(
                f"the control store {shown(control)} is not one of the stores.", fix=did_you_mean(control, self._stores)
            )

        self._check_caches()

    def region(self, name: str) -> Region:
        """The region of this name.

        Raises:
            ConfigurationError: when there is none, with a near match.
        """
        found = self._regions.get(name)
        if found is None:
            raise ConfigurationError(f"there is no region {shown(name)}.", fix=did_you_mean(name, self._regions))
        return found

    def store(self, name: str) -> Store:
        """The store of this name, with its endpoints.

        Raises:
            ConfigurationError: when there is none, with a near match.
        """
        found = self._stores.get(name)
        if found is None:
            raise ConfigurationError(f"there is no store {shown(name)}.", fix=did_you_mean(name, self._stores))
        return found

    def cache_tiers(self, name: str) -> CacheTiers | None:
        """The tiers of a cache as described here; None if it is not described."""
        return next((tiers for tiers in self.caches if tiers.name == name), None)

    def allowed_regions(self, store: Store) -> dict[str, bool]:
        """Each region, and whether residency lets the store's data be there."""
        if store.residency.allow is None and not store.residency.deny:
            return dict.fromkeys([region.name for region in self.regions], True)
        return {region.name: store.residency.allows(region) for region in self.regions}

    def allowed(self, store: Store | str, endpoint: Endpoint) -> bool:
        """Whether residency lets `store`'s data be at `endpoint`; where it does not, nobody connects.

        Raises:
            ConfigurationError: when the store or the endpoint's region is unknown.
        """
        known = self.store(store if isinstance(store, str) else store.name)
        if not endpoint.region:  # a member of a cluster: it says itself where it stands
            return True
        return known.residency.allows(self.region(endpoint.region))

    def _check_caches(self) -> None:
        _refuse_twice("cache", [tiers.name for tiers in self.caches])
        for tiers in self.caches:
            found = self._stores.get(tiers.shared or "")
            if tiers.shared is not None and (found is None or found.backend != "redis"):
                redis = [store.name for store in self.stores if store.backend == "redis"]
                raise ConfigurationError(
                    f"cache {tiers.name!r}: its shared tier {shown(tiers.shared)} is not one of the Redis stores.",
                    fix=did_you_mean(tiers.shared, redis),
                )

    def _check_jurisdictions(self) -> None:
        for region in self.regions:
            namesake = self._regions.get(region.jurisdiction or "")
            if namesake is not None and namesake.jurisdiction != region.jurisdiction:
                raise ConfigurationError(
                    f"{region.jurisdiction!r} is both a region and the jurisdiction of region {region.name!r}.",
                    why="a residency rule with this word would allow more than it seems to.",
                    fix="rename one of them.",
                )

    def _check_store(self, store: Store) -> None:
        if store.is_reference:
            raise ConfigurationError(
                f"store {store.name!r} has no endpoints.",
                why="without endpoints a store object only refers to one that a topology describes.",
                fix="give it endpoints=, or load the topology that describes it.",
            )
        for endpoint in store.endpoints:
            for what, name in (("is in", endpoint.region), ("is of", endpoint.of)):
                if name is not None and name not in self._regions:
                    raise ConfigurationError(
                        f"store {store.name!r}: endpoint {shown(endpoint.id)} {what} region {shown(name)}, "
                        "which the topology does not have.",
                        fix=did_you_mean(name, self._regions),
                    )
        if store.endpoints:  # else a cluster, whose members are its endpoints
            store.strategy.check(store.name, store.endpoints)
        self._check_regions_named(store)
        self._check_directory(store)
        self._check_residency(store)
        if store.leaderless and isinstance(store.strategy, WritePartitioning):
            held = [region.name for region in self.regions if store.residency.allows(region)]
            store.strategy.check_homes(store.name, held)

    def _check_regions_named(self, store: Store) -> None:
        check_regions(store.name, store.prefer, self._regions)
        named = [region for region, _ in getattr(store, "datacenters", ())]
        for region in named:
            if region not in self._regions:
                raise ConfigurationError(
                    f"store {store.name!r}: it names region {shown(region)}, which the topology does not have.",
                    fix=did_you_mean(region, self._regions),
                )
        called = dict(getattr(store, "datacenters", ()))
        _refuse_twice(f"store {store.name!r}: data centre", [called.get(name, name) for name in self._regions])

    def _check_directory(self, store: Store) -> None:
        strategy = store.strategy
        if not isinstance(strategy, WritePartitioning) or not isinstance(strategy.home, Directory):
            return
        kept_in = strategy.home.store or self.control
        found = self._stores.get(kept_in or "")
        if found is None:
            raise ConfigurationError(
                f"store {store.name!r}: its directory is kept in {shown(kept_in)}, which is not one of the stores.",
                why="" if kept_in else "it names no store, and there is no control store.",
                fix=did_you_mean(kept_in, self._stores),
            )
        if found.backend not in ("sql", "mongo", "cassandra") or isinstance(found.strategy, WritePartitioning):
            raise ConfigurationError(
                f"store {store.name!r}: its directory cannot be kept in {found.name!r}.",
                why="it may lose an acknowledged row, or would itself need a directory.",
                fix="keep it in an SQL, MongoDB or Cassandra store with one owner for all keys.",
            )

    def _check_residency(self, store: Store) -> None:
        jurisdictions = {region.jurisdiction for region in self.regions if region.jurisdiction is not None}
        known = self._regions.keys() | jurisdictions
        for word in store.residency.words:
            if word not in known:
                raise ConfigurationError(
                    f"store {store.name!r}: residency names {shown(word)}, which is neither a region nor a jurisdiction.",
                    why="a misspelt word would allow or deny nothing.",
                    fix=did_you_mean(word, known),
                )
        denied = [word for word in store.residency.deny if word not in self._regions]
        held = {endpoint.region for endpoint in store.endpoints} or self._regions  # a cluster may have members in all
        for region in (self._regions[name] for name in held):
            if denied and region.jurisdiction is None and store.residency.allows(region):
                raise ConfigurationError(
                    f"store {store.name!r}: whether {denied[0]!r} is denied in region {region.name!r} cannot be decided.",
                    why="the region states no jurisdiction.",
                    fix=f"give region {region.name!r} its jurisdiction.",
                )
        for endpoint in store.endpoints:
            region = self._regions[endpoint.region]
            if not store.residency.allows(region) and endpoint.role is Role.PRIMARY:
                raise ConfigurationError(
                    f"store {store.name!r}: its primary {endpoint.id!r} is in {region}, outside its residency "
                    f"({store.residency}).",
                    why="every write would put data where they are not allowed.",
                    fix="move the primary into an allowed region, or allow this one.",
                )


def _refuse_twice(kind: str, names: list[str]) -> None:
    if len(names) > MOST_NAMED:
        raise ConfigurationError(
            f"the topology has {len(names)} {kind}s.",
            why=f"{MOST_NAMED} is the maximum: each has its own connections and monitor in every process.",
            fix="describe those that this application uses.",
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigurationError(f"{kind} {name!r} is there twice.", fix="name each once.")
        seen.add(name)
