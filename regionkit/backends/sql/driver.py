"""What our driver connections of every SQL server have in common. Pure of any driver.

1. A connection in use carries the block's deadline; no wait for the server outlives it. A connection whose wait was cut
   short may still get an answer: it is closed, never given back.
2. A COMMIT leaves its position on the connection (`position`), in the round trip of the COMMIT itself.
3. `guard`, where it is set, runs before each statement: it keeps a bounded read within its bound.
4. `commit_state` says how far a COMMIT got: nothing sent, sent without an answer, or answered. An error after "sent" is an
   unknown outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded, UsageError
from regionkit.facts.position import Position

__all__ = ["CONNECT_DEADLINE", "DeadlinePassed", "DriverState", "as_driver"]

CONNECT_DEADLINE: ContextVar[Deadline | None] = ContextVar("regionkit_connect_deadline", default=None)
"""The deadline of the connection that this thread or task is making: drivers' own limits are whole seconds, or none."""


class DriverState:
    """Attributes of a driver connection, mixed into each driver's own class."""

    deadline: Deadline | None = None
    position: Position | None = None
    commits: int = 0
    commit_state: str = "none"
    expired: bool = False
    warning: str = ""
    used: bool = False
    implicit: bool = False
    guard: Callable[[], None] | None = None
    holder: object = None
    keyed: bool = False
    finishing: bool = False
    ended: bool = False
    dirty: bool = False

    def start(self, holder: object, deadline: Deadline) -> None:
        """A block takes the connection: what an earlier one left is over."""
        self.holder, self.deadline, self.position, self.commits = holder, deadline, None, 0
        self.commit_state, self.used, self.implicit, self.warning = "none", False, False, ""
        self.guard, self.keyed, self.finishing, self.ended, self.dirty = None, False, False, False, False

    @property
    def unknown(self) -> bool:
        """Whether a COMMIT was sent and its answer never came."""
        return self.commit_state == "sent"

    def require_marker(self) -> None:
        """Before COMMIT: a keyed write commits once, at its end, in the transaction that its marker stands in.

        Raises:
            UsageError: it is another transaction, or not the end. Nothing was sent.
        """
        if self.keyed and (self.ended or not self.finishing):
            raise UsageError(
                "a keyed write ended its own transaction.",
                why="the marker of its idempotency key stands in that transaction, and commits with it or not at all.",
                fix="leave commit and rollback to the block; statements that may fail go into db.begin_nested().",
            )

    @property
    def busy(self) -> bool:
        """Whether the server holds a transaction open on it."""
        return False

    @property
    def unread(self) -> bool:
        """Whether a part of an answer is still to be read: the next statement would have to read it first."""
        return False

    def settle(self) -> None:
        """Let go of what an open result still holds."""

    def left(self, doing: str) -> float | None:
        """Seconds that a wait may take; None outside of blocks.

        Raises:
            DeadlineExceeded: none are left. Nothing was sent.
        """
        if self.deadline is None:
            return None
        try:
            return self.deadline.require(doing)
        except DeadlineExceeded:
            self.expired = True
            raise


class DeadlinePassed:
    """Mixed into each driver's own error for a wait that the deadline cut short."""


def as_driver(connection: Any) -> Any:
    """The driver's connection under the pool's proxy and SQLAlchemy's adapter, or the connection itself."""
    inner = getattr(connection, "dbapi_connection", connection)
    inner = getattr(inner, "_connection", inner)  # SQLAlchemy's adapter for asyncio
    return getattr(inner, "_conn", inner)  # aiosqlite's thread holds sqlite3's
