"""What can be checked of a history, and what a finding says."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from regionkit.errors import ConfigurationError
from regionkit.testing.history import History, Operation

__all__ = ["MOST_FINDINGS", "SESSION_GUARANTEES", "Guarantee", "Violation", "refuse_several_clocks"]

MOST_FINDINGS = 100
"""Violations of one guarantee that are named: a store that breaks a promise breaks it at every read."""


class Guarantee(StrEnum):
    """What can be checked."""

    READ_YOUR_WRITES = "read your writes"
    MONOTONIC_READS = "monotonic reads"
    MONOTONIC_WRITES = "monotonic writes"
    WRITES_FOLLOW_READS = "writes follow reads"
    BOUNDED_STALENESS = "bounded staleness"
    NO_LOST_WRITES = "no lost writes"
    HONEST_OUTCOMES = "honest outcomes"


SESSION_GUARANTEES = tuple(Guarantee)[:4]


class Violation(NamedTuple):
    """A promise that was broken. `operations`: those that prove it, each after the one that it follows; `note`: what else."""

    guarantee: Guarantee
    operations: tuple[Operation, ...]
    note: str = ""

    def __str__(self) -> str:
        return f"{self.guarantee}: {'; then '.join(map(str, self.operations))}{self.note and f'; {self.note}'}"


def refuse_several_clocks(history: History) -> None:
    """Refuse what compares the times of two processes.

    Raises:
        ConfigurationError: the history has times of several clocks.
    """
    if len(history.clocks) > 1:
        raise ConfigurationError(
            f"this history was recorded with {len(history.clocks)} clocks.",
            why="times of several machines cannot be compared.",
            fix="check each machine's history apart; read your writes and monotonic reads need no clock: "
            "check_sessions(history, [Guarantee.READ_YOUR_WRITES, Guarantee.MONOTONIC_READS]).",
        )
