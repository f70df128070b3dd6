# Generated from ground_async.py by scripts/twins.py. Do not edit.
"""What all transactions of one manager stand on: its log and participants, looked at once; acknowledgements; who is in doubt.

1. A log or a participant is looked at before its first use here, and again after it was not reached: its history may be another.
2. Acknowledgements go to the log late and many at once: one that is lost is found out by recovery, which reads the marker.
3. Above a bound of transactions in doubt none begins: each holds locks that nobody can wait out.
4. Each participant is looked at by one at a time, and the log: one that does not answer holds up nobody who does not use it, and
   whoever waits for its look waits until a deadline of their own.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from regionkit.core.clock import Clock
from regionkit.core.concurrency import Workers
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks, crash_point
from regionkit.core.supervisor import Supervisor
from regionkit.errors import ConfigurationError, TransactionInDoubt
from regionkit.transactions.coordinator import Coordinator
from regionkit.transactions.endings import closed
from regionkit.transactions.events import AcknowledgeFailed
from regionkit.transactions.logs.log import DecisionLog, LogFacts
from regionkit.transactions.participants.participant import Participant, ParticipantFacts
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_setting import Unanswered
from regionkit.transactions.turn import Turn
from regionkit.transactions.xid import Xid

__all__ = ["MOST_IN_DOUBT", "Ground"]

MOST_IN_DOUBT = 100
"""Transactions of this log with prepared branches that nobody here is at work on: more is an outage, not a hiccup."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at what is in doubt, once the bound is reached."""
LOOK_WITHIN = 1.0
"""Seconds for one participant then: it is one transaction's time that is spent on all."""
CLOSED_WITHIN = 1.0
"""Seconds for asking the log why it has rolled a transaction back."""
ACKNOWLEDGE_EVERY = 0.5
"""Seconds between two acknowledgements to the log."""
ACKNOWLEDGE_WITHIN = 10.0
"""Seconds that one takes at most."""
MOST_ACKNOWLEDGEMENTS = 10_000
"""Kept while the log does not answer; of those above it, recovery asks the markers."""
BEAT_KNOWN = 5.0
"""Seconds for which a recoverer that was seen at work counts as being there."""


class Ground:
    """Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        namespace: str,
        log: DecisionLog,
        participants: Mapping[str, Participant],
        clock: Clock,
        lock_timeout: float,
    ) -> None:
        self.namespace = namespace
        self.log = log
        self.participants = participants
        self.sources: dict[str, str] = {}
        """By source of a kit's store, the participant."""
        self.clock = clock
        self.lock_timeout = lock_timeout
        self.events = EventHooks()
        self.supervisor = Supervisor(clock)
        self.coordinators: dict[str, Coordinator] = {}
        self.begun: dict[object, Any] = {}
        """By task or thread, the transaction whose block it is in."""
        self.closed = False
        """Nothing begins any more."""
        self.ended = False
        """Its pools are let go of: what is still open can only be rolled back, by the connections that it has."""
        self._guard = threading.Lock()
        self._renew()

    def _renew(self) -> None:
        self.process = os.getpid()
        self.workers = Workers()
        self.by = f"{socket.gethostname()[:80]}:{self.process}"
        self._log_turn = Turn()
        self._turns = {name: Turn() for name in self.participants}
        self._log_facts: LogFacts | None = None
        self._facts: dict[str, ParticipantFacts] = {}
        self._anchors: dict[str, bool] = {}
        self._acknowledged: dict[str, dict[str, str]] = {}
        self._in_doubt: dict[str, set[str]] = {}
        self._unanswered: dict[str, Unanswered] = {}
        self._looked = self._beat = float("-inf")

    def renew(self) -> None:
        """After a fork: what the parent is at work on is not ours, nor what it is in the midst of."""
        if self.process != os.getpid():
            self._guard = threading.Lock()
            self.coordinators, self.begun = {}, {}
            self.supervisor.renew()
            self._renew()

    def active(self) -> frozenset[str]:
        """Gtrids that this process is at work on."""
        return frozenset(self.coordinators)

    def log_facts(self, deadline: Deadline) -> LogFacts:
        """What the log says of itself.

        Raises:
            ConfigurationError: it may not be used.
        """
        if self._log_facts is None:
            self._log_turn.take(deadline, "looking at the decision log")
            try:
                facts = self._log_facts or self.log.open(self.namespace, deadline)
            finally:
                self._log_turn.end()
            if not facts.presumes:
                raise ConfigurationError(
                    f"the history of decision log {self.log.name!r} is another than the one noted.",
                    why="it failed over or was restored: decisions may be missing, and no abort can be presumed.",
                    fix="check that nothing is lost (regionkit tpc list), then: regionkit tpc log adopt.",
                )
            self._log_facts = facts
            return facts
        return self._log_facts

    def why_closed(self, gtrid: str) -> str:
        """Why the log accepts this name no more; "" where it does, or does not answer now."""
        try:
            floor = (self.log.open(self.namespace, Deadline(self.clock, CLOSED_WITHIN))).floor
        except Exception:  # that it was rolled back counts, not why
            return ""
        return "" if gtrid > floor else closed(gtrid, floor)

    def facts(self, name: str, deadline: Deadline) -> ParticipantFacts:
        """What a participant is.

        Raises:
            ConfigurationError: it may not take part.
        """
        found = self._facts.get(name)
        if found is None:
            log = self.log_facts(deadline)
            turn = self._turns[name]
            turn.take(deadline, f"looking at participant {name!r}")
            try:
                found = self._facts.get(name) or self._looked_at(name, log.id, deadline)
            finally:
                turn.end()
        return found

    def _looked_at(self, name: str, log: str, deadline: Deadline) -> ParticipantFacts:
        participant = self.participants[name]
        found = participant.open(deadline)
        noted = self.log.note_participant(name, found.instance, deadline)
        prepared = participant.listed(deadline)
        if noted != found.instance:
            raise ConfigurationError(
                f"participant {name!r} is another server or database than the one noted under that name.",
                why=f"noted is {noted}, found {found.instance}: a copy's branches are not the original's.",
                fix="point it at the database it was, or adopt the new one: regionkit tpc log adopt.",
            )
        with self._guard:
            for one in prepared:
                if one.xid.log == log and one.xid.gtrid not in self.coordinators:
                    self._in_doubt.setdefault(one.xid.gtrid, set()).add(name)
        self._facts[name] = found
        return found

    def anchors(self, name: str, deadline: Deadline) -> bool:
        """Whether the log stands in its database, so that its own COMMIT can hold the decision. Asked of the servers, once."""
        found = self._anchors.get(name)
        if found is None:
            found = self._anchors[name] = self.log.stands_in(self.participants[name], deadline)
        return found

    def unreached(self, name: str) -> None:
        """Look at it anew before its next branch."""
        self._facts.pop(name, None)
        self._anchors.pop(name, None)

    def log_unreached(self) -> None:
        """The same for the log."""
        self._log_facts = None
        self._anchors.clear()

    def admit(self, deadline: Deadline) -> None:
        """Rule 3.

        Raises:
            TransactionInDoubt: too many are in doubt; nothing was begun.
        """
        if len(self._in_doubt) >= MOST_IN_DOUBT and self.clock.monotonic() - self._looked > LOOK_AGAIN:
            self._looked = self.clock.monotonic()
            self._look(deadline)
        if len(self._in_doubt) >= MOST_IN_DOUBT:
            raise TransactionInDoubt(
                f"{len(self._in_doubt)} transactions of {self.namespace!r} are in doubt: no new one begins.",
                why="each holds locks until recovery ends it; more of them would only make the outage larger.",
                fix="run recovery (tm.start_recovery(), or: regionkit tpc recover), and check: regionkit tpc list.",
                retryable=True,
                committed="no",
            )

    def _look(self, deadline: Deadline) -> None:
        """Which of them are still prepared; a participant that does not answer soon keeps its own."""
        with self._guard:
            asked = sorted({name for names in self._in_doubt.values() for name in names})
        for name in asked:
            part = Deadline(self.clock, min(LOOK_WITHIN, deadline.require("beginning a transaction")))
            try:
                listed = {one.xid.gtrid for one in self.participants[name].listed(part)}
            except Exception:
                self.unreached(name)
                continue
            with self._guard:
                for gtrid, names in list(self._in_doubt.items()):
                    if gtrid not in listed:
                        names.discard(name)
                    if not names:
                        del self._in_doubt[gtrid]

    def recoverer_at_work(self, deadline: Deadline) -> bool:
        """Whether somebody ends what is left pending."""
        now = self.clock.monotonic()
        if now - self._beat > BEAT_KNOWN and self.log.beating(deadline):
            self._beat = now
        return now - self._beat <= BEAT_KNOWN

    def left(self, gtrid: str, branches: tuple[str, ...]) -> None:
        """These branches are left to recovery."""
        with self._guard:
            self._in_doubt[gtrid] = set(branches)

    def unanswered(self, xid: Xid, tell: Callable[[Decision], None]) -> None:
        """A COMMIT in one phase is left to recovery: no log knows of it. Of many, the oldest are left to `wait_settled`."""

        def told(winner: Decision) -> None:
            tell(winner)
            with self._guard:
                self._unanswered.pop(xid.gtrid, None)
                self._in_doubt.pop(xid.gtrid, None)

        with self._guard:
            self._unanswered[xid.gtrid] = Unanswered(xid, told)
            while len(self._unanswered) > MOST_IN_DOUBT:
                del self._unanswered[next(iter(self._unanswered))]

    def all_unanswered(self) -> list[Unanswered]:
        """For recovery."""
        with self._guard:
            return list(self._unanswered.values())

    def over(self, gtrid: str) -> None:
        """Nobody here is at work on it any more."""
        self.coordinators.pop(gtrid, None)

    def acknowledge(self, gtrid: str, histories: dict[str, str]) -> None:
        """Rule 2."""
        with self._guard:
            if len(self._acknowledged) < MOST_ACKNOWLEDGEMENTS:
                self._acknowledged[gtrid] = histories
        if self.ended:
            return  # nobody would stop the job: recovery asks the markers
        self.supervisor.start(f"acknowledgements of {self.namespace}", self._acknowledging, self.not_acknowledged)

    def _acknowledging(self) -> float:
        self.flush(Deadline(self.clock, ACKNOWLEDGE_WITHIN))
        return ACKNOWLEDGE_EVERY

    def not_acknowledged(self, error: BaseException) -> None:
        """An event: they are written again later."""
        self.events.emit(AcknowledgeFailed(self.namespace, "", f"{type(error).__name__}: {error}"))

    def flush(self, deadline: Deadline) -> None:
        """Tell the log which branches have ended."""
        with self._guard:
            told = dict(self._acknowledged)
        if told:
            crash_point("tpc.acknowledge.before")
            self.log.acknowledge(told, deadline)
            crash_point("tpc.acknowledge.after")
            with self._guard:
                for gtrid in told:
                    self._acknowledged.pop(gtrid, None)
