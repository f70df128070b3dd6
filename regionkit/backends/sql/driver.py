"""What our driver connections of every SQL server have in common. Pure of any driver.

1. A connection in use carries the block's deadline; no wait for the server outlives it. A connection whose wait was cut
   short may still get an answer: it is closed, never given back.
2. A COMMIT leaves its position on the connection (`position`), in the round trip of the COMMIT itself.
3. `guard`, where it is set, runs before each statement: it keeps a bounded read within its bound.
4. `commit_state` says how far a COMMIT got: nothing sent, sent without an answer, or answered. An error after "sent" is an
   unknown outcome. `send_commit` alone moves it, for every driver and for the application's engines.
5. While a transaction is held (`hold`), only the block's own end may end it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from regionkit.contract.processes import inherited
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.events import crash_point
from regionkit.errors import DeadlineExceeded, TransactionRolledBack, UsageError
from regionkit.facts.position import Position

__all__ = ["CONNECT_DEADLINE", "DeadlinePassed", "DriverState", "Undone", "as_driver", "swallowed"]

CONNECT_DEADLINE: ContextVar[Deadline | None] = ContextVar("regionkit_connect_deadline", default=None)
"""The deadline of the connection that this thread or task is making: drivers' own limits are whole seconds, or none."""


class DriverState:
    """Attributes of a driver connection, mixed into each driver's own class."""

    deadline: Deadline | None = None
    position: Position | None = None
    commits: int = 0
    commit_state: str = "none"
    expired: bool = False
    stopped: bool = False
    """Whether an exception of the application's stopped a wait on it: it is closed, and no server is to blame."""
    warning: str = ""
    used: bool = False
    implicit: bool = False
    guard: Callable[[], None] | None = None
    holder: object = None
    counts: int = 1
    """How many a COMMIT counts here; 0 where the server's answer tells whether it changed anything."""
    held: str = ""
    finishing: bool = False
    ended: bool = False
    dirty: bool = False
    had: float = FOREVER
    """Seconds that the server had at most for the last statement."""
    fresh: bool = False
    """Whether the user's own end opened a transaction at once, and nothing was done in it: its COMMIT does nothing."""
    announced: bool = False
    """Whether SQLAlchemy runs a statement just now: what is sent otherwise comes from the driver's own cursor."""
    process: int = 0
    """That opened the block."""
    restored: bool = False
    """Whether the end of the transaction put back what the block had set."""
    branch: bool = False
    """Whether a pillar writes what begins and ends its transactions: the driver itself is in autocommit mode."""
    done: int = 0
    """Statements of the last message that were done before the one that failed: none where its text cannot be read as SQL."""
    rides: bool = False
    """Whether `opening` goes out in the message of the first statement."""
    opening: tuple[str, ...] = ()
    """Of a branch: statements that begin its transaction, still to be sent."""
    begins: str = "BEGIN"
    """What begins a transaction as the application's engine has it."""
    furnished: bool = False
    """Whether the application's engine may have set more on it than can be put back: it serves one branch."""
    sealed: bool = False
    """Whether a branch's user may send nothing more on it."""

    def start(self, holder: object, deadline: Deadline) -> None:
        """A block takes the connection: what an earlier one left is over."""
        self.holder, self.deadline, self.position, self.commits = holder, deadline, None, 0
        self.commit_state, self.used, self.implicit, self.warning = "none", False, False, ""
        self.guard, self.held, self.finishing, self.ended, self.dirty = None, "", False, False, False
        self.announced = self.restored = self.fresh = self.branch = self.sealed = False
        self.process = os.getpid()

    @property
    def unknown(self) -> bool:
        """Whether a COMMIT was sent and its answer never came."""
        return self.commit_state == "sent"

    @property
    def undone(self) -> bool:
        """Whether the transaction was rolled back before the block's end."""
        return self.ended

    def require_held(self) -> None:
        """At the block's end: a transaction that is held is still open, so that no text and no driver's call has ended it.

        Raises:
            UsageError: it is not. Nobody knows how it ended.
        """
        if self.held and self.used and (self.ended or self.implicit or not self.busy):
            if not self.ended:
                self.commit_state = "sent"  # by somebody else, or it was rolled back
            raise self._held_error()

    def sending(self) -> None:
        """A statement of the block's is about to be sent, through SQLAlchemy."""
        self.used, self.announced, self.fresh, self.restored = True, True, False, False
        if self.guard is not None:
            self.guard()

    def touched(self) -> None:
        """The driver is about to send something, by whomever: a statement of SQLAlchemy's, or one on its own cursor.

        Raises:
            UsageError: it is a branch's whose transaction has begun to end. Nothing was sent.
        """
        if self.sealed and self.guard is not None:
            self.guard()
        self.used, self.fresh, self.restored = True, False, False

    @contextlib.contextmanager
    def own_statements(self) -> Iterator[None]:
        """What is sent inside is regionkit's own: it counts for nothing."""
        before = self.used, self.dirty, self.ended, self.fresh
        try:
            yield
        finally:
            self.used, self.dirty, self.ended, self.fresh = before

    @property
    def torn(self) -> bool:
        """Whether something of the user's may have committed apart from the transaction: it was ended, and maybe gone on with."""
        return bool(self.commits or self.implicit or (self.ended and not self.fresh))

    def ended_by(self, end: str) -> None:
        """Something of the user's ended the transaction, past SQLAlchemy: `end` is "COMMIT" or "ROLLBACK"."""
        if end == "COMMIT":
            self.commits += 1
            self.implicit, self.position = True, None
        else:
            self.ended = True
        self.fresh = True

    def refused(self, error: Exception) -> None:
        """A statement failed."""

    def hold(self, why: str) -> None:
        """From here on only the block's own end may end the transaction. `why`: what stands in it, in a sentence."""
        self.held = why

    def require_own_end(self) -> None:
        """Before COMMIT: a held transaction ends once, at the block's end.

        Raises:
            UsageError: it was ended before, or this is not the end. Nothing was sent.
        """
        if self.held and (self.ended or not self.finishing):
            raise self._held_error()

    def rolling_back(self) -> None:
        """Before ROLLBACK. One that belongs to an error on its way out of the block is let through: that error is told.

        Raises:
            UsageError: the transaction is held, and this is not the block's end. Nothing was sent; its COMMIT fails too.
        """
        self.ended = True
        if self.held and not self.finishing and sys.exception() is None:
            raise self._held_error()

    def _held_error(self) -> UsageError:
        return UsageError(
            "a block ended its own transaction.",
            why=self.held,
            fix="leave commit and rollback to the block; statements that may fail go into db.begin_nested().",
        )

    def send_commit(
        self,
        send: Callable[[], object],
        answered: Callable[[Exception], bool],
        last: Callable[[], None] | None = None,
    ) -> None:
        """Commit: `send` sends COMMIT and takes its answer. Only where there is something to commit (`busy`).

        A cancellation and a signal leave the outcome open, as does an error of which `answered` says that it is not the
        server's answer. `last`: what goes immediately before, in the same transaction.

        Raises:
            UsageError: the transaction is held.
            DeadlineExceeded: no time is left. Nothing was sent.
        """
        self.require_own_end()
        self.left("COMMIT")
        if last is not None:
            last()
        crash_point("write.before_commit")
        self.commit_state = "sent"
        try:
            send()
        except Exception as error:
            if answered(error):
                self.commit_state = "answered"
            raise
        crash_point("write.commit_sent")
        self.committed()

    def committed(self) -> None:
        """COMMIT was answered."""
        self.commit_state = "answered"
        self.commits += 0 if self.fresh else self.counts

    @property
    def busy(self) -> bool:
        """Whether the server may hold a transaction open on it, so that there is something to commit."""
        return False

    @property
    def unread(self) -> bool:
        """Whether a part of an answer is still to be read: the next statement would have to read it first."""
        return False

    @property
    def altered(self) -> bool:
        """Whether the user changed how the driver's connection object itself works: the next block would notice."""
        return False

    def settle(self) -> None:
        """Let go of what an open result still holds."""

    def left(self, doing: str) -> float | None:
        """Seconds that a wait may take; None outside of blocks.

        Raises:
            DeadlineExceeded: none are left. Nothing was sent.
            UsageError: this is a child of the process that opened the block. Nothing was sent.
        """
        if self.deadline is None:
            return None
        if self.process and self.process != os.getpid():  # 0: it is being made
            raise inherited()
        try:
            self.had = self.deadline.require(doing)
            return self.had
        except DeadlineExceeded:
            self.expired = True
            raise


def swallowed(why: str) -> TransactionRolledBack:
    """The error of a COMMIT that could not commit all of its transaction."""
    return TransactionRolledBack(
        "the transaction was rolled back, and was not committed.",
        why=f"a statement in it failed and the error was swallowed; {why}",
        fix="let errors of statements leave the block, or use savepoints (db.begin_nested()) around those that may fail.",
        retryable=False,
    )


class Undone:
    """Mixed into each driver's own error after which nothing of the transaction is there, and which a new run does not meet."""


class DeadlinePassed:
    """Mixed into each driver's own error for a wait that the deadline cut short."""


def as_driver(connection: Any) -> Any:
    """The driver's connection under the pool's proxy and SQLAlchemy's adapter, or the connection itself."""
    if isinstance(connection, DriverState):
        return connection
    inner = getattr(connection, "dbapi_connection", connection)
    inner = getattr(inner, "_connection", inner)  # SQLAlchemy's adapter for asyncio
    return getattr(inner, "_conn", inner)  # aiosqlite's thread holds sqlite3's
