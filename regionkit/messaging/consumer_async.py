"""A consumer: messages of a source, each applied once through its inbox, in the order of their keys.

    consumer = AsyncConsumer(AsyncRedisStream(client, "orders", group="billing"), inbox=AsyncSqlInbox(engine), order="key")

    @consumer.handler("order.placed")
    async def charge(message, db):
        await db.execute(...)

    await consumer.run()

1. A message is acknowledged after its own COMMIT (or that of its case) was answered; before that it may come again, and is
   found done then.
2. At most `window` messages are under way. One loop talks to the source: it fetches, acknowledges, gives back and extends.
3. It stops within one message of each lane: `stop()`, SIGTERM where nobody else handles it, or `until_idle`.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import AsyncFlag, asleep, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event, EventHooks, Hook
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import ConfigurationError, MessagingError, RegionUnavailable, UsageError
from regionkit.messaging.applying_async import AsyncApplier, Halted, Step
from regionkit.messaging.clinic_async import AsyncClinic
from regionkit.messaging.consumer_options import GAP_WAIT, OnPoison, Options, Policy
from regionkit.messaging.counters import Counters, Summary
from regionkit.messaging.delivery import ACCEPT_FOR
from regionkit.messaging.events import ConsumerPaused, ConsumerResumed
from regionkit.messaging.handlers import (
    ATTEMPTS,
    LEASE,
    TIMEOUT,
    Effect,
    Handler,
    Handlers,
    OnInDoubt,
    checked_call,
)
from regionkit.messaging.inboxes.inbox_async import AsyncInbox
from regionkit.messaging.lanes_async import AsyncLane, AsyncStoreWatch, lane_of
from regionkit.messaging.sources.source_async import AsyncSource, Delivery

__all__ = ["AsyncConsumer"]

IS_ASYNC = True
F = TypeVar("F", bound=Callable[..., Any])

A_LANE = 32
"""Messages under way for each lane: as many as are acknowledged in one step."""
FETCH_WAIT = 0.5
"""Seconds that a fetch waits when nothing is under way."""
FETCH_WAIT_BUSY = 0.02
"""Seconds that it waits when something is: what is done meanwhile is acknowledged after that."""
BACK_AFTER = 0.5
"""Seconds after which a message is delivered again that could not be worked at now."""
OPENED_WITHIN = 30.0
"""Seconds for opening source and inbox."""
DRAINED_WITHIN = 30.0
"""Seconds that the messages under way have to end when it stops."""
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 5.0
"""Seconds between two questions to a source that does not answer."""


class AsyncConsumer:
    """Takes messages from one source. Handlers are registered before it runs; it runs in one thread (task) at a time.

    Args:
        source: a RedisStream, SqlQueue, MemoryQueue, ...
        inbox: where what was taken is kept: in the database of the effects.
        hospital: where cases are looked at; it has to be the inbox's database. They are kept there without it, too.
        name: what was taken is kept under it; the source's group where none is given.
        order: "key": messages of a key take effect in the order of their publishing. None: in any.
        concurrency: messages that are worked at, at once; of one key always one.
        on_poison: when a message fails for good: "park_key", its key waits for somebody; "skip", the key goes on without it;
            "halt", the consumer stops.
        accept_for: seconds for which a message is taken after it was made; later it is a case.
        gap_wait: seconds for which what comes before a message of its key is waited for.
        expired: what becomes of messages whose time has passed: "hospital" or "drop".
        unhandled: the same for messages of a type that nobody handles.
        clock: where time is read.
    """

    def __init__(
        self,
        source: AsyncSource,
        *,
        inbox: AsyncInbox,
        hospital: Any = None,
        name: str | None = None,
        order: Literal["key"] | None = None,
        concurrency: int = 8,
        on_poison: OnPoison = "park_key",
        accept_for: float = ACCEPT_FOR,
        gap_wait: float = GAP_WAIT,
        expired: Policy = "hospital",
        unhandled: Policy = "hospital",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if order not in (None, "key"):
            raise ConfigurationError(f"order={order!r} is not known.", fix='write order="key", or leave it out.')
        if order == "key" and not inbox.gates:
            raise ConfigurationError(
                'order="key" with an inbox that has no gates.',
                why="a key is kept in order by one row that moves with the effect; this inbox has claims, one a message.",
                fix="use the inbox of a SQL or MongoDB database, or leave order= out.",
            )
        name = name or source.group
        if name is None:
            raise ConfigurationError(
                "a consumer needs a name.",
                why="what it has taken is kept under its name, and the source has no group that could be it.",
                fix='give name="billing".',
            )
        self._source = source
        self._inbox = inbox
        self.options = Options(
            name=name,
            ordered=order == "key",
            concurrency=concurrency,
            on_poison=on_poison,
            accept_for=accept_for,
            gap_wait=gap_wait,
            expired=expired,
            unhandled=unhandled,
            source=source.name,
        ).checked()
        self._clock = clock
        self._hooks = EventHooks()
        self._handlers = Handlers()
        self._counters = Counters()
        self._stop = threading.Event()
        self._running = False
        self._ended: deque[tuple[Delivery, Step]] = deque()
        self._woken = AsyncFlag()
        self._fatal: BaseException | None = None
        if hospital is not None and not hospital.is_beside(inbox):
            raise ConfigurationError(
                f"the hospital of consumer {name!r} is not in the database of its inbox.",
                why="a message and its case commit together, or one of them is lost.",
                fix="give both the same engine, or leave the hospital out.",
            )

    @property
    def name(self) -> str:
        """Of the consumer."""
        return self.options.name

    def handler(
        self,
        type: str,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT,
        effect: Effect = "transaction",
        lease: float = LEASE,
        resolve: Callable[..., Any] | None = None,
        on_in_doubt: OnInDoubt = "",
    ) -> Callable[[F], F]:
        """Register `call(message, db)` for a type; `db` is a Session in the transaction that holds the message's claim.

        Committing it is the consumer's. What the handler raises rolls all of it back, and counts as an attempt.

        With effect="external" it is `call(message, context)`, for an effect that no transaction of the inbox holds: a call to
        a provider that takes `context.idempotency_key`. The claim is a lease that is kept alive as long as the call lasts.
        With effect="redis" `call(message)` gives back the commands of its effect, which a RedisInbox does with the claim.

        Args:
            type: of the messages.
            attempts: started runs of one message; then it waits for somebody in the hospital.
            timeout: seconds of one run, its COMMIT counted; of an effect outside: as long as the call takes.
            effect: where the effect is.
            lease: seconds after which another consumer takes a message over whose process has died in a call.
            resolve: `resolve(message, context)` asks the other side whether such a call took effect: "yes", "no", "unknown".
            on_in_doubt: where that is not known: "retry", with the same key; "hospital", somebody looks at it.

        Raises:
            ConfigurationError: options that cannot work; the consumer runs already.
        """

        def register(call: F) -> F:
            if self._running:
                raise UsageError(f"consumer {self.name!r} runs already.", fix="register handlers before run().")
            if effect not in self._inbox.effects:
                raise ConfigurationError(
                    f"{type!r} has effect={effect!r}, and the inbox of {self.name!r} serves {', '.join(self._inbox.effects)}.",
                    why="a claim that does not commit with its effect needs a lease and a key for the other side.",
                    fix="give the consumer the inbox of the database where the effect is, or name the effect that it has.",
                )
            made = checked_call(call, is_async=IS_ASYNC)
            asks = None if resolve is None else checked_call(resolve, is_async=IS_ASYNC)
            self._handlers.add(Handler(type, made, attempts, timeout, effect, lease, asks, on_in_doubt))
            return call

        return register

    def on_event(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with each event; the result takes it away again."""
        return self._hooks.add(hook)

    def stop(self) -> None:
        """End `run` when the messages under way have ended. From any thread, and from a signal handler."""
        self._stop.set()

    def summary(self) -> Summary:
        """What it has done so far."""
        return self._counters.summary()

    async def run(self, until_idle: float | None = None) -> Summary:
        """Take and apply messages until `stop()`; with `until_idle` until none has come for so many seconds.

        Raises:
            ConfigurationError: something cannot work: tables that are missing, a source that would lose messages.
            MessagingError: a message failed for good, with on_poison="halt".
        """
        if self._running:
            raise UsageError(f"consumer {self.name!r} runs already.", fix="make another one: they share the work.")
        if not len(self._handlers):
            raise ConfigurationError(
                f"consumer {self.name!r} has no handler.", fix="register one: @consumer.handler(...)."
            )
        before = self._counters.summary()
        self._running, self._fatal = True, None
        self._stop.clear()
        try:
            with self._signals():
                await self._open()
                await self._run(until_idle)
        finally:
            self._running = False
        if isinstance(self._fatal, Halted):
            raise MessagingError(
                f"consumer {self.name!r} stopped at a message that failed for good.",
                why=f"{type(self._fatal.__cause__).__name__}: {self._fatal.__cause__}",
                fix="mend its handler and run it again: the message has been given back.",
            ) from self._fatal.__cause__
        if self._fatal is not None:
            raise self._fatal
        return self._counters.summary() - before

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM stops it gracefully, where nobody else handles it."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def _open(self) -> None:
        deadline = Deadline(self._clock, OPENED_WITHIN)
        await self._inbox.open(deadline)
        await self._source.open(deadline)

    def _tell(self, event: Event) -> None:
        self._hooks.emit(event)

    async def _run(self, until_idle: float | None) -> None:
        stopping = AsyncFlag()
        applier = AsyncApplier(self._inbox, self._handlers, self.options, self._counters, self._tell, self._clock)
        watch = AsyncStoreWatch(applier, stopping)
        lanes = [AsyncLane(applier, watch, self._clock, stopping, self._done) for _ in range(self.options.concurrency)]
        clinic, jobs = AsyncClinic(applier), AsyncSupervisor(self._clock)
        tasks = [spawn_async(f"regionkit lane {self.name}", self._guarded(lane)) for lane in lanes]
        jobs.start(f"clinic {self.name}", clinic.round, self._clinic_failed)
        under_way: dict[int, Delivery] = {}
        try:
            await self._loop(lanes, watch, clinic, under_way, until_idle)
        finally:
            stopping.set()
            await jobs.stop(DRAINED_WITHIN)
            until = self._clock.monotonic() + DRAINED_WITHIN
            for task in tasks:
                await task.ended(max(0.0, until - self._clock.monotonic()))
            await self._settle(under_way)
            await self._source.give_back(list(under_way.values()), 0.0)
            self._counters.add("given_back", len(under_way))

    def _guarded(self, lane: AsyncLane) -> Callable[[], Any]:
        async def run() -> None:
            try:
                await lane.run()
            except BaseException as error:
                self._fatal = self._fatal or error
                self._stop.set()
                self._woken.set()
                if not isinstance(error, Exception):
                    raise

        return run

    def _clinic_failed(self, error: BaseException) -> None:
        self._tell(ConsumerPaused(self.name, f"cases cannot be looked at: {type(error).__name__}"))

    def _done(self, delivery: Delivery, step: Step) -> None:
        self._ended.append((delivery, step))
        self._woken.set()

    async def _loop(
        self,
        lanes: list[AsyncLane],
        watch: AsyncStoreWatch,
        clinic: AsyncClinic,
        under_way: dict[int, Delivery],
        until_idle: float | None,
    ) -> None:
        window, pause = A_LANE * len(lanes), FIRST_BACK_OFF
        worked = extended = self._clock.monotonic()
        lease = self._source.facts.lease
        away = False
        while not self._stop.is_set():
            try:
                if await self._settle(under_way):
                    worked = self._clock.monotonic()
                room = window - len(under_way)
                if room <= 0 or watch.down:
                    await self._woken.wait(FETCH_WAIT_BUSY)
                else:
                    wait = FETCH_WAIT_BUSY if under_way else FETCH_WAIT
                    found = await self._source.fetch(room, wait if until_idle is None else min(wait, until_idle))
                    for delivery in found:
                        under_way[id(delivery)] = delivery
                        lanes[lane_of(delivery, len(lanes))].give(delivery)
                now = self._clock.monotonic()
                if under_way or clinic.busy:
                    worked = now
                elif until_idle is not None and now - worked >= until_idle:
                    return
                if lease is not None and under_way and now - extended > lease / 3.0:
                    extended = now
                    await self._source.extend(list(under_way.values()))
                pause, away = FIRST_BACK_OFF, away and self._is_back()
            except RegionUnavailable as error:
                if not away:
                    self._tell(ConsumerPaused(self.name, f"its source does not answer: {error.what}"))
                away = True
                await asleep(pause)
                pause = min(2.0 * pause, LONGEST_BACK_OFF)

    def _is_back(self) -> bool:
        self._tell(ConsumerResumed(self.name))
        return False

    async def _settle(self, under_way: dict[int, Delivery]) -> bool:
        """Tell the source what has ended."""
        self._woken.clear()
        done: list[Delivery] = []
        back: list[Delivery] = []
        while self._ended:
            delivery, step = self._ended.popleft()
            (done if step is Step.ACK else back).append(delivery)
        try:
            if done:
                await self._source.ack(done)
            if back:
                await self._source.give_back(back, BACK_AFTER)
                self._counters.add("given_back", len(back))
        finally:  # what could not be told is delivered again, and found done
            for delivery in (*done, *back):
                under_way.pop(id(delivery), None)
        return bool(done or back)
