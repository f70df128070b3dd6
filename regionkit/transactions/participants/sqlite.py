# Generated from sqlite_async.py by scripts/twins.py. Do not edit.
"""A SQLite file as a participant: it cannot prepare, so it is the anchor, whose own COMMIT is the decision, or alone.

A branch begins IMMEDIATE: it waits for the file's one writer before it does anything, and its COMMIT cannot meet another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regionkit.contract.message import Statement
from regionkit.core.deadline import Deadline
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.branch_sql import SqlBranchShell
from regionkit.transactions.participants.participant import (
    Answered,
    Branch,
    BranchOptions,
    Listed,
    ParticipantFacts,
)
from regionkit.transactions.participants.participant_sql import SqlParticipant
from regionkit.transactions.participants.rows_sql import COMMITTED, ONE_PHASE, MarkerRows
from regionkit.transactions.protocol import Finish, Vote

__all__ = ["SqliteParticipant"]

FULL = 2
"""PRAGMA synchronous = FULL: a COMMIT is flushed before it is answered. EXTRA is 3."""
DOUBTFUL = ("SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CORRUPT", "SQLITE_NOMEM", "SQLITE_CANTOPEN", "SQLITE_NOTADB")
"""What begins the names of errors after which the file may hold a COMMIT that was not answered."""
MOST_OF_PATH = 200
"""Characters that a log keeps of an instance."""


class SqliteBranch(SqlBranchShell):
    """One branch on a file."""

    def __init__(self, participant: Any, link: Any, options: BranchOptions, rows: MarkerRows) -> None:
        super().__init__(participant, link, options)
        self._rows = rows

    def prepare(self, deadline: Deadline) -> Answered:
        """NO: SQLite cannot. The protocol never asks."""
        self._roll_back()
        return Answered(vote=Vote.NO, why="SQLite cannot prepare a transaction", retryable=False)

    def answered(self, error: BaseException) -> bool:
        """Whether an error says that nothing was committed: one of the disk does not."""
        name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
        return super().answered(error) and not name.startswith(DOUBTFUL)

    def _preparing(self) -> list[Statement]:
        raise NotImplementedError

    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        marker = self._rows.marker(self.xid, COMMITTED if deciding else ONE_PHASE)
        return [*(Statement(text) for text in (*self._deferred, marker, *deciding)), Statement("COMMIT")]

    def _rolling_back(self) -> list[Statement]:
        return [Statement("ROLLBACK")]


class SqliteParticipant(SqlParticipant):
    """One file. See `SqlParticipant`."""

    kind = "sqlite"

    def _look(self, deadline: Deadline) -> tuple[int, str]:
        [[level]] = self._ask("PRAGMA synchronous", deadline)
        files = self._ask("PRAGMA database_list", deadline)
        return int(level), _resolved(files[0][2])

    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: its commits are not flushed.
        """
        level, path = self._look(deadline)
        self._refuse(self._findings(level))
        return ParticipantFacts(self.kind, False, "ANCHOR", path, self._history("", deadline))

    def _findings(self, level: int) -> list[Finding]:
        if level >= FULL:
            return []
        what = f"PRAGMA synchronous is {level}: what is committed may be gone after a crash"
        return [Finding("warning" if self._unsafe else "refused", self.name, what, "leave it at FULL, its default.")]

    def begin(self, options: BranchOptions, deadline: Deadline) -> Branch:
        """Open a branch; the file's writer is waited for with its first statement."""
        link = self._link(deadline)
        longest = min(options.lock_timeout, deadline.remaining())
        waits = Statement(f"PRAGMA busy_timeout = {max(1, int(1000 * longest))}")
        link.opening = [waits, Statement("BEGIN" if options.reading else "BEGIN IMMEDIATE")]
        link.hold(f"it is branch {self.name!r} of a global transaction, which alone ends it.")
        return SqliteBranch(self, link, options, self._rows)

    def listed(self, deadline: Deadline) -> list[Listed]:
        """None: nothing is ever prepared."""
        return []

    def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """UNKNOWN: nothing is ever prepared."""
        return Finish.UNKNOWN

    def position_on(self, link: Any) -> Any:
        """Nobody knows: commits of branches do not move the counter."""
        return None

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        level, _ = self._look(deadline)
        fine = Finding("ok", self.name, "ANCHOR: one of its kind in a transaction, whose COMMIT is the decision")
        return self._findings(level) or [fine]


def _resolved(path: str) -> str:
    return str(Path(path).resolve())[-MOST_OF_PATH:]
