"""What one process knows of one store: the snapshot, its samples, its breakers. Holds a lock, does no I/O.

Threads and tasks feed it answers and failures; each makes a new snapshot by the pure transitions of snapshot.py and
health.py and swaps it in whole, so that readers need no lock. A decision for a request class is remembered until the
snapshot is another one or its validity is over.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.deadline import FOREVER
from regionkit.core.events import EventHooks
from regionkit.facts.consistency import Level
from regionkit.facts.history import Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, as_position, extended, reaches
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision, decide
from regionkit.routing.events import BreakerChanged, RoleChanged
from regionkit.routing.health import Breaker, BreakerState, after_probe, failed, speaks_against, succeeded
from regionkit.routing.order import counted
from regionkit.routing.snapshot import NEVER, EndpointState, Snapshot, adopted, observe, replaced, unproved
from regionkit.routing.staleness import Ring, Sample
from regionkit.topology import Profile, Role, Shard, Store

__all__ = ["RequestClass", "StoreState"]


MOST_SHARES = 64
"""Different weights whose calls are counted; beyond them all begin anew. An application has a few, and does not compute them."""
MISSED_ROUNDS = 3
"""Rounds of the monitor, each with its time-out, after which a process that heard nothing counts as one that did not run."""


class RequestClass:
    """A request that many calls share.

    `known`: the decision last made for it, and the snapshot on which that stands. `compares`: it rests on positions of endpoints.
    """

    __slots__ = ("compares", "known", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.known: tuple[Snapshot, Decision] | None = None
        level = request.consistency.level
        self.compares = request.kind is Kind.READ and (bool(request.entries) or level is Level.BOUNDED)


class StoreState:
    """Thread-safe. `snapshot` is replaced whole; read it once per use.

    Args:
        store: the store.
        shard: its endpoints, in the order of all indexes.
        regions: of the topology, and whether residency lets the store be there.
        local: the region this process runs in.
        profile: times and thresholds.
        clock: the clock to use.
        hooks: told of what changes.
        breaks: its breakers open; where there is one endpoint and nobody who probes it, they must not.

    Attributes:
        needs: how often positions were needed: by a bounded read, or by one that waits for a copy. An unlocked count, as is
        touches: how often the store was used past a block: for records, for homes, or to look at the status.
    """

    def __init__(
        self,
        store: Store,
        shard: Shard,
        regions: Mapping[str, bool],
        local: str,
        profile: Profile,
        clock: Clock,
        hooks: EventHooks,
        *,
        breaks: bool = True,
    ) -> None:
        self.store = store
        self.shard = shard
        self.profile = profile
        self.regions = frozenset(regions)
        self._breaks = breaks
        self._clock = clock
        self._hooks = hooks
        self._ring = Ring()
        count = len(shard.endpoints)
        self._runs, self._began_at = [""] * count, [NEVER] * count
        self.renew()
        self.needs = self.touches = 0
        self._calls = [0] * count
        self._uncalled: list[float] = [0.0] * count
        self._shares: dict[tuple[tuple[str, float], ...], list[float]] = {}
        self._calls_before = {
            (i, use): 0 for i in range(count) for use in Kind
        }  # calls when the window of a breaker began
        self._breakers = {(i, use): Breaker() for i in range(count) for use in Kind}
        self._counted_at = {(i, use): NEVER for i in range(count) for use in Kind}
        self.snapshot = Snapshot(
            store=store.name,
            local=local,
            endpoints=tuple(
                EndpointState(
                    id=e.id,
                    region=e.region,
                    configured=e.role,
                    role=e.role,
                    allowed=regions.get(e.region, False),
                )
                for e in shard.endpoints
            ),
            owner=-1
            if store.leaderless
            else next((i for i, e in enumerate(shard.endpoints) if e.role is Role.PRIMARY and e.region), -1),
            leaderless=store.leaderless,
            regions=frozenset(name for name, allowed in regions.items() if allowed),
        )
        # two snapshots, of which the later one has more positions, and nothing else: each of our commits adds one
        self._grown = self.snapshot, self.snapshot

    def renew(self) -> None:
        """After a fork: another thread of the parent may have held the lock; nobody was asked by this process, which holds no
        block of the parent's and draws chances of its own.
        """
        self._lock = threading.Lock()
        self._random = random.Random()
        self.loads = [0] * len(self.shard.endpoints)
        self._starts = [1.0 - self._random.random() for _ in self.shard.endpoints]
        self._asked_at = [NEVER] * len(self.shard.endpoints)
        self._left_at = [NEVER] * len(self.shard.endpoints)

    def decide(self, request: Request) -> Decision:
        """Decide on what is known now."""
        calls = self._shares.get(request.weights, self._uncalled)
        return decide(self.snapshot, request, self._clock.monotonic(), self.loads, calls, self._starts)

    def route(self, request_class: RequestClass) -> Decision:
        """The decision for a request class: the last one while it holds."""
        snapshot, (first, last) = self.snapshot, self._grown
        stands_on = first if last is snapshot and not request_class.compares else snapshot
        known = request_class.known
        if known is not None and known[0] is stands_on:
            decision = known[1]
            if decision.valid_until == FOREVER or self._clock.monotonic() < decision.valid_until:
                return decision
        decision = self.decide(request_class.request)
        request_class.known = stands_on, decision
        return decision

    def observe(self, index: int, observation: Observation) -> None:
        """A server answered."""
        with self._lock:
            before = self.snapshot
            history = observation.lineage.current.history if observation.lineage is not None else ""
            after = observe(before, index, observation, self._ring.fresh_at(history, observation.reached))
            if after.owner != before.owner or after.lineage != before.lineage or after.unrecorded:
                self._ring.clear()
            e = after.endpoints[index]
            fits = after is not before and index == after.owner and e.lineage is not None and not after.unrecorded
            if fits and observation.reached is not None:
                self._ring.add(e.id, history, Sample(observation.sent_at, as_position(observation.reached)))
            self.snapshot = after
            if observation.incarnation and after is not before:
                if self._runs[index] not in ("", observation.incarnation) or before.endpoints[index].trouble:
                    self._began_at[index] = observation.sent_at  # it was away
                self._runs[index] = observation.incarnation
        self._tell_changes(index, before.endpoints[index], after.endpoints[index])

    def adopt(self, lineage: Lineage | None) -> None:
        """An operator named the history that counts."""
        with self._lock:
            self.snapshot = adopted(self.snapshot, lineage)
            self._ring.clear()

    def forget(self, index: int) -> None:
        """A connection to it died: prove everything anew, whichever run of the server answers next, to a question sent later."""
        if self.snapshot.leaderless:
            return  # what levels prove rests on no connection
        with self._lock:
            e = self.snapshot.endpoints[index]
            known = e.observation
            if known is not None:
                known = msgspec.structs.replace(known, reached=None, incarnation="")
            forgotten_at = max(e.asked_at, self._clock.monotonic())
            e = msgspec.structs.replace(e, observation=known, fresh_at=None, forgotten_at=forgotten_at)
            self.snapshot = replaced(self.snapshot, index, e)

    def reached(self, index: int, incarnation: str, position: Position | None) -> None:
        """A commit on this run of the endpoint gave `position`: it is known to be there."""
        if position is None:
            return
        with self._lock:
            before = self.snapshot
            e = before.endpoints[index]
            if e.observation is None or e.observation.reached is None or e.observation.incarnation != incarnation:
                return
            if not reaches(e.observation.reached, position):
                observation = msgspec.structs.replace(e.observation, reached=extended(e.observation.reached, position))
                self.snapshot = replaced(before, index, msgspec.structs.replace(e, observation=observation))
                first, last = self._grown
                self._grown = (first if last is before else before), self.snapshot

    @property
    def uses(self) -> int:
        """Blocks that began so far, and other uses."""
        return sum(self._calls) + self.touches

    def at_peace(self, index: int) -> bool:
        """Whether nothing urgent has to be found out about an endpoint: it is healthy, and the store's owner is known."""
        snapshot = self.snapshot
        e = snapshot.endpoints[index]
        owned = snapshot.leaderless or snapshot.owner >= 0
        well = e.observation is not None and not (e.trouble or e.barred or snapshot.unrecorded)
        lately = self._clock.monotonic() - self.profile.trip_window
        breakers = (self._breakers[index, use] for use in Kind)
        return owned and well and all(b.admits and (not b.errors or b.window_start < lately) for b in breakers)

    def began(self, index: int, decision: Decision | None = None) -> None:
        """A block began on an endpoint, as `decision` says. Unlocked counts: they choose among equals and weigh failures, no
        more.
        """
        self.loads[index] += 1
        self._calls[index] += 1
        if decision is not None and (weights := decision.request.weights):
            if len(self._shares) >= MOST_SHARES:
                self._shares.clear()
            known = self._shares.get(weights, self._uncalled)
            now = self._clock.monotonic()
            snapshot, request, verdicts = decision.snapshot, decision.request, decision.verdicts
            self._shares[weights] = counted(known, snapshot, request, verdicts, index, now, self._starts)

    def ended(self, index: int) -> None:
        """A block on an endpoint ended; one of the parent's does not count in its child."""
        if self.loads[index]:
            self.loads[index] -= 1

    def succeeded(self, index: int, use: Kind) -> None:
        """A block went well."""
        if self._breakers[index, use].errors:
            with self._lock:
                self._breakers[index, use] = succeeded(self._breakers[index, use])

    def failed(self, index: int, use: Kind, reason: str, *, since: float, silent: bool, had: float = FOREVER) -> None:
        """A connection failed or a deadline passed on an endpoint; never an application's error.

        Args:
            index: of the endpoint.
            use: reads or writes.
            reason: in a few words.
            since: when the call took its connection, or began to make it.
            silent: the server did not answer in time; else it broke or refused the connection.
            had: seconds that it had for that answer, where that is known better than by `since`.
        """
        if not self._breaks:
            return
        now = self._clock.monotonic()
        with self._lock:
            rtt = self.snapshot.endpoints[index].rtt or 0.0
            budget, counted_at = self.profile.probe_timeout + rtt, self._counted_at[index, use]
            had = min(had, now - since)
            if not speaks_against(silent=silent, had=had, budget=budget, since=since, counted_at=counted_at):
                return
            self._counted_at[index, use] = now
            breaker = self._breakers[index, use]
            if now - breaker.window_start > self.profile.trip_window:
                self._calls_before[index, use] = self._calls[index] - 1
            calls = self._calls[index] - self._calls_before[index, use]
            event = self._set_breaker(
                index, use, failed(breaker, self.profile, now, calls, reason, self._random.random())
            )
        if event is not None:
            self._hooks.emit(event)

    def met(self, but: int) -> bool:
        """Whether every endpoint that may be asked, but one, has answered this process or failed, and is asked still.

        A process that slept, or whose monitor could not run, has met nobody since. Nor has one whose owner (`but`) was
        away, or is another run of its server: meanwhile another one may have been made primary.
        """
        if (
            not self._breaks or self.store.leaderless or (but == 0 and len(self._asked_at) == 1)
        ):  # or there is nobody else
            return True
        since = self._clock.monotonic() - self._missed()
        endpoints, began_at = self.snapshot.endpoints, NEVER if but < 0 else self._began_at[but]
        for index, at in enumerate(self._asked_at):  # each write asks twice: a loop takes half as long as all(...)
            if index != but and (at < since or self._left_at[index] < began_at) and endpoints[index].allowed:
                return False
        return True

    def asking(self, index: int) -> None:
        """A probe leaves: the monitor runs. It says nothing of an endpoint that was not asked for long."""
        now = self._clock.monotonic()
        if now - self._asked_at[index] <= self._missed():
            self._asked_at[index] = now

    def _missed(self) -> float:
        """Seconds after which a process that heard nothing counts as one that did not run."""
        return MISSED_ROUNDS * (self.profile.probe_every + self.profile.probe_timeout)

    def probed(self, index: int, ok: bool, reason: str = "", advice: str = "", *, left_at: float) -> None:
        """A probe that left at the instant `left_at` came back, or did not. It speaks for both uses. `advice`: what to do about
        `reason`.
        """
        now = self._asked_at[index] = self._clock.monotonic()
        self._left_at[index] = left_at
        events = []
        with self._lock:
            e = self.snapshot.endpoints[index]
            if (e.trouble, e.advice) != (reason, advice):
                e = msgspec.structs.replace(e, trouble=reason, advice=advice)
                self.snapshot = replaced(self.snapshot, index, e)
            for use in Kind:
                breaker = self._breakers[index, use]
                after = after_probe(breaker, self.profile, now, ok, reason, self._random.random())
                if after is not breaker:
                    events.append(self._set_breaker(index, use, after))
        for event in events:
            if event is not None:
                self._hooks.emit(event)

    def unproved(self, index: int, why: str = "", remedy: str = "") -> None:
        """A promotion could not be recorded, and why."""
        with self._lock:
            self.snapshot = unproved(self.snapshot, index, why, remedy)

    def breaker(self, index: int, use: Kind) -> Breaker:
        """The breaker of an endpoint and use, as it is now."""
        return self._breakers[index, use]

    def _set_breaker(self, index: int, use: Kind, breaker: Breaker) -> BreakerChanged | None:
        """Called with the lock held; the event is told by the caller, without it."""
        was = self._breakers[index, use]
        self._breakers[index, use] = breaker
        if was.state is breaker.state:
            return None
        e = self.snapshot.endpoints[index]
        why = "" if breaker.admits else f"breaker {breaker.state.value}: {breaker.reason}"
        if use is Kind.READ:
            e = msgspec.structs.replace(e, read_open=why, held_until=breaker.held_until)
        else:
            e = msgspec.structs.replace(e, write_open=why)
        self.snapshot = replaced(self.snapshot, index, e)
        if breaker.state is BreakerState.HALF_OPEN:
            return None
        return BreakerChanged(self.store.name, e.region, e.id, use.value, breaker.state.value, breaker.reason)

    def _tell_changes(self, index: int, before: EndpointState, after: EndpointState) -> None:
        if before.observation is None or after.observation is None or before.observation is after.observation:
            return
        if not before.observation.incarnation and before.role is after.role:
            return  # its connections had died: which run it was is not known any more
        first = (
            before.observation.lineage is None and after.observation.lineage is not None
        )  # its tables were made: no news
        if _stand(before) != _stand(after) and not (first and before.role is after.role):
            event = RoleChanged(self.store.name, after.region, after.id, _stand(after), _stand(before))
            self._hooks.emit(event)


def _stand(e: EndpointState) -> str:
    assert e.observation is not None
    history = e.observation.lineage.current.history if e.observation.lineage is not None else "none"
    return f"{e.role.value} in run {e.observation.incarnation}, history {history}"
