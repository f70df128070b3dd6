# Generated from runs_async.py by scripts/twins.py. Do not edit.
"""One run of a message's handlers, in the unit that holds its claim; and what its end says. Nothing is decided here.

1. The handler gets what the unit gives, held: committing, rolling back and closing it are ours, and whoever tries hears why.
2. What the handler raised itself is the application's; what the unit made of an error of its own connection is the server's.
3. A deadlock or a serialization failure, wherever it struck, is nobody's fault: the unit says so (`conflict`).
4. Where a handler has committed a part, by a text or by DDL that does, and not come to a good end, all of it is in doubt.
5. An error that no rule names is a failure of the message, wherever it struck: a store that is away says so in words of ours.
6. "Committed" is reported only when the answer to COMMIT has arrived and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from inspect import isawaitable
from typing import Any

import msgspec

from regionkit.contract.unit import Committed
from regionkit.core.clock import Clock
from regionkit.core.concurrency import stray
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Fenced,
    NoEligibleEndpoint,
    RegionKitError,
    RegionUnavailable,
    TransactionRolledBack,
    UsageError,
)
from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.envelope import Message
from regionkit.messaging.handlers import Handler
from regionkit.messaging.inboxes.inbox import Inbox

__all__ = ["DOWN", "Ended", "Run", "Runs", "called"]

IS_ASYNC = False


class Run(Enum):
    """What came of one run."""

    COMMITTED = "committed"
    NOTHING = "nothing"
    UNKNOWN = "unknown"
    TRANSIENT = "transient"
    UNDONE = "undone"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    FAILED = "failed"
    IN_DOUBT = "in doubt"


class Ended(msgspec.Struct, frozen=True):
    """A run that is over."""

    run: Run
    judged: Judged
    error: BaseException | None = None


class _Nothing(Exception):
    """Nothing was written: the unit may roll back."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(judged)
        self.judged = judged


_NOT_JUDGED = Judged(Verdict.BUSY)


def called(call: Callable[..., Any], *args: Any) -> Any:
    """What a function of the application's gives, whether it is async or not.

    Raises:
        UsageError: an async one, in a consumer for threads.
    """
    given = call(*args)
    if given is None or type(given) is list or not isawaitable(given):  # of most, and asking takes long
        return given
    if not IS_ASYNC:
        if hasattr(given, "close"):
            given.close()
        raise UsageError(
            f"{getattr(call, '__name__', 'the function')} is async, and the consumer is not.",
            fix="register a plain function, or use Consumer.",
        )
    return given


class Runs:
    """Runs of one consumer. Safe to share between threads (tasks of one loop)."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock

    def run(
        self,
        begin: Callable[[Any], Judged],
        handlers: Sequence[Handler],
        message: Message | None,
        timeout: float,
        *,
        dry: bool = False,
        core: bool = False,
        quiet: bool = False,
    ) -> Ended:
        """One run: `begin` says in the unit what is to be done, the handlers do it, and it commits. `dry`: APPLY is only said.

        `core`: nobody needs a Session. `quiet`: a duplicate has neither written nor locked a row, so its unit commits: that costs
        less than an error and a rollback, behind which the connection's prepared statements are gone.
        """
        outcome: list[Committed] = []
        own: list[BaseException] = []
        called = False
        unit: Any = self._inbox.unit(Deadline(self._clock, timeout), core=core)
        unit.on_outcome(outcome.append)
        try:
            with unit:
                judged = begin(unit)
                if dry and judged.verdict is Verdict.APPLY:
                    raise _Nothing(judged)
                if judged.verdict is Verdict.APPLY:
                    crash_point("message.claimed")
                    if handlers:
                        unit.hold("the consumer commits when its handler has returned")
                    called = bool(handlers)
                    self._call(handlers, message, unit.native, own)
                    crash_point("message.handled")
                elif judged.verdict not in _WRITES and not (quiet and judged.verdict is Verdict.DUPLICATE):
                    raise _Nothing(judged)
        except _Nothing as nothing:
            return Ended(Run.NOTHING, nothing.judged)
        except (ConfigurationError, UsageError) as error:
            if not own and not called:  # of the consumer itself: no message is to blame
                raise
            return Ended(Run.FAILED if outcome == ["no"] else Run.IN_DOUBT, _NOT_JUDGED, error)
        except BaseException as error:
            if not (isinstance(error, Exception) or stray(error)):
                raise
            conflict = outcome == ["no"] and getattr(unit, "conflict", False)
            came = Run.TRANSIENT if conflict else _came_of(error, outcome, own, called=called)
            return Ended(came, _NOT_JUDGED, error)
        crash_point("message.committed")
        return Ended(Run.COMMITTED, judged)

    def _call(
        self, handlers: Sequence[Handler], message: Message | None, native: Any, own: list[BaseException]
    ) -> None:
        try:
            for handler in handlers:
                called(handler.call, message, native)
            if hasattr(type(native), "flush"):  # a Session; of a MongoDB database every name is a collection
                native.flush()
        except BaseException as error:
            own.append(error)
            raise


DOWN = (RegionUnavailable, Fenced, NoEligibleEndpoint, DeadlineExceeded, TransactionRolledBack)
"""Of a unit that writes rows alone: the store is away, or busy. Nothing is known to be done, and it is done again."""
_WRITES = (Verdict.APPLY, Verdict.HELD)
"""Verdicts that have written in the unit."""


def _came_of(error: BaseException, outcome: list[Committed], own: list[BaseException], *, called: bool) -> Run:
    """What an error that left a unit says of the run."""
    if outcome != ["no"]:
        return Run.IN_DOUBT if own else Run.UNKNOWN
    if own and own[0] is error:
        return Run.FAILED
    if isinstance(error, TransactionRolledBack):
        return Run.TRANSIENT if own or not called else Run.UNDONE
    if isinstance(error, DeadlineExceeded):
        return Run.FAILED if called else Run.BUSY
    away = isinstance(error, DOWN) or (not called and isinstance(error, RegionKitError))
    return Run.UNAVAILABLE if away else Run.FAILED
