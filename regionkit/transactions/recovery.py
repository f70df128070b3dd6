# Generated from recovery_async.py by scripts/twins.py. Do not edit.
"""Recovery ends what coordinators left: any number of recoverers, at once, each safe to kill.

It commits what the log has decided, bars and rolls back what was abandoned, notes what has ended, and keeps what contradicts
as a hazard until an operator forgets it. It guesses nothing: what cannot be asked is reported. The rules: recovery_rules.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence, Set

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.core.given import is_number
from regionkit.core.supervisor import STOP_WITHIN, Supervisor
from regionkit.errors import UsageError
from regionkit.transactions.events import RecoveryFailed
from regionkit.transactions.logs.log import DecisionLog
from regionkit.transactions.participants.participant import Participant
from regionkit.transactions.recovery_round import Round
from regionkit.transactions.recovery_rules import RETENTION
from regionkit.transactions.recovery_setting import Remembered, Setting, Unanswered, reason
from regionkit.transactions.recovery_views import InDoubt, Report
from regionkit.transactions.turn import Turn

__all__ = ["RETENTION", "Recovery"]

RUN_WITHIN = 60.0
"""Seconds of one run in the background."""
LONGEST_INTERVAL = 600.0
"""Seconds between two runs, at most: branches that nobody ends hold their locks."""
BEATS = 3.0
"""For how many intervals a run stands for a recoverer at work: one or two may fail."""


class Recovery:
    """One recoverer. Safe to share between threads (tasks of one loop): runs follow one another.

    Args:
        namespace: of the transaction manager; branches of others are never touched.
        log: where it decides.
        participants: by name.
        active: gtrids that this process is at work on: they are left alone.
        clock: of waits and ages.
        patience: seconds that a branch without a decision is waited for, in place of what its name says.
        retention: seconds that rows, markers and tombstones are kept; at least `RETENTION`, and at least the age of the oldest
            backup or replica that may be promoted.
        events: who hears of hazards.
        unanswered: commits in one phase of this process whose answers never came.
    """

    def __init__(
        self,
        namespace: str,
        log: DecisionLog,
        participants: Mapping[str, Participant],
        *,
        active: Callable[[], Set[str]] = frozenset,
        clock: Clock = SYSTEM_CLOCK,
        patience: float | None = None,
        retention: float = RETENTION,
        events: EventHooks | None = None,
        unanswered: Callable[[], Sequence[Unanswered]] = tuple,
    ) -> None:
        if retention < RETENTION:
            raise UsageError(
                f"decisions are kept for {retention:g} s.",
                why="a replica or a backup that is promoted later would tear transactions that had ended.",
                fix=f"keep them for at least {RETENTION:.0f} s.",
            )
        if patience is not None and patience < 0.0:
            raise UsageError(f"patience is {patience!r} s.", fix="give 0 or more, or leave it out.")
        by = f"recovery {socket.gethostname()[:60]} {os.getpid()}"
        self.setting = Setting(
            namespace, log, participants, active, clock, patience, retention, by, events or EventHooks(), unanswered
        )
        self._remembered = Remembered()
        self._one = Turn()
        self._supervisor = Supervisor(clock)
        self._pid = os.getpid()

    def run(self, deadline: Deadline) -> Report:
        """Do what can be done now. What it leaves stands in the report.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the log did not answer: nothing was done, or not all.
            ConfigurationError: the log is not there, or may lose what it acknowledges.
            Fenced: the log's server was promoted, and nobody has adopted it.
        """
        return self._round(deadline, acting=True)

    def look(self, deadline: Deadline) -> Report:
        """The same, and nothing is changed but that new participants are noted.

        Raises:
            RegionUnavailable, DeadlineExceeded, ConfigurationError: as `run`.
        """
        return self._round(deadline, acting=False)

    def in_doubt(self, deadline: Deadline) -> tuple[InDoubt, ...]:
        """What has not ended everywhere, the oldest first."""
        return (self.look(deadline)).in_doubt

    def start(self, interval: float = 10.0) -> None:
        """Run every `interval` seconds in the background, and say so in the log. A second call changes nothing.

        Raises:
            UsageError: the interval is not above 0, or too long.
        """
        if not is_number(interval, 0.0, LONGEST_INTERVAL) or not interval:
            raise UsageError(
                f"recovery cannot run every {interval!r} s.", fix=f"give more than 0, at most {LONGEST_INTERVAL:.0f}."
            )
        self._renew()

        def once() -> float:
            deadline = Deadline(self.setting.clock, RUN_WITHIN)
            self.setting.log.beat(BEATS * interval + RUN_WITHIN, self.setting.log_time(deadline))
            self.run(deadline)
            return interval

        def failed(error: BaseException) -> None:
            self.setting.events.emit(RecoveryFailed(self.setting.namespace, reason(error)))

        self._supervisor.start(f"recovery of {self.setting.namespace}", once, failed)

    def stop(self, within: float = STOP_WITHIN) -> None:
        """End the background runs; one that is under way has `within` seconds. May be repeated."""
        self._supervisor.stop(within)

    def _round(self, deadline: Deadline, *, acting: bool) -> Report:
        self._renew()
        turn = self._one
        turn.take(deadline, "recovery")
        try:
            facts = self.setting.log.open(self.setting.namespace, self.setting.log_time(deadline), risky=True)
            return Round(self.setting, self._remembered, facts, deadline, acting=acting).run()
        finally:
            turn.end()

    def _renew(self) -> None:
        """After a fork: the parent's jobs and runs are the parent's, and end there."""
        if self._pid != os.getpid():
            self._pid, self._one, self._remembered = os.getpid(), Turn(), Remembered()
            self._supervisor.renew()
