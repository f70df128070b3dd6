# Generated from running_async.py by scripts/twins.py. Do not edit.
"""One run of a consumer: lanes, clinic and janitor beside one loop that talks to the source.

1. At most `window` messages are under way. The loop fetches, acknowledges, gives back and extends; nobody else does.
2. While source or store do not answer, nothing is fetched, and they are asked again with a back-off. So is a source that
   raises what it may not; one whose step has not gone well once for `BROKEN_FOR` ends the run.
3. When it ends, each lane ends its message; what is still under way is given back. What could not be
   acknowledged is delivered again.
4. It is idle when a look that began after those seconds found nothing: one that began before may have seen an older state.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from regionkit.core.clock import Clock
from regionkit.core.concurrency import Flag, sleep, spawn, stray
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.supervisor import Supervisor
from regionkit.errors import BackendError, Fenced, NoEligibleEndpoint, RegionKitError, SourceBroken
from regionkit.messaging.admitting import Taken, opened
from regionkit.messaging.applying import Step
from regionkit.messaging.counters import Counters
from regionkit.messaging.events import ConsumerPaused, ConsumerResumed, SweepFailed
from regionkit.messaging.lanes import Lane, StoreWatch, lane_of
from regionkit.messaging.runs import DOWN
from regionkit.messaging.sources.checks import named
from regionkit.messaging.sources.source import Delivery, Source
from regionkit.messaging.stations import Stations

__all__ = ["Running"]

T = TypeVar("T")

A_LANE = 32
"""Messages under way for each lane: as many as are acknowledged in one step; at least two batches where there are any."""
FETCH_WAIT = 0.5
"""Seconds that a fetch waits when nothing is under way."""
FETCH_WAIT_BUSY = 0.02
"""Seconds that it waits when something is: what is done meanwhile is acknowledged after that."""
PART = 4
"""Of a full window a quarter ends, or `FETCH_WAIT_BUSY` passes, before the source is asked again: it is asked less often so."""
BACK_AFTER = 0.5
"""Seconds after which a message is delivered again that could not be worked at now."""
AGAIN_FOR = 5.0
"""Seconds more for which a run that is to end when idle bears with messages that only come again and are given back."""
MOST_RETURNED = 10_000
"""Messages that are remembered as given back; then they count as news once more."""
OPENED_WITHIN = 30.0
"""Seconds for opening source and inbox."""
DRAINED_WITHIN = 30.0
"""Seconds that the messages under way have to end when it stops."""
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 5.0
"""Seconds between two questions to a source that does not answer."""
BROKEN_FOR, BROKEN_TIMES = 30.0, 5
"""Seconds, and times, after which a step of a source that only raises what it may not is a fault of its class."""


class Running:
    """One run. Used once."""

    def __init__(
        self,
        source: Source,
        stations: Stations,
        stop: threading.Event,
        counters: Counters,
        clock: Clock,
        *,
        shared: bool,
    ) -> None:
        self._shared = shared
        self._source = source
        self._stations = stations
        self._stop = stop
        self._counters = counters
        self._clock = clock
        self._front: Any = stations.front
        self._stopping = Flag()
        self._woken = Flag()
        self._window = max(A_LANE, 2 * stations.largest_batch) * stations.front.options.concurrency
        self._ended: deque[tuple[Delivery, Step]] = deque()
        self._under_way: dict[int, Delivery] = {}
        self._fatal: BaseException | None = None
        self._away = False
        self._broken: dict[
            str, tuple[float, int]
        ] = {}  # steps of the source that raise what they may not: since when, how often
        self._hopeless = False
        self._returned: set[int] = set()  # of messages that were given back: that they come again is no news

    @property
    def _name(self) -> str:
        name: str = self._front.options.name
        return name

    def run(self, until_idle: float | None) -> None:
        """Until `stop` is set, or nothing has come for so many seconds.

        Raises:
            Halted: at a message that failed for good.
            ConfigurationError: something cannot work.
            SourceBroken: the source raises what it may not, and goes on to.
        """
        deadline = Deadline(self._clock, OPENED_WITHIN)
        self._open_stations(deadline)
        self._stations.register(self._source, shared=self._shared, deadline=deadline)
        self._asked("open", partial(self._source.open, deadline))
        watch = StoreWatch(self._front, self._stopping)
        lanes = [
            Lane(self._front, watch, self._clock, self._stopping, self._done)
            for _ in range(self._front.options.concurrency)
        ]
        works: list[Callable[[], None]] = [lane.run for lane in lanes]
        works.extend(partial(station.clinic.run, self._stopping) for station in self._stations.all)
        tasks = [spawn(f"regionkit {self._name}", self._guarded(work)) for work in works]
        jobs = Supervisor(self._clock)
        for number, station in enumerate(self._stations.all):
            jobs.start(f"janitor {self._name} {number}", station.janitor.round, self._sweep_failed)
        try:
            self._loop(lanes, watch, until_idle)
        finally:
            self._end(lanes, tasks, jobs)
        if self._fatal is not None:
            raise self._fatal

    def _open_stations(self, deadline: Deadline) -> None:
        """One at least has to answer; parts of other regions are opened when they do."""
        away: list[Exception] = []
        for station in self._stations.all:
            try:
                station.inbox.open(deadline)
                station.janitor.open()
            except DOWN as error:
                away.append(error)
        if len(away) == len(self._stations.all):
            raise away[0]
        for one in away:
            self._front.tell(ConsumerPaused(self._name, f"a part of its store does not answer: {one}"))

    def _end(self, lanes: list[Lane], tasks: list[Any], jobs: Supervisor) -> None:
        self._stopping.set()
        for station in self._stations.all:
            station.clinic.wake()
        for lane in lanes:
            lane.wake()
        jobs.stop(DRAINED_WITHIN)
        for station in self._stations.all:
            with suppress(Exception):  # else its lease ends by itself
                station.janitor.close()
        until = self._clock.monotonic() + DRAINED_WITHIN
        for task in tasks:
            task.ended(max(0.0, until - self._clock.monotonic()))
        rest = partial(self._asked, "give_back", lambda: self._source.give_back(list(self._under_way.values()), 0.0))
        for last in (self._settle, rest):
            try:
                last()
            except SourceBroken as error:
                self._front.note(error.__cause__ or error)
            except RegionKitError:
                pass  # then they come again by themselves
        self._counters.add("given_back", len(self._under_way))

    def _guarded(self, work: Callable[[], None]) -> Callable[[], Any]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._fatal = self._fatal or error
                self._stop.set()
                self._woken.set()
                if not isinstance(error, Exception):
                    raise

        return run

    def _sweep_failed(self, error: BaseException) -> None:
        self._front.tell(SweepFailed(self._name, f"{type(error).__name__}: {error}"[:200]))

    def _done(self, taken: Taken, step: Step) -> None:
        self._ended.append((taken.delivery, step))
        if len(self._ended) * PART >= self._window:
            self._woken.set()

    def _loop(self, lanes: list[Lane], watch: StoreWatch, until_idle: float | None) -> None:
        pause = FIRST_BACK_OFF
        worked = extended = self._clock.monotonic()
        lease = self._source.facts.lease
        clinics = [station.clinic for station in self._stations.all]
        while not self._stop.is_set():
            try:
                acknowledged = self._settle()
                looked = self._clock.monotonic()
                news = self._fetch(lanes, watch, None if until_idle is None else worked + until_idle - looked)
                now = self._clock.monotonic()
                if acknowledged or news or self._is_busy() or any(clinic.busy for clinic in clinics):
                    worked = now
                elif until_idle is not None and looked - worked >= until_idle + (AGAIN_FOR if self._under_way else 0.0):
                    if all(clinic.idle_since > worked for clinic in clinics):
                        return
                    for clinic in clinics:
                        clinic.wake()
                if lease is not None and self._under_way and now - extended > lease / 3.0:
                    extended = now
                    self._asked("extend", partial(self._source.extend, list(self._under_way.values())))
                pause = FIRST_BACK_OFF
                if self._away:
                    self._away = False
                    self._front.tell(ConsumerResumed(self._name))
            except (BackendError, NoEligibleEndpoint, Fenced) as error:
                if not self._away:
                    why = f"its source does not answer: {error.what} {error.why}".strip()
                    self._front.tell(ConsumerPaused(self._name, why))
                self._away = True
                sleep(pause)
                pause = min(2.0 * pause, LONGEST_BACK_OFF)
            except SourceBroken as error:
                self._front.note(error.__cause__ or error)
                if self._hopeless:
                    raise
                sleep(pause)
                pause = min(2.0 * pause, LONGEST_BACK_OFF)

    def _asked(self, step: str, ask: Callable[[], T]) -> T:
        """What the source says.

        Raises:
            RegionKitError: its own; RegionUnavailable or SourceBroken for what it may not raise.
        """
        try:
            answer = ask()
        except BaseException as error:
            if not (isinstance(error, Exception) or stray(error)):
                raise
            means = named(self._source.name, step, error)
            if isinstance(means, SourceBroken):
                now = self._clock.monotonic()
                since, times = self._broken.get(step, (now, 0))
                self._broken[step] = since, times + 1
                self._hopeless = now - since >= BROKEN_FOR and times >= BROKEN_TIMES
            if means is error:
                raise
            raise means from error
        self._broken.pop(step, None)
        return answer

    def _fetched(self, most: int, wait: float) -> list[Delivery]:
        found = self._source.fetch(most, wait)
        wrong = [one for one in found if not (isinstance(one, Delivery) and isinstance(one.body, bytes))]
        if wrong:
            raise TypeError(f"{type(wrong[0]).__name__} is no Delivery with bytes")
        return found

    def _fetch(self, lanes: list[Lane], watch: StoreWatch, left: float | None) -> bool:
        """Whether a message came that was not given back before. `left`: seconds until it is idle, where it is to end then."""
        room, news = self._window - len(self._under_way), False
        if room * PART < self._window or watch.down:
            self._woken.wait(FETCH_WAIT_BUSY)
            return watch.down
        wait = FETCH_WAIT_BUSY if self._under_way else FETCH_WAIT
        if left is not None:
            wait = min(wait, max(left, FETCH_WAIT_BUSY))
        for delivery in self._asked("fetch", partial(self._fetched, room, wait)):
            self._under_way[id(delivery)] = delivery
            news = news or not self._returned or hash(delivery.body) not in self._returned
            taken = opened(delivery)
            lanes[lane_of(taken, len(lanes))].give(taken)
        return news

    def _is_busy(self) -> bool:
        """Whether something is under way that was not given back before."""
        if not self._returned:
            return bool(self._under_way)
        return any(hash(delivery.body) not in self._returned for delivery in self._under_way.values())

    def _settle(self) -> bool:
        """Acknowledge what has ended, and give back the rest. Whether something was acknowledged."""
        self._woken.clear()
        done: list[Delivery] = []
        back: list[Delivery] = []
        while self._ended:
            delivery, step = self._ended.popleft()
            (done if step is Step.ACK else back).append(delivery)
        try:
            if done:
                self._asked("ack", partial(self._source.ack, done))
                crash_point("message.acknowledged")
        except BaseException:
            self._ended.extend((delivery, Step.BACK) for delivery in back)
            back = []
            raise
        finally:  # what could not be told is delivered again, and found done
            self._forget(done)
        try:
            if back:
                self._asked("give_back", partial(self._source.give_back, back, BACK_AFTER))
                self._counters.add("given_back", len(back))
                if len(self._returned) > MOST_RETURNED:
                    self._returned.clear()
                self._returned.update(hash(delivery.body) for delivery in back)
        finally:
            self._forget(back)
        return bool(done)

    def _forget(self, deliveries: list[Delivery]) -> None:
        """They are under way no more."""
        for delivery in deliveries:
            self._under_way.pop(id(delivery), None)
