# Generated from session_async.py by scripts/twins.py. Do not edit.
"""A session: what one user of the application wrote and saw, and the reads and writes that respect it.

Not shared between threads or tasks. Its bookmark carries it to other processes.

Reads are monotonic: the session stays on the replica that it read, as long as that is the same run of the server; before
it moves, and before it gives out its bookmark, it takes that replica's position (after its reads, so it covers them). If
that run no longer answers, the entry becomes "read from the owner".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.core.events import LossAccepted
from regionkit.errors import ConfigurationError, UsageError
from regionkit.routing.blocks import Block, Route
from regionkit.routing.bookmark import OWNER_ONLY, Bookmark, Entry, Signer
from regionkit.routing.consistency import SESSION, Consistency, OnStale, on_stale_steps
from regionkit.routing.decision import FOREVER, Decision, Kind
from regionkit.routing.execute import Execution
from regionkit.routing.explain import Explanation
from regionkit.routing.history import Survival
from regionkit.routing.observed import RequestClass
from regionkit.routing.position import reaches
from regionkit.routing.snapshot import Observation
from regionkit.routing.store import RoutedStore
from regionkit.topology import Nearest, SqlStore, Store

if TYPE_CHECKING:
    from regionkit.backends.sql.bridge import Connection, Session

__all__ = ["RegionSession"]

T = TypeVar("T")


class _Seen:
    """Reads of one endpoint whose position was not taken yet."""

    __slots__ = ("at", "incarnation", "store")

    def __init__(self, store: RoutedStore, incarnation: str, at: float) -> None:
        self.store = store
        self.incarnation = incarnation
        self.at = at


class RegionSession:
    """One user's reads and writes; made by `kit.session(...)`. Not shared between threads or tasks."""

    def __init__(self, stores: Callable[[str | Store], RoutedStore], signer: Signer, bookmark: Bookmark) -> None:
        self._stores = stores
        self._signer = signer
        self._bookmark = bookmark
        self._signed = signer.signs
        self._unseen: dict[str, dict[int, _Seen]] = {}
        self._pins: dict[str, int] = {}
        self._open: dict[str, list[Block[Any]]] = {}
        self._classes: dict[RequestClass, tuple[Bookmark, int, RequestClass]] = {}
        self._last: Block[Any] | None = None

    def __enter__(self) -> RegionSession:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        return None

    @overload
    def read(
        self,
        store: SqlStore,
        *,
        consistency: Consistency = SESSION,
        on_stale: OnStale | Sequence[OnStale] | None = None,
        prefer: Nearest | None = None,
        timeout: float | None = None,
        snapshot: bool = False,
        core: Literal[False] = False,
    ) -> Block[Session]: ...
    @overload
    def read(
        self,
        store: SqlStore,
        *,
        consistency: Consistency = SESSION,
        on_stale: OnStale | Sequence[OnStale] | None = None,
        prefer: Nearest | None = None,
        timeout: float | None = None,
        snapshot: bool = False,
        core: Literal[True],
    ) -> Block[Connection]: ...
    @overload
    def read(
        self,
        store: str | Store,
        *,
        consistency: Consistency = SESSION,
        on_stale: OnStale | Sequence[OnStale] | None = None,
        prefer: Nearest | None = None,
        timeout: float | None = None,
        snapshot: bool = False,
        core: bool = False,
    ) -> Block[Any]: ...
    def read(
        self,
        store: str | Store,
        *,
        consistency: Consistency = SESSION,
        on_stale: OnStale | Sequence[OnStale] | None = None,
        prefer: Nearest | None = None,
        timeout: float | None = None,
        snapshot: bool = False,
        core: bool = False,
    ) -> Block[Any]:
        """A read block: `with s.read("orders") as db`.

        The endpoint is decided when the block opens. On SQL `db` is a Session (with `core` a Connection), read-only on
        the server and in autocommit; with `snapshot` it is one repeatable-read transaction.

        Args:
            store: name of a store, or its value as a typed handle.
            consistency: EVENTUAL, BOUNDED(s), SESSION (default) or STRONG.
            on_stale: what to do when the nearest copy is not proved, one step or several; default wait, next, primary.
            prefer: choice among equals; default the store's.
            timeout: seconds from the opening to the end of the block; default the profile's.
            snapshot: one repeatable-read transaction.
            core: a Connection instead of a Session.

        Raises (when it opens, or at the first statement):
            StaleRead, ResidencyViolation, Fenced, NoEligibleEndpoint, InvalidBookmark: nothing may serve it.
            RegionUnavailable, DeadlineExceeded: the endpoint was lost, or too slow.
            UsageError: a write in it, changes left pending, or it stands inside the session's own write block.
        """
        routed = self._stores(store)
        shared = routed.shared(Kind.READ, consistency, on_stale_steps(on_stale), prefer or routed.prefer)
        return Block(self, routed, shared, timeout, core=core, snapshot=snapshot)

    @overload
    def write(
        self, store: SqlStore, *, timeout: float | None = None, core: Literal[False] = False
    ) -> Block[Session]: ...
    @overload
    def write(self, store: SqlStore, *, timeout: float | None = None, core: Literal[True]) -> Block[Connection]: ...
    @overload
    def write(self, store: str | Store, *, timeout: float | None = None, core: bool = False) -> Block[Any]: ...
    def write(self, store: str | Store, *, timeout: float | None = None, core: bool = False) -> Block[Any]:
        """A write block on the owner: one transaction, committed at its end, rolled back by an exception.

        `db.commit()` inside is allowed and moves the bookmark.

        Raises (when it opens, at the first statement, or at its end):
            OutcomeUnknown: COMMIT was sent and its answer lost. Never run the block again blindly.
            TransactionRolledBack: the server rolled back; a swallowed error of a statement is found out like this.
            RegionUnavailable, DeadlineExceeded: nothing was committed.
            Fenced, NoEligibleEndpoint, ResidencyViolation: no endpoint may be written.
        """
        routed = self._stores(store)
        return Block(self, routed, routed.write_class, timeout, core=core, snapshot=False)

    def execute_read(self, store: str | Store, work: Callable[[Any], T], **options: Any) -> T:
        """Run `work(db)` in a read block, and again elsewhere when its endpoint is lost or too slow.

        All runs share one deadline. The keyword arguments are those of `read`.
        """
        return Execution(self, self._stores(store), options.pop("timeout", None)).read(work, options)

    def execute_write(
        self,
        store: str | Store,
        work: Callable[[Any], T],
        *,
        idempotency_key: str | None = None,
        fingerprint: str | None = None,
        timeout: float | None = None,
        core: bool = False,
    ) -> T:
        """Run `work(db)` in a write block; again only where that does no harm.

        Without a key it runs again after a rollback that the server proved, or when nothing was sent. With a key it
        also runs again after a lost COMMIT: the key's marker commits with the effect, so it takes effect once.
        The same key again within 24 hours gives the stored result (plain data up to 4 KiB), else raises AlreadyApplied.

        Raises:
            AlreadyApplied: done before; its result was not stored.
            PayloadMismatch: done before with another `fingerprint`.
            OutcomeUnknown: it is not known whether it took effect; ask `kit.resolve(error)`.
        """
        execution = Execution(self, self._stores(store), timeout)
        return execution.write(work, key=idempotency_key, fingerprint=fingerprint, core=core)

    def bookmark(self) -> str:
        """What was written and seen so far, as an opaque text of at most 2 KiB; "" when nothing was.

        May ask a server for the position of what was read.
        """
        for name in list(self._unseen):
            try:
                store = self._stores(name)
            except ConfigurationError:  # the topology was replaced, and the store is gone
                del self._unseen[name]
                self._wrote(name, OWNER_ONLY)
                continue
            self._take_positions(store, keep=None)
        return self._signer.encode(self._bookmark)

    def explain(self, store: str | Store, kind: str = "read", *, consistency: Consistency = SESSION) -> Explanation:
        """What this session's next read or write would do, and why. Takes positions as `bookmark` does."""
        routed = self._stores(store)
        self._take_positions(routed, keep=None)
        return routed.explanation(Kind(kind), consistency, self._entries(routed.name), signed=self._signed)

    def accept_loss(self) -> None:
        """Go on from what survived: entries whose positions were lost with a change of primary are dropped.

        Asks the owner of each store concerned. Entries that survived stay.
        """
        for name in {source.partition("/")[0] for source in self._bookmark.sources}:
            routed = self._stores(name)
            routed.refresh()
            snapshot = routed.observed.snapshot
            seen = None if snapshot.owner < 0 else routed.probe(snapshot.owner)
            if seen is None or seen.lineage is None:
                continue
            before = self._bookmark.entries(name)
            kept = tuple(e for e in before if not e.history or _survived(seen, e))
            if kept != before:
                now = routed.entry_of(snapshot.owner, seen)
                self._bookmark = self._bookmark.set(name, (*kept, now))
                self._unseen.pop(name, None)
                self._pins.pop(name, None)
                routed.hooks.emit(LossAccepted(name, snapshot.endpoints[snapshot.owner].region))

    @property
    def last_route(self) -> Route | None:
        """Where the newest block went: region, role, epoch, staleness, attempts."""
        return None if self._last is None else self._last.route()

    @property
    def last_decision(self) -> Decision | None:
        """The Decision that the newest block used, the very object."""
        return None if self._last is None else self._last.decision

    # What blocks tell and ask.

    def _opening(self, block: Block[Any]) -> None:
        name = block.store.name
        if block.kind is Kind.READ:
            inside = next((b for b in self._open.get(name, ()) if b.kind is Kind.WRITE), None)
            if inside is not None:
                raise UsageError(
                    f"a read of {name!r} inside this session's own write of it.",
                    why="the read would not see what the open write block has not committed.",
                    fix="read with the handle of the write block that is open, or end it first.",
                )
        self._open.setdefault(name, []).append(block)
        self._last = block

    def _closed(self, block: Block[Any]) -> None:
        blocks = self._open.get(block.store.name)
        if blocks and block in blocks:
            blocks.remove(block)

    def _has_seen(self, store: str) -> bool:
        bookmark = self._bookmark
        return store in self._unseen or bool(bookmark.sources) or bookmark.everything

    def _entries(self, store: str) -> tuple[Entry, ...]:
        return self._bookmark.entries(store)

    def _pin(self, store: str) -> int:
        return self._pins.get(store, -1)

    def _class_of(self, store: RoutedStore, shared: RequestClass) -> RequestClass:
        """`shared` with what this session saw: the same one as long as it saw no more, so its decision is remembered."""
        pin = self._pins.get(store.name, -1)
        known = self._classes.get(shared)
        if known is None or known[0] is not self._bookmark or known[1] != pin:
            request = msgspec.structs.replace(
                shared.request, entries=self._entries(store.name), signed=self._signed, pin=pin
            )
            known = self._classes[shared] = (self._bookmark, pin, RequestClass(request))
        return known[2]

    def _wrote(self, store: str, entry: Entry) -> None:
        self._bookmark = self._bookmark.add(store, entry)

    def _read_at(self, store: RoutedStore, index: int, incarnation: str) -> None:
        unseen = self._unseen.setdefault(store.name, {})
        known = unseen.get(index)
        if known is not None and known.incarnation != incarnation:
            self._wrote(store.name, OWNER_ONLY)  # what the earlier run showed can not be told any more
        unseen[index] = _Seen(store, incarnation, store.clock.monotonic())
        self._pins[store.name] = -1 if index == store.observed.snapshot.owner else index

    def _take_positions(self, store: RoutedStore, keep: tuple[int, str] | None, within: float = FOREVER) -> bool:
        """Turn reads into bookmark entries; those of the endpoint and run in `keep` may wait. Whether there were any."""
        unseen = self._unseen.get(store.name)
        if not unseen:
            return False
        taken = False
        for index, seen in list(unseen.items()):
            if keep == (index, seen.incarnation):
                continue
            self._wrote(store.name, self._entry_of(store, index, seen, within))
            unseen.pop(index, None)
            taken = True
        if not unseen:
            del self._unseen[store.name]
        return taken

    def _entry_of(self, store: RoutedStore, index: int, seen: _Seen, within: float) -> Entry:
        if store is not seen.store:
            return OWNER_ONLY  # the topology was replaced: the endpoint is another one now
        known = store.observed.snapshot.endpoints[index].seen
        if known is None or known.incarnation != seen.incarnation or known.sent_at <= seen.at:
            backend = store.backend(index)
            try:
                deadline = Deadline(store.clock, min(store.profile.probe_timeout, within))
                lease = backend.lease(Kind.READ, deadline, deadline.timeout)
                try:
                    known = lease.observe()
                finally:
                    lease.release()
            except Exception as error:
                store.observed.failed(index, Kind.READ, f"{type(error).__name__} while taking a position")
                return OWNER_ONLY
            if known.incarnation != seen.incarnation:
                store.seen(index, known)
                return OWNER_ONLY
        return store.entry_of(index, known)


def _survived(owner: Observation, entry: Entry) -> bool:
    assert owner.lineage is not None
    survival = owner.lineage.survival(entry.history, entry.position)
    if survival is Survival.CURRENT and entry.position is not None:
        return reaches(owner.reached, entry.position)
    return survival in (Survival.CURRENT, Survival.SURVIVED)
