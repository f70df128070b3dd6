"""One store at run time: what is observed of it, and the connections to its endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from regionkit.backends.base_async import AsyncEndpointBackend
from regionkit.backends.values import Failure
from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import agather
from regionkit.core.events import EventHooks
from regionkit.core.retry import RetryBudget, RetryPolicy
from regionkit.errors import ResidencyViolation
from regionkit.routing.bookmark import OWNER_ONLY, Entry
from regionkit.routing.consistency import Consistency, OnStale
from regionkit.routing.decision import FOREVER, Kind, Request
from regionkit.routing.explain import Explanation
from regionkit.routing.observed import ObservedStore, RequestClass
from regionkit.routing.position import Position, as_position
from regionkit.routing.snapshot import EndpointState, Observation
from regionkit.topology import Nearest, Profile, Store

__all__ = ["AsyncRoutedStore"]

CONNECT_ROUND_TRIPS = 8
"""Round trips of a new connection at most: TCP, TLS, SCRAM, and the first question."""
MOST_CLASSES = 256
"""Request classes remembered per store: levels and bounds that an application writes down, not ones it computes."""


class AsyncRoutedStore:
    """Shared by all sessions of a kit. `backends` holds None for an endpoint that residency refuses: never connected to."""

    def __init__(
        self,
        observed: ObservedStore,
        backends: Sequence[AsyncEndpointBackend | None],
        profile: Profile,
        clock: Clock,
        hooks: EventHooks,
    ) -> None:
        self.observed = observed
        self.backends = list(backends)
        self.profile = profile
        self.clock = clock
        self.hooks = hooks
        self.store: Store = observed.store
        self.name = self.store.name
        self.policy = RetryPolicy()
        # an unknown outcome costs the caller more than a wait, so a keyed write is more patient
        self.keyed_policy = RetryPolicy(attempts=6, base=0.1, cap=0.5)
        self.budget = RetryBudget()
        self.prefer: Nearest = self.store.prefer  # type: ignore[assignment]  # the only preference so far
        self._classes: dict[tuple[Kind, Consistency, tuple[OnStale, ...], float], RequestClass] = {}
        self.write_class = RequestClass(Request(kind=Kind.WRITE))
        self._refreshed_at = float("-inf")

    def backend(self, index: int) -> AsyncEndpointBackend:
        """The connections to an endpoint that a decision named."""
        found = self.backends[index]
        if found is None:  # decide() refuses it first; this line is the second lock on the same door
            region = self.observed.snapshot.endpoints[index].region
            raise ResidencyViolation(
                f"{region} is outside the residency of {self.name!r}.", why="no connection is made."
            )
        return found

    def shared(
        self, kind: Kind, consistency: Consistency, on_stale: tuple[OnStale, ...], prefer: Nearest
    ) -> RequestClass:
        """The request class of a call without a bookmark."""
        key = (kind, consistency, on_stale, prefer.latency_window)
        found = self._classes.get(key)
        if found is None:
            if len(self._classes) >= MOST_CLASSES:
                self._classes.clear()
            request = Request(
                kind=kind,
                consistency=consistency,
                on_stale=on_stale,
                latency_window=prefer.latency_window,
                wait_until=FOREVER,  # whether to wait at all; until when, each call says itself
            )
            found = self._classes[key] = RequestClass(request)
        return found

    async def refresh(self, within: float = FOREVER) -> bool:
        """Ask every allowed endpoint now, at most once per `sample_every`; False when that was a moment ago."""
        now = self.clock.monotonic()
        if now - self._refreshed_at < self.profile.sample_every:
            return False
        self._refreshed_at = now
        indexes = [i for i, backend in enumerate(self.backends) if backend is not None]
        await agather([lambda i=i: self.probe(i, within) for i in indexes])  # type: ignore[misc]  # a default binds the loop's value
        return True

    async def probe(self, index: int, within: float = FOREVER) -> Observation | None:
        """Ask one endpoint where it stands, and remember; None when it does not say."""
        backend = self.backend(index)
        if within <= 0.0:
            return None
        try:
            timeout = min(self.profile.probe_timeout, within)
            seen = await backend.probe(timeout, min(self._connecting(index), within))
        except Exception as error:
            failure = backend.classify(error)
            if failure is Failure.APPLICATION:
                self.observed.probed(index, ok=False, reason=f"probe: {type(error).__name__}")
                raise
            self.lost(index)
            self.observed.probed(index, ok=False, reason=f"probe: {failure.value}")
            return None
        self.seen(index, seen)
        self.observed.probed(index, ok=True)
        return seen

    def _connecting(self, index: int) -> float:
        """Seconds that making a connection may take: TLS and authentication are up to eight round trips."""
        rtt = self.observed.snapshot.endpoints[index].rtt
        timeout = self.profile.probe_timeout
        return timeout * 4.0 if rtt is None else timeout + CONNECT_ROUND_TRIPS * rtt

    def seen(self, index: int, seen: Observation) -> None:
        """A server answered; where it is another run or has another role than before, its pooled connections go."""
        before = self.observed.snapshot.endpoints[index].seen
        self.observed.observe(index, seen)
        if before is None:
            return
        other_run = before.incarnation not in ("", seen.incarnation)  # "": its connections died and are gone
        if other_run or before.role is not seen.role:
            self.backend(index).evict()

    def lost(self, index: int) -> None:
        """A connection to an endpoint died: prove everything anew."""
        self.observed.forget(index)

    def entry(self, index: int, position: Position | None, incarnation: str, *, seen: bool) -> Entry:
        """The bookmark entry of a position at an endpoint; "read from the owner" where none can be told."""
        e: EndpointState = self.observed.snapshot.endpoints[index]
        lineage = e.lineage
        if position is None or lineage is None or e.seen is None or e.seen.incarnation != incarnation:
            return OWNER_ONLY
        row = lineage.current
        return Entry(row.history, row.epoch, position, seen)

    def entry_of(self, index: int, seen: Observation) -> Entry:
        """The bookmark entry of all that an endpoint may have shown until it answered."""
        self.seen(index, seen)
        position = None if seen.reached is None else as_position(seen.reached)
        replica = index != self.observed.snapshot.owner
        return self.entry(index, position, seen.incarnation, seen=replica)

    def deadline_of(self, kind: Kind) -> float:
        """The profile's time-out of a call."""
        return self.profile.write_deadline if kind is Kind.WRITE else self.profile.read_deadline

    def explanation(
        self, kind: Kind, consistency: Consistency, entries: tuple[Entry, ...], *, signed: bool
    ) -> Explanation:
        """A decision for the asked kind on what is known now, in words. No I/O."""
        request = Request(
            kind=kind,
            consistency=consistency,
            entries=entries,
            signed=signed,
            latency_window=self.prefer.latency_window,
            wait_until=self.clock.monotonic() + self.profile.longest_wait,
        )
        return Explanation(self.observed.decide(request), self.guarantees())

    def guarantees(self) -> tuple[str, ...]:
        """What the store's backend and state promise, in words."""
        backend = next(b for b in self.backends if b is not None)
        notes = list(backend.capabilities.notes)
        snapshot = self.observed.snapshot
        if snapshot.lineage is None and any(e.seen is not None for e in snapshot.endpoints):
            notes.append("no history rows: bookmarks say 'owner only' until kit.create_tables() was called")
        return tuple(notes)
