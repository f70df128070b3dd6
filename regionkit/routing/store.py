# Generated from store_async.py by scripts/twins.py. Do not edit.
"""One store at run time: what is observed of it, and the connections to its endpoints."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from regionkit.contract.advice import NEUTRAL, Advice
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint import EndpointBackend
from regionkit.contract.outcomes import Failure
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Slots, gather
from regionkit.core.deadline import FOREVER, LONGEST_TIMEOUT
from regionkit.core.events import EventHooks
from regionkit.core.retry import RetryBudget, RetryPolicy
from regionkit.errors import RegionUnavailable, ResidencyViolation
from regionkit.facts.bookmark import OWNER_ONLY, Entry, source
from regionkit.facts.consistency import ON_STALE, SESSION, Consistency, OnStale
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind, Request
from regionkit.routing import distance
from regionkit.routing.block_errors import probe_error
from regionkit.routing.capability_checks import check_level
from regionkit.routing.explain import Explanation
from regionkit.routing.host_answers import EndpointAnswers
from regionkit.routing.kept_history import KeptHistory
from regionkit.routing.snapshot import EndpointState
from regionkit.routing.store_state import RequestClass, StoreState
from regionkit.topology import Preference, Profile, Store
from regionkit.topology.preferences import check_regions

__all__ = ["RoutedStore"]

MOST_CLASSES = 256
"""Request classes remembered per store: levels and bounds that an application writes down, not ones it computes."""


class _State:
    """What changes of a store, shared by its views."""

    __slots__ = ("closed", "draining", "patience", "refreshed_at", "refreshing", "turns")

    def __init__(self, endpoints: int) -> None:
        self.closed = False
        self.draining: frozenset[int] = frozenset()
        self.patience: dict[int, float] = {}
        self.refreshed_at = float("-inf")
        self.refreshing = Slots(1)
        self.turns = [Slots(1) for _ in range(endpoints)]


class RoutedStore:
    """One store, or one shard of a partitioned one: an owner and its copies. Shared by all sessions of a kit.

    `backends` holds None for an endpoint that residency refuses: never connected to. `answers`: what other processes of this
    host were told. `kept`: where the newest history outlives the process.
    """

    answers: EndpointAnswers | None = None
    kept: KeptHistory | None = None

    def __init__(
        self,
        state: StoreState,
        backends: Sequence[EndpointBackend | None],
        profile: Profile,
        clock: Clock,
        hooks: EventHooks,
    ) -> None:
        self.state = state
        self.backends = list(backends)
        self.profile = profile
        self.clock = clock
        self.hooks = hooks
        self.store: Store = state.store
        self.name = self.store.name
        self.partition = state.shard.name
        self.source = source(self.name, self.partition)
        self._first = next((b for b in backends if b is not None), None)
        self.policy = RetryPolicy()
        # an unknown outcome costs the caller more than a wait, so a keyed write is more patient
        self.keyed_policy = RetryPolicy(attempts=6, base=0.1, cap=0.5)
        self.budget = RetryBudget()
        self.prefer = self.store.prefer
        self._classes: dict[object, RequestClass] = {}
        self.write_class = RequestClass(Request(kind=Kind.WRITE))
        self._read_class: RequestClass | None = None
        self._state = _State(len(self.backends))
        for index, backend in enumerate(self.backends):
            if backend is not None:
                backend.meet = partial(self._meet_run, index)

    @property
    def capabilities(self) -> Capabilities | None:
        """What its first endpoint can do: of a server whose URL does not tell its kind, once it was asked."""
        return None if self._first is None else self._first.capabilities

    @property
    def advice(self) -> Advice:
        """In the server's own words."""
        return NEUTRAL if self._first is None else self._first.capabilities.advice

    def at_home(self, region: str) -> RoutedStore:
        """This store, for keys whose home is `region`, where there is no owner: their writes go there."""
        view = copy.copy(self)
        view.write_class = RequestClass(Request(kind=Kind.WRITE, home=region))
        return view

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._state.closed

    def backend(self, index: int) -> EndpointBackend:
        """The connections to an endpoint that a decision named."""
        found = self.backends[index]
        if found is None:  # decide() refuses it first; this line is the second lock on the same door
            region = self.state.snapshot.endpoints[index].region
            raise ResidencyViolation(
                f"{region} is outside the residency of {self.name!r}.", why="no connection is made."
            )
        return found

    def class_of(
        self,
        consistency: Consistency,
        on_stale: tuple[OnStale, ...],
        prefer: Preference | None,
        attributes: Mapping[str, str],
    ) -> RequestClass:
        """The request class of a read without a bookmark.

        Raises:
            ConfigurationError: a level that the store's backend does not have, or a region that the topology does not have.
        """
        known = self._read_class
        if known is not None and consistency is SESSION and on_stale is ON_STALE and prefer is None and not attributes:
            return known
        key: object = (consistency, on_stale)
        if prefer is not None or attributes:
            prefer = prefer or self.prefer
            key = (consistency, on_stale, prefer, prefer.regions(attributes))
        found = self._classes.get(key)
        if found is None:
            check_level(self.name, self.capabilities, consistency.level)
            if prefer is not None:
                check_regions(self.name, prefer, self.state.regions)
            if len(self._classes) >= MOST_CLASSES:
                self._classes.clear()
            prefer = prefer or self.prefer
            request = Request(
                kind=Kind.READ,
                consistency=consistency,
                on_stale=on_stale,
                latency_window=prefer.latency_window,
                wait_until=FOREVER,  # whether to wait at all; until when, each call says itself
                regions=prefer.regions(attributes),
                weights=prefer.weights,
            )
            found = self._classes[key] = RequestClass(request)
            if key == (SESSION, ON_STALE):
                self._read_class = found
        return found

    @property
    def shards(self) -> tuple[RoutedStore, ...]:
        """This one: what a partitioned store has several of."""
        return (self,)

    def close(self, draining: frozenset[int] = frozenset()) -> None:
        """Close every connection. May be called twice.

        From its first step on nobody connects, but open blocks to the endpoints of `draining`.
        """
        self._state.draining, self._state.closed = draining, True
        for index, backend in enumerate(self.backends):
            if backend is not None:
                backend.close(drain=index in draining)

    def renew(self) -> None:
        """After a fork: forget the parent's connections without closing them, and locks that its threads may hold."""
        self._state.refreshing = Slots(1)
        self._state.turns = [Slots(1) for _ in self.backends]
        self.state.renew()
        for backend in self.backends:
            if backend is not None:
                backend.abandon()

    def refused(self, index: int) -> bool:
        """Whether nobody may connect there: it was closed, or residency refuses it, as far as is known where it stands."""
        if self._state.closed and index not in self._state.draining:
            return True
        e = self.state.snapshot.endpoints[index]
        return self.backends[index] is None or (e.region != "" and not e.allowed)

    def nearest(self) -> list[int]:
        """Allowed endpoints that are up, the nearest first."""
        snapshot = self.state.snapshot
        up = [
            (e.region != snapshot.local, FOREVER if e.rtt is None else e.rtt, i)
            for i, e in enumerate(snapshot.endpoints)
            if not self.refused(i) and not e.read_open and not e.barred
        ]
        return [i for _, _, i in sorted(up)]

    def refresh(self, within: float = FOREVER) -> bool:
        """Ask every allowed endpoint, or join the call that is doing so; False when that was done a moment ago, or failed.

        Answers that are all in count for `sample_every`, unless the owner was away since. A call that ran
        out of its own time counts for nobody else.
        """
        began = self.clock.monotonic()
        state, refreshing = self._state, self._state.refreshing
        if not refreshing.try_acquire() and not refreshing.acquire(min(within, LONGEST_TIMEOUT)):
            return False
        try:
            now = self.clock.monotonic()
            if now - state.refreshed_at < self.profile.sample_every and self.state.met(self.state.snapshot.owner):
                return False
            left = within - (now - began)
            indexes = [i for i, backend in enumerate(self.backends) if backend is not None]
            gather([lambda i=i: self.probe(i, left) for i in indexes])  # type: ignore[misc]  # a default binds the loop's value
            if self.clock.monotonic() - began < within:
                state.refreshed_at = self.clock.monotonic()
            return True
        finally:
            refreshing.release()

    def meet(self, index: int, within: float) -> None:
        """Before something is written at an endpoint past a block: ask the others, where that was not done yet."""
        if not self.state.met(index):
            self.refresh(within)

    def _meet_run(self, index: int, observation: Observation, within: float) -> None:
        """The same, where a connection told of a server: it may be another run of the owner, which was replaced meanwhile.

        Raises:
            RegionUnavailable: another endpoint owns the store now.
        """
        e = self.state.snapshot.endpoints[index]
        if e.observation is not None and e.observation.incarnation == observation.incarnation:
            return
        end = self.clock.monotonic() + within
        if observation.sent_at > e.asked_at:
            self.take_in(index, observation)
        else:
            self.probe(index, within)
        self.meet(index, end - self.clock.monotonic())
        snapshot = self.state.snapshot
        if snapshot.owner != index and not snapshot.leaderless:
            raise RegionUnavailable(
                f"{e.id!r} of {self.name!r} does not own the store now.",
                why="its server was restarted, and the other endpoints were asked first.",
                fix="run it again: regionkit looks for the owner.",
                store=self.name,
                region=e.region,
            )

    def probe(self, index: int, within: float = FOREVER, since: float | None = None) -> Observation | None:
        """Ask one endpoint where it stands, and remember; None when it does not say within `within` seconds.

        Whoever asks at the same time shares one question: an answer to one that was sent after the instant `since` will do,
        else to one sent from now on.
        """
        began = self.clock.monotonic()
        turn, since = self._state.turns[index], began if since is None else since
        if within <= 0.0 or self.refused(index):
            return None
        if not turn.try_acquire() and not turn.acquire(min(within, LONGEST_TIMEOUT)):
            return None
        try:
            known = self.state.snapshot.endpoints[index].observation
            if known is not None and known.incarnation and known.sent_at > since:
                return known
            return self._ask(index, within - (self.clock.monotonic() - began))
        finally:
            turn.release()

    def _ask(self, index: int, within: float) -> Observation | None:
        backend = self.backend(index)
        if within <= 0.0 or self.refused(index):
            return None
        rtt, left_at = self.state.snapshot.endpoints[index].rtt, self.clock.monotonic()
        budget = distance.probing(self.profile.probe_timeout, rtt)
        self.state.asking(index)
        try:
            observation = backend.probe(min(budget, within), min(self.connecting(index), within))
        except Exception as error:
            failure = backend.classify(error)
            reason, advice = probe_error(error, failure)
            if failure is Failure.APPLICATION:
                self.state.probed(index, ok=False, reason=reason, advice=advice, left_at=left_at)
                raise
            if failure is Failure.CANCELLED or (failure is Failure.DEADLINE and within < budget):
                return None  # who asked had no patience, or somebody ended the question: it says nothing of the server
            if failure is Failure.DEADLINE:
                self._state.patience[index] = distance.longer(self._state.patience.get(index, 1.0))
            else:
                self._state.patience.pop(index, None)  # it was reached, or nothing is there
            self.lost(index)
            self.state.probed(index, ok=False, reason=reason, advice=advice, left_at=left_at)
            return None
        self._state.patience.pop(index, None)
        self.take_in(index, observation)
        self.state.probed(index, ok=True, left_at=left_at)
        return observation

    @property
    def silent(self) -> bool:
        """Whether an endpoint did not answer the last question in time, and gave no other error."""
        return bool(self._state.patience)

    def round_trips(self, index: int, count: float) -> float:
        """Seconds that `count` round trips to an endpoint take while it is healthy; a probe's time-out if that is not known."""
        return distance.answering(self.profile.probe_timeout, self.state.snapshot.endpoints[index].rtt, count)

    def connecting(self, index: int) -> float:
        """Seconds that making a connection may take."""
        rtt = self.state.snapshot.endpoints[index].rtt
        return distance.connecting(self.profile.probe_timeout, rtt, self._state.patience.get(index, 1.0))

    def take_in(self, index: int, observation: Observation) -> None:
        """A server answered; where it is another run or has another role than before, its pooled connections go."""
        before = self.state.snapshot.endpoints[index].observation
        self.state.observe(index, observation)
        if before is None:
            return
        other_run = before.incarnation not in ("", observation.incarnation)  # "": its connections died and are gone
        if other_run or before.role is not observation.role:
            self.backend(index).evict()

    def keep_history(self) -> None:
        """Keep the newest history on disk, where there is a folder for it and a primary was seen in it."""
        snapshot = self.state.snapshot
        if self.kept is not None and snapshot.settled and snapshot.lineage is not None:
            self.kept.keep(snapshot.lineage)

    def lost(self, index: int) -> None:
        """A connection to an endpoint died: prove everything anew."""
        self.state.forget(index)

    def entry(self, index: int, position: Position | None, incarnation: str, *, from_read: bool) -> Entry:
        """The bookmark entry of a position at an endpoint; "read from the owner" where none can be told."""
        e: EndpointState = self.state.snapshot.endpoints[index]
        lineage = e.lineage
        if position is None or lineage is None or e.observation is None or e.observation.incarnation != incarnation:
            return OWNER_ONLY
        row = lineage.current
        return Entry(row.history, row.epoch, position, from_read)

    def entry_of(self, index: int, observation: Observation) -> Entry:
        """The bookmark entry of all that an endpoint may have shown until it answered."""
        self.take_in(index, observation)
        replica = index != self.state.snapshot.owner
        return self.entry(index, observation.shown, observation.incarnation, from_read=replica)

    def deadline_of(self, kind: Kind) -> float:
        """The profile's time-out of a call."""
        return self.profile.write_deadline if kind is Kind.WRITE else self.profile.read_deadline

    def explanation(
        self,
        kind: Kind,
        consistency: Consistency,
        entries: tuple[Entry, ...],
        *,
        signed: bool,
        attributes: Mapping[str, str] = MappingProxyType({}),
    ) -> Explanation:
        """A decision for the asked kind on what is known now, in words. No I/O."""
        request = Request(
            kind=kind,
            consistency=consistency,
            entries=entries,
            signed=signed,
            latency_window=self.prefer.latency_window,
            regions=self.prefer.regions(attributes),
            weights=self.prefer.weights,
            wait_until=self.clock.monotonic() + self.profile.longest_wait,
            home=self.write_class.request.home,
        )
        return Explanation(self.state.decide(request), self.guarantees(), self.capabilities)

    def guarantees(self) -> tuple[str, ...]:
        """What the store's backend and state promise, in words."""
        notes = [*(() if self.capabilities is None else self.capabilities.notes), *self.store.cautions]
        snapshot = self.state.snapshot
        if snapshot.lineage is None and any(e.observation is not None for e in snapshot.endpoints):
            notes.append("no history rows: bookmarks say 'owner only' until kit.create_tables() was called")
        return tuple(notes)
