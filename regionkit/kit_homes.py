# Generated from kit_homes_async.py by scripts/twins.py. Do not edit.
"""What pillars ask a kit: the homes of a partitioned store, and to make what they keep beside its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakSet

from regionkit.contract.backing import Backing
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.routing.backing import StoreBacking
from regionkit.routing.partitions import PartitionedStore
from regionkit.routing.store import RoutedStore
from regionkit.topology import Contextual, Store, Topology, WritePartitioning

__all__ = ["Homes", "ServesPillars"]


class Homes:
    """The homes of a partitioned store. Safe to share between threads (tasks of one loop).

    Attributes:
        local: this region.
        parts: each part of the store as a backing of its own, those whose home is here first.
    """

    def __init__(self, find: Callable[[], PartitionedStore], namespace: str, local: str) -> None:
        self._find = find
        self.local = local
        shards = sorted(
            find().shards, key=lambda shard: local not in [e.region for e in shard.state.shard.endpoints[:1]]
        )
        self.parts: Mapping[str, Backing] = {
            shard.partition: StoreBacking(partial(self._shard, shard.partition), namespace) for shard in shards
        }

    def backing(self, store: str) -> Backing:
        """One part, by its name, as a kit gives a store."""
        return self.parts[store]

    def _shard(self, partition: str) -> RoutedStore:
        for shard in self._find().shards:
            if shard.partition == partition:
                return shard
        raise ConfigurationError(
            f"store {self._find().name!r} no longer has the partition {partition!r}.",
            why="the topology was replaced after a cache or a consumer was made.",
            fix="close it, and make a new one.",
        )

    def regions_of(self, part: str) -> frozenset[str]:
        """Where copies of a part stand."""
        return frozenset(endpoint.region for endpoint in self._shard(part).state.shard.endpoints)

    def part_of(self, key: str, deadline: Deadline) -> str:
        """The part where a partition key has its home."""
        store = self._find()
        return (store.home_without_io(key, None) or store.locate(key, deadline)).partition


class ServesPillars:
    """The part of a kit that pillars ask."""

    _topology: Topology
    _local: str
    _pieces: WeakSet[Any]
    transactions: Any = None
    """The manager of the global transactions of its sessions, once one was made over the kit."""

    def backing(self, store: str | Store) -> StoreBacking:
        """A store as the place where a pillar keeps its rows."""
        raise NotImplementedError

    def _found(self, store: str | Store) -> Callable[[], RoutedStore | PartitionedStore]:
        """Finds a store, as the topology has it then."""
        raise NotImplementedError

    def homes(self, store: str) -> Homes | None:
        """The homes of a partitioned store; None of another one.

        Raises:
            ConfigurationError: nobody but the caller knows a key's home.
        """
        strategy = self._topology.store(store).strategy
        if not isinstance(strategy, WritePartitioning):
            return None
        if isinstance(strategy.home, Contextual):
            raise ConfigurationError(
                f"store {store!r} has Contextual homes: only the caller knows them.",
                why="a message or a cached key has no caller.",
                fix="use Intrinsic, Hashed or Directory.",
            )
        find = self._found(store)

        def partitioned() -> PartitionedStore:
            found = find()
            assert isinstance(found, PartitionedStore)
            return found

        return Homes(partitioned, self._topology.namespace, self._local)

    def keeps(self, piece: Any) -> None:
        """From now on `create_tables` makes what an outbox, an inbox, ... keeps, too, for as long as that lives."""
        self._pieces.add(piece)

    def transacts(self, manager: Any) -> None:
        """This TransactionManager begins the transactions of the kit's sessions; it is closed with the kit.

        Raises:
            ConfigurationError: there is one already.
        """
        if self.transactions is not None and not self.transactions.closed:
            raise ConfigurationError(
                "the kit already has a transaction manager.",
                why="its sessions would not know which log keeps their decisions.",
                fix="create one for all stores; or close the first one.",
            )
        self.transactions = manager
        self.keeps(manager)

    def _create_kept(self) -> None:
        for piece in list(self._pieces):
            piece.create_tables()
