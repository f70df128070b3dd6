"""What users type with in a branch: a Connection and a Session that end nothing.

The driver is in autocommit mode, and the pillar writes BEGIN (XA START) and the ends by itself; SQLAlchemy's own transaction
over it is a shell. The user's commit, rollback and close of the Connection raise. The Session's commit flushes; its rollback
or close, and an error of a statement outside a savepoint, doom the branch: it can no longer commit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import orm

from regionkit.backends.sql.classify import classify
from regionkit.backends.sql.connection import BlockConnection
from regionkit.contract.outcomes import Failure
from regionkit.errors import TransactionAborted, UsageError

__all__ = ["BranchConnection", "BranchSession", "BranchState", "failed"]

CLOSED = "TransactionClosed: a branch was used while its transaction was ending."
"""The error of a use after `seal`."""


class BranchState:
    """What may still be done with a branch.

    Attributes:
        doomed: why it cannot commit; "" while it can.
        sealed: nothing more may be done with it by the user.
        own: what runs now is the pillar's.
        reading: it was declared so.
        rolling: the Session rolls back: that dooms, and does not raise.
        barred: the server takes no writes on this connection. A session keeps the default that it began with, so a later branch
            on it would be refused long after the database is writable again.
        why: who ends it, in a sentence.
    """

    __slots__ = ("barred", "connect", "doomed", "own", "reading", "rolling", "sealed", "why")

    def __init__(self, connect: Callable[[], BranchConnection]) -> None:
        self.doomed = ""
        self.sealed = self.own = self.rolling = self.reading = self.barred = False
        self.why = "a branch commits or rolls back with its global transaction, and with nothing else."
        self.connect = connect

    def doom(self, why: str) -> None:
        """It cannot commit any more; the first reason stands."""
        self.doomed = self.doomed or why

    def note(self, error: BaseException) -> None:
        """An error of a statement: whether the connection may serve another branch."""
        self.barred = self.barred or classify(error) in (Failure.READ_ONLY, Failure.ROLE)

    def require_open(self) -> None:
        """Before each statement of the user's.

        Raises:
            UsageError: the branch is sealed.
            TransactionAborted: it is doomed.
        """
        if self.own:
            return
        if self.sealed:
            raise UsageError(
                CLOSED,
                why="nothing would commit further work.",
                fix="run statements inside the transaction's block; objects it loaded may be looked at after it.",
            )
        if self.doomed:
            raise TransactionAborted(
                "a branch can no longer commit.",
                why=f"{self.doomed}; the global transaction will be rolled back.",
                fix="do not catch the error inside the block; put statements that may fail into begin_nested().",
                committed="no",
            )

    def held(self) -> UsageError:
        """The error of the user's own commit, rollback or close."""
        return UsageError(
            "a branch was ended inside its transaction.",
            why=self.why,
            fix="leave commit, rollback and close to the transaction's block; begin_nested() makes savepoints.",
        )


class BranchConnection(BlockConnection):
    """The Connection of a branch. `state`: None once it was let go of."""

    state: BranchState | None = None

    def commit(self) -> None:
        """Raise: only the global transaction commits. Before SQLAlchemy does anything, so that it stays usable."""
        if self.state is not None:
            raise self.state.held()

    def close(self) -> None:
        """Raise until the branch is let go of."""
        if self.state is not None:
            raise self.state.held()
        super().close()

    def begin_shell(self) -> None:
        """SQLAlchemy's transaction, of which the server hears nothing: what Sessions join."""
        if not self.in_transaction():
            self.begin()

    def _commit_impl(self) -> None:
        if self.state is not None:
            raise self.state.held()

    def _rollback_impl(self) -> None:
        state = self.state
        if state is None or state.own:
            return
        state.doom("its transaction was rolled back inside")
        if not state.rolling and sys.exception() is None:
            raise state.held()


class BranchSession(orm.Session):
    """The Session of a branch. (The session under asyncio's AsyncSession is this one too.)"""

    state: BranchState

    def get_bind(self, *args: Any, **kwargs: Any) -> sqlalchemy.Connection:
        """The branch's connection, whatever is asked for."""
        self.state.require_open()
        return self.state.connect()

    def begin(self, nested: bool = False) -> orm.SessionTransaction:
        """A savepoint: the transaction itself is there already."""
        return super().begin(nested=True)

    def commit(self) -> None:
        """Flush. Nothing is ended, and no event after_commit fires: use tx.on_committed."""
        self.state.require_open()
        self.flush()

    def rollback(self) -> None:
        """Doom the branch: its work cannot be taken for done any more."""
        self.state.doom("its session was rolled back")
        self.state.rolling = True
        try:
            super().rollback()
        finally:
            self.state.rolling = False

    def close(self) -> None:
        """Before the branch's end this dooms it: what was not flushed would be lost in silence."""
        if not self.state.sealed:
            self.state.doom("its session was closed before the end")
        super().close()

    reset = invalidate = close

    def is_changed(self) -> bool:
        """Whether something was not sent yet."""
        return bool(self._new or self._deleted or (self._dirty_states and self.dirty))

    def flush_all(self) -> bool:
        """Send what is pending and release open savepoints; whether there was anything."""
        changed = self.is_changed()
        if changed:
            self.flush()
        while (nested := self.get_nested_transaction()) is not None:
            nested.commit()
        return changed


def failed(context: Any) -> None:
    """A statement failed: outside of a savepoint, or with the connection, that dooms the branch."""
    state = getattr(context.connection, "state", None)
    if state is None:
        return
    state.note(context.original_exception)
    if state.own or state.sealed:
        return
    if context.is_disconnect or context.connection.get_nested_transaction() is None:
        text = str(context.original_exception).strip() or type(context.original_exception).__name__
        state.doom(f"a statement failed outside a savepoint: {text.splitlines()[0]}")
