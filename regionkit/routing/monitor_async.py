"""The monitor: one background loop per endpoint asks where it stands; it also records promotions and sweeps markers.

1. Endpoints are asked apart, so that a frozen one delays no other. One that residency refuses is never connected to.
2. A good answer is a position sample. How often it is asked for says `pace`; what a block, a wait or another process of this
   host was answered since the last round is not asked for again.
3. A primary that no history row tells of gets its row where the server proves the promotion (PostgreSQL's timeline
   history); the unique parent makes one of several observers the writer. Elsewhere an operator says `kit.adopt`.
4. Each healthy endpoint has one connection ready for a read, unless the process is idle.
5. The newest history is kept in the kit's folder, where it has one.
6. A round that raises something unexpected is told to the hooks, and the loop goes on.
"""

from __future__ import annotations

import random

from regionkit.contract.endpoint_async import AsyncEndpointBackend
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import RegionKitError, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.routing.events import HistoryWritten, MonitorFailed
from regionkit.routing.host_answers import OWN_LOOK, TURNS
from regionkit.routing.pace import answered, begun, paced
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.topology import Role

__all__ = ["AsyncMonitor"]

SWEEP_EVERY = 600.0
"""Seconds between two sweeps of old markers by one process: a day's markers are many sweeps long."""
SWEEP_MOST = 1000
"""Markers deleted in one transaction: short enough to disturb nobody."""
LONGEST_COLD = 60.0
"""Seconds after which a connection that could not be kept ready is tried again, at most."""
MARKERS_KEPT = 86_400.0
"""Seconds that an idempotency marker is kept; a key used again later is not covered."""


class AsyncMonitor:
    """The background jobs of one kit. `start` and `stop` may be called again."""

    def __init__(self, stores: list[AsyncRoutedStore]) -> None:
        self._stores = stores
        self._jobs = AsyncSupervisor()

    def start(self) -> None:
        """Start a job per endpoint."""
        for store in self._stores:
            for index, backend in enumerate(store.backends):
                if backend is not None:
                    watch = _Watch(store, index, backend)
                    every = store.profile.probe_every
                    self._jobs.start(f"{store.source} {index}", watch.round, watch.failed, longest_back_off=every)

    async def stop(self) -> None:
        """End the jobs; one that is stuck in a driver is left behind."""
        await self._jobs.stop(within=0.0)


class _Watch:
    """The job of one endpoint."""

    def __init__(self, store: AsyncRoutedStore, index: int, backend: AsyncEndpointBackend) -> None:
        self._store = store
        self._index = index
        self._backend = backend
        self._random = random.Random()
        self._sweep_at = store.clock.monotonic() + SWEEP_EVERY * self._random.random()
        self._prove_at = 0.0
        self._pace = begun(store.profile)
        self._uses, self._needs = store.state.uses, store.state.needs
        self._last_sent = float("inf")
        self._waited = 0
        self._asks_itself_at = float("-inf")
        self._warm_at = store.clock.monotonic() + store.profile.probe_every  # who lives shorter needs none
        self._cold_for = 0.0

    async def round(self) -> float | None:
        """Ask once, unless that is known or nobody needs it; seconds until the next round."""
        store, state = self._store, self._store.state
        if store.refused(self._index):  # a member of a cluster that has said where it stands
            await self._backend.close()
            return None
        uses, needs = state.uses, state.needs
        peace = state.at_peace(self._index)
        if self._waited == 0:
            used, needed = uses > self._uses, needs > self._needs
            self._pace = paced(self._pace, store.profile, used=used, needed=needed, troubled=not peace)
            self._uses, self._needs = uses, needs
        pause = self._pace.pause
        if not self._pace.asks:
            return pause
        if not (peace and self._is_known()):
            answers = store.answers if peace else None
            turn = None if answers is None else answers.claim(self._index)
            if answers is not None and turn is None and self._waited < TURNS and not self._asks_itself():
                self._waited += 1
                return min(pause, self._pace.interval / TURNS)
            observation = None
            try:
                if turn is None or not self._is_known():  # told while the turn was taken
                    observation = await self._ask()
            finally:
                if turn is not None:
                    turn.release()
            if observation is not None:
                await self._take_care(observation)
        await self._keep_warm()
        return pause

    def _asks_itself(self) -> bool:
        """Whether it is time to go one's own way to the server."""
        return self._store.clock.monotonic() >= self._asks_itself_at

    def _is_known(self) -> bool:
        """Whether another caller got an answer: a block, a waiting read, or another process of this host."""
        store = self._store
        now, known = store.clock.monotonic(), store.state.snapshot.endpoints[self._index].observation
        since = now - self._pace.interval
        if known is None or not known.incarnation:
            return False
        if known.sent_at <= max(self._last_sent, since):
            answers = store.answers
            told = None if answers is None or self._asks_itself() else answers.told(self._index, since)
            if told is None or told.incarnation != known.incarnation or told.role is not known.role:
                return False
            if told.sent_at > known.sent_at:
                store.take_in(self._index, told)
                known = told
        store.state.asking(self._index)
        self._last_sent, self._waited = known.sent_at, 0
        self._pace = answered(self._pace, now - known.sent_at)
        return True

    async def _ask(self) -> Observation | None:
        """Ask, and tell the other processes of this host; None when there was no answer."""
        store = self._store
        self._waited, self._asks_itself_at = 0, store.clock.monotonic() + OWN_LOOK
        observation = await store.probe(self._index)
        self._pace = answered(self._pace, 0.0)
        if observation is not None:
            self._last_sent = observation.sent_at
            if store.answers is not None:
                store.answers.tell(self._index, observation)
        return observation

    async def _take_care(self, observation: Observation) -> None:
        """What follows an answer, once others may ask again."""
        store = self._store
        await self._record_promotion(observation)
        if store.state.snapshot.owner == self._index:
            await self._backend.mark(store.profile.probe_timeout + store.round_trips(self._index, 1.0), observation)
        await self._sweep(observation)
        store.keep_history()

    async def _keep_warm(self) -> None:
        """A far connection takes many round trips: the first read that comes here, as another copy died, does not wait for it."""
        now = self._store.clock.monotonic()
        if self._pace.rests or now < self._warm_at or not self._store.state.at_peace(self._index):
            return
        try:
            await self._backend.keep_warm(self._store.connecting(self._index))
            self._cold_for = 0.0
        except RegionKitError:  # the next probe says what is wrong; a server with too many connections is not pressed
            self._cold_for = min(max(2.0 * self._cold_for, self._store.profile.probe_every), LONGEST_COLD)
            self._warm_at = now + self._cold_for

    def failed(self, error: BaseException) -> None:
        """A round raised something unexpected."""
        self._pace = answered(self._pace, 0.0)
        e = self._store.state.snapshot.endpoints[self._index]
        self._store.hooks.emit(MonitorFailed(self._store.name, e.region, e.id, f"{type(error).__name__}: {error}"))

    async def _record_promotion(self, observation: Observation) -> None:
        """Write the history row of a promotion that the server proves."""
        now = self._store.clock.monotonic()
        if (
            observation.role is not Role.PRIMARY
            or observation.lineage is None
            or observation.recorded
            or now < self._prove_at
        ):
            return
        self._prove_at = now + self._store.profile.probe_every
        try:
            await self._record(observation, observation.lineage.current)
        except RegionUnavailable as error:
            if not error.cause:
                raise
            self._store.state.unproved(self._index, error.cause, error.fix)

    async def _record(self, observation: Observation, parent: HistoryRow) -> None:
        fork = await self._backend.prove_promotion(self._store.profile.probe_timeout, parent, observation)
        if fork is None:
            self._store.state.unproved(self._index)
            return
        row = HistoryRow(uuid7().hex, parent.history, fork, parent.epoch + 1, observation.origin)
        deadline = Deadline(self._store.clock, self._store.profile.write_deadline)
        if await self._backend.write_history(deadline, row):
            e, proof = self._store.state.snapshot.endpoints[self._index], "timeline history"
            event = HistoryWritten(self._store.name, e.region, e.id, row.history, parent.history, row.epoch, proof)
            self._store.hooks.emit(event)
        await self._store.probe(self._index)

    async def _sweep(self, observation: Observation) -> None:
        """Forget old markers, now and then, on the owner."""
        now = self._store.clock.monotonic()
        if now < self._sweep_at or observation.lineage is None or self._store.state.snapshot.owner != self._index:
            return
        self._sweep_at = now + SWEEP_EVERY * (0.5 + self._random.random())
        deadline = Deadline(self._store.clock, self._store.profile.write_deadline)
        while await self._backend.sweep(deadline, MARKERS_KEPT, SWEEP_MOST) == SWEEP_MOST:
            pass
        if self._store.answers is not None:
            self._store.answers.sweep()
