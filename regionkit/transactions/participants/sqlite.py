# Generated from sqlite_async.py by scripts/twins.py. Do not edit.
"""A SQLite file as a participant: it cannot prepare, so it is the anchor, whose own COMMIT is the decision, or alone.

1. A branch begins IMMEDIATE: it waits for the one writer of its file before it does anything, and its COMMIT cannot meet another.
2. `attach` adds files to the branch; the marker stands in the main one. SQLite's own COMMIT is atomic over all of them, or the
   branch is rolled back: `sqlite_files` says when.
3. A connection that has files attached, or enforces foreign keys, serves one branch and is closed: a kit's other branches are
   served by the same pool, and nobody else's names may lead to those files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy.exc import DBAPIError

from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_flag
from regionkit.errors import DeadlineExceeded, RegionUnavailable
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.branch_sql import TORN, SqlBranchShell, passes, said
from regionkit.transactions.participants.participant import (
    Answered,
    Branch,
    BranchOptions,
    Listed,
    ParticipantFacts,
)
from regionkit.transactions.participants.participant_sql import SqlParticipant
from regionkit.transactions.participants.rows_sql import COMMITTED, ONE_PHASE, MarkerRows
from regionkit.transactions.participants.sqlite_files import (
    FULL,
    OpenFile,
    attaching,
    checked,
    faults,
    looking,
    require_apart,
)
from regionkit.transactions.protocol import Finish, Vote

__all__ = ["SqliteParticipant"]

DOUBTFUL = ("SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CORRUPT", "SQLITE_NOMEM", "SQLITE_CANTOPEN", "SQLITE_NOTADB")
"""What begins the names of errors after which the file may hold a COMMIT that was not answered."""
MOST_OF_PATH = 200
"""Characters that a log keeps of an instance."""


class SqliteBranch(SqlBranchShell):
    """One branch on a file, or on several."""

    def __init__(self, participant: Any, link: Any, options: BranchOptions, rows: MarkerRows) -> None:
        super().__init__(participant, link, options)
        self._rows = rows

    def prepare(self, deadline: Deadline) -> Answered:
        """NO: SQLite cannot. The protocol never asks."""
        self._roll_back()
        return Answered(vote=Vote.NO, why="SQLite cannot prepare a transaction", retryable=False)

    def commit_one_phase(self, deciding: Sequence[str], deadline: Deadline) -> Answered:
        """As any, once it is sure that the COMMIT is atomic; what was deferred runs before."""
        self._link.seal()
        self._link.deadline = deadline
        if not self.doomed:
            work, self._deferred = self._deferred, []
            try:
                wrong = faults(opened(self._link, work))
            except Exception as error:  # no COMMIT was sent: whatever it was, all is rolled back
                return self._refuse(said(error), retryable=isinstance(error, DeadlineExceeded) or passes(error))
            if not self._link.driver.busy:  # else marker and decision would commit one by one
                self.torn = TORN
                return self._refuse(TORN, retryable=False)
            if wrong:
                return self._refuse(f"{wrong[0].what}; {wrong[0].fix}", retryable=False)
        return super().commit_one_phase(deciding, deadline)

    def answered(self, error: BaseException) -> bool:
        """Whether an error says that nothing was committed: one of the disk does not."""
        name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
        return super().answered(error) and not name.startswith(DOUBTFUL)

    def _preparing(self) -> list[Statement]:
        raise NotImplementedError

    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        marker = self._rows.marker(self.xid, COMMITTED if deciding else ONE_PHASE)
        return [*(Statement(text) for text in (marker, *deciding)), Statement("COMMIT")]

    def _rolling_back(self) -> list[Statement]:
        return [Statement("ROLLBACK")]


def opened(link: Any, first: Sequence[str] = ()) -> list[OpenFile]:
    """The files that a connection has open, the main one first; after these statements."""
    listed = (link.message([Statement(text) for text in (*first, "PRAGMA database_list")]))[-1].rows
    paths = {name: path for _, name, path in listed if name != "temp"}
    modes = [answer.rows[0][0] for answer in link.message([Statement(text) for text in looking(paths)])]
    pairs = zip(modes[::2], modes[1::2], strict=True)
    return [OpenFile(name, path, *mode) for (name, path), mode in zip(paths.items(), pairs, strict=True)]


class SqliteParticipant(SqlParticipant):
    """One file, or several in one branch. See `SqlParticipant`.

    Args:
        name: of the participant, and of its branches.
        given: an engine of the application's, or a kit: its file is the main one.
        namespace: of the transaction manager.
        store: which of a kit's stores.
        attach: paths of further files by schema: a statement names their tables `schema.table`, as after SQLite's own ATTACH.
            None of the files may be in WAL mode then. At most 10.
        foreign_keys: enforce them in branches. SQLite does not by itself, and connections of branches are not the engine's: its
            listeners do not see them.
        unsafe_no_flush: take a file whose commits are not flushed; `doctor` goes on saying so.
        clock: the clock to use.

    Raises:
        ConfigurationError: `given` is of another server; a schema or a path that cannot be attached.
    """

    kind = "sqlite"

    def __init__(
        self,
        name: str,
        given: Any,
        *,
        namespace: str,
        store: str | None = None,
        attach: Mapping[str, str | os.PathLike[str]] = MappingProxyType({}),
        foreign_keys: bool = False,
        unsafe_no_flush: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(name, given, namespace=namespace, store=store, unsafe_no_flush=unsafe_no_flush, clock=clock)
        check_flag("foreign_keys", foreign_keys)
        self.attached = checked(name, attach)
        self._furnishing = ("PRAGMA foreign_keys = ON",) if foreign_keys else ()
        self._rows = MarkerRows(self.kind, self._backing.namespace, "main")

    def _look(self, deadline: Deadline) -> list[OpenFile]:
        """The files and their modes, on a connection as branches have it.

        Raises:
            ConfigurationError: one is not there, or twice.
            RegionUnavailable, DeadlineExceeded: they could not be opened.
        """
        attach = attaching(self.name, self.attached)
        link = self._link(deadline)
        try:
            link.message([Statement(text) for text in attach])
            files = opened(link)
        except DBAPIError as error:
            raise RegionUnavailable(
                f"the files of participant {self.name!r} could not be opened.",
                why=said(error),
                fix="check that each is a database that this process may write.",
                retryable=passes(error),
            ) from error
        finally:
            (link.discard() if self.attached else link.release())
        require_apart(self.name, files)
        return files

    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: its commits are not flushed, or not atomic over its files, or one of them is not there.
            RegionUnavailable, DeadlineExceeded: it could not be opened.
        """
        files = self._look(deadline)
        self._refuse(self._findings(files), "what it has committed could be gone after a crash, or half of it.")
        return ParticipantFacts(self.kind, False, "ANCHOR", _resolved(files[0].path), self._history("", deadline))

    def _findings(self, files: Sequence[OpenFile]) -> list[Finding]:
        found = [Finding("refused", self.name, fault.what, fault.fix) for fault in faults(files)]
        if found:
            return found
        return [
            Finding(
                "warning" if self._unsafe else "refused",
                self.name,
                f"PRAGMA synchronous of {file.schema!r} is {file.synchronous}: what is committed may be gone after a crash",
                "leave it at FULL, its default.",
            )
            for file in files
            if file.synchronous < FULL
        ]

    def begin(self, options: BranchOptions, deadline: Deadline) -> Branch:
        """Open a branch; the one writer of each file is waited for with its first statement.

        Raises:
            ConfigurationError: a file to attach is not there.
            RegionUnavailable, DeadlineExceeded: it cannot be opened.
        """
        attach = attaching(self.name, self.attached)
        link = self._link(deadline)
        longest = min(options.lock_timeout, deadline.remaining())
        opening = [f"PRAGMA busy_timeout = {max(1, int(1000 * longest))}", *self._furnishing, *attach]
        opening.append("BEGIN" if options.reading else "BEGIN IMMEDIATE")
        link.opening = [Statement(text) for text in opening]
        link.driver.furnished = bool(self.attached or self._furnishing)
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
        files = self._look(deadline)
        over = f" over {' and '.join(self.attached)} and its own file" if self.attached else ""
        fine = Finding("ok", self.name, f"ANCHOR: one of its kind in a transaction, whose COMMIT{over} is the decision")
        return self._findings(files) or [fine]


def _resolved(path: str) -> str:
    return str(Path(path).resolve())[-MOST_OF_PATH:]
