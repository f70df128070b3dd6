"""What a recoverer is made of, and what it remembers from run to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.errors import RegionKitError
from regionkit.transactions.logs.log_async import AsyncDecisionLog
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.xid import Xid

__all__ = ["LOG_WAIT", "AsyncSetting", "Remembered", "Unanswered", "reason"]

LOG_WAIT = 10.0
"""Seconds for one question to the log: it is one small statement, also over an ocean and on a busy server."""


class Unanswered(NamedTuple):
    """A COMMIT in one phase of this process whose answer never came. `tell`: called with what became of it."""

    xid: Xid
    tell: Callable[[Decision], None]


@dataclass(frozen=True, slots=True)
class AsyncSetting:
    """Of one recoverer. See `AsyncRecovery`."""

    namespace: str
    log: AsyncDecisionLog
    participants: Mapping[str, AsyncParticipant]
    active: Callable[[], Set[str]]
    clock: Clock
    patience: float | None
    retention: float
    by: str
    events: EventHooks
    unanswered: Callable[[], Sequence[Unanswered]] = tuple

    def part(self, deadline: Deadline, most: float, doing: str = "recovery") -> Deadline:
        """At most `most` seconds of what is left.

        Raises:
            DeadlineExceeded: nothing is.
        """
        return Deadline(self.clock, min(most, deadline.require(doing)))

    def log_time(self, deadline: Deadline) -> Deadline:
        """For one question to the log."""
        return self.part(deadline, LOG_WAIT, "asking the decision log")


@dataclass(slots=True)
class Remembered:
    """By one recoverer, from run to run; a new one begins anew.

    Attributes:
        first: when a prepared branch was first listed, by participant and name, on the monotonic clock.
        cursors: by participant, how far its markers are joined with the log.
        down: participants that could not be asked in the last run.
        rows_after: how far the open rows were read, where they were too many for one run.
        lost: the open rows read so far show a lost decision.
        whole: all of them were read once.
        swept_at: of the last sweep, on the monotonic clock.
    """

    first: dict[tuple[str, Xid], float] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    rows_after: str = ""
    lost: bool = False
    whole: bool = False
    swept_at: float | None = None


def reason(error: BaseException) -> str:
    """An error in a sentence."""
    if isinstance(error, RegionKitError):
        return f"{error.what} {error.why}".strip()
    return f"{type(error).__name__}: {error}"
