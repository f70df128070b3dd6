# Generated from session_seen_async.py by scripts/twins.py. Do not edit.
"""The part of a session that shares what it saw: with caches, with what carries its bookmark, with writers beside regionkit."""

from __future__ import annotations

from collections.abc import Callable

from regionkit.errors import UsageError
from regionkit.facts.bookmark import OWNER_ONLY, Entry
from regionkit.facts.consistency import SESSION
from regionkit.facts.request import Kind
from regionkit.facts.stamp import Stamp
from regionkit.routing.decision import Decision
from regionkit.routing.partitions import PartitionedStore
from regionkit.routing.session_standing import SessionStanding
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore
from regionkit.routing.verdict import Outcome
from regionkit.topology import Store

__all__ = ["SharesWhatItSaw"]


class SharesWhatItSaw:
    """The part of a session that shares what it saw."""

    _state: SessionState
    _stores: Callable[[str | Store], RoutedStore | PartitionedStore]

    def seen_of(self, store: str, partition: str = "") -> tuple[Entry, ...]:
        """What a value of a store (of a partition) has to show to this session: for caches.

        May ask a server for the position of earlier reads.
        """
        self._state.asked = True
        for routed in self._stores(store).shards:
            if routed.partition == partition:
                self._state.take_positions(routed)
        return self._state.bookmark.entries(store, partition)

    def saw(self, store: str, stamp: Stamp | None, partition: str = "", *, wrote: bool = False) -> None:
        """The session was shown (or `wrote`) a value of a store (of a partition) that may come from as late as `stamp`; None:
        nobody knows how late.
        """
        entry = OWNER_ONLY if stamp is None else Entry(stamp.history, stamp.epoch, stamp.position, from_read=True)
        self._state.writes += wrote
        for routed in self._stores(store).shards:
            if routed.partition == partition:
                self._state.saw(routed, entry)

    def wrote_elsewhere(self, store: str | Store) -> None:
        """Something beside regionkit, such as another ORM, writes to the store's owner for this session.

        What it has committed by the time that the next read opens, or the bookmark is given out, is covered. So call it
        before the write, and again after the COMMIT of a transaction. Asks nothing now: the owner is asked then. On SQLite,
        and where there is no owner, the session takes no copy from now on that could lack a write. Of a partitioned store
        all parts count.

        Raises:
            ConfigurationError: there is no such store.
        """
        for routed in self._stores(store).shards:
            self._state.wrote_elsewhere(routed)

    def read_elsewhere(self, store: str | Store) -> Decision:
        """Where something beside regionkit, such as another ORM, may read for this session now.

        What it reads there until the next read opens, or the bookmark is given out, is covered. Asks a server only after the
        session wrote, or read somewhere else. Of a decision that does not say Outcome.USE nothing is noted: a block waits
        for what is not proved, and raises where nothing can be.

        Raises:
            UsageError: the store is partitioned.
        """
        shards = self._stores(store).shards
        if len(shards) != 1:
            raise UsageError("only a store with one owner can be read elsewhere.", fix="read it by s.read(..., key=).")
        routed, state = shards[0], self._state
        state.asked = True
        decision = self._decided(routed)
        if not state.may_stay(routed, decision.index):
            state.take_positions(routed)
            decision = self._decided(routed)
        if decision.outcome is Outcome.USE:
            state.read_elsewhere(routed, decision.index)
        return decision

    def _decided(self, routed: RoutedStore) -> Decision:
        state = self._state
        return routed.explanation(
            Kind.READ, SESSION, state.entries(routed), signed=state.signed, attributes=state.attributes
        ).decision

    def standing(self) -> SessionStanding:
        """How it stands: used, moved, writing. For what carries its bookmark, such as the web middleware. No I/O."""
        return self._state.standing()
