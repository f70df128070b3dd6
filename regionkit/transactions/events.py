"""What became of transactions, as events. None carries a statement or a value. Those of recovery: recovery_events."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event
from regionkit.transactions.protocol import Decision, Transaction

__all__ = [
    "AbortDecided",
    "AcknowledgeFailed",
    "CallbackFailed",
    "CommitDecided",
    "HazardMet",
    "LeftInDoubt",
    "happened",
]


class _TransactionEvent(Event, frozen=True, gc=False):
    """Of one transaction manager's namespace."""

    namespace: str
    gtrid: str

    @property
    def subject(self) -> str:
        """The namespace."""
        return self.namespace


class CommitDecided(_TransactionEvent, frozen=True, gc=False):
    """COMMIT is decided. `pending`: branches that recovery has to commit."""

    level: ClassVar[int] = logging.DEBUG
    pending: tuple[str, ...]


class AbortDecided(_TransactionEvent, frozen=True, gc=False):
    """No branch commits. `pending`: branches that recovery has to roll back."""

    why: str
    pending: tuple[str, ...]


class LeftInDoubt(_TransactionEvent, frozen=True, gc=False):
    """The log did not answer: recovery ends it."""

    level: ClassVar[int] = logging.ERROR
    why: str
    pending: tuple[str, ...]


class HazardMet(_TransactionEvent, frozen=True, gc=False):
    """A branch ended otherwise than was decided."""

    level: ClassVar[int] = logging.CRITICAL
    branch: str
    what: str


class CallbackFailed(_TransactionEvent, frozen=True, gc=False):
    """What was to be called after the outcome raised; the outcome stands."""

    level: ClassVar[int] = logging.ERROR
    error: str


class AcknowledgeFailed(_TransactionEvent, frozen=True, gc=False):
    """Acknowledgements could not be written to the log; they are written later, or by recovery. `gtrid`: ""."""

    level: ClassVar[int] = logging.WARNING
    error: str


def happened(namespace: str, gtrid: str, t: Transaction) -> Event:
    """What became of a transaction."""
    if t.decision is Decision.COMMIT:
        return CommitDecided(namespace, gtrid, t.pending)
    if t.decision is Decision.ABORT:
        return AbortDecided(namespace, gtrid, t.why, t.pending)
    return LeftInDoubt(namespace, gtrid, t.why, t.pending)
