"""A consumer: messages of a source, each applied once through its inbox, in the order of their keys.

    consumer = AsyncConsumer(AsyncRedisStream(client, "orders", group="billing"), inbox=AsyncSqlInbox(engine), order="key")

    @consumer.handler("order.placed")
    async def charge(message, db):
        await db.execute(...)

    await consumer.run()

1. A message is acknowledged after its own COMMIT (or that of its case) was answered; before that it may come again, and is
   found done then.
2. It stops within one message of each lane: `stop()`, SIGTERM where nobody else handles it, or `until_idle`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.events import EventHooks, Hook
from regionkit.core.given import check_flag, check_seconds
from regionkit.errors import ConfigurationError, MessagingError, UsageError
from regionkit.messaging.applying_async import AsyncApplier, Halted
from regionkit.messaging.consumer_options import GAP_WAIT, OnPoison, Options, Policy
from regionkit.messaging.counters import Counters, Summary
from regionkit.messaging.delivery import ACCEPT_FOR
from regionkit.messaging.elsewhere_async import Elsewhere
from regionkit.messaging.explanation import ConsumerExplanation, explain_consumer
from regionkit.messaging.fast_handlers_async import AsyncFastHandlers
from regionkit.messaging.handlers import (
    ATTEMPTS,
    LEASE,
    TIMEOUT,
    Effect,
    Handler,
    Handlers,
    OnInDoubt,
    checked_call,
    default_batch,
)
from regionkit.messaging.inboxes.inbox_async import AsyncInbox
from regionkit.messaging.parts import check_part
from regionkit.messaging.retention import LONGEST, check_retention
from regionkit.messaging.running_async import AsyncRunning
from regionkit.messaging.sources.source_async import AsyncSource, AsyncTarget
from regionkit.messaging.stations_async import AsyncStations, homes_of

__all__ = ["AsyncConsumer"]

IS_ASYNC = True
F = TypeVar("F", bound=Callable[..., Any])


class AsyncConsumer(AsyncFastHandlers):
    """Takes messages from one source. Handlers are registered before it runs; it runs in one thread (task) at a time.

    Args:
        source: a RedisStream, SqlQueue, MemoryQueue, ...
        inbox: records which messages were taken, in the database of the effects.
        hospital: for looking at cases; it must use the inbox's database. Cases are kept there without it, too.
        name: the inbox records messages under it. Default: the source's group.
        order: "key": messages of a key take effect in the order of their publishing. None: in any.
        concurrency: how many messages are processed at once; one at a time of each key.
        on_poison: when a message has used up its attempts: "park_key", its key waits for an operator; "skip", the key goes on
            without it; "halt", the consumer stops.
        accept_for: a message is accepted for so many seconds after it was made; later it becomes a case.
        gap_wait: seconds to wait for a missing message of a key before the key waits as a case.
        expired: what to do with expired messages: "hospital" makes them cases, "drop" drops them.
        unhandled: the same for messages whose type has no handler.
        batch: how many messages of rerunnable handlers share one transaction at most.
        elsewhere: for a store whose keys have homes: what to do here with messages of other homes: "forward", "observe", "skip".
        forward_to: by region, the target from which its consumers take their messages.
        observe: called with messages that another region has applied, with elsewhere="observe".
        shared: allow other sources under this name, because they carry the same messages.
        clock: the clock to use.
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
        batch: int = 1,
        elsewhere: Elsewhere | None = None,
        forward_to: Mapping[str, AsyncTarget] | None = None,
        observe: Callable[..., Any] | None = None,
        shared: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_part(source, "fetch", is_async=IS_ASYNC)
        check_part(inbox, "judge", is_async=IS_ASYNC)
        _check_order(order, inbox)
        name = _named(source.group if name is None else name)
        check_flag("shared", shared)
        _check_hospital(hospital, inbox, name)
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
            batch=batch,
            source=source.name,
        ).checked()
        self._clock = clock
        self._homes = homes_of(inbox, elsewhere, forward_to or {}, observe)
        self._hooks = EventHooks()
        self._handlers = Handlers()
        self._counters = Counters()
        self._stop = threading.Event()
        self._running = False
        self._shared = shared

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
        rerunnable: bool = False,
        batch: int | None = None,
        effect: Effect = "transaction",
        lease: float = LEASE,
        resolve: Callable[..., Any] | None = None,
        on_in_doubt: OnInDoubt = "",
    ) -> Callable[[F], F]:
        """Register `call(message, db)` for a type; `db` is a Session in the transaction that holds the message's claim.

        The consumer commits it. An exception of the handler rolls all of it back and counts as an attempt.

        With effect="external" it is `call(message, context)`, for an effect that no transaction of the inbox holds: a call to
        a provider that takes `context.idempotency_key`. The claim is a lease that is kept alive as long as the call lasts.
        With effect="redis" `call(message)` returns the commands of its effect, which a RedisInbox runs together with the claim.

        Args:
            type: of the messages.
            attempts: how many runs of one message are started; then it waits in the hospital.
            timeout: seconds of one run, including its COMMIT; an effect outside may take longer.
            effect: where the effect takes place: "transaction", "external" or "redis".
            lease: seconds after which another consumer takes over a message whose process died in a call.
            resolve: `resolve(message, context)` asks the other side whether such a call took effect: "yes", "no", "unknown".
            on_in_doubt: if that is unknown: "retry" with the same key; "hospital" makes it a case.
            rerunnable: it calls nothing outside and changes nothing but its database, so that a run may be rolled back for
                another message's sake: then one transaction may hold many messages.
            batch: how many at most; default the consumer's `batch`. Effects inside Redis are rerunnable by themselves: one
                script does those of 100 messages, unless this says less.

        Raises:
            ConfigurationError: options that cannot work; the consumer is already running.
        """

        def register(call: F) -> F:
            most = default_batch(effect, self.options.batch, rerunnable=rerunnable) if batch is None else batch
            made = checked_call(call, is_async=IS_ASYNC)
            asks = None if resolve is None else checked_call(resolve, is_async=IS_ASYNC)
            self.register(
                Handler(
                    type,
                    made,
                    attempts,
                    timeout,
                    effect,
                    lease,
                    asks,
                    on_in_doubt,
                    rerunnable=rerunnable,
                    batch=most,
                )
            )
            return call

        return register

    def register(self, handler: Handler) -> None:
        """Register a `Handler` object.

        Raises:
            ConfigurationError: it cannot work.
            UsageError: the consumer is already running.
        """
        if self._running:
            raise UsageError(f"consumer {self.name!r} is already running.", fix="register handlers before run().")
        if handler.effect not in self._inbox.effects:
            raise ConfigurationError(
                f"{handler.type!r} has effect={handler.effect!r}, and the inbox of {self.name!r} serves "
                f"{', '.join(self._inbox.effects)}.",
                why="a claim that does not commit with its effect needs a lease and a key for the other side.",
                fix="give the consumer the inbox of the database where the effect is, or name the effect that it has.",
            )
        if handler.fused is not None and not hasattr(self._inbox, "judge_many"):
            raise ConfigurationError(
                f"{handler.type!r} is a statement of SQL, and the inbox of {self.name!r} is in no SQL database.",
                fix="give the consumer a SqlInbox, or write a handler.",
            )
        self._handlers.add(handler)

    def on_event(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with each event; call the result to unsubscribe."""
        return self._hooks.add(hook)

    def stop(self) -> None:
        """End `run` after the messages in progress are done. May be called from any thread and from a signal handler."""
        self._stop.set()

    def summary(self) -> Summary:
        """What it has done so far."""
        return self._counters.summary()

    def explain(self) -> ConsumerExplanation:
        """What it guarantees with the handlers registered so far, and what not. No I/O."""
        return explain_consumer(self.options, tuple(self._handlers), self._inbox, self._source.facts)

    async def run(self, until_idle: float | None = None) -> Summary:
        """Take and apply messages until `stop()`; with `until_idle` until none has arrived for that many seconds.

        Raises:
            UsageError: it runs already; or `until_idle` is no time.
            RetentionTooShort: claims would be deleted while copies may still arrive.
            ConfigurationError: something cannot work: missing tables, a source that would lose messages.
            SourceBroken: the source raises what it may not, for 30 s, or when it is opened.
            MessagingError: a message failed permanently, with on_poison="halt".
        """
        if until_idle is not None:
            check_seconds("until_idle", until_idle, 0.0, LONGEST, UsageError)
        if self._running:
            raise UsageError(
                f"consumer {self.name!r} is already running.", fix="make another one: they share the work."
            )
        if not len(self._handlers):
            raise ConfigurationError(
                f"consumer {self.name!r} has no handler.", fix="register one: @consumer.handler(...)."
            )
        check_retention(self._inbox.retention, self.options.accept_for, self.name)
        before = self._counters.summary()
        self._running = True
        self._stop.clear()
        try:
            with self._signals():
                parts = (self._source, self._stations(), self._stop, self._counters, self._clock)
                run = AsyncRunning(*parts, shared=self._shared)
                await run.run(until_idle)
        except Halted as halted:
            raise MessagingError(
                f"consumer {self.name!r} stopped at a message that failed permanently.",
                why=f"{type(halted.__cause__).__name__}: {halted.__cause__}",
                fix="fix its handler and run it again: the message has been given back.",
            ) from halted.__cause__
        finally:
            self._running = False
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

    def _stations(self) -> AsyncStations:
        """One place for each database whose effects are applied here."""

        def applier(inbox: AsyncInbox) -> AsyncApplier:
            return AsyncApplier(inbox, self._handlers, self.options, self._counters, self._hooks.emit, self._clock)

        return AsyncStations(self._inbox, self._homes, applier, self._counters, self._clock)


def _check_order(order: Any, inbox: AsyncInbox) -> None:
    if order not in (None, "key"):
        raise ConfigurationError(f"order={order!r} is not known.", fix='write order="key", or leave it out.')
    if order == "key" and not inbox.gates:
        raise ConfigurationError(
            'order="key" with an inbox that has no gates.',
            why="a key is kept in order by one row that moves with the effect; this inbox has claims, one a message.",
            fix="use the inbox of a SQL or MongoDB database, or leave order= out.",
        )


def _named(name: str | None) -> str:
    if name is None:
        raise ConfigurationError(
            "a consumer needs a name.",
            why="its claims are kept under its name, and the source has no group to take the name from.",
            fix='give name="billing".',
        )
    return name


def _check_hospital(hospital: Any, inbox: AsyncInbox, name: str) -> None:
    if hospital is not None and not hospital.is_beside(inbox):
        raise ConfigurationError(
            f"the hospital of consumer {name!r} is not in the database of its inbox.",
            why="a message and its case commit together, or one of them is lost.",
            fix="give both the same engine, or leave the hospital out.",
        )
