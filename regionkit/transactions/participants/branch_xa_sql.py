# Generated from branch_xa_sql_async.py by scripts/twins.py. Do not edit.
"""One branch on MariaDB or MySQL: XA, or a plain transaction for the anchor and for readers. Its rules: xa_sql_async.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from regionkit.contract.message import Statement
from regionkit.core.deadline import Deadline
from regionkit.transactions.participants.branch_sql import SqlBranchShell, is_answer
from regionkit.transactions.participants.participant import Answered, BranchOptions
from regionkit.transactions.participants.rows_sql import COMMITTED, ONE_PHASE, code_of
from regionkit.transactions.participants.xa_words import XaWords, lock_of

__all__ = ["XaBranch"]

NO_SAVEPOINT = 1305
UNSURE = (1180, 1317, 1969)
"""An error while committing, KILL QUERY, MariaDB's max_statement_time: after these nobody knows what the last statement did."""


class XaBranch(SqlBranchShell):
    """One branch. `xa`: else it is a plain transaction, which cannot prepare."""

    def __init__(self, participant: Any, link: Any, options: BranchOptions, words: XaWords, *, xa: bool) -> None:
        super().__init__(participant, link, options)
        self._words = words
        self._xa = xa
        self._frees = False
        """Whether the message that ends it has a statement behind that end."""

    def opening(self, lock_timeout: float) -> list[Statement]:
        """What begins it."""
        seconds = max(1, math.ceil(lock_timeout))
        if self.reading:
            return [Statement(said) for said in (*self._words.opening(seconds, (), ""), "START TRANSACTION READ ONLY")]
        checks = self._participant.checks(self._words, xa=self._xa)
        said = self._words.opening(seconds, checks, lock_of(self.xid) if self._xa else "")
        begins = f"XA START {self.xid.xa}" if self._xa else "BEGIN"
        return [Statement(text) for text in (*said, begins, f"SAVEPOINT {self._guard}")]

    @property
    def _guard(self) -> str:
        return f"rk_{self.xid.gtrid}"

    def _marked(self, state: int) -> list[Statement]:
        """Everything before the end: in the branch's own database, with the checks that refuse a closed gtrid."""
        own = (
            f"USE {self._participant.quoted}",
            *self._words.settings,
            f"RELEASE SAVEPOINT {self._guard}",
            self._participant.marker(self.xid, state),
        )
        return [Statement(said) for said in (*self._deferred, *own)]

    def _end(self, what: str) -> list[Statement]:
        self._frees = "PREPARE" not in what
        free = [self._words.free(lock_of(self.xid))] if self._frees else []
        return [Statement(said) for said in (f"XA END {self.xid.xa}", what, *free)]

    def _preparing(self) -> list[Statement]:
        return [*self._marked(COMMITTED), *self._end(f"XA PREPARE {self.xid.xa}")]

    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        marked = self._marked(COMMITTED if deciding else ONE_PHASE)
        end = self._end(f"XA COMMIT {self.xid.xa} ONE PHASE") if self._xa else [Statement("COMMIT")]
        return [*marked, *(Statement(said) for said in deciding), *end]

    def _rolling_back(self) -> list[Statement]:
        return self._end(f"XA ROLLBACK {self.xid.xa}") if self._xa else [Statement("ROLLBACK")]

    def _ended_inside(self, error: BaseException) -> bool:
        return code_of(error) == NO_SAVEPOINT and self._guard in str(error)

    def answered(self, error: BaseException) -> bool:
        behind = self._frees and getattr(getattr(error, "orig", None), "unanswered", 0) == 1
        return is_answer(error, self._link) and code_of(error) not in UNSURE and not behind

    def prepare(self, deadline: Deadline) -> Answered:
        """Its vote."""
        if self._xa:
            return super().prepare(deadline)
        return self._refuse(self._participant.plain or "it was opened as the anchor", retryable=False)
