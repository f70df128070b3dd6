"""What became of transactions, as events. None carries a statement or a value."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event
from regionkit.transactions.protocol import Decision, Transaction

__all__ = [
    "AbortDecided",
    "AcknowledgeFailed",
    "BranchEnded",
    "CallbackFailed",
    "CommitDecided",
    "CommitFoundOut",
    "HazardFound",
    "HazardMet",
    "LeftInDoubt",
    "ParticipantUnreachable",
    "RecoveryFailed",
    "TransactionBarred",
    "TransactionEvent",
    "happened",
]


class TransactionEvent(Event, frozen=True, gc=False):
    """Of one transaction manager's namespace.

    Attributes:
        namespace: of its manager.
    """

    about: ClassVar[str] = "namespace"
    namespace: str


class _OneTransaction(TransactionEvent, frozen=True, gc=False):
    """Of one transaction.

    Attributes:
        gtrid: the transaction's id.
    """

    gtrid: str


class CommitDecided(_OneTransaction, frozen=True, gc=False):
    """COMMIT is decided. `pending`: branches that recovery has to commit."""

    level: ClassVar[int] = logging.DEBUG
    pending: tuple[str, ...]


class AbortDecided(_OneTransaction, frozen=True, gc=False):
    """No branch commits. `pending`: branches that recovery has to roll back.

    Attributes:
        why: in the words of what failed.
    """

    why: str
    pending: tuple[str, ...]


class LeftInDoubt(_OneTransaction, frozen=True, gc=False):
    """The log did not answer: recovery ends it.

    Attributes:
        why: in the words of what failed.
        pending: branches that recovery has to end.
    """

    level: ClassVar[int] = logging.ERROR
    why: str
    pending: tuple[str, ...]


class HazardMet(_OneTransaction, frozen=True, gc=False):
    """A branch ended otherwise than was decided.

    Attributes:
        branch: the participant's name.
        what: is there instead.
    """

    level: ClassVar[int] = logging.CRITICAL
    branch: str
    what: str


class CallbackFailed(_OneTransaction, frozen=True, gc=False):
    """What was to be called after the outcome raised; the outcome stands.

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.ERROR
    error: str


class AcknowledgeFailed(_OneTransaction, frozen=True, gc=False):
    """Acknowledgements could not be written to the log; they are written later, or by recovery. `gtrid`: "".

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING
    error: str


# -- of recovery


class TransactionBarred(_OneTransaction, frozen=True, gc=False):
    """A transaction was abandoned: its abort is decided."""

    level: ClassVar[int] = logging.WARNING


class BranchEnded(_OneTransaction, frozen=True, gc=False):
    """Recovery has ended a prepared branch.

    Attributes:
        branch: the participant's name.
        committed: else it was rolled back.
    """

    branch: str
    committed: bool


class CommitFoundOut(_OneTransaction, frozen=True, gc=False):
    """A COMMIT in one phase had no answer; now it is known what became of it.

    Attributes:
        branch: the participant's name.
        committed: else it was rolled back.
    """

    branch: str
    committed: bool


class HazardFound(_OneTransaction, frozen=True, gc=False):
    """A branch is not as it was decided, and nothing can be done about it here: an operator has to see to it.

    Attributes:
        branch: the participant's name.
        what: is there instead.
    """

    level: ClassVar[int] = logging.ERROR
    branch: str
    what: str


class ParticipantUnreachable(TransactionEvent, frozen=True, gc=False):
    """A participant (or the log, in the middle of a run) could not be asked; the next run asks again.

    Attributes:
        participant: its name.
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING
    participant: str
    why: str


class RecoveryFailed(TransactionEvent, frozen=True, gc=False):
    """A run did not take place; the next one follows after a back-off.

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING
    error: str


def happened(namespace: str, gtrid: str, t: Transaction) -> Event:
    """The outcome of a transaction."""
    if t.decision is Decision.COMMIT:
        return CommitDecided(namespace, gtrid, t.pending)
    if t.decision is Decision.ABORT:
        return AbortDecided(namespace, gtrid, t.why, t.pending)
    return LeftInDoubt(namespace, gtrid, t.why, t.pending)
