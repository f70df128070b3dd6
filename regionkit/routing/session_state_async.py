"""What a session remembers: what it wrote and saw, per source, and which blocks are open. All that a block knows of its session.

1. A write adds its position to the bookmark at once. A read is remembered by endpoint and run; its position is taken when
   the session moves or gives out a bookmark, so it covers the read.
2. If the run that was read no longer answers, the entry becomes "read from the owner".
3. A source is a store, or a shard of a partitioned one: each has an owner and positions of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from regionkit.contract.outcomes import Failure
from regionkit.core.concurrency_async import acaller
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import DeadlineExceeded, UsageError
from regionkit.facts.bookmark import OWNER_ONLY, Bookmark, Entry
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind
from regionkit.routing.decision import Decision
from regionkit.routing.route import Route
from regionkit.routing.session_standing import SessionStanding
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.routing.store_state import RequestClass
from regionkit.routing.verdict import Refusal

__all__ = ["AsyncOpenBlock", "AsyncSessionState"]


GONE = frozenset({Refusal.LOST, Refusal.INVALID})
"""What is refused for good: waiting brings back nothing that did not survive."""


class AsyncOpenBlock(Protocol):
    """What a session knows of a block of its own."""

    store: AsyncRoutedStore
    decision: Decision | None

    @property
    def kind(self) -> Kind:
        """Read or write."""
        ...

    def route(self) -> Route | None:
        """Where it went; None when it was refused."""
        ...


class _UntakenRead:
    """Reads of one endpoint whose position was not taken yet."""

    __slots__ = ("at", "incarnation", "store")

    def __init__(self, store: AsyncRoutedStore, incarnation: str, at: float) -> None:
        self.store = store
        self.incarnation = incarnation
        self.at = at


class _Elsewhere:
    """What something beside us does in a store for a session: whether it writes, and which runs of which endpoints it reads."""

    __slots__ = ("reads", "store", "wrote")

    def __init__(self, store: AsyncRoutedStore) -> None:
        self.store = store
        self.wrote = False
        self.reads: dict[int, str] = {}


class AsyncSessionState:
    """The memory of one session. One block at a time may come from another thread or task than the last.

    Attributes:
        bookmark: what was written, and what was read so far as its position was taken.
        signed: the bookmark comes from this process or carries our signature.
        attributes: of the user, for preferences.
        last: the newest block.
        asked: a cache asked what it has to show, or showed something.
        writes: how often something was written, or may have been.
        lost: a read was refused for what did not survive, and nobody has accepted that since.
        dropped: somebody has accepted that.
    """

    __slots__ = (
        *("_begun_with", "_classes", "_elsewhere", "_open", "_pins", "_place", "_untaken"),
        *("asked", "attributes", "bookmark", "dropped", "last", "lost", "signed", "writes"),
    )

    def __init__(
        self, bookmark: Bookmark, *, signed: bool, attributes: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.bookmark = bookmark
        self.signed = signed
        self.attributes = attributes
        self.last: AsyncOpenBlock | None = None
        self.asked = self.lost = self.dropped = False
        self.writes = 0
        self._begun_with = bookmark
        self._untaken: dict[str, dict[int, _UntakenRead]] = {}
        self._elsewhere: dict[str, _Elsewhere] = {}
        self._pins: dict[str, int] = {}
        self._place: object = None
        self._open: dict[str, list[AsyncOpenBlock]] = {}
        self._classes: dict[RequestClass, tuple[Bookmark, int, RequestClass]] = {}

    def opening(self, block: AsyncOpenBlock) -> None:
        """A block opens.

        Raises:
            UsageError: it stands inside the session's own write of the same source, or beside a block of another thread or
                task.
        """
        source, here, opened = block.store.source, acaller(), self._open
        if opened and self._place != here:
            raise UsageError(
                "a session is used from two places at once.",
                why="another thread or task has an open block of it, and one bookmark cannot follow both.",
                fix="give each its own: child = s.fork(); afterwards s.merge(child) takes its bookmark back.",
            )
        self._place = here
        if opened and any(b.kind is Kind.WRITE for b in opened.get(source, ())):
            reads = block.kind is Kind.READ
            raise UsageError(
                f"a {block.kind.value} of {block.store.name!r} inside this session's own write of it.",
                why="the open block's writes take effect at its end, so the read could not be proved to see them."
                if reads
                else "each block ends separately: one could wait for the other, or commit without it.",
                fix="use the handle of the open write block, or end that block first.",
            )
        if source in opened:
            opened[source].append(block)
        else:
            opened[source] = [block]
        self.last = block

    def closed(self, block: AsyncOpenBlock) -> None:
        """A block ended, or was never opened."""
        blocks = self._open.get(block.store.source)
        if blocks and block in blocks:
            blocks.remove(block)
            if not blocks:
                del self._open[block.store.source]
        if block.decision is not None and block.decision.refusal in GONE:
            self.lost = True

    def knows(self, store: AsyncRoutedStore) -> bool:
        """Whether a read has to respect anything."""
        bookmark = self.bookmark
        taken = store.source not in self._untaken and store.source not in self._elsewhere
        return not taken or bool(bookmark.sources) or bookmark.everything

    def entries(self, store: AsyncRoutedStore) -> tuple[Entry, ...]:
        """What a copy of the store has to satisfy."""
        return self.bookmark.entries(store.name, store.partition)

    def pin(self, store: AsyncRoutedStore) -> int:
        """Index of the replica that this session read last; -1 for none."""
        return self._pins.get(store.source, -1)

    def class_of(self, store: AsyncRoutedStore, shared: RequestClass) -> RequestClass:
        """`shared` with what this session saw: the same one as long as it saw no more, so its decision is remembered."""
        pin = self.pin(store)
        known = self._classes.get(shared)
        if known is None or known[0] is not self.bookmark or known[1] != pin:
            request = msgspec.structs.replace(shared.request, entries=self.entries(store), signed=self.signed, pin=pin)
            known = self._classes[shared] = (self.bookmark, pin, RequestClass(request))
        return known[2]

    def wrote(self, store: AsyncRoutedStore, entry: Entry) -> None:
        """Something was written: the bookmark moves."""
        self.writes += 1
        self.saw(store, entry)

    def saw(self, store: AsyncRoutedStore, entry: Entry) -> None:
        """Something was seen: the bookmark moves."""
        self.bookmark = self.bookmark.add(store.name, entry, store.partition)

    def wrote_elsewhere(self, store: AsyncRoutedStore) -> None:
        """Something beside us writes to the owner; the position of that is taken with the next ones."""
        self.writes += 1
        self._elsewhere.setdefault(store.source, _Elsewhere(store)).wrote = True

    def read_elsewhere(self, store: AsyncRoutedStore, index: int) -> None:
        """Something beside us reads at an endpoint; the position of that is taken with the next ones."""
        known = store.state.snapshot.endpoints[index].observation
        run = "" if known is None else known.incarnation
        reads = self._elsewhere.setdefault(store.source, _Elsewhere(store)).reads
        if reads.setdefault(index, run) != run:
            self.saw(store, OWNER_ONLY)
        self._pins[store.source] = -1 if index == store.state.snapshot.owner else index

    def may_stay(self, store: AsyncRoutedStore, index: int) -> bool:
        """Whether a read at an endpoint is not before any other whose position was not taken: all were in this run of it."""
        done, untaken = self._elsewhere.get(store.source), self._untaken.get(store.source, {})
        if done is not None and done.wrote:
            return False
        runs = {**{i: read.incarnation for i, read in untaken.items()}, **(done.reads if done is not None else {})}
        known = store.state.snapshot.endpoints[index].observation if index >= 0 else None
        return not runs or (known is not None and runs == {index: known.incarnation})

    def _note_elsewhere(self, store: AsyncRoutedStore) -> None:
        """What was done beside us until now is covered by where the endpoints stand, asked from now on."""
        done = self._elsewhere.pop(store.source, None)
        if done is None:
            return
        for index, run in done.reads.items():
            self.read_at(store, index, run)
        if not done.wrote:
            return
        snapshot, can = store.state.snapshot, store.capabilities
        known = None if snapshot.owner < 0 else snapshot.endpoints[snapshot.owner].observation
        if known is None or can is None or not can.counts_others:
            self.saw(store, OWNER_ONLY)
        else:
            self.read_at(store, snapshot.owner, known.incarnation)

    def placed(self, store: str, version: int) -> None:
        """A placement was seen that has changed since its first version: other processes may know an older one."""
        if version > 1:
            self.bookmark = self.bookmark.placed(store, version)

    def read_at(self, store: AsyncRoutedStore, index: int, incarnation: str) -> None:
        """Something was read at an endpoint, in this run of it; its position is taken later."""
        source = store.source
        untaken = self._untaken.get(source)
        if untaken is None:
            untaken = self._untaken[source] = {}
        known = untaken.get(index)
        if known is not None and known.incarnation != incarnation:
            self.saw(store, OWNER_ONLY)  # nobody can tell any more what the earlier run showed
        untaken[index] = _UntakenRead(store, incarnation, store.clock.monotonic())
        self._pins[source] = -1 if index == store.state.snapshot.owner else index

    def rebase(self, store: AsyncRoutedStore, entries: tuple[Entry, ...]) -> None:
        """The store's entries are these from now on, and what was read before counts no more."""
        self.bookmark = self.bookmark.set(store.name, entries, store.partition)
        self._untaken.pop(store.source, None)
        self._pins.pop(store.source, None)

    def standing(self) -> SessionStanding:
        """How the session stands now."""
        untaken, bookmark, begun_with = bool(self._untaken or self._elsewhere), self.bookmark, self._begun_with
        return SessionStanding(
            used=untaken or self.last is not None or self.asked or bookmark is not begun_with,
            moved=untaken or (bookmark is not begun_with and bookmark != begun_with),
            writes=self.writes,
            lost=self.lost,
            dropped=self.dropped,
            settled=not untaken,
            writing=tuple(
                (b.store.name, b.store.partition)
                for blocks in list(self._open.values())
                for b in blocks
                if b.kind is Kind.WRITE
            ),
        )

    def owes(self, store: AsyncRoutedStore, index: int, observation: Observation) -> bool:
        """Whether positions of what was read elsewhere than at this run of an endpoint are still to be taken."""
        if store.source in self._elsewhere:
            return True
        untaken = self._untaken.get(store.source)
        if not untaken:
            return False
        known = untaken.get(index)
        return len(untaken) > 1 or known is None or known.incarnation != observation.incarnation

    async def take_positions(
        self, store: AsyncRoutedStore, keep: tuple[int, str] | None = None, within: float = FOREVER
    ) -> bool:
        """Turn reads into bookmark entries; those of the endpoint and run in `keep` may wait. Whether there were any."""
        before = self.bookmark
        self._note_elsewhere(store)
        taken = self.bookmark is not before
        untaken = self._untaken.get(store.source)
        if not untaken:
            return taken
        for index, read in list(untaken.items()):
            if keep == (index, read.incarnation):
                continue
            self.saw(store, await _entry_of(store, index, read, within))
            untaken.pop(index, None)
            taken = True
        if not untaken:
            del self._untaken[store.source]
        return taken

    async def take_all_positions(self) -> Bookmark:
        """Turn all reads into bookmark entries; the bookmark that says all."""
        for done in list(self._elsewhere.values()):
            self._note_elsewhere(done.store)
        for untaken in list(self._untaken.values()):
            for read in list(untaken.values())[:1]:
                await self.take_positions(read.store)
        return self.bookmark


async def _entry_of(store: AsyncRoutedStore, index: int, read: _UntakenRead, within: float) -> Entry:
    if store.state is not read.store.state or store.closed:
        return OWNER_ONLY  # the topology was replaced: the endpoint is another one now
    known = store.state.snapshot.endpoints[index].observation
    later = store.state.snapshot.leaderless or (known is not None and known.sent_at > read.at)
    if known is None or known.incarnation != read.incarnation or not later:
        deadline, began = Deadline(store.clock, min(store.profile.probe_timeout, within)), store.clock.monotonic()
        try:
            checkout = await store.backend(index).check_out(Kind.READ, deadline, deadline.timeout)
            try:
                known = await checkout.observe()
            finally:
                await checkout.release()
        except Exception as error:
            silent = isinstance(error, DeadlineExceeded)
            reason = f"{type(error).__name__} while taking a position"
            if store.backend(index).classify(error) is not Failure.CANCELLED:
                store.state.failed(index, Kind.READ, reason, since=began, silent=silent)
            return OWNER_ONLY
        if known.incarnation != read.incarnation:
            store.take_in(index, known)
            return OWNER_ONLY
    return store.entry_of(index, known)
