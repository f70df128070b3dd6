"""What recovery tells hooks and the log."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = [
    "BranchEnded",
    "CommitFoundOut",
    "HazardFound",
    "ParticipantUnreachable",
    "RecoveryEvent",
    "RecoveryFailed",
    "TransactionBarred",
]


class RecoveryEvent(Event, frozen=True, gc=False):
    """Of one transaction manager's namespace."""

    namespace: str

    @property
    def subject(self) -> str:
        """The namespace."""
        return self.namespace


class TransactionBarred(RecoveryEvent, frozen=True, gc=False):
    """A transaction was abandoned: its abort is decided."""

    level: ClassVar[int] = logging.WARNING
    gtrid: str


class BranchEnded(RecoveryEvent, frozen=True, gc=False):
    """Recovery has ended a prepared branch."""

    gtrid: str
    branch: str
    committed: bool


class CommitFoundOut(RecoveryEvent, frozen=True, gc=False):
    """A COMMIT in one phase had no answer; now it is known what became of it."""

    gtrid: str
    branch: str
    committed: bool


class HazardFound(RecoveryEvent, frozen=True, gc=False):
    """A branch is not as it was decided, and nothing can be done about it here: an operator has to see to it."""

    level: ClassVar[int] = logging.ERROR
    gtrid: str
    branch: str
    what: str


class ParticipantUnreachable(RecoveryEvent, frozen=True, gc=False):
    """A participant (or the log, in the middle of a run) could not be asked; the next run asks again."""

    level: ClassVar[int] = logging.WARNING
    participant: str
    why: str


class RecoveryFailed(RecoveryEvent, frozen=True, gc=False):
    """A run did not take place; the next one follows after a back-off."""

    level: ClassVar[int] = logging.WARNING
    error: str
