# Generated from session_state_async.py by scripts/twins.py. Do not edit.
"""What a session remembers: what it wrote and saw, per source, and which blocks are open. The part that blocks talk to.

1. A write adds its position to the bookmark at once. A read is remembered by endpoint and run; its position is taken when
   the session moves or gives out a bookmark, so it covers the read.
2. If the run that was read no longer answers, the entry becomes "read from the owner".
3. A source is a store, or a shard of a partitioned one: each has an owner and positions of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import UsageError
from regionkit.facts.bookmark import OWNER_ONLY, Bookmark, Entry
from regionkit.facts.request import Kind
from regionkit.routing.blocks import Block
from regionkit.routing.store import RoutedStore
from regionkit.routing.store_state import RequestClass

__all__ = ["SessionState"]


class _UntakenRead:
    """Reads of one endpoint whose position was not taken yet."""

    __slots__ = ("at", "incarnation", "store")

    def __init__(self, store: RoutedStore, incarnation: str, at: float) -> None:
        self.store = store
        self.incarnation = incarnation
        self.at = at


class SessionState:
    """The memory of one session. Not shared between threads or tasks."""

    def __init__(self, bookmark: Bookmark, *, signed: bool) -> None:
        self._bookmark = bookmark
        self._signed = signed
        self._untaken: dict[str, dict[int, _UntakenRead]] = {}
        self._pins: dict[str, int] = {}
        self._open: dict[str, list[Block[Any]]] = {}
        self._classes: dict[RequestClass, tuple[Bookmark, int, RequestClass]] = {}
        self._last: Block[Any] | None = None

    def _opening(self, block: Block[Any]) -> None:
        source = block.store.source
        if block.kind is Kind.READ:
            inside = next((b for b in self._open.get(source, ()) if b.kind is Kind.WRITE), None)
            if inside is not None:
                raise UsageError(
                    f"a read of {block.store.name!r} inside this session's own write of it.",
                    why="the read would not see what the open write block has not committed.",
                    fix="read with the handle of the write block that is open, or end it first.",
                )
        self._open.setdefault(source, []).append(block)
        self._last = block

    def _closed(self, block: Block[Any]) -> None:
        blocks = self._open.get(block.store.source)
        if blocks and block in blocks:
            blocks.remove(block)

    def _has_seen(self, store: RoutedStore) -> bool:
        bookmark = self._bookmark
        return store.source in self._untaken or bool(bookmark.sources) or bookmark.everything

    def _entries(self, store: RoutedStore) -> tuple[Entry, ...]:
        return self._bookmark.entries(store.name, store.partition)

    def _pin(self, store: RoutedStore) -> int:
        return self._pins.get(store.source, -1)

    def _class_of(self, store: RoutedStore, shared: RequestClass) -> RequestClass:
        """`shared` with what this session saw: the same one as long as it saw no more, so its decision is remembered."""
        pin = self._pins.get(store.source, -1)
        known = self._classes.get(shared)
        if known is None or known[0] is not self._bookmark or known[1] != pin:
            request = msgspec.structs.replace(
                shared.request, entries=self._entries(store), signed=self._signed, pin=pin
            )
            known = self._classes[shared] = (self._bookmark, pin, RequestClass(request))
        return known[2]

    def _wrote(self, store: RoutedStore, entry: Entry) -> None:
        self._bookmark = self._bookmark.add(store.name, entry, store.partition)

    def _read_at(self, store: RoutedStore, index: int, incarnation: str) -> None:
        untaken = self._untaken.setdefault(store.source, {})
        known = untaken.get(index)
        if known is not None and known.incarnation != incarnation:
            self._wrote(store, OWNER_ONLY)  # what the earlier run showed can not be told any more
        untaken[index] = _UntakenRead(store, incarnation, store.clock.monotonic())
        self._pins[store.source] = -1 if index == store.state.snapshot.owner else index

    def _take_positions(self, store: RoutedStore, keep: tuple[int, str] | None, within: float = FOREVER) -> bool:
        """Turn reads into bookmark entries; those of the endpoint and run in `keep` may wait. Whether there were any."""
        untaken = self._untaken.get(store.source)
        if not untaken:
            return False
        taken = False
        for index, read in list(untaken.items()):
            if keep == (index, read.incarnation):
                continue
            self._wrote(store, self._entry_of(store, index, read, within))
            untaken.pop(index, None)
            taken = True
        if not untaken:
            del self._untaken[store.source]
        return taken

    def _take_all_positions(self) -> None:
        for untaken in list(self._untaken.values()):
            for read in list(untaken.values())[:1]:
                self._take_positions(read.store, keep=None)

    def _entry_of(self, store: RoutedStore, index: int, read: _UntakenRead, within: float) -> Entry:
        if store.state is not read.store.state or store.closed:
            return OWNER_ONLY  # the topology was replaced: the endpoint is another one now
        known = store.state.snapshot.endpoints[index].observation
        later = store.state.snapshot.leaderless or (known is not None and known.sent_at > read.at)
        if known is None or known.incarnation != read.incarnation or not later:
            backend = store.backend(index)
            try:
                deadline = Deadline(store.clock, min(store.profile.probe_timeout, within))
                checkout = backend.check_out(Kind.READ, deadline, deadline.timeout)
                try:
                    known = checkout.observe()
                finally:
                    checkout.release()
            except Exception as error:
                store.state.failed(index, Kind.READ, f"{type(error).__name__} while taking a position")
                return OWNER_ONLY
            if known.incarnation != read.incarnation:
                store.take_in(index, known)
                return OWNER_ONLY
        return store.entry_of(index, known)
