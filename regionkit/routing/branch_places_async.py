"""Where the branches of a session's global transaction stand: each at the owner of its store, decided as a write is.

1. A branch counts as an open write of the session: no other block of it stands inside, or around it.
2. Before it prepares it is looked at again: where another endpoint has become the owner, or the owner's history is another, it
   may not. That is what this process knows then; no server is asked.
3. After the COMMIT the session remembers it as read at its owner: the position is taken with the session's next read or
   bookmark. What may commit later is read from the owner, until somebody says that it is settled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from regionkit.core.deadline import Deadline
from regionkit.errors import UsageError
from regionkit.facts.bookmark import OWNER_ONLY, Entry
from regionkit.facts.request import Kind
from regionkit.routing.decision import Decision
from regionkit.routing.refusal import error_of
from regionkit.routing.route import Route
from regionkit.routing.session_state_async import AsyncSessionState
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.routing.verdict import Outcome

__all__ = ["AsyncBranchPlace", "AsyncBranchPlaces"]


class AsyncBranchPlace:
    """The owner at which one branch opened; to its session, an open block."""

    def __init__(
        self, session: AsyncSessionState, store: AsyncRoutedStore, decision: Decision, *, reading: bool
    ) -> None:
        self.store = store
        self.decision: Decision | None = decision
        self._session = session
        self._index = decision.index
        self._reading = reading
        self._before: tuple[Entry, ...] = ()
        self._marked: tuple[Entry, ...] | None = None
        e = store.state.snapshot.endpoints[self._index]
        self._incarnation = "" if e.observation is None else e.observation.incarnation
        self.history = self._current()

    def _current(self) -> str:
        lineage = self.store.state.snapshot.endpoints[self._index].lineage
        return "" if lineage is None else lineage.current.history

    @property
    def kind(self) -> Kind:
        """Read or write."""
        return Kind.READ if self._reading else Kind.WRITE

    def route(self) -> Route | None:
        """Where the branch is."""
        e, lineage = self.store.state.snapshot.endpoints[self._index], self.store.state.snapshot.lineage
        epoch = None if lineage is None else lineage.current.epoch
        return Route(self.store.name, e.region, e.role.value, epoch, None, [])

    def moved(self) -> str:
        """Why the branch may not prepare any more; "" while it may."""
        snapshot = self.store.state.snapshot
        e = snapshot.endpoints[self._index]
        if snapshot.owner != self._index or e.barred:
            return (
                f"{e.id!r} of store {self.store.source!r} does not own it any more ({e.barred or 'another one does'})"
            )
        if self._current() != self.history:
            return f"the history of store {self.store.source!r} changed since the branch was opened"
        return "the topology was replaced" if self.store.closed else ""

    def left(self, committed: bool | None) -> None:
        """The transaction's block ended."""
        session, store = self._session, self.store
        session.closed(self)
        if committed is None and not self._reading:
            self._before = session.entries(store)
            session.wrote(store, OWNER_ONLY)
            self._marked = session.entries(store)
        elif committed or self._reading:
            session.read_at(store, self._index, self._incarnation)
            session.writes += not self._reading

    async def settled(self, deadline: Deadline) -> None:
        """What may have committed has, or has been rolled back: where its owner stands now covers it."""
        session, store = self._session, self.store
        marked, self._marked = self._marked, None
        if marked is None:
            return
        owner = store.state.snapshot.owner
        observation = None if owner < 0 else await store.probe(owner, deadline.remaining())
        if observation is None or owner != store.state.snapshot.owner or session.entries(store) != marked:
            return  # nobody can say, or more was written meanwhile: it stays with the owner
        session.bookmark = session.bookmark.set(store.name, self._before, store.partition)
        session.wrote(store, store.entry_of(owner, observation))


class AsyncBranchPlaces:
    """The stores of one transaction. `locate`: the session's own way from a store's name and a key to its shard."""

    def __init__(
        self,
        session: AsyncSessionState,
        locate: Callable[[str, str | None, Deadline], Awaitable[AsyncRoutedStore]],
        stores: Sequence[str],
    ) -> None:
        self._session = session
        self._locate = locate
        self._stores = tuple(stores)

    async def find(self, store: str, key: str | None, deadline: Deadline) -> tuple[str, AsyncRoutedStore]:
        """The source that holds the key, and its shard."""
        if store not in self._stores:
            raise UsageError(
                f"the transaction was not begun for store {store!r}.",
                why=f"it was begun for {', '.join(map(repr, self._stores))}.",
                fix="name every store that it uses: s.transaction(stores=[...]).",
            )
        deadline.require("finding the owner", store=store)
        shard = await self._locate(store, key, deadline)
        return shard.source, shard

    async def take(self, found: AsyncRoutedStore, reading: bool, deadline: Deadline) -> AsyncBranchPlace:
        """The owner of it now."""
        state = found.state
        state.touches += 1
        await found.meet(state.snapshot.owner, deadline.remaining())
        decision = state.decide(found.write_class.request)
        owner = decision.snapshot.owner
        if decision.outcome is not Outcome.USE or decision.snapshot.endpoints[owner].observation is None:
            await found.refresh(deadline.remaining())
            decision = state.decide(found.write_class.request)
        if decision.outcome is not Outcome.USE:
            raise error_of(decision, found.advice)
        place = AsyncBranchPlace(self._session, found, decision, reading=reading)
        self._session.opening(place)
        return place
