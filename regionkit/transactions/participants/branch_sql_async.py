"""The shell of a branch on every SQL server: what users type with, votes, ends; a server adds its statements.

1. PREPARE and COMMIT go out in one message with the statements of the fast lane and the marker. The server's refusal is NO, and
   the branch is rolled back before that is said; an answer that does not come is UNANSWERED, and closes the connection.
2. What was never asked to prepare is rolled back by its connection, whatever is heard of it: nobody else can commit it.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Sequence
from enum import Enum
from typing import Any

from sqlalchemy.exc import DBAPIError

from regionkit.contract.message import Answer, Statement
from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded
from regionkit.transactions.participants.participant_async import Answered, BranchOptions, Listed
from regionkit.transactions.participants.rows_sql import code_of, is_barred
from regionkit.transactions.protocol import Decision, Finish, Vote

__all__ = ["AsyncSqlBranchShell", "Stage", "is_answer", "passes"]

CLOSE_WITHIN = 1.0
"""Seconds of the ROLLBACK of a branch that nobody ended: a connection that takes longer is closed."""
TORN = "a statement ended its transaction: work before or after it may be committed"
PASSING = ("08", "40", "53", "55", "57", 1205, 1213, 1020, 1615, 1969, 1317, 2006, 2013)
"""Codes (their first digits on PostgreSQL) after which the same transaction may go well."""
LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
"""What begins the names of SQLite's errors after which it may: a reader of a file holds up its COMMIT."""


class Stage(Enum):
    """How far a branch has come on its server, as this side knows it."""

    OPEN = "at work"
    ASKED = "it may be prepared, or committed"
    PREPARED = "it is"
    ENDED = "its connection has no transaction any more"


def is_answer(error: BaseException, link: Any) -> bool:
    """Whether an error is the server's answer, and its connection stands."""
    return isinstance(error, DBAPIError) and not error.connection_invalidated and not link.lost


def said(error: BaseException) -> str:
    """An error on one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class AsyncSqlBranchShell(abc.ABC):
    """One branch. `link`: the connection that `backends` gave. Of one thread or task until the phases begin."""

    def __init__(self, participant: Any, link: Any, options: BranchOptions) -> None:
        self._participant = participant
        self._link = link
        self.xid = options.xid
        self.reading = options.reading
        self.stage = Stage.OPEN
        self.torn = ""
        self._deferred: list[str] = []
        if options.reading:
            link.read_only()

    # -- what a server adds

    @abc.abstractmethod
    def _preparing(self) -> list[Statement]:
        """The message that prepares, `self._deferred` and the marker in it."""

    @abc.abstractmethod
    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        """The message that commits in one phase, marker and `deciding` in it; COMMIT comes last."""

    @abc.abstractmethod
    def _rolling_back(self) -> list[Statement]:
        """The message that ends what is open."""

    def _prepared(self, answers: Sequence[Answer]) -> str:
        """Why these answers are no YES; "" where they are."""
        return ""

    def _committed(self, answers: Sequence[Answer]) -> Answered:
        """What these answers say of a COMMIT."""
        return Answered(winner=Decision.COMMIT)

    def _ended_inside(self, error: BaseException) -> bool:
        """Whether the server's answer to the marker says that the transaction is another than the branch's own."""
        return False

    def _nothing_open(self, answers: Sequence[Answer]) -> bool:
        """Whether these answers to ROLLBACK say that there was nothing to roll back."""
        return False

    def answered(self, error: BaseException) -> bool:
        """Whether an error says that nothing was prepared or committed."""
        return is_answer(error, self._link)

    # -- work

    def session(self) -> Any:
        """One Session for the branch, always the same."""
        return self._link.session()

    async def connection(self) -> Any:
        """One Connection for the branch, always the same."""
        return await self._link.native()

    @property
    def doomed(self) -> str:
        """Why the branch can no longer commit; "" while it can."""
        found: str = self._link.doomed
        return found

    def passes(self, error: BaseException) -> bool:
        """A deadlock, a wait for a lock that was too long, a connection that was lost: nothing is prepared, it is rolled back."""
        return isinstance(error, DBAPIError) and (error.connection_invalidated or passes(error))

    def defer(self, statement: str) -> None:
        """Send this one statement with PREPARE, or with COMMIT."""
        self._deferred.append(statement)

    async def flush(self) -> bool:
        """Send what the session holds; whether there was anything."""
        sent: bool = await self._link.flush()
        return sent

    # -- phases

    async def prepare(self, deadline: Deadline) -> Answered:
        """Its vote."""
        self._link.seal()
        self._link.deadline = deadline
        if self.doomed:
            return await self._refuse(self.doomed)
        try:
            answers = await self.sent(self._preparing(), Stage.PREPARED)
        except DeadlineExceeded as error:  # nothing was sent
            return await self._refuse(said(error))
        except Exception as error:
            if not self.answered(error):
                await self._link.discard()
                return Answered(vote=Vote.UNANSWERED, why=said(error))
            self.stage = Stage.OPEN
            if self._ended_inside(error):
                self.torn = TORN
            return await self._refuse(said(error), retryable=passes(error))
        why = self._prepared(answers)
        if not why:
            return Answered(vote=Vote.YES)
        return await self._undo(why)

    async def _undo(self, why: str) -> Answered:
        """It answered, and not as it should: it may be prepared all the same."""
        deadline = self._link.deadline
        if self.stage is Stage.PREPARED and await self.finish(False, deadline) is not Finish.DONE:
            await self._link.discard()
            return Answered(vote=Vote.UNANSWERED, why=why)
        return await self._refuse(why)

    async def sent(self, statements: list[Statement], then: Stage) -> list[Answer]:
        """Send what may end the branch; `then`: its stage once it was answered well."""
        self.stage = Stage.ASKED
        try:
            answers: list[Answer] = await self._link.message(statements)
        except DeadlineExceeded:
            self.stage = Stage.OPEN
            raise
        self.stage = then
        return answers

    async def _refuse(self, why: str, *, retryable: bool = True) -> Answered:
        await self._roll_back()
        return Answered(vote=Vote.NO, winner=Decision.ABORT, why=why, retryable=retryable)

    async def _roll_back(self) -> None:
        """By its connection: where ROLLBACK is not answered, by closing it."""
        if self.stage is not Stage.OPEN:
            return
        self.stage = Stage.ENDED
        self._link.seal()
        if self._link.torn:
            self.torn = TORN
        if self._link.lost:
            await self._link.discard()
        elif self._link.opening:
            self._link.opening = ()
        else:
            try:
                if self._nothing_open(await self._link.message(self._rolling_back())):
                    self.torn = TORN
            except Exception:
                await self._link.discard()

    async def commit_one_phase(self, deciding: Sequence[str], deadline: Deadline) -> Answered:
        """COMMIT with its marker, and these statements of the log's."""
        self._link.seal()
        self._link.deadline = deadline
        if self.doomed:
            return await self._refuse(self.doomed)
        try:
            answers = await self.sent(self._committing(deciding), Stage.ENDED)
        except DeadlineExceeded as error:
            return await self._refuse(said(error))
        except Exception as error:
            if not self.answered(error):
                await self._link.discard()
                return Answered(why=said(error))
            self.stage = Stage.OPEN
            if self._ended_inside(error):
                self.torn = TORN
            barred = is_barred(error, self.xid)  # by a row of somebody else's: what it says is to be read, not guessed
            refused = await self._refuse(said(error), retryable=passes(error))
            return Answered(why=refused.why) if barred else refused
        return self._committed(answers)

    async def finish(self, commit: bool, deadline: Deadline) -> Finish:
        """End it as decided."""
        if self.stage is Stage.ENDED:
            return Finish.UNKNOWN if commit else Finish.DONE
        if self.stage is Stage.OPEN:
            if commit:
                return Finish.UNKNOWN
            self._link.deadline = deadline
            await self._roll_back()
            return Finish.DONE
        if self.stage is Stage.ASKED or self._link.lost:
            await self._link.discard()
            elsewhere: Finish = await self._participant.finish(Listed(self.xid), commit, deadline)
            return elsewhere
        self._link.deadline = deadline
        done: Finish = await self._participant.finish_on(self._link, self.xid, commit)
        if done is Finish.DONE:
            self.stage = Stage.ENDED
        elif self._link.lost:
            await self._link.discard()
        return done

    async def position(self) -> Any:
        """After a COMMIT: where its participant's data stands, an upper bound; None if unknown."""
        if self.stage is not Stage.ENDED or self._link.lost:
            return None
        with contextlib.suppress(Exception):
            return await self._participant.position_on(self._link)
        return None

    def tell(self, outcome: Committed) -> None:
        """What became of the transaction: who joined the branch hears it."""
        self._link.tell(outcome)

    async def close(self) -> None:
        """Let go of its connection. Never raises; may be repeated."""
        if self.stage is Stage.OPEN:
            self._link.deadline = Deadline(self._participant.clock, CLOSE_WITHIN)
            await self._roll_back()
        if self.stage is Stage.ENDED:
            await self._link.release()
        else:
            await self._link.discard()


def passes(error: BaseException) -> bool:
    """Whether the same transaction may go well after this error."""
    code, name = code_of(error), str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    if name.startswith(LOCKED):
        return True
    return code in PASSING or (isinstance(code, str) and code[:2] in PASSING)
