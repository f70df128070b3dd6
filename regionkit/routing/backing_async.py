"""Backings over routing: a kit's store, or one endpoint of the application's own, as the pillars use them.

An endpoint without a kit has nobody who probes it: its breakers never open, and it is asked where it stands as it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from regionkit.contract.backing_async import AsyncPlain
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint_async import AsyncEndpointBackend
from regionkit.contract.processes import renew_in_children
from regionkit.contract.records_async import AsyncRecords
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.core.ids import uuid7
from regionkit.core.tables import Table
from regionkit.errors import RegionUnavailable, UsageError
from regionkit.facts.consistency import ON_STALE, SESSION, Consistency, Level
from regionkit.facts.history import HistoryRow
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind
from regionkit.facts.stamp import Owner, Stamp
from regionkit.routing.copies_async import adopt_only, lacking
from regionkit.routing.partitions_async import AsyncPartitionedStore, CallOptions, no_key, not_partitioned
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.routing.store_state import StoreState
from regionkit.routing.unit_async import AsyncStoreUnit, owner_at
from regionkit.topology import Shard

__all__ = ["AsyncStoreBacking", "async_plain_backing"]


class AsyncStoreBacking:
    """One store, of a kit or of the application's own. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        find: Callable[[], AsyncRoutedStore | AsyncPartitionedStore],
        namespace: str,
        owned: AsyncRoutedStore | None = None,
    ) -> None:
        self._find = find
        self._owned = owned
        self.namespace = namespace
        self.name = find().name

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do."""
        found = self._find().shards[0].capabilities
        assert found is not None, "a store has an endpoint that residency allows"
        return found

    @property
    def routed(self) -> bool:
        """Whether it is a store of a kit's, and not one endpoint of the application's own."""
        return self._owned is None

    def write(
        self, *, key: str | None = None, deadline: Deadline, core: bool = False, stamped: bool = True
    ) -> AsyncStoreUnit:
        """A unit on the current owner (of the key's partition): one transaction where there is any."""
        transaction = "transaction" in self.capabilities.modes and not self.capabilities.transactions
        options = CallOptions(Kind.WRITE, BlockMode(core=core, transaction=transaction))
        return AsyncStoreUnit(self, options, key, None, deadline, stamped=stamped)

    def read(
        self,
        *,
        key: str | None = None,
        consistency: Consistency = SESSION,
        covers: Stamp | None = None,
        deadline: Deadline,
        core: bool = False,
    ) -> AsyncStoreUnit:
        """Reads at `consistency`. With `covers` only on a copy that is proved to have it; EVENTUAL is SESSION then.

        Raises:
            UsageError: `covers` with BOUNDED, which asks for another proof.
        """
        if covers is not None and consistency.level is Level.BOUNDED:
            raise UsageError(
                "a read has both a stamp and a bound.",
                why="a copy is proved by the position that it has reached, or by its age.",
                fix="leave consistency= out: what the stamp covers is seen.",
            )
        if covers is not None and consistency.level is Level.EVENTUAL:
            consistency = SESSION
        options = CallOptions(Kind.READ, BlockMode(core=core, consistency=consistency), ON_STALE)
        return AsyncStoreUnit(self, options, key, covers, deadline)

    def records(self, key: str | None = None) -> AsyncRecords:
        """Records on the current owner (of the key's partition)."""
        return _OwnersRecords(self, key)

    async def shard(self, key: str | None, deadline: Deadline) -> AsyncRoutedStore:
        """The store, or the part of it where the key has its home.

        Raises:
            UsageError: a key for a store that has no homes, or none for one that has.
            UnknownHome: the key has no home.
        """
        found = self._find()
        if isinstance(found, AsyncRoutedStore):
            if key is not None:
                raise not_partitioned(found.name)
            return found
        if key is None:
            raise no_key(found.name)
        return found.home_without_io(key, None) or await found.locate(key, deadline)

    async def owner(self, key: str | None = None, *, deadline: Deadline) -> Owner:
        """Who owns the data (the key's partition) now.

        Raises:
            RegionUnavailable: nobody does, as far as is known.
        """
        store = await self.shard(key, deadline)
        return owner_at(store, await self.owner_index(store, deadline))

    async def backend(self, key: str | None = None, *, deadline: Deadline) -> AsyncEndpointBackend:
        """The endpoint of the current owner (of the key's partition), for a module of its family."""
        store = await self.shard(key, deadline)
        return store.backend(await self.owner_index(store, deadline))

    async def owner_index(self, store: AsyncRoutedStore, deadline: Deadline) -> int:
        """The endpoint that takes writes, once it has said where it stands."""
        deadline.require("asking for the owner", store=store.name)
        store.state.touches += 1
        await store.meet(store.state.snapshot.owner, deadline.remaining())
        snapshot = store.state.snapshot
        if snapshot.owner < 0 or snapshot.endpoints[snapshot.owner].observation is None:
            await store.refresh(deadline.remaining())
        index = store.state.snapshot.owner
        if index < 0 and store.state.snapshot.leaderless:
            index = next(iter(store.nearest()), -1)
        if index < 0:
            raise RegionUnavailable(
                f"store {store.name!r} has no primary now.",
                fix="see kit.status()."
                if self._owned is None
                else "after a failover call create_tables() again, once you know that this server counts: without a kit nothing "
                "records promotions.",
                store=store.name,
            )
        return index

    @property
    def copies(self) -> int:
        """Of the data, beside the owner's, that may become the owner's one day; 0 where nobody knows of any."""
        return sum(sum(e.allowed for e in store.state.snapshot.endpoints) - 1 for store in self._find().shards)

    async def lacking(self, stamp: Stamp, *, deadline: Deadline) -> list[str]:
        """Those copies that are not proved to have all that `stamp` covers; each of them was asked just now."""
        found = []
        for store in self._find().shards:
            found += await lacking(store, await self.owner_index(store, deadline), stamp, deadline)
        return found

    async def create_tables(self, tables: Sequence[Table], deadline: Deadline) -> None:
        """Make what a pillar keeps, on the owner of every partition; without a kit, what routing keeps too."""
        for store in self._find().shards:
            if self._owned is not None:
                await adopt_only(store, deadline)
            backend = store.backend(await self.owner_index(store, deadline))
            if self._owned is not None:
                await backend.create_tables(deadline, lambda origin: HistoryRow(uuid7().hex, None, None, 1, origin))
            await backend.make_tables(deadline, tables)
            await store.probe(await self.owner_index(store, deadline))

    async def close(self) -> None:
        """Close what the backing itself opened; never what it was handed. May be called twice."""
        if self._owned is not None:
            await self._owned.close()


class _OwnersRecords:
    """The records of whoever owns the store now."""

    def __init__(self, backing: AsyncStoreBacking, key: str | None) -> None:
        self._backing = backing
        self._key = key

    async def _records(self, deadline: Deadline) -> AsyncRecords:
        return (await self._backing.backend(self._key, deadline=deadline)).records

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that the owner has; None when it has none."""
        return await (await self._records(deadline)).get(deadline, kind, key)

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then. `within`: an open unit."""
        native = within
        if isinstance(within, AsyncStoreUnit):
            native = within.native
            store = await self._backing.shard(self._key, deadline)
            if within.source != store.source or within.namespace != self._backing.namespace:
                raise UsageError(
                    f"a record of {store.source!r} within a unit of {within.source!r}.",
                    why="they would not commit together: the unit's transaction is another database's, or another namespace's.",
                    fix="use the backing that the unit was taken from.",
                )
        records = await self._records(deadline)
        return await records.put(deadline, record, expected=expected, lasts=lasts, within=native)

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then."""
        return await (await self._records(deadline)).delete(deadline, kind, key, expected=expected)


def async_plain_backing(plain: AsyncPlain) -> AsyncStoreBacking:
    """The backing of one engine or client of the application's."""
    context = plain.context
    hooks = EventHooks()
    shard, here = Shard("", (), (context.endpoint,)), context.endpoint.region
    state = StoreState(context.store, shard, {here: True}, here, context.profile, context.clock, hooks, breaks=False)
    store = AsyncRoutedStore(state, [plain.backend], context.profile, context.clock, hooks)
    renew_in_children(store)
    return AsyncStoreBacking(lambda: store, context.namespace, store)
