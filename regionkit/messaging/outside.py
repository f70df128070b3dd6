# Generated from outside_async.py by scripts/twins.py. Do not edit.
"""One message whose effect is outside: claimed with a lease, called with a key for the other side, and done.

| the claim says                    | what follows |
|-----------------------------------|--------------|
| won, from nobody                  | the handler is called |
| won, from one that died in a call | `resolve` is asked: "yes" is done, "no" is called; else by `on_in_doubt` |
| busy                              | given back: another one is at it |
| done                              | what stands in the database follows, and nothing is called |

1. A claim says "calling" from the beginning. It is kept while the handler runs, and while its failure is written down; what is no
   Exception (its own cancellation, an exit) leaves it in its lease: whoever comes after that is in doubt.
2. Done is written under the fence first, then gate or case: who has lost the claim writes neither.
3. Where keys are in order, gate and hospital are asked before the claim: a message before a gap, or behind a parked key, waits.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable
from typing import Any

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep, stray
from regionkit.core.events import crash_point
from regionkit.errors import BackendError, InDoubt, LeaseLost, OutcomeUnknown
from regionkit.messaging.claim import Answer, Busy, Done, Mismatch, Wish, Won
from regionkit.messaging.delivery import SKEW, Judged, Verdict
from regionkit.messaging.envelope import Message, stored_id
from regionkit.messaging.handlers import Handler
from regionkit.messaging.heart import Watch
from regionkit.messaging.inboxes.inbox import Inbox
from regionkit.messaging.runs import DOWN, Ended, Run, Runs, called

__all__ = ["ASK_WITHIN", "OWNER", "Context", "Errand", "First", "Outside", "failure_of", "key_outside"]

LOG = logging.getLogger("regionkit.messaging")

ASK_WITHIN = 5.0
"""Seconds that the store of claims may take for one answer."""
FINISH_WITHIN = 10.0
"""Seconds for which "done" is tried to be written: a store that fails over is back by then, mostly. The lease is kept alive."""
IN_PLACE = 1.0
"""Seconds for which a failing call is tried again at once; then it waits in the hospital."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
"""Seconds between two of them."""
ROWS_WITHIN = 30.0
"""Seconds for a unit that writes rows alone."""
OWNER = 16
"""Bytes of the word that tells one claim from all others."""
_DIED = "its handler was started, and each time the process died or was lost"
_NOT_JUDGED = Judged(Verdict.BUSY)
_APPLY = Judged(Verdict.APPLY)


class Context:
    """What a handler with an effect outside is given beside the message. Of one call; any thread may use it.

    Attributes:
        idempotency_key: for the other side: the same at each attempt and for each copy of the message.
        attempt: started calls of this message, this one counted: 1 for the first.
    """

    __slots__ = ("_step", "_watch", "attempt", "idempotency_key")

    def __init__(self, key: str, attempt: int, watch: Watch, step: Callable[..., bool]) -> None:
        self.idempotency_key = key
        self.attempt = attempt
        self._watch = watch
        self._step = step

    def check_fence(self) -> None:
        """Ask whether the message is still this call's: before a step that the other side cannot tell from a repetition.

        Raises:
            LeaseLost: another one has taken it over. Let it pass: the message is left to that one.
            BackendError: it could not be asked.
        """
        watch = self._watch
        if watch.is_lost or not self._step("renew", watch.wish, watch.fence, within=ASK_WITHIN):
            raise LeaseLost(
                "another consumer has taken the message over.",
                why=f"this process was frozen, or could not renew its claim, for longer than {watch.wish.lease:g} s.",
                fix="let the error leave the handler: nothing is recorded for this call. A longer lease= makes it less likely.",
            )


class Errand(msgspec.Struct, frozen=True):
    """One call that is to be made.

    Attributes:
        id: of its claim.
        mark: fingerprint of what came with it.
        key: for the other side.
        begin: says what is to be done and writes that, in a unit of the inbox.
        looks: it is asked before the claim.
        settles: it is written after the call; else the claim alone says that it is done.
        give_up: takes a call that failed: reason, error, attempts. None: whoever asked does.
        started: which call of the message it is.
        attempts: calls that may be made at all.
        doubtful: it is known to be in doubt, and somebody has asked for it all the same.
        first: what came of its first run, where that has been made.
    """

    id: bytes
    mark: bytes
    key: str
    handler: Handler
    message: Message
    begin: Callable[[Any], Judged]
    looks: bool
    settles: bool
    give_up: Callable[[str, Exception, int], Judged] | None = None
    started: int = 1
    attempts: int = 1
    doubtful: bool = False
    first: First | None = None


class First(msgspec.Struct, frozen=True):
    """What came of a first run of an effect inside the store: of its function alone (`told` is false), or of the store."""

    commands: Any
    answer: Verdict | Exception | None
    told: bool = True


def key_outside(scope: bytes, id: str) -> str:
    """The key for the other side: consumer and message, as printable text of at most some 130 characters."""
    return f"{scope.decode()}:{stored_id(id).decode('utf-8', 'backslashreplace')}"


class Outside:
    """Calls of one consumer. Safe to share between threads (tasks of one loop)."""

    def __init__(self, inbox: Inbox, runs: Runs, scope: bytes, accept_for: float) -> None:
        self._records = inbox.records
        self._inbox: Any = inbox
        self._runs = runs
        self._scope = b"consumer:" + scope  # functions of `idempotent` have names beside it
        self._keep = accept_for + 2.0 * SKEW
        self._chance = random.Random()

    def run(self, errand: Errand) -> Ended:
        """Make a call, unless it has been made. FAILED: given up; `judged` is then what `give_up` gave."""
        if errand.looks:
            looked = self._rows(errand, dry=True)
            if looked.run is not Run.NOTHING or looked.judged.verdict is not Verdict.APPLY:
                return looked
        wish = self.wish(errand.id, errand.mark, errand.handler, os.urandom(OWNER))
        failure: Exception | None = None
        if errand.handler.effect == "redis":
            ended, failure, errand = self._inside(errand, wish)
            if ended is not None:
                return ended
        since = SYSTEM_CLOCK.monotonic()
        try:
            answer = self._claimed(wish)
        except BackendError as error:
            return Ended(Run.UNAVAILABLE, _NOT_JUDGED, error)
        if isinstance(answer, Done):
            return self._settled(errand, _DUPLICATE)
        if isinstance(answer, Mismatch):
            return Ended(Run.NOTHING, Judged(Verdict.MISMATCH))
        if isinstance(answer, Busy):
            return Ended(Run.BUSY, _NOT_JUDGED)
        crash_point("message.claimed")
        heart = self._records.heart
        watch = heart.watch(wish, answer.fence, since)
        try:
            if failure is not None:
                reason = "in_doubt" if isinstance(failure, InDoubt) else "failed"
                return self._gave_up(errand, watch, reason, failure, errand.started)
            return self._owned(errand, watch, answer)
        finally:
            heart.leave(watch)

    def wish(self, id: bytes, mark: bytes, handler: Handler, owner: bytes) -> Wish:
        """What the store of claims is asked for."""
        return Wish(
            scope=self._scope,
            id=id,
            owner=owner,
            fingerprint=mark,
            lease=handler.lease,
            keep=self._keep,
            calling=handler.effect == "external",
        )

    def _inside(self, errand: Errand, wish: Wish) -> tuple[Ended | None, Exception | None, Errand]:
        """An effect inside the store of claims: how it ended; or what it failed with, at which attempt."""
        began, pause, attempt, first = SYSTEM_CLOCK.monotonic(), FIRST_PAUSE, errand.started, errand.first
        verdict: Verdict | None
        while attempt <= errand.attempts:
            told = False
            try:
                if first is not None:
                    (commands, answer, told), first = (first.commands, first.answer, first.told), None
                    if isinstance(answer, Exception):
                        raise answer
                    verdict = answer
                else:
                    message = msgspec.structs.replace(errand.message, attempt=attempt)
                    commands = called(errand.handler.call, message)
                    told = True
                    crash_point("message.handled")
                    verdict = self._inbox.apply(wish, commands, within=ASK_WITHIN)
                    crash_point("message.committed")
                if verdict is None:  # a claim has lapsed: was a case written by whoever had it?
                    looked = self._rows(errand, dry=True)
                    if looked.run is not Run.NOTHING or looked.judged.verdict is not Verdict.APPLY:
                        return looked, None, errand
                    verdict = self._inbox.apply(wish, commands, lapsed=True, within=ASK_WITHIN)
            except BaseException as raised:
                error = failure_of(raised, called=not told)
                if told and isinstance(error, BackendError):  # of the store; the handler's own ones are failures
                    away = Run.UNKNOWN if isinstance(error, OutcomeUnknown) else Run.UNAVAILABLE
                    return Ended(away, _NOT_JUDGED, error), None, errand
                spent = SYSTEM_CLOCK.monotonic() - began
                again = attempt < errand.attempts and spent + pause < IN_PLACE and errand.give_up is not None
                if not again or isinstance(error, InDoubt):
                    return None, error, msgspec.structs.replace(errand, started=attempt)
            else:
                if verdict in (Verdict.APPLY, Verdict.DUPLICATE):
                    return self._settled(errand, Judged(verdict)), None, errand
                if verdict is Verdict.MISMATCH:
                    return Ended(Run.NOTHING, Judged(verdict)), None, errand
                return Ended(Run.BUSY, _NOT_JUDGED), None, errand
            attempt += 1
            sleep(pause * (0.5 + self._chance.random()))
            pause *= 2.0
        return None, RuntimeError(_DIED), msgspec.structs.replace(errand, started=errand.attempts)

    def _claimed(self, wish: Wish) -> Answer:
        try:
            return self._records.claims.claim(wish, within=ASK_WITHIN)
        except OutcomeUnknown:
            return self._records.claims.claim(wish, within=ASK_WITHIN)  # the same wish is the same claim

    def _owned(self, errand: Errand, watch: Watch, won: Won) -> Ended:
        if won.taken_over and not errand.looks:  # whoever had it may have written down already what became of it
            looked = self._rows(errand, dry=True)
            if looked.run is not Run.NOTHING:
                self._tried("doubt", watch)
                return looked
            if (
                looked.judged.verdict is not Verdict.APPLY
            ):  # a case of a later run is not over: that run has its own say
                self._tried("complete" if errand.give_up is not None else "doubt", watch)
                return looked
        context = Context(errand.key, errand.started, watch, self._records.claims.step)
        if won.taken_over == "calling" or errand.doubtful:
            told = self._resolved(errand, context)
            if told == "yes":
                return self._done(errand, watch)
            if told == "hospital":
                return self._gave_up(errand, watch, "in_doubt", _in_doubt(errand), errand.started)
        if errand.started > errand.attempts:
            return self._gave_up(errand, watch, "crashed", RuntimeError(_DIED), errand.started - 1)
        return self._calls(errand, watch, context)

    def _resolved(self, errand: Errand, context: Context) -> str:
        """Of a call that may have taken effect: "yes", it has; "no", it is to be made; "hospital"."""
        handler, told = errand.handler, "unknown"
        if handler.resolve is not None:
            try:
                told = called(handler.resolve, errand.message, context)
            except BaseException as raised:
                failure_of(raised)
                LOG.warning("resolve= of %s failed: the call stays in doubt", handler.name, exc_info=True)
        if told not in ("yes", "no", "unknown"):
            LOG.warning('resolve= of %s answered %r, not "yes", "no" or "unknown": in doubt', handler.name, told)
            told = "unknown"
        if told != "unknown":
            return told
        return "no" if errand.doubtful or handler.on_in_doubt == "retry" else "hospital"

    def _calls(self, errand: Errand, watch: Watch, context: Context) -> Ended:
        began, pause = SYSTEM_CLOCK.monotonic(), FIRST_PAUSE
        while True:
            try:
                message = msgspec.structs.replace(errand.message, attempt=context.attempt)
                called(errand.handler.call, message, context)
            except LeaseLost as error:
                return Ended(Run.BUSY, _NOT_JUDGED, error)
            except BaseException as raised:
                failure = failure_of(raised)
                spent = SYSTEM_CLOCK.monotonic() - began
                if context.attempt >= errand.attempts or spent + pause >= IN_PLACE or errand.give_up is None:
                    return self._gave_up(errand, watch, "failed", failure, context.attempt)
            else:
                crash_point("message.handled")
                return self._done(errand, watch)
            context.attempt += 1
            sleep(pause * (0.5 + self._chance.random()))
            pause *= 2.0

    def _done(self, errand: Errand, watch: Watch) -> Ended:
        until, pause = SYSTEM_CLOCK.monotonic() + FINISH_WITHIN, FIRST_PAUSE
        while True:
            try:
                if not self._records.claims.step("complete", watch.wish, watch.fence, within=ASK_WITHIN):
                    LOG.warning("a call of %s outlasted its lease: another call counts", errand.handler.name)
                    return Ended(Run.BUSY, _NOT_JUDGED)
                crash_point("message.completed")
                return self._settled(errand, _APPLY)
            except BackendError as error:
                if SYSTEM_CLOCK.monotonic() + pause >= until:
                    return Ended(Run.UNAVAILABLE, _NOT_JUDGED, error)
            sleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE)

    def _settled(self, errand: Errand, judged: Judged) -> Ended:
        """The call is done, and its claim says so: now what stands in the database."""
        if errand.settles:
            return self._rows(errand, dry=False)
        return Ended(Run.COMMITTED if judged.verdict is Verdict.APPLY else Run.NOTHING, judged)

    def _gave_up(self, errand: Errand, watch: Watch, reason: str, error: Exception, attempts: int) -> Ended:
        """Written down while the claim is ours; then it is done with, or free for whoever asked."""
        free: Any = "doubt" if reason == "in_doubt" else "release"
        if errand.give_up is None:
            self._tried(free, watch)
            return Ended(Run.FAILED, _NOT_JUDGED, error)
        try:
            if not self._records.claims.step("renew", watch.wish, watch.fence, within=ASK_WITHIN):
                return Ended(Run.BUSY, _NOT_JUDGED, error)
            judged = errand.give_up(reason, error, attempts)
        except DOWN as away:
            self._tried(free, watch)
            return Ended(Run.UNAVAILABLE, _NOT_JUDGED, away)
        except BaseException:
            self._tried(free, watch)
            raise
        crash_point("message.given_up")
        settled = judged.verdict in (
            Verdict.APPLY,
            Verdict.DUPLICATE,
        )  # else it is to be called yet, when its key goes on
        self._tried("complete" if settled else free, watch)
        return Ended(Run.FAILED, judged, error)

    def _rows(self, errand: Errand, *, dry: bool) -> Ended:
        """What is to be done by gate, claim or case; without `dry` it stands there after that."""
        until, pause = SYSTEM_CLOCK.monotonic() + ROWS_WITHIN, FIRST_PAUSE
        while True:
            ended = self._runs.run(errand.begin, (), None, ROWS_WITHIN, dry=dry)
            if ended.run is Run.FAILED and ended.error is not None:  # by no handler: nobody has foreseen it
                raise ended.error
            if ended.run is not Run.TRANSIENT or SYSTEM_CLOCK.monotonic() >= until:
                return ended
            sleep(pause * (0.5 + self._chance.random()))
            pause = min(2.0 * pause, LONGEST_PAUSE)

    def _tried(self, step: Any, watch: Watch) -> None:
        """A step that may fail: the lease ends by itself."""
        try:
            self._records.claims.step(step, watch.wish, watch.fence, within=ASK_WITHIN)
        except Exception as error:
            LOG.warning("the claim of a message was not released and stays until its lease expires: %s", error)


_DUPLICATE = Judged(Verdict.DUPLICATE)


def failure_of(error: BaseException, *, called: bool = True) -> Exception:
    """What a function of the application's failed with; what is none of that (its own cancellation, an exit) is raised again."""
    if isinstance(error, Exception):
        return error
    if not (called and stray(error)):
        raise error
    failure = RuntimeError("something that it waited for was cancelled")
    failure.__cause__ = error
    return failure.with_traceback(error.__traceback__)


def _in_doubt(errand: Errand) -> InDoubt:
    return InDoubt(
        f"{errand.handler.name} was called with this message before, and whether it took effect is not known.",
        why="the process that ran it died, or it was cancelled.",
        fix=f"find out on the other side, by its key {errand.key}; then retry the case, or bury it.",
        idempotency_key=errand.key,
    )
