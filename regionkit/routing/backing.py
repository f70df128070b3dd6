# Generated from backing_async.py by scripts/twins.py. Do not edit.
"""Backings over routing: a kit's store, or one endpoint of the application's own, as the pillars use them.

1. A unit is a block: what routing promises of a block (one decision, one connection, one deadline, translated errors) holds.
2. What became of a unit is told once, after its end. An error that says so decides (`committed`); without one, a transaction
   whose COMMIT was answered is "yes". Where nothing is rolled back, a unit that raised after it had written is "unknown".
3. What a server rolled back for the sake of others leaves a unit as TransactionRolledBack, whatever its driver
   calls it: running the unit again may succeed.
4. A stamp is an upper bound: the position that came with the COMMIT, or a later one of the same run of the owner. Where
   neither can be had, there is none.
5. An endpoint without a kit has nobody who probes it: its breakers never open, and it is asked where it stands as it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from regionkit.contract.backing import Plain
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint import EndpointBackend
from regionkit.contract.message import Answer, Statement
from regionkit.contract.records import Records
from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.core.ids import uuid7
from regionkit.core.tables import Table
from regionkit.errors import RegionKitError, RegionUnavailable, TransactionRolledBack, UsageError
from regionkit.facts.bookmark import EMPTY, Entry
from regionkit.facts.consistency import ON_STALE, SESSION, Consistency, Level
from regionkit.facts.history import HistoryRow
from regionkit.facts.position import Position, as_position
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind
from regionkit.facts.stamp import Owner, Stamp
from regionkit.routing.blocks import Block
from regionkit.routing.partitions import CallOptions, PartitionedStore, no_key, not_partitioned
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore
from regionkit.routing.store_state import StoreState
from regionkit.topology import Shard

__all__ = ["StoreBacking", "StoreUnit", "plain_backing"]

LOG = logging.getLogger("regionkit.units")


class StoreUnit:
    """One unit: a context manager that yields itself. Not shared between threads or tasks."""

    def __init__(
        self,
        backing: StoreBacking,
        options: CallOptions,
        key: str | None,
        covers: Stamp | None,
        deadline: Deadline,
    ) -> None:
        self._backing = backing
        self._options = options
        self._key = key
        self._covers = covers
        self._deadline = deadline
        self._session = SessionState(EMPTY, signed=True)
        self._block: Block[Any] | None = None
        self._hearing: list[Callable[[Committed], None]] = []
        self._outcome: Committed | None = None
        self._stamp: Stamp | None = None
        self.native: Any = None
        self.atomic = False

    def __enter__(self) -> StoreUnit:
        if self._block is not None or self._outcome is not None:
            raise UsageError("a unit was opened twice.", fix="ask the backing for another one.")
        try:
            return self._entered()
        except BaseException:
            self._tell("no")
            raise

    def _entered(self) -> StoreUnit:
        store = self._backing.shard(self._key, self._deadline)
        if self._covers is not None:
            stamp = self._covers
            self._session.wrote(store, Entry(stamp.history, stamp.epoch, stamp.position))
        request_class = self._options.request_class(store)
        left = self._deadline.require("a unit", store=store.name)
        block: Block[Any] = Block(self._session, store, request_class, left, self._options.mode, key=self._key or "")
        self._block = block
        self.native = block.__enter__()
        try:
            block.connected()
        except BaseException as error:
            block.__exit__(type(error), error, error.__traceback__)
            raise
        handle = block.handle
        if handle is not None and handle.native is not None:
            self.native = handle.native
        can = store.capabilities
        self.atomic = self._options.mode.transaction or (can is not None and can.transactions)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        block = self._opened()
        written = block.kind is Kind.WRITE
        self._session.bookmark = EMPTY if written else self._session.bookmark
        try:
            block.__exit__(kind, error, traceback)
        except BaseException as raised:
            self._tell(self._committed(raised, own=raised is not error))
            if isinstance(raised, Exception) and self.atomic and block.was_rolled_back(raised):
                raise TransactionRolledBack(
                    f"a unit on {block.store.name!r} was rolled back by the server.",
                    why=str(getattr(raised, "orig", None) or raised).strip().partition("\n")[0][:300],
                    fix=block.store.advice.collisions,
                    store=block.store.name,
                ) from raised
            raise
        undone = block.progress.undone and not block.progress.commits
        try:
            if written and not undone:
                self._stamp_of_write(block)
        finally:
            self._tell("unknown" if block.progress.unknown else "no" if undone else "yes")

    def _stamp_of_write(self, block: Block[Any]) -> None:
        """The bookmark of the unit's session says where it wrote; a question to the same run of the owner at most."""
        self._session.take_positions(block.store, within=max(0.0, self._deadline.remaining()))
        entries = self._session.entries(block.store)
        if len(entries) == 1 and entries[0].position is not None:
            entry = entries[0]
            assert entry.position is not None
            self._stamp = Stamp(entry.history, entry.epoch, entry.position)

    def _committed(self, error: BaseException, *, own: bool) -> Committed:
        """`own`: the block's end raised it; one that passed through it may speak of something else."""
        progress = self._opened().progress
        said = error.committed if own and isinstance(error, RegionKitError) else "no"
        if progress.unknown or said == "unknown":
            return "unknown"
        if said == "yes":
            return "yes"
        return "unknown" if progress.commits or progress.implicit else "no"

    def _tell(self, outcome: Committed) -> None:
        self._outcome = outcome
        hearing, self._hearing = self._hearing, []
        stop: BaseException | None = None
        for hear in hearing:
            try:
                hear(outcome)
            except Exception:
                LOG.exception("what listens to the outcome of a unit raised")
            except BaseException as error:  # an exit: the others hear of it first
                stop = error
        if stop is not None:
            raise stop

    def _opened(self) -> Block[Any]:
        if self._block is None:
            raise UsageError(
                "a unit was used before it was opened.",
                fix="use it inside its `with` (`with`): there it has a connection.",
            )
        return self._block

    @property
    def source(self) -> str:
        """The store, or the part of it, that the unit is of."""
        return self._opened().store.source

    @property
    def namespace(self) -> str:
        """Of its backing."""
        return self._backing.namespace

    @property
    def owner(self) -> Owner:
        """Where the unit runs, as it was decided."""
        block = self._opened()
        return _owner_at(block.store, block.index)

    @property
    def stamp(self) -> Stamp | None:
        """After a write: an upper bound of what it did; of a read, what `take_stamp` told. None where nobody can tell."""
        return self._stamp

    def take_stamp(self) -> Stamp | None:
        """Inside a read: an upper bound of all that it has shown so far, asked on its connection."""
        entry = self._opened().entry_now()
        self._stamp = None if entry.position is None else Stamp(entry.history, entry.epoch, entry.position)
        return self._stamp

    def position(self) -> Position | None:
        """Inside: a lower bound. After a row lock, all that was committed under that lock before lies at or before it."""
        observation = self._opened().observed_now()
        return None if observation.reached is None else as_position(observation.reached)

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Several statements in one round trip, in the unit's transaction. SQL only."""
        handle = self._opened().handle
        assert handle is not None
        return handle.message(statements)

    def hold(self, why: str) -> None:
        """Only the unit's end ends its transaction from now on. `why`: told to whoever tries."""
        handle = self._opened().handle
        assert handle is not None
        handle.hold(why)

    def on_outcome(self, hear: Callable[[Committed], None]) -> None:
        """Call `hear` once, with what became of the unit; at once where it has ended. One that raises is logged."""
        self._hearing.append(hear)
        if self._outcome is not None:
            self._tell(self._outcome)


class StoreBacking:
    """One store, of a kit or of the application's own. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        find: Callable[[], RoutedStore | PartitionedStore],
        namespace: str,
        owned: RoutedStore | None = None,
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

    def write(self, *, key: str | None = None, deadline: Deadline, core: bool = False) -> StoreUnit:
        """A unit on the current owner (of the key's partition): one transaction where there is any."""
        transaction = "transaction" in self.capabilities.modes and not self.capabilities.transactions
        options = CallOptions(Kind.WRITE, BlockMode(core=core, transaction=transaction))
        return StoreUnit(self, options, key, None, deadline)

    def read(
        self,
        *,
        key: str | None = None,
        consistency: Consistency = SESSION,
        covers: Stamp | None = None,
        deadline: Deadline,
        core: bool = False,
    ) -> StoreUnit:
        """Reads at `consistency`. With `covers` only on a copy that is proved to have it; EVENTUAL is SESSION then.

        Raises:
            UsageError: `covers` with BOUNDED, which asks for another proof.
        """
        if covers is not None and consistency.level is Level.BOUNDED:
            raise UsageError(
                "a read asks for a stamp and for a bound at once.",
                why="a copy is proved by the position that it has reached, or by its age.",
                fix="leave consistency= out: what the stamp covers is seen.",
            )
        if covers is not None and consistency.level is Level.EVENTUAL:
            consistency = SESSION
        options = CallOptions(Kind.READ, BlockMode(core=core, consistency=consistency), ON_STALE)
        return StoreUnit(self, options, key, covers, deadline)

    def records(self, key: str | None = None) -> Records:
        """Records on the current owner (of the key's partition)."""
        return _OwnersRecords(self, key)

    def shard(self, key: str | None, deadline: Deadline) -> RoutedStore:
        """The store, or the part of it where the key has its home.

        Raises:
            UsageError: a key for a store that has no homes, or none for one that has.
            UnknownHome: the key has no home.
        """
        found = self._find()
        if isinstance(found, RoutedStore):
            if key is not None:
                raise not_partitioned(found.name)
            return found
        if key is None:
            raise no_key(found.name)
        return found.home_without_io(key, None) or found.locate(key, deadline)

    def owner(self, key: str | None = None, *, deadline: Deadline) -> Owner:
        """Who owns the data (the key's partition) now.

        Raises:
            RegionUnavailable: nobody does, as far as is known.
        """
        store = self.shard(key, deadline)
        return _owner_at(store, self.owner_index(store, deadline))

    def backend(self, key: str | None = None, *, deadline: Deadline) -> EndpointBackend:
        """The endpoint of the current owner (of the key's partition), for a module of its family."""
        store = self.shard(key, deadline)
        return store.backend(self.owner_index(store, deadline))

    def owner_index(self, store: RoutedStore, deadline: Deadline) -> int:
        """The endpoint that takes writes, once it has said where it stands."""
        deadline.require("asking for the owner", store=store.name)
        store.state.touches += 1
        store.meet(store.state.snapshot.owner, deadline.remaining())
        snapshot = store.state.snapshot
        if snapshot.owner < 0 or snapshot.endpoints[snapshot.owner].observation is None:
            store.refresh(deadline.remaining())
        index = store.state.snapshot.owner
        if index < 0 and store.state.snapshot.leaderless:
            index = next(iter(store.nearest()), -1)
        if index < 0:
            raise RegionUnavailable(
                f"store {store.name!r} has no primary now.", fix="see kit.status().", store=store.name
            )
        return index

    def create_tables(self, tables: Sequence[Table], deadline: Deadline) -> None:
        """Make what a pillar keeps, on the owner of every partition; without a kit, what routing keeps too."""
        for store in self._find().shards:
            backend = store.backend(self.owner_index(store, deadline))
            if self._owned is not None:
                backend.create_tables(deadline, lambda origin: HistoryRow(uuid7().hex, None, None, 1, origin))
            backend.make_tables(deadline, tables)
            store.probe(self.owner_index(store, deadline))

    def close(self) -> None:
        """Close what the backing itself opened; never what it was handed. May be called twice."""
        if self._owned is not None:
            self._owned.close()


class _OwnersRecords:
    """The records of whoever owns the store now."""

    def __init__(self, backing: StoreBacking, key: str | None) -> None:
        self._backing = backing
        self._key = key

    def _records(self, deadline: Deadline) -> Records:
        return (self._backing.backend(self._key, deadline=deadline)).records

    def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that the owner has; None when it has none."""
        return (self._records(deadline)).get(deadline, kind, key)

    def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then. `within`: an open unit."""
        native = within
        if isinstance(within, StoreUnit):
            native = within.native
            store = self._backing.shard(self._key, deadline)
            if within.source != store.source or within.namespace != self._backing.namespace:
                raise UsageError(
                    f"a record of {store.source!r} within a unit of {within.source!r}.",
                    why="they would not commit together: the unit's transaction is another database's, or another namespace's.",
                    fix="use the backing that the unit was taken from.",
                )
        records = self._records(deadline)
        return records.put(deadline, record, expected=expected, lasts=lasts, within=native)

    def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then."""
        return (self._records(deadline)).delete(deadline, kind, key, expected=expected)


def _owner_at(store: RoutedStore, index: int) -> Owner:
    e = store.state.snapshot.endpoints[index]
    lineage = e.lineage
    history, epoch = ("", 0) if lineage is None else (lineage.current.history, lineage.current.epoch)
    return Owner(e.region, e.id, history, epoch)


def plain_backing(plain: Plain) -> StoreBacking:
    """The backing of one engine or client of the application's."""
    context = plain.context
    hooks = EventHooks()
    shard, here = Shard("", (), (context.endpoint,)), context.endpoint.region
    state = StoreState(context.store, shard, {here: True}, here, context.profile, context.clock, hooks, breaks=False)
    store = RoutedStore(state, [plain.backend], context.profile, context.clock, hooks)
    return StoreBacking(lambda: store, context.namespace, store)
