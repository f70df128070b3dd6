"""A session: what one user of the application wrote and saw, and the reads and writes that respect it.

Not shared between threads or tasks. Its bookmark carries it to other processes.

Reads are monotonic: the session stays on the replica that it read, as long as that is the same run of the server; before
it moves, and before it gives out its bookmark, it takes that replica's position (session_state_async.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Token
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from regionkit.contract.current_session import enter_session, leave_session
from regionkit.core.deadline import Deadline
from regionkit.facts.bookmark import Bookmark, Signer, merge
from regionkit.facts.consistency import SESSION, Consistency, OnStale, on_stale_steps
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.blocks_async import AsyncBlock
from regionkit.routing.call_checks import check_timeout
from regionkit.routing.call_options import ReadOptions, WriteOptions
from regionkit.routing.decision import Decision
from regionkit.routing.execute_async import AsyncExecution
from regionkit.routing.explain import Explanation
from regionkit.routing.loss_async import accept_loss_of
from regionkit.routing.partitions_async import AsyncPartitionedStore, CallOptions, keyed, read_call
from regionkit.routing.route import Route
from regionkit.routing.session_seen_async import AsyncSharesWhatItSaw
from regionkit.routing.session_state_async import AsyncSessionState
from regionkit.routing.session_transaction_async import AsyncBeginsTransactions
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.topology import AsyncYields, Preference, SqlStore, Store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["AsyncRegionSession"]

T = TypeVar("T")

_PLAIN = BlockMode()
_CORE = BlockMode(core=True)
_READ, _WRITE = CallOptions(Kind.READ, _PLAIN), CallOptions(Kind.WRITE, _PLAIN)
"""What a call asks for that names a store alone."""
_CORE_READ, _CORE_WRITE = CallOptions(Kind.READ, _CORE), CallOptions(Kind.WRITE, _CORE)
"""The same, for a Connection."""


class AsyncRegionSession(AsyncBeginsTransactions, AsyncSharesWhatItSaw):
    """One user's reads and writes; made by `kit.session(...)`.

    As a context manager it is the current session of its context (`kit.current_session()`). Threads and tasks may use it one
    block at a time; for two at once there is `fork`.

    Attributes:
        kit: the kit that made it.
    """

    def __init__(
        self,
        stores: Callable[[str | Store], AsyncRoutedStore | AsyncPartitionedStore],
        signer: Signer,
        bookmark: Bookmark,
        *,
        kit: object = None,
        key: str | None = None,
        home: str | None = None,
        attributes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.kit = kit
        self._state = AsyncSessionState(bookmark, signed=signer.signs, attributes=attributes)
        self._stores = stores
        self._signer = signer
        self._key = key
        self._home = home
        self._entered: list[Token[tuple[Any, ...]]] = []

    async def __aenter__(self) -> AsyncRegionSession:
        self._entered.append(enter_session(self))
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        leave_session(self, self._entered.pop())

    async def fork(self) -> AsyncRegionSession:
        """A session of its own that begins with what this one wrote and saw: for another thread or task, beside this one.

        May ask a server for the position of earlier reads.
        """
        bookmark = await self._state.take_all_positions()
        return AsyncRegionSession(
            self._stores,
            self._signer,
            bookmark,
            kit=self.kit,
            key=self._key,
            home=self._home,
            attributes=self._state.attributes,
        )

    async def merge(self, child: AsyncRegionSession) -> None:
        """Add what a forked session wrote and saw: this session's reads see it from now on."""
        self._state.bookmark = merge([self._state.bookmark, await child._state.take_all_positions()])
        self._state.writes += child._state.writes

    @overload
    def read(
        self, store: SqlStore, *, core: Literal[True], **options: Unpack[ReadOptions]
    ) -> AsyncBlock[AsyncConnection]: ...
    @overload
    def read(
        self, store: AsyncYields[T], *, core: Literal[False] = False, **options: Unpack[ReadOptions]
    ) -> AsyncBlock[T]: ...
    @overload
    def read(self, store: str | Store, *, core: bool = False, **options: Unpack[ReadOptions]) -> AsyncBlock[Any]: ...
    def read(
        self,
        store: Any,
        *,
        key: str | None = None,
        home: str | None = None,
        unlocked: bool = False,
        consistency: Consistency = SESSION,
        on_stale: OnStale | Sequence[OnStale] | None = None,
        prefer: Preference | None = None,
        timeout: float | None = None,
        snapshot: bool = False,
        core: bool = False,
    ) -> AsyncBlock[Any]:
        """A read block: `with s.read("orders") as db`.

        The endpoint is decided when the block opens. On SQL `db` is a Session (with `core` a Connection), read-only on
        the server and in autocommit; with `snapshot` it is one repeatable-read transaction. Elsewhere it is the client of
        the backend, which refuses writes.

        Args:
            store: name of a store, or its value as a typed handle.
            key: whose data is read, where the store is partitioned; default the session's.
            home: the key's home, where the store's homes are `Contextual`; default the session's.
            unlocked: allow another key than the one the session is locked to.
            consistency: EVENTUAL, BOUNDED(s), SESSION (default) or STRONG.
            on_stale: what to do when the nearest copy is not proved, one step or several; default wait, next, primary.
            prefer: choice among equals; default the store's.
            timeout: seconds from the opening to the end of the block; default the profile's.
            snapshot: one repeatable-read transaction.
            core: a Connection instead of a Session.

        Raises (when it opens, or at the first statement):
            StaleRead, ResidencyViolation, Fenced, NoEligibleEndpoint, InvalidBookmark: nothing may serve it.
            RegionUnavailable, DeadlineExceeded: the endpoint was lost, or too slow.
            UsageError: a write in it, changes left pending, a missing or another key, or it stands inside the session's own
                write block.
            UnknownHome: the key has no home.
            ConfigurationError: the store's backend has no such level or mode, or `prefer` names an unknown region.
        """
        asked = _CORE_READ if core else _READ
        if (
            snapshot
            or consistency is not SESSION
            or on_stale is not None
            or prefer is not None
            or self._state.attributes
        ):
            mode = BlockMode(core=core, snapshot=snapshot, consistency=consistency)
            asked = CallOptions(Kind.READ, mode, on_stale_steps(on_stale), prefer, self._state.attributes)
        return self._block(store, asked, timeout, key, home, unlocked)

    @overload
    def write(
        self, store: SqlStore, *, core: Literal[True], **options: Unpack[WriteOptions]
    ) -> AsyncBlock[AsyncConnection]: ...
    @overload
    def write(
        self, store: AsyncYields[T], *, core: Literal[False] = False, **options: Unpack[WriteOptions]
    ) -> AsyncBlock[T]: ...
    @overload
    def write(self, store: str | Store, *, core: bool = False, **options: Unpack[WriteOptions]) -> AsyncBlock[Any]: ...
    def write(
        self,
        store: Any,
        *,
        key: str | None = None,
        home: str | None = None,
        unlocked: bool = False,
        timeout: float | None = None,
        transaction: bool = False,
        core: bool = False,
    ) -> AsyncBlock[Any]:
        """A write block on the owner (of the key's partition, where the store is partitioned).

        On SQL, in memory, and on MongoDB with `transaction`, one transaction, committed at its end, rolled back by an
        exception; `db.commit()` inside an SQL block is allowed and moves the bookmark. On Redis, Cassandra and MongoDB
        without it each write stands when it is acknowledged.

        Raises (when it opens, at the first statement, or at its end):
            OutcomeUnknown: a commit (or, without a transaction, a write) was sent and its answer lost. Never run the block
                again blindly.
            TransactionRolledBack: the server rolled back; a swallowed error of a statement is found out like this.
            RegionUnavailable, DeadlineExceeded: nothing was committed.
            Fenced, NoEligibleEndpoint, ResidencyViolation: no endpoint may be written.
            UsageError, UnknownHome, ConfigurationError: as `read`.
        """
        asked = _CORE_WRITE if core else _WRITE
        if transaction:
            asked = CallOptions(Kind.WRITE, BlockMode(core=core, transaction=transaction))
        return self._block(store, asked, timeout, key, home, unlocked)

    def _block(
        self,
        store: str | Store,
        asked: CallOptions,
        timeout: float | None,
        key: str | None,
        home: str | None,
        unlocked: bool,
    ) -> AsyncBlock[Any]:
        if timeout is not None:
            check_timeout(timeout)
        found = self._stores(store)
        if isinstance(found, AsyncRoutedStore) and key is None and home is None:
            return AsyncBlock(self._state, found, asked.request_class(found), timeout, asked.mode)
        partitioned, key = self._keyed(found, key, unlocked)
        home = home or self._home
        shard = partitioned.home_without_io(key, home)
        if shard is not None:
            self._state.placed(partitioned.name, partitioned.version_of(key))
            return AsyncBlock(self._state, shard, asked.request_class(shard), timeout, asked.mode, key=key)
        first = partitioned.shards[0]  # stands in until the directory was asked

        async def locate(deadline: Deadline) -> AsyncRoutedStore:
            located = await partitioned.locate(key, deadline)
            self._state.placed(partitioned.name, partitioned.version_of(key))
            return located

        return AsyncBlock(
            self._state,
            first,
            asked.request_class(first),
            timeout,
            asked.mode,
            key=key,
            locate=locate,
            share=asked.request_class,
        )

    def _keyed(
        self, store: AsyncRoutedStore | AsyncPartitionedStore, key: str | None, unlocked: bool
    ) -> tuple[AsyncPartitionedStore, str]:
        """The partitioned store and the key that a call is about."""
        partitioned, key = keyed(store, key, self._key, unlocked)
        if self._state.bookmark.placements:
            partitioned.heed(self._state.bookmark)
        return partitioned, key

    async def execute_read(
        self,
        store: str | Store,
        work: Callable[[Any], Awaitable[T]],
        *,
        core: bool = False,
        **options: Unpack[ReadOptions],
    ) -> T:
        """Run `work(db)` in a read block, and again on another endpoint if the first is lost or too slow.

        All runs share one deadline. The keyword arguments are those of `read`.
        """
        asked = read_call(options, core=core, attributes=self._state.attributes)
        keyed = (options.get("key"), options.get("home"), options.get("unlocked", False))
        execution = await self._execution(store, Kind.READ, options.get("timeout"), *keyed)
        return await execution.read(work, asked)

    async def execute_write(
        self,
        store: str | Store,
        work: Callable[[Any], Awaitable[T]],
        *,
        idempotency_key: str | None = None,
        fingerprint: str | None = None,
        timeout: float | None = None,
        core: bool = False,
        transaction: bool = False,
        key: str | None = None,
        home: str | None = None,
        unlocked: bool = False,
    ) -> T:
        """Run `work(db)` in a write block, and again only if that does no harm.

        Without an idempotency key it runs again after a rollback that the server proved, or when nothing was sent. With one
        it also runs again after a lost COMMIT: the key's marker commits with the effect, so it takes effect once.
        The same key again within 24 hours gives the stored result (plain data up to 4 KiB), else raises AlreadyApplied.
        In a partitioned store this holds within the partition of `key`; every partition has its own markers.
        On Redis a keyed function gets a pipeline, which runs as one script with the marker; where it returns that pipeline
        or None, the result is the list of the replies.

        Raises:
            AlreadyApplied: done before; its result was not stored.
            PayloadMismatch: done before with another `fingerprint`.
            OutcomeUnknown: it is not known whether it took effect; ask `kit.resolve(error)`.
        """
        execution = await self._execution(store, Kind.WRITE, timeout, key, home, unlocked)
        mode = BlockMode(core=core, transaction=transaction)
        return await execution.write(work, key=idempotency_key, fingerprint=fingerprint, mode=mode)

    async def _execution(
        self, store: str | Store, kind: Kind, timeout: float | None, key: str | None, home: str | None, unlocked: bool
    ) -> AsyncExecution:
        """A unit of work at the shard of its key: one deadline for finding that, and for all that follows."""
        deadline = self._deadline(store, kind, timeout)
        located = partial(self._located, store, deadline, key, home, unlocked)
        routed, of = await located()
        return AsyncExecution(self._state, routed, deadline, of, located)

    def _deadline(self, store: str | Store, kind: Kind, timeout: float | None) -> Deadline:
        if timeout is not None:
            check_timeout(timeout)
        first = self._stores(store).shards[0]
        return Deadline(first.clock, first.deadline_of(kind) if timeout is None else timeout)

    async def _located(
        self, store: str | Store, deadline: Deadline, key: str | None, home: str | None, unlocked: bool
    ) -> tuple[AsyncRoutedStore, str]:
        found = self._stores(store)
        if isinstance(found, AsyncRoutedStore) and key is None and home is None:
            return found, ""
        partitioned, key = self._keyed(found, key, unlocked)
        shard = partitioned.home_without_io(key, home or self._home)
        if shard is None:
            shard = await partitioned.locate(key, deadline)
        self._state.placed(partitioned.name, partitioned.version_of(key))
        return shard, key

    async def bookmark(self) -> str:
        """What was written and seen so far, as an opaque text of at most 2 KiB; "" when nothing was.

        May ask a server for the position of earlier reads.
        """
        return self._signer.encode(await self._state.take_all_positions())

    async def explain(
        self,
        store: str | Store,
        kind: str = "read",
        *,
        key: str | None = None,
        home: str | None = None,
        consistency: Consistency = SESSION,
    ) -> Explanation:
        """What this session's next read or write would do, and why. Takes positions as `bookmark` does."""
        deadline = self._deadline(store, Kind(kind), None)
        routed, _ = await self._located(store, deadline, key, home, True)
        if any(not e.region for e in routed.state.snapshot.endpoints):  # members that have not said where they are
            await routed.refresh(deadline.remaining())
        await self._state.take_positions(routed)
        return routed.explanation(
            Kind(kind),
            consistency,
            self._state.entries(routed),
            signed=self._state.signed,
            attributes=self._state.attributes,
        )

    async def accept_loss(self) -> None:
        """Continue with what survived: entries whose positions were lost with a change of primary are dropped.

        Asks the owner of each store concerned. Entries that survived stay.
        """
        for name in {source.partition("/")[0] for source in self._state.bookmark.sources}:
            for routed in self._stores(name).shards:
                await accept_loss_of(self._state, routed)
        self._state.lost, self._state.dropped = False, True

    @property
    def last_route(self) -> Route | None:
        """Where the most recent block went: region, role, epoch, staleness, attempts."""
        last = self._state.last
        return None if last is None else last.route()

    @property
    def last_decision(self) -> Decision | None:
        """The Decision that the most recent block used."""
        last = self._state.last
        return None if last is None else last.decision
