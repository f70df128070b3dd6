"""One message through its inbox: intake, gate or claim, handler, COMMIT; and what follows from what came of it.

| what came of a run                           | what follows |
|----------------------------------------------|--------------|
| COMMIT answered                              | acknowledge |
| COMMIT sent, no answer                       | give back: the next delivery finds the claim, or does not |
| proven rolled back (deadlock, serialization) | again, jittered, inside the deadline; no attempt |
| the store does not answer                    | wait for it; no attempt |
| the claim was waited for until the deadline  | give back; no attempt |
| the handler raised, or took too long         | again in place for `IN_PLACE` s, then a case; acknowledge when it is committed |
| duplicate, held, tombstone                   | acknowledge |
| a part was committed, by the handler itself    | a case, in doubt; acknowledge when it is committed |
| an error that no rule names                  | a case where it can be one, else give back, paced; the others go on |
| a gap before it                              | aside until what is before it came, at most `gap_wait`; then park the key |
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import AsyncLock, asleep, astray
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event, crash_point
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.admitting_async import MISMATCH, OVERTAKEN, ROWS_WITHIN, AsyncAdmitting, Taken
from regionkit.messaging.case import NO_ERROR, Failed, failed
from regionkit.messaging.consumer_options import Options
from regionkit.messaging.counters import Counters
from regionkit.messaging.delivery import Intake, Judged, Verdict, take
from regionkit.messaging.envelope import Envelope, Malformed, Message, fingerprint, message_of, stored_id
from regionkit.messaging.events import ConsumerBroken, ConsumerHalted
from regionkit.messaging.handlers import Handler, Handlers, fewest, longest
from regionkit.messaging.inboxes.inbox_async import AsyncInbox
from regionkit.messaging.outside_async import AsyncErrand, AsyncOutside, First, key_outside
from regionkit.messaging.runs_async import DOWN, AsyncRuns, Ended, Run

__all__ = ["AsyncApplier", "Halted", "Step", "is_unforeseen"]

IN_PLACE = 1.0
"""Seconds for which a failing message is run again while its lane waits; then it waits in the hospital."""
FIRST_PAUSE = 0.05
"""Seconds before the first run in place after an error."""
IN_DOUBT_WITHIN, LONGEST_PAUSE = 600.0, 5.0
"""Seconds for which the case of a doubt is tried again while the store is away, and between two tries."""
PLACES = 4
"""Places of a traceback that an event names: one of them is ours."""
SWALLOWED = 3
"""Runs whose COMMIT was answered by a rollback although the handler had returned: then it swallows an error."""


class Step(Enum):
    """What to report to the source, or nothing yet."""

    ACK = "ack"
    BACK = "back"
    ASIDE = "aside"
    PAUSE = "pause"
    BROKEN = "broken"


class Halted(Exception):
    """The consumer stops at this message, as it was asked to."""


def is_unforeseen(error: BaseException) -> bool:
    """Whether no rule names an error. What ends a consumer is no such error: a halt, or a fault of its configuration."""
    known = isinstance(error, Halted | ConfigurationError | UsageError)
    return astray(error) or (isinstance(error, Exception) and not known)


_TURNED_AWAY = {
    Intake.FUTURE: ("future", "stale"),
    Intake.STALE: ("stale", "stale"),
    Intake.EXPIRED: ("expired", "expired"),
    Intake.UNHANDLED: ("unhandled", "unhandled"),
}
_DIED = Failed(
    "", "it was started, and each time the process died, was lost, or met an error that no rule names", "", "crashed"
)


def _nothing() -> None:
    """Nobody hears."""


class AsyncApplier:
    """Applies the messages of one consumer. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        inbox: AsyncInbox,
        handlers: Handlers,
        options: Options,
        counters: Counters,
        tell: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self.inbox = inbox
        self.handlers = handlers
        self.options = options
        self.counters = counters
        self.clock = clock
        self.tell = tell
        self.runs = AsyncRuns(inbox, clock)
        self.admitting = AsyncAdmitting(inbox, options, counters, tell, clock)
        self.outside = AsyncOutside(inbox, self.runs, options.scope, options.accept_for)
        self._quiet = getattr(inbox, "quiet_duplicates", False)
        self._suspects = AsyncLock()
        self._changed: Callable[[], None] = _nothing
        self.away = ""  # why the store was away when it last was

    def on_change(self, hear: Callable[[], None]) -> None:
        """Call `hear` when a case was admitted or a gap closed."""
        self._changed = self.admitting.changed = hear

    async def work(self, taken: Taken, first: First | None = None) -> Step:
        """Take one delivered message as far as it goes now. `first`: what came of its first run already."""
        crash_point("message.taken")
        try:
            return await self._work(taken, first)
        except DOWN as error:
            self.away = f"{type(error).__name__}: {error}"
            return Step.PAUSE
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            self.note(error)
            return await self._broken(taken, error)

    def note(self, error: BaseException) -> None:
        """An error that no rule names was met."""
        self.counters.add("broken")
        frames = reversed(traceback.extract_tb(error.__traceback__)[-PLACES:])
        where = ", ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        self.tell(ConsumerBroken(self.options.name, type(error).__name__, where))

    async def _broken(self, taken: Taken, error: BaseException) -> Step:
        """It counts as a run, and the hospital tries it again. Of an effect outside, the claim says more when it comes again."""
        try:
            envelope = taken.envelope
            handlers = () if taken.malformed is not None or envelope.tomb else self.handlers.of(envelope.type)
            inside = bool(handlers) and handlers[0].effect == "transaction"
            if inside and self.intake(envelope, handled=True) is Intake.TAKEN:
                return await self._give_up(taken, 1, fewest(handlers), error)
        except BaseException as another:
            if not is_unforeseen(another):
                raise
            self.note(another)
        return Step.BROKEN

    async def close_gap(self, taken: Taken) -> Step:
        """What leads up to it has not come in time."""
        try:
            judged = await self.admitting.park_before_gap(taken)
            return Step.ASIDE if judged.verdict is Verdict.APPLY else await self._judged(taken, judged)
        except DOWN:
            return Step.PAUSE

    async def _work(self, taken: Taken, first: First | None) -> Step:
        if taken.malformed is not None:
            return await self._admit_bytes(taken, taken.malformed)
        envelope = taken.envelope
        handlers = self.handlers.of(envelope.type)
        intake = self.intake(envelope, handled=bool(handlers))
        if intake is not Intake.TAKEN:
            return await self._turn_away(taken, intake)
        try:
            message = None if envelope.tomb else message_of(envelope)
        except Malformed as error:  # it has a place in the row of its key, and keeps it
            return await self._admit(taken, "malformed", "admitted", failed(error), park=True)
        if message is None:
            return await self._pass(taken, "skipped")
        if not taken.delivery.again:
            return await self._attempts(taken, handlers, message, 1, first)
        async with self._suspects:  # perhaps it kills its process: one at a time, so that no other one is to blame
            started = await self.inbox.start(
                self.options.scope, envelope, Deadline(self.clock, ROWS_WITHIN), ordered=self.options.ordered
            )
            if started > fewest(handlers) and handlers[0].effect == "transaction":
                return await self._admit(taken, "crashed", "admitted", _DIED, attempts=started - 1, park=True)
            step = await self._attempts(taken, handlers, message, max(1, started))
            if started and step in (Step.BACK, Step.PAUSE):  # it was no run of its handler that counts
                with suppress(*DOWN):
                    await self.inbox.unstart(self.options.scope, envelope, started, Deadline(self.clock, ROWS_WITHIN))
            return step

    def intake(self, envelope: Envelope, *, handled: bool) -> Intake:
        """What is seen of it without any row."""
        gated = self._gated(envelope)
        return take(envelope, self.inbox.now(), accept_for=self.options.accept_for, handled=handled, gated=gated)

    def _gated(self, envelope: Envelope) -> bool:
        return self.options.ordered and envelope.number is not None and envelope.key is not None

    async def _attempts(
        self, taken: Taken, handlers: Sequence[Handler], message: Message, attempt: int, first: First | None = None
    ) -> Step:
        if handlers[0].effect != "transaction":
            return await self._outside(taken, handlers[0], message, attempt, first)
        limit, timeout = fewest(handlers), longest(handlers)
        halts = self.options.on_poison == "halt"
        began, undone, pause = self.clock.monotonic(), 0, FIRST_PAUSE
        while True:
            if attempt > 1:
                message = msgspec.structs.replace(message, attempt=attempt)
            ended = await self._run(taken, handlers, message, timeout)
            spent = self.clock.monotonic() - began
            undone += ended.run is Run.UNDONE
            if ended.run in (Run.TRANSIENT, Run.UNDONE) and undone < SWALLOWED and spent < timeout:
                self.counters.add("reruns")
            elif ended.run not in (Run.FAILED, Run.UNDONE):
                return await self._follow(taken, ended)
            elif attempt < limit and (halts or spent + pause < IN_PLACE):
                attempt += 1
            else:
                assert ended.error is not None
                return await self._give_up(taken, attempt, limit, ended.error)
            await asleep(pause * (0.5 + self.admitting.chance.random()))
            pause = min(2.0 * pause, IN_PLACE)

    async def _outside(
        self, taken: Taken, handler: Handler, message: Message, started: int, first: First | None
    ) -> Step:
        """One whose effect is not in the transaction of its claim."""
        envelope, options = taken.envelope, self.options

        async def begin(unit: Any) -> Judged:
            return await self.inbox.judge(unit, options.scope, envelope, ordered=options.ordered)

        async def give_up(reason: str, error: Exception, attempts: int) -> Judged:
            self.halt(taken.envelope.type, error)
            status = "retrying" if reason == "failed" and attempts < handler.attempts else "admitted"
            return await self.admitting.admit(taken, reason, status, failed(error), attempts=attempts, park=True)

        keyed = options.ordered and envelope.key is not None
        errand = AsyncErrand(
            id=stored_id(envelope.id),
            mark=fingerprint(envelope),
            key=key_outside(options.scope, envelope.id),
            handler=handler,
            message=message,
            begin=begin,
            looks=keyed,
            settles=keyed,
            give_up=give_up,
            started=started,
            attempts=handler.attempts,
            first=first,
        )
        ended = await self.outside.run(errand)
        if ended.run is not Run.FAILED:
            return await self._follow(taken, ended)
        return Step.ACK if ended.judged.verdict is Verdict.APPLY else await self._judged(taken, ended.judged)

    async def _run(self, taken: Taken, handlers: Sequence[Handler], message: Message | None, timeout: float) -> Ended:
        options = self.options

        async def begin(unit: Any) -> Judged:
            return await self.inbox.judge(unit, options.scope, taken.envelope, ordered=options.ordered)

        quiet = self._quiet and not (options.ordered and taken.envelope.key is not None)
        return await self.runs.run(begin, handlers, message, timeout, quiet=quiet)

    async def _pass(self, taken: Taken, counted: str) -> Step:
        """Its place is taken, and nothing is done."""
        ended = await self._run(taken, (), None, ROWS_WITHIN)
        if ended.run is Run.COMMITTED and ended.judged.verdict is Verdict.APPLY:
            self.counters.add(counted)
            return Step.ACK
        if ended.run is Run.FAILED and ended.error is not None:
            raise ended.error
        return await self._follow(taken, ended)

    async def _follow(self, taken: Taken, ended: Ended) -> Step:
        """What follows from a run that needs no other one."""
        if ended.run is Run.UNAVAILABLE:
            self.away = f"{type(ended.error).__name__}: {ended.error}"
            return Step.PAUSE
        if ended.run is Run.IN_DOUBT:
            assert ended.error is not None
            return await self.in_doubt(taken, ended.error)
        if ended.run not in (Run.COMMITTED, Run.NOTHING):
            return Step.BACK
        judged = ended.judged
        if judged.verdict is not Verdict.APPLY:
            return await self._judged(taken, judged)
        self.counters.add("applied")
        if judged.closes:
            self._changed()
        if judged.diverged:
            self.counters.add("diverged")
        return Step.ACK

    async def in_doubt(self, taken: Taken, error: BaseException) -> Step:
        """A part of its effect was committed, perhaps with its claim: never again by itself, and never as if it were applied.

        Its claim would make the next delivery a duplicate, so its case is tried again until it stands.
        """
        pause, until = FIRST_PAUSE, self.clock.monotonic() + IN_DOUBT_WITHIN
        while True:
            try:
                return await self._admit_doubt(taken, error)
            except DOWN:
                if self.clock.monotonic() > until:
                    raise
            await asleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE)

    async def _admit_doubt(self, taken: Taken, error: BaseException) -> Step:
        for aside in (False, True):  # where its claim stands, its case stands beside it
            judged = await self.admitting.admit(
                taken, "in_doubt", "admitted", failed(error), attempts=1, park=not aside, aside=aside
            )
            if judged.verdict is not Verdict.DUPLICATE:
                break
        return Step.ACK if judged.verdict is Verdict.APPLY else await self._judged(taken, judged)

    async def _judged(self, taken: Taken, judged: Judged) -> Step:
        """What follows from a verdict that is not to apply it."""
        match judged.verdict:
            case Verdict.DUPLICATE:
                self.counters.add("duplicates")
                return Step.ACK
            case Verdict.HELD:
                self.counters.add("held")
                return Step.ACK
            case Verdict.GAP:
                return Step.ASIDE
            case Verdict.MISMATCH:
                self.counters.add("mismatches")
                return await self._admit(taken, "mismatch", "admitted", MISMATCH, aside=not self._gated(taken.envelope))
            case Verdict.OVERTAKEN:
                self.counters.add("stale")
                return await self._admit(taken, "overtaken", "admitted", OVERTAKEN, aside=True)
        return Step.BACK

    async def _admit(self, taken: Taken, reason: str, status: str, error: Failed, **more: Any) -> Step:
        judged = await self.admitting.admit(taken, reason, status, error, **more)
        return Step.ACK if judged.verdict is Verdict.APPLY else await self._judged(taken, judged)

    async def _turn_away(self, taken: Taken, intake: Intake) -> Step:
        reason, counted = _TURNED_AWAY[intake]
        policy = {Intake.EXPIRED: self.options.expired, Intake.UNHANDLED: self.options.unhandled}.get(intake)
        if policy == "drop":
            return await self._pass(taken, counted)
        aside = intake in (Intake.FUTURE, Intake.STALE)  # no claim: its row could not be kept long enough
        judged = await self.admitting.admit(taken, reason, "admitted", NO_ERROR, aside=aside)
        if judged.verdict is not Verdict.APPLY:
            return await self._judged(taken, judged)
        self.counters.add(counted)
        return Step.ACK

    async def _admit_bytes(self, taken: Taken, error: Malformed) -> Step:
        """No message: nothing can be claimed, and the case is known by what came."""
        await self.admitting.admit(taken, error.reason, "admitted", failed(error), aside=True)
        self.counters.add("malformed")
        return Step.ACK

    async def _give_up(self, taken: Taken, attempt: int, limit: int, error: BaseException) -> Step:
        self.halt(taken.envelope.type, error)
        status = "retrying" if attempt < limit else "admitted"
        return await self._admit(taken, "failed", status, failed(error), attempts=attempt, park=True)

    def halt(self, type_: str, error: BaseException) -> None:
        """Stop the consumer, where it is to stop at what fails for good.

        Raises:
            Halted: it is.
        """
        if self.options.on_poison == "halt":
            self.tell(ConsumerHalted(self.options.name, type_, type(error).__name__))
            raise Halted from error
