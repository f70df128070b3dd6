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
from regionkit.core.supervisor_async import STOP_WITHIN, AsyncSupervisor
from regionkit.errors import UsageError
from regionkit.transactions.events import RecoveryFailed
from regionkit.transactions.logs.log_async import AsyncDecisionLog
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.recovery_round_async import AsyncRound
from regionkit.transactions.recovery_rules import RETENTION
from regionkit.transactions.recovery_setting_async import AsyncSetting, Remembered, Unanswered, reason
from regionkit.transactions.recovery_views import InDoubt, Report
from regionkit.transactions.turn_async import AsyncTurn

__all__ = ["RETENTION", "AsyncRecovery"]

RUN_WITHIN = 60.0
"""Seconds of one run in the background."""
LONGEST_INTERVAL = 600.0
"""Seconds between two runs, at most: branches that nobody ends hold their locks."""
BEATS = 3.0
"""For how many intervals a run stands for a recoverer at work: one or two may fail."""


class AsyncRecovery:
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
        log: AsyncDecisionLog,
        participants: Mapping[str, AsyncParticipant],
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
        self.setting = AsyncSetting(
            namespace, log, participants, active, clock, patience, retention, by, events or EventHooks(), unanswered
        )
        self._remembered = Remembered()
        self._one = AsyncTurn()
        self._supervisor = AsyncSupervisor(clock)
        self._pid = os.getpid()

    async def run(self, deadline: Deadline) -> Report:
        """Do what can be done now. What it leaves stands in the report.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the log did not answer: nothing was done, or not all.
            ConfigurationError: the log is not there, or may lose what it acknowledges.
            Fenced: the log's server was promoted, and nobody has adopted it.
        """
        return await self._round(deadline, acting=True)

    async def look(self, deadline: Deadline) -> Report:
        """The same, and nothing is changed but that new participants are noted.

        Raises:
            RegionUnavailable, DeadlineExceeded, ConfigurationError: as `run`.
        """
        return await self._round(deadline, acting=False)

    async def in_doubt(self, deadline: Deadline) -> tuple[InDoubt, ...]:
        """What has not ended everywhere, the oldest first."""
        return (await self.look(deadline)).in_doubt

    async def start(self, interval: float = 10.0) -> None:
        """Run every `interval` seconds in the background, and say so in the log. A second call changes nothing.

        Raises:
            UsageError: the interval is not above 0, or too long.
        """
        if not is_number(interval, 0.0, LONGEST_INTERVAL) or not interval:
            raise UsageError(
                f"recovery cannot run every {interval!r} s.", fix=f"give more than 0, at most {LONGEST_INTERVAL:.0f}."
            )
        self._renew()

        async def once() -> float:
            deadline = Deadline(self.setting.clock, RUN_WITHIN)
            await self.setting.log.beat(BEATS * interval + RUN_WITHIN, self.setting.log_time(deadline))
            await self.run(deadline)
            return interval

        def failed(error: BaseException) -> None:
            self.setting.events.emit(RecoveryFailed(self.setting.namespace, reason(error)))

        self._supervisor.start(f"recovery of {self.setting.namespace}", once, failed)

    async def stop(self, within: float = STOP_WITHIN) -> None:
        """End the background runs; one that is under way has `within` seconds. May be repeated."""
        await self._supervisor.stop(within)

    async def _round(self, deadline: Deadline, *, acting: bool) -> Report:
        self._renew()
        turn = self._one
        await turn.take(deadline, "recovery")
        try:
            facts = await self.setting.log.open(self.setting.namespace, self.setting.log_time(deadline), risky=True)
            return await AsyncRound(self.setting, self._remembered, facts, deadline, acting=acting).run()
        finally:
            turn.end()

    def _renew(self) -> None:
        """After a fork: the parent's jobs and runs are the parent's, and end there."""
        if self._pid != os.getpid():
            self._pid, self._one, self._remembered = os.getpid(), AsyncTurn(), Remembered()
            self._supervisor.renew()
