# Generated from kit_stores_async.py by scripts/twins.py. Do not edit.
"""All stores of a kit at run time: opened by a topology, swapped for another, closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from regionkit.backends.factory import backend_of
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import Clock
from regionkit.core.events import EventHooks
from regionkit.routing.directory import HomeDirectory
from regionkit.routing.host_answers import EndpointAnswers, HostAnswers, host_answers
from regionkit.routing.kept_history import KeptHistory
from regionkit.routing.partitions import PartitionedStore
from regionkit.routing.store import RoutedStore
from regionkit.routing.store_state import StoreState
from regionkit.topology import Directory, Endpoint, Profile, Shard, Store, Topology, WritePartitioning

__all__ = ["Here", "Stores"]

IS_ASYNC = False
LOG = logging.getLogger("regionkit.topology")

_Routed = RoutedStore | PartitionedStore
_OWN_FILES = ("sqlite", "memory")
"""Addresses of which each process asks itself: nothing is spared there."""


class Here(NamedTuple):
    """Where a kit runs: its region, its times, and what it has from its host. `folder`: None where none was given."""

    local: str
    profile: Profile
    clock: Clock
    hooks: EventHooks
    folder: Path | None = None


class Stores:
    """The stores of one topology. Opening connects to nothing.

    Raises:
        MissingDriver: a store needs a driver that is not installed.
    """

    def __init__(
        self,
        topology: Topology,
        here: Here,
        before: Stores | None = None,
    ) -> None:
        self._topology = topology
        self._here = here
        self._answers: HostAnswers | None = None
        self.by_name: dict[str, _Routed] = {}
        for store in _directories_last(topology):
            kept = None if before is None else before._kept(topology, store, self.by_name)
            self.by_name[store.name] = kept or self._routed(store)

    def shards(self) -> Iterator[RoutedStore]:
        """Every shard of every store."""
        for store in self.by_name.values():
            yield from store.shards

    def looked_at(self) -> list[StoreState]:
        """What is known of every shard, for somebody who wants what is so now: that is a use of each."""
        states = [shard.state for shard in self.shards()]
        for state in states:
            state.touches += 1
        return states

    def hot_keys(self) -> dict[str, Any]:
        """The keys asked for most, by store or partition."""
        return {
            (f"{store.name}/{partition}" if partition else store.name): keys.top()
            for store in self.by_name.values()
            if isinstance(store, PartitionedStore)
            for partition, keys in store.hot.items()
        }

    def get(self, name: str) -> _Routed:
        """The store of this name.

        Raises:
            ConfigurationError: when there is none, with a near match.
        """
        found = self.by_name.get(name)
        if found is None:
            self._topology.store(name)  # raises, with a near match
            raise AssertionError("every store of the topology is opened")
        return found

    def replaced(self, topology: Topology) -> Stores:
        """The stores of another topology; those that did not change are kept as they are."""
        return Stores(topology, self._here, self)

    def renew(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        for shard in self.shards():
            shard.renew()

    def close(self, but: Stores | None = None) -> None:
        """Close every connection, except those of stores that `but` has too. May be called twice.

        Blocks that are open may still take a connection where `but` has that endpoint too, and allows it.
        """
        kept = [] if but is None else list(but.by_name.values())
        gone = [store for store in self.by_name.values() if not any(store is other for other in kept)]
        for shard in [shard for store in gone for shard in store.shards]:
            still = frozenset() if but is None else but._allowed(shard.store.name)
            places = enumerate(shard.state.shard.endpoints)
            shard.close(frozenset(index for index, e in places if e in still))

    def _allowed(self, name: str) -> list[Endpoint]:
        """The endpoints of a store of this name that data may be at."""
        store, allowed = self.by_name.get(name), self._topology.allowed
        shards = () if store is None else store.shards
        return [e for shard in shards for e in shard.state.shard.endpoints if allowed(name, e)]

    def _kept(self, topology: Topology, store: Store, opened: Mapping[str, _Routed]) -> _Routed | None:
        """A store that is the same in another topology."""
        known = self.by_name.get(store.name)
        if known is None or known.store != store or not _same_rules(self._topology, topology, store):
            return None
        directory = known.directory if isinstance(known, PartitionedStore) else None
        if directory is not None and opened.get(directory.kept_in.name) is not directory.kept_in:
            return None
        return known

    def _routed(self, store: Store) -> _Routed:
        for caution in store.cautions:
            LOG.warning("store %r: %s", store.name, caution)
        shards = store.shards([region.name for region in self._topology.regions])
        allowed = self._topology.allowed_regions(store)
        routed = tuple(self._shard(store, shard, allowed) for shard in shards)
        if not isinstance(store.strategy, WritePartitioning):
            return routed[0]
        directory = None
        home = store.strategy.home
        if isinstance(home, Directory):
            kept_in = self.by_name[home.store or self._topology.control or ""]
            assert isinstance(kept_in, RoutedStore)  # the topology refuses another
            directory = HomeDirectory(store.name, kept_in, home, self._topology.namespace)
        return PartitionedStore(store, routed, directory)

    def _shard(self, store: Store, shard: Shard, allowed: dict[str, bool]) -> RoutedStore:
        local, profile, clock, hooks, folder = self._here
        topology = self._topology
        state = StoreState(store, shard, allowed, local, profile, clock, hooks)
        backends = []
        for endpoint in shard.endpoints:
            context = EndpointContext(
                namespace=topology.namespace,
                store=store,
                endpoint=endpoint,
                shard=shard,
                profile=profile,
                clock=clock,
                is_async=IS_ASYNC,
            )
            backends.append(backend_of(context) if topology.allowed(store, endpoint) else None)
        made = RoutedStore(state, backends, profile, clock, hooks)
        made.answers = self._shared(store, shard)
        if folder is not None and not store.leaderless:
            made.kept = KeptHistory(folder, topology.namespace, made.source)
            state.adopt(made.kept.load())
        return made

    def _shared(self, store: Store, shard: Shard) -> EndpointAnswers | None:
        """What the processes of this host may tell each other of the endpoints."""
        named = [
            None if e.url is None or e.url.startswith(_OWN_FILES) else self._asked(store, shard, e)
            for e in shard.endpoints
        ]
        if not any(named):
            return None
        self._answers = self._answers or host_answers(self._here.folder, self._here.clock)
        return None if self._answers is None else EndpointAnswers(self._answers, named)

    def _asked(self, store: Store, shard: Shard, endpoint: Endpoint) -> str:
        """The name of the question that is put to an endpoint."""
        e = endpoint
        told = [getattr(store, name, "") for name in ("options", "datacenters", "strategy")]
        who = (self._topology.namespace, store.name, shard.name, type(store).__name__, *told)
        return HostAnswers.name((*who, e.id, e.region, e.role, e.url, e.read_url, e.tls))


def _directories_last(topology: Topology) -> list[Store]:
    """Stores that keep no directory elsewhere, then those that do."""

    def looks_up(store: Store) -> bool:
        return isinstance(store.strategy, WritePartitioning) and isinstance(store.strategy.home, Directory)

    return sorted(topology.stores, key=looks_up)


def _same_rules(old: Topology, new: Topology, store: Store) -> bool:
    """Whether the regions are called and allowed as before: a store by URL has an endpoint in each of them."""
    return [(r.name, store.residency.allows(r)) for r in old.regions] == [
        (r.name, store.residency.allows(r)) for r in new.regions
    ]
