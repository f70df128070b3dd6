# Generated from clinic_async.py by scripts/twins.py. Do not edit.
"""What a consumer does for the hospital: it runs cases that are due, and lets keys go on whose case is over.

1. The number of a run is committed before it begins; the effect and the end of the case commit together, under that number.
2. A run that died is due again when its time is over. One that could not run (deadlock, no store) is due again soon.
3. A key goes on message by message, each in a transaction of its own: gate locked, row gone, handler, and the next one is read;
   with the last one the key is parked no longer. What has expired meanwhile is not applied.
4. Whatever stops on the way is due again: nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from regionkit.core.concurrency import Flag
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.errors import InDoubt
from regionkit.messaging.admitting import MISMATCH, OVERTAKEN, ROWS_WITHIN, Taken, aside_id
from regionkit.messaging.applying import Applier, Halted
from regionkit.messaging.case import NO_ERROR, Case, Failed, HeldMessage, Key, failed, retry_after
from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.envelope import Envelope, Malformed, Message, decode, fingerprint, message_of
from regionkit.messaging.events import ClinicFailed, TreatmentFailed
from regionkit.messaging.handlers import Handler, fewest, longest
from regionkit.messaging.outside import Errand, key_outside
from regionkit.messaging.runs import Ended, Run
from regionkit.messaging.sources.source import Delivery

__all__ = ["Clinic"]

MOST_AT_ONCE = 20
"""Cases that are looked at in one round."""
FIRST_LOOK, LONGEST_LOOK = 0.25, 5.0
"""Seconds between two rounds: after a change, and when there was none for long. What another process left is found then."""
MOST_RELEASED = 1000
"""Held messages of one key that one round lets go on: other keys have their turn, too."""
NOT_RUN = 1.0
"""Seconds until a case is due again that could not be run."""
NOT_PARKING = ("unhandled", "expired", "overtaken")
"""Reasons for which a key does not wait: it goes on as it would have, had they come just now."""
_COUNTED = {"unhandled": "unhandled", "expired": "expired", "overtaken": "stale"}


class _Meanwhile(Exception):
    """What was missing before a held message has come just now: nothing is written, and it is applied with its handler."""


class Clinic:
    """The cases of one consumer. Used by one thread (task) at a time."""

    def __init__(self, applier: Applier, is_here: Callable[[], bool] | None = None) -> None:
        self._is_here = is_here
        self._applier = applier
        self._inbox = applier.inbox
        self._scope = applier.options.scope
        self._pause = FIRST_LOOK
        self._woken = Flag()
        self._stopping = Flag()
        self._moved = False
        self.busy = False
        self.idle_since = 0.0
        applier.on_change(self.wake)

    def _deadline(self, seconds: float = ROWS_WITHIN) -> Deadline:
        return Deadline(self._applier.clock, seconds)

    def wake(self) -> None:
        """Something has changed, and may be due soon. From any thread (task of the loop)."""
        self._pause = FIRST_LOOK
        self._woken.set()

    def run(self, stopping: Flag) -> None:
        """Look again and again: soon after something has changed, else ever more seldom. A failed round is an event."""
        self._stopping = stopping
        while not stopping.is_set():
            self._woken.clear()
            try:
                pause = self.round()
            except Halted:
                raise
            except Exception as error:
                self.busy = False
                pause = LONGEST_LOOK
                self._applier.tell(ClinicFailed(self._applier.options.name, f"{type(error).__name__}: {error}"))
            if pause > 0.0:
                self._woken.wait(pause)

    def round(self) -> float:
        """Look once at what is due. Seconds until the next look."""
        if self._is_here is not None and not self._is_here():
            self.idle_since = self._applier.clock.monotonic()
            return LONGEST_LOOK
        if getattr(self._inbox, "clock_due", False):
            self._inbox.open(self._deadline())
        cases = self._inbox.due(self._scope, MOST_AT_ONCE, self._deadline())
        self.busy, self._moved = bool(cases), False
        for case in cases:
            if self._stopping.is_set():
                break
            self._look_at(case)
        self.busy = self._moved
        if self._moved:
            self._pause = FIRST_LOOK
            return 0.0
        self.idle_since = self._applier.clock.monotonic()
        pause, self._pause = self._pause, min(2.0 * self._pause, LONGEST_LOOK)
        return pause

    def _look_at(self, case: Case) -> None:
        """One case. An exception is reported as an event, and the other cases go on."""
        try:
            if case.status in ("retrying", "treating"):
                self._treat(case)
            else:
                self._release(case)
        except Halted:
            raise
        except Exception as error:
            self._applier.tell(ClinicFailed(self._applier.options.name, f"{type(error).__name__}: {error}"))

    def _treat(self, case: Case) -> None:
        try:
            envelope = decode(case.body)
            message = message_of(envelope, case.attempts + 1)
        except Malformed as error:
            self._end(case, "admitted", failed(error))
            return
        handlers = self._applier.handlers.of(envelope.type)
        if not handlers:
            self._end(case, "admitted", Failed("", "no handler here takes its type", "", "unhandled"))
            return
        if case.reason != "expired" and self._passed(envelope, handled=True):  # somebody may want it all the same
            self._end(case, "admitted", case.error, reason="expired")
            return
        if case.status == "treating" and case.attempts >= fewest(handlers):
            self._end(case, "admitted", Failed("", "its last run died or was lost", "", "crashed"))
            return
        until = self._inbox.now() + longest(handlers) + ROWS_WITHIN
        started = self._inbox.begin_treatment(case, until, self._deadline())
        if started is None:
            return
        self._moved = True
        crash_point("case.started")
        if started.body != case.body:  # edited, since it was found to be due
            message = message_of(decode(started.body), started.attempts)
        doubted = case.reason == "in_doubt" or case.error.type.endswith(".InDoubt")
        asked_for = doubted and case.status == "retrying"  # not one that died in a run that somebody had asked for
        self._after(started, handlers, self._run(started, handlers, message, asked_for=asked_for))

    def _run(self, case: Case, handlers: Sequence[Handler], message: Message, *, asked_for: bool) -> Ended:
        def begin(unit: Any) -> Judged:
            return Judged(Verdict.APPLY if self._inbox.discharge(unit, case) else Verdict.DUPLICATE)

        if handlers[0].effect != "transaction":
            envelope = decode(case.body)
            errand = Errand(
                id=b"case:" + case.id.encode(),
                mark=fingerprint(envelope),
                key=key_outside(self._scope, envelope.id),
                handler=handlers[0],
                message=message,
                begin=begin,
                looks=False,
                settles=True,
                started=case.attempts,
                attempts=case.attempts,
                doubtful=asked_for,
            )
            return self._applier.outside.run(errand)
        return self._applier.runs.run(begin, handlers, message, longest(handlers))

    def _after(self, case: Case, handlers: Sequence[Handler], ended: Ended) -> None:
        if ended.run is Run.COMMITTED:
            self._applier.counters.add("applied")
            if case.parks:
                self._release(case)
        elif ended.run in (Run.FAILED, Run.UNDONE, Run.IN_DOUBT):
            assert ended.error is not None
            doubt = ended.run is Run.IN_DOUBT or isinstance(ended.error, InDoubt)
            if not doubt:
                self._applier.halt(case.type, ended.error)
            again = case.attempts < fewest(handlers) and not doubt
            status = "retrying" if again else "admitted"
            self._applier.tell(
                TreatmentFailed(self._applier.options.name, status, case.attempts, type(ended.error).__name__)
            )
            self._end(case, status, failed(ended.error))
        elif ended.run is not Run.NOTHING:  # it could not run: no attempt, and that run has ended here
            self._end(case, "retrying", case.error, pause=NOT_RUN, attempts=case.attempts - 1)

    def _end(
        self,
        case: Case,
        status: str,
        error: Failed,
        *,
        pause: float | None = None,
        reason: str | None = None,
        attempts: int | None = None,
    ) -> None:
        now = self._inbox.now()
        pause = retry_after(now - case.admitted_at, self._applier.admitting.chance) if pause is None else pause
        due = now + pause if status == "retrying" else None
        after = msgspec.structs.replace(
            case,
            status=status,
            due_at=due,
            error=error,
            changed_at=now,
            reason=reason or case.reason,
            attempts=case.attempts if attempts is None else attempts,
        )
        self._moved |= self._inbox.end_treatment(case, after, self._deadline())

    def _release(self, case: Case) -> None:
        """The key goes on, as far as it can now."""
        if case.key is None:
            return
        key = Key(case.lineage, case.key)
        held = self._lowest(key)
        for _ in range(MOST_RELEASED):
            if held is None or self._stopping.is_set():
                return
            held = self._release_one(key, held)
            crash_point("held.released")

    def _release_one(self, key: Key, held: HeldMessage) -> HeldMessage | None:
        """The lowest held message of a key; the next one, where there is one and the key goes on."""
        envelope = decode(held.body)
        handlers = () if envelope.tomb else self._applier.handlers.of(envelope.type)
        taken = Taken(Delivery(None, held.body, position="held"), envelope)
        try:
            message = None if envelope.tomb else message_of(envelope)
        except Malformed as error:
            return self._park(key, held, taken, "malformed", failed(error))
        passed = None if envelope.tomb else self._passed(envelope, handled=bool(handlers))
        if passed is not None and self._policy(passed) == "hospital":
            return self._park(key, held, taken, passed, NO_ERROR)
        if passed is not None:
            handlers, message = (), None
        ahead: list[HeldMessage | None] = []

        def begin(unit: Any) -> Judged:
            judged = self._inbox.take_held(unit, self._scope, held, envelope)
            if judged.verdict is Verdict.APPLY:  # the next one; where there is none, the key is parked no longer
                ahead.append(self._inbox.next_held(unit, self._scope, key))
            return judged

        outside = message is not None and handlers[0].effect != "transaction"
        if outside:
            assert message is not None
            ended = self._call(key, held, taken, handlers[0], message, begin)
        else:
            ended = self._applier.runs.run(begin, handlers, message, longest(handlers))
        if ended.run is Run.COMMITTED and ended.judged.verdict is Verdict.APPLY:
            self._moved = True
            self._applier.counters.add("skipped" if envelope.tomb else passed or "applied")
            if ended.judged.began:
                self._applier.counters.add("began")
            return ahead[-1] if ahead else self._lowest(key)
        if ended.run is Run.FAILED and outside:  # it is a case by now
            return self._lowest(key) if ended.judged.verdict is Verdict.APPLY else None
        if ended.run in (Run.FAILED, Run.UNDONE):
            assert ended.error is not None
            self._applier.halt(envelope.type, ended.error)
            return self._park(key, held, taken, "failed", failed(ended.error), retries=fewest(handlers) > 1)
        if ended.run is Run.IN_DOUBT and ended.error is not None:
            self._applier.in_doubt(taken, ended.error)
            return None
        if ended.run is not Run.NOTHING:
            return None
        if ended.judged.verdict is Verdict.BUSY:
            return self._lowest(key)
        if ended.judged.verdict is Verdict.MISMATCH:
            return self._park(key, held, taken, "mismatch", MISMATCH)
        if ended.judged.verdict is Verdict.OVERTAKEN:
            return self._park(key, held, taken, "overtaken", OVERTAKEN)
        return self._not_released(key, held, taken)

    def _passed(self, envelope: Envelope, *, handled: bool) -> str | None:
        """Why it is not applied any more; None where it is."""
        if envelope.expires_at is not None and envelope.expires_at <= self._inbox.now():
            return "expired"
        return None if handled else "unhandled"

    def _policy(self, passed: str) -> str:
        options = self._applier.options
        return options.expired if passed == "expired" else options.unhandled

    def _not_released(self, key: Key, held: HeldMessage, taken: Taken) -> HeldMessage | None:
        """A copy goes, and before a gap the key waits, in a transaction of their own."""
        try:
            with self._inbox.unit(self._deadline(), core=True) as unit:
                still = self._inbox.next_held(unit, self._scope, key)
                if still is None or still.id != held.id:
                    return still
                judged = self._inbox.take_held(unit, self._scope, held, taken.envelope)
                if judged.verdict is Verdict.APPLY:
                    raise _Meanwhile
                if judged.verdict is not Verdict.DUPLICATE:
                    return None
                return self._inbox.next_held(unit, self._scope, key)
        except _Meanwhile:
            return held

    def _call(
        self,
        key: Key,
        held: HeldMessage,
        taken: Taken,
        handler: Handler,
        message: Message,
        begin: Callable[[Any], Judged],
    ) -> Ended:
        """A held message whose effect is not in the transaction of its row."""

        def give_up(reason: str, error: Exception, attempts: int) -> Judged:
            self._applier.halt(taken.envelope.type, error)
            retries = reason == "failed" and attempts < handler.attempts
            ahead = self._park(key, held, taken, reason, failed(error), retries=retries, attempts=attempts)
            return Judged(Verdict.HELD if ahead is None else Verdict.APPLY)

        errand = Errand(
            id=held.id,
            mark=fingerprint(taken.envelope),
            key=key_outside(self._scope, taken.envelope.id),
            handler=handler,
            message=message,
            begin=begin,
            looks=True,
            settles=True,
            give_up=give_up,
            attempts=handler.attempts,
        )
        return self._applier.outside.run(errand)

    def _lowest(self, key: Key) -> HeldMessage | None:
        with self._inbox.unit(self._deadline(), core=True) as unit:
            return self._inbox.next_held(unit, self._scope, key)

    def _park(
        self,
        key: Key,
        held: HeldMessage,
        taken: Taken,
        reason: str,
        error: Failed,
        *,
        retries: bool = False,
        attempts: int = 1,
    ) -> HeldMessage | None:
        """It could not be applied: a case takes its place. The next one, where the key goes on."""
        admitting, aside = self._applier.admitting, reason == "overtaken"
        case = admitting.case(
            taken,
            reason,
            "retrying" if retries else "admitted",
            error,
            attempts=attempts,
            park=reason not in NOT_PARKING,
        )
        if aside:
            case = msgspec.structs.replace(case, message_id=aside_id(reason, taken.envelope))
        with self._inbox.unit(self._deadline(), core=True) as unit:
            still = self._inbox.next_held(unit, self._scope, key)
            if still is None or still.id != held.id:
                return still
            self._inbox.park_held(unit, self._scope, held, taken.envelope, case)
            self._moved = True
            self._applier.counters.add(_COUNTED.get(reason, "retrying" if retries else "parked"))
            return None if case.parks else self._inbox.next_held(unit, self._scope, key)
