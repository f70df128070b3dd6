# Generated from keyed_call_async.py by scripts/twins.py. Do not edit.
"""One function, called once a key: what `idempotent` does around a call. The promises stand there; here are the rules.

1. A call is claimed before the function runs, as "calling" at once: from then on it may have taken effect.
2. The record of an error is released, unless it is one that is kept. What is no Exception (a cancellation, an exit) leaves the
   record in its lease: whoever comes after that is in doubt, as after a crash.
3. Only the store's clock decides that a lease is over. Whoever waits asks again, and runs only what it has claimed.
4. A call whose record was taken over meanwhile gives no result: another's is the one that counts.
5. One deadline bounds all questions before the function runs: `wait_timeout`, and `ANSWER_LEAST` for the last answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.errors import (
    BackendError,
    InDoubt,
    InProgress,
    LeaseLost,
    OutcomeUnknown,
    PayloadMismatch,
    ResultNotStored,
    UsageError,
)
from regionkit.messaging.binding import Binding
from regionkit.messaging.claim import Answer, Busy, Done, Mismatch, Wish, Won
from regionkit.messaging.fingerprint import fingerprint_of
from regionkit.messaging.heart import Watch
from regionkit.messaging.options import Options, Resolved
from regionkit.messaging.records import CallRecords
from regionkit.messaging.results import Results, Unreadable
from regionkit.messaging.scope_key import key_bytes

__all__ = ["KeyedCall"]

IS_ASYNC = False
LOG = logging.getLogger("regionkit.messaging")

ASK_WITHIN = 5.0
"""Seconds that the store may take for one answer, and for the first one where nobody waits for another's call."""
ANSWER_LEAST = 1.0
"""Seconds that the store has for an answer, however little time is left to wait: a first connection from afar takes as long."""
ASKED_AGAIN = 0.1
"""Seconds that must be left to ask again what became of a claim."""
FINISH_WITHIN = 10.0
"""Seconds for which "done" is tried to be written: a store that fails over is back by then, mostly. The lease is kept alive."""
FIRST_POLL, LONGEST_POLL = 0.02, 0.5
"""Seconds between two looks at another's call; each pause is half as long again."""

_now = SYSTEM_CLOCK.monotonic

_inside: ContextVar[Any] = ContextVar("regionkit_idempotent", default=None)
"""The calls that this context is inside of: the wish of the innermost, and the pair of those around it; None for none."""


class KeyedCall:
    """One decorated function. Safe to share between threads (tasks of one loop)."""

    def __init__(self, function: Callable[..., Any], records: CallRecords, options: Options) -> None:
        self._function = function
        self._records = records
        self._options = options
        self._what = options.name
        self._scope = options.name.encode()
        self._binding = Binding(function, self._what)
        self._key_of = self._binding.function_of("key", options.key)
        told_by = options.fingerprint
        self._told_by = self._binding.function_of("fingerprint", told_by) if callable(told_by) else None
        self._skip = 1 if self._binding.is_method else 0
        self._results = Results(
            function,
            self._what,
            store=options.store_result,
            errors=options.store_errors,
            cipher=options.cipher,
        )
        self._is_unclear = options.store_result and not self._results.is_clear
        self._waits = options.in_progress == "wait"
        self._within = min(ASK_WITHIN, max(options.wait_timeout, ANSWER_LEAST)) if self._waits else ASK_WITHIN

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result: of the function, or of the call that was made under this key."""
        options, records = self._options, self._records
        values = self._binding.values(args, kwargs)
        key = self._key_of(values)
        fingerprint = b""
        if self._told_by is not None:
            fingerprint = fingerprint_of([self._told_by(values)], self._what)
        elif options.fingerprint:
            fingerprint = fingerprint_of(values[self._skip :], self._what)
        if self._is_unclear:
            self._results.codec()  # a type that is not there is raised before anything runs
        wish = Wish(self._scope, key_bytes(key), records.owner(), fingerprint, options.lease, options.ttl, True)
        since = _now()
        try:
            answer = records.claims.claim(wish, within=self._within)
        except OutcomeUnknown:
            left = since + self._within - _now()
            if left < ASKED_AGAIN:
                raise
            answer = records.claims.claim(wish, within=left)  # the same wish is the same claim
        if type(answer) is Busy:
            try:
                answer, since = self._waited(wish, answer, since)
            except InProgress as error:
                if options.in_progress == "result":
                    return error
                raise
        if type(answer) is Won:
            return self._run(wish, answer, since, key, args, kwargs)
        if type(answer) is Mismatch:
            self._check_reentry(wish)
        return self._repeated(answer, key)

    def _waited(self, wish: Wish, answer: Answer, since: float) -> tuple[Answer, float]:
        """The first answer that is not Busy, and when it was asked for."""
        self._check_reentry(wish)
        if self._waits:
            self._check_loop()
        until, pause = since + (self._options.wait_timeout if self._waits else 0.0), FIRST_POLL
        while type(answer) is Busy:
            left = until - _now()
            if left <= 0.0:
                raise self._in_progress(answer.retry_after)
            sleep(min(pause, left, answer.retry_after))
            pause = min(pause * 1.5, LONGEST_POLL)
            since = _now()
            answer = self._records.claims.claim(wish, within=min(ASK_WITHIN, max(until - since, ANSWER_LEAST)))
        return answer, since

    def _run(self, wish: Wish, won: Won, since: float, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        heart = self._records.heart
        watch = heart.watch(wish, won.fence, since)
        token = _inside.set((wish, _inside.get()))
        try:
            if won.taken_over is not None:
                found = self._resolved(watch, key)
                if found is not None:
                    kept, given = self._results.packed(found.result)
                    self._done(watch, kept)
                    return given
            try:
                result = self._function(*args, **kwargs)
            except Exception as error:
                self._raised(watch, error)
                raise
            kept, given = self._results.packed(result)
            if kept is None:
                self._check_unkept(watch, result)
            self._done(watch, kept)
            return given
        finally:
            _inside.reset(token)
            heart.leave(watch)

    def _resolved(self, watch: Watch, key: Any) -> Resolved | None:
        """Of a call that may have taken effect before: what came of it; None: it is to be run."""
        options = self._options
        told: Any = "unknown"
        if options.resolve is not None:
            try:
                told = _called(options.resolve, key)
            except Exception:
                self._tried("doubt", watch)
                raise
        if isinstance(told, Resolved):
            return told
        if told == "no" or (told == "unknown" and options.on_in_doubt == "retry"):
            return None
        self._tried("doubt", watch)
        if told == "unknown":
            raise InDoubt(
                f"{self._what} was called with this key before, and whether it took effect is not known.",
                why="the process that ran it died, or it was cancelled.",
                fix="find out on the other side, and let resolve= answer Resolved(result) or 'no'.",
            )
        raise UsageError(
            f"resolve= of {self._what} answered with a {type(told).__name__}.",
            fix="answer Resolved(result), 'no' or 'unknown'.",
        )

    def _check_unkept(self, watch: Watch, result: Any) -> None:
        """A result that is not kept: said in the log, unless it was asked for; what has not even run is refused."""
        if isawaitable(result):
            self._tried("release", watch)
            raise UsageError(
                f"{self._what} returned an awaitable: it has not run yet.",
                why="it is a plain function around an async one.",
                fix="put idempotent on the async function itself.",
            )
        if self._options.store_result:
            LOG.warning("a result of %s is not kept: it cannot be encoded without loss, or is too large", self._what)

    def _raised(self, watch: Watch, error: Exception) -> None:
        """The function raised: a kept error is an outcome, any other lets the next one try."""
        kept = self._results.kept_error(error)
        if kept is None:
            self._tried("release", watch)
        else:
            self._done(watch, kept)

    def _done(self, watch: Watch, kept: bytes | None) -> None:
        claims, wish = self._records.claims, watch.wish
        until, pause, within = _now() + FINISH_WITHIN, FIRST_POLL, ASK_WITHIN
        while True:
            try:
                if claims.step("complete", wish, watch.fence, result=kept, within=within):
                    return
                break
            except BackendError as error:
                if _now() + pause >= until:
                    raise InDoubt(
                        f"{self._what} has run, but this could not be recorded.",
                        why=f"{error}",
                        fix="call it again when the store is back and the lease has expired: then resolve= decides.",
                    ) from error
            sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)
            within = min(ASK_WITHIN, until - _now())
        raise LeaseLost(
            f"{self._what} ran beyond its lease of {wish.lease:g} s, and another call with this key took over.",
            why="the process or its machine was frozen for longer; or the store was unreachable for as long.",
            fix="call it again: it returns the other call's result. Pass the key to the other side, not the fence.",
        )

    def _tried(self, step: Any, watch: Watch) -> None:
        """A step that may fail: the lease ends by itself."""
        try:
            self._records.claims.step(step, watch.wish, watch.fence, within=ASK_WITHIN)
        except BackendError as error:
            LOG.warning("a record of %s was not released and stays until its lease expires: %s", self._what, error)

    def _repeated(self, answer: Answer, key: Any) -> Any:
        if type(answer) is Mismatch:
            raise PayloadMismatch(
                f"{self._what} was called again with the same key and other arguments.",
                why="two different requests share one idempotency key.",
                fix="give each request its own key; or leave out what may differ with fingerprint=.",
                idempotency_key=str(key),
            )
        assert type(answer) is Done
        if answer.result is None:
            raise self._not_stored("it was not kept: store_result=False, too large, or not to be encoded.")
        try:
            return self._results.unpacked(answer.result)
        except Unreadable as error:
            why = f"{error}."
        raise self._not_stored(why)

    def _not_stored(self, why: str) -> ResultNotStored:
        return ResultNotStored(
            f"{self._what} is done with this key, but its result cannot be returned.",
            why=why,
            fix="look up the outcome in the place that the function wrote to.",
        )

    def _in_progress(self, retry_after: float) -> InProgress:
        return InProgress(
            f"{self._what} is already running with this key.",
            why=f"another call holds the key, for {retry_after:.1f} s more if it dies now.",
            fix="call again later.",
            retry_after=retry_after,
        )

    def _check_reentry(self, wish: Wish) -> None:
        inside = _inside.get()
        while inside is not None:
            outer, inside = inside
            if outer.id == wish.id and outer.scope == wish.scope:
                raise UsageError(
                    f"{self._what} calls itself with the same key.",
                    why="it would wait for itself.",
                    fix="call the function below the decorator (its __wrapped__), or give the inner call another key.",
                )

    def _check_loop(self) -> None:
        if IS_ASYNC:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise UsageError(
            f"{self._what} would wait for another call, and block the event loop.",
            why="it is a plain function that was called in asyncio.",
            fix="make it async, with the Async form of its store; or give in_progress='raise'.",
        )


def _called(call: Callable[..., Any], key: Any) -> Any:
    given = call(key)
    if isawaitable(given) and IS_ASYNC:
        waited: Any = given
        return waited
    return given
