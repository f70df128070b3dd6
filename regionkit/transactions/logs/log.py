# Generated from log_async.py by scripts/twins.py. Do not edit.
"""What a decision log owes the coordinator and recovery.

1. `decide` is one compare-and-set on the gtrid. Its answer is the winner, durable before it is given; an answer that does not
   come raises, and says nothing. An answered COMMIT is never lost: not by a crash, not by a failover that the log allows.
2. A gtrid at or below the floor, without a row, is answered ABORT: its tombstone may have been swept.
3. A read that got no answer changed nothing: RegionUnavailable or DeadlineExceeded. What it gives is as durable as a decision.
4. The log's id is part of every name. A new, empty log has another id, and so presumes nothing about the old one's branches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError, RegionUnavailable
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.participant import Participant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import Row

__all__ = ["DecisionLog", "LogFacts", "unread"]


class LogFacts(msgspec.Struct, frozen=True, gc=False):
    """What a log says of itself.

    Attributes:
        id: 8 hex digits, made with the log.
        history: of the data that it stands in, now.
        noted: the history that was noted when the log was made, or adopted last.
        floor: gtrids at or below it are closed.
        now: seconds since 1970 by the log's own clock.
        risk: by what it may lose what it acknowledges, where that is not allowed.
    """

    id: str
    history: str
    noted: str
    floor: str
    now: float
    risk: str = ""

    @property
    def presumes(self) -> bool:
        """Whether a missing row may be taken for what it says."""
        return self.history == self.noted and not self.risk


def unread(name: str, error: RegionKitError) -> RegionUnavailable:
    """What a read raises that got no answer."""
    what = f"log {name!r} gave no answer that counts."
    return RegionUnavailable(what, why=error.why or error.what, fix="ask again.", store=name)


class DecisionLog(Protocol):
    """A log. Safe to share between threads (tasks of one loop).

    Attributes:
        name: for errors and events.
    """

    name: str

    def create_tables(self, namespace: str, deadline: Deadline) -> None:
        """Make what it keeps, and its id, unless it is there."""
        ...

    def open(self, namespace: str, deadline: Deadline, *, risky: bool = False) -> LogFacts:
        """Look at it: before the first use, and with each run of recovery.

        `risky`: also one that may lose what it acknowledges: what it has decided is carried out, and nothing is presumed.

        Raises:
            ConfigurationError: it is not there, or may lose what it acknowledges; the error says by what.
            Fenced: its server was promoted: nothing of it counts until it is adopted.
        """
        ...

    def decide(self, gtrid: str, want: Decision, branches: Sequence[str], by: str, deadline: Deadline) -> Decision:
        """Insert `want` unless the gtrid has a row (or is closed); the winner.

        Raises:
            OutcomeUnknown: no answer came. A row may stand, now or later.
            RegionUnavailable, DeadlineExceeded: nothing was sent.
        """
        ...

    def row(self, gtrid: str, deadline: Deadline) -> Row | None:
        """What stands there, answered by who owns the log."""
        ...

    def rows(self, gtrids: Sequence[str], deadline: Deadline) -> dict[str, Row]:
        """The same for many."""
        ...

    def open_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are not done, or bear a hazard, in order of gtrid above `after`; at most `most`."""
        ...

    def done_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are done, above `after`: a new history of a participant reopens them."""
        ...

    def acknowledge(self, acknowledged: Mapping[str, Mapping[str, str]], deadline: Deadline) -> None:
        """By gtrid and branch, the participant's history. A row whose branches all have one is done. Lazy, repeatable."""
        ...

    def hazard(self, gtrid: str, branch: str, what: str, deadline: Deadline) -> None:
        """Keep it with the row until it is forgotten; a row is made (ABORT) where there is none."""
        ...

    def forget(self, gtrid: str, deadline: Deadline) -> bool:
        """An operator has seen the hazards: the row becomes `recovery_rules.forgotten`; whether there were any."""
        ...

    def adopt(self, deadline: Deadline) -> LogFacts:
        """An operator says that no decision is missing: note the present history."""
        ...

    def note_participant(self, name: str, instance: str, deadline: Deadline, *, adopt: bool = False) -> str:
        """The instance noted under the name; `instance` where there was none, or with `adopt`."""
        ...

    def beat(self, lasts: float, deadline: Deadline) -> None:
        """A recoverer is at work, and will be for `lasts` seconds."""
        ...

    def beating(self, deadline: Deadline) -> bool:
        """Whether a recoverer is at work, by the log's clock."""
        ...

    def sweep(self, floor: str, most: int, deadline: Deadline) -> int:
        """Raise the floor (never lower it) and delete tombstones and done rows at or below it, in one transaction.

        Raises:
            UsageError: by the log's own clock it is above what is past the retention.
        """
        ...

    def anchor_statements(self, gtrid: str, branches: Sequence[str], by: str, server: str) -> list[str]:
        """SQL that decides COMMIT inside a transaction of the log's own database; fails where a row stands or it is closed."""
        ...

    def stands_in(self, participant: Participant, deadline: Deadline) -> bool:
        """Whether its tables stand in the participant's database, for certain: its branch can be the anchor."""
        ...

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        ...

    def close(self) -> None:
        """Close what it opened itself. May be called twice."""
        ...
