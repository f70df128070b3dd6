"""What the user types with on SQL: a Session that takes its connection when it first needs one.

A Session asks `get_bind` before every statement; ours answers with the block's one Connection, and takes a checkout the
first time.
"""

from __future__ import annotations

from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import orm

from regionkit.errors import UsageError

__all__ = ["OVER", "AsyncRouted", "AsyncRoutedSession"]


class AsyncRouted(Protocol):
    """What a Session is bound to: its block's handle."""

    def connection_now(self, *, shown: bool = False) -> sqlalchemy.Connection:
        """The block's connection, from inside SQLAlchemy. `shown`: the user gets to hold it."""
        ...

    def before_commit(self) -> None:
        """Raise where only the block's end may commit: before the Session does anything, so that it stays usable."""
        ...


class _Over:
    """Stands in a Session whose block has ended: its connection may serve another block by now."""

    def connection_now(self, *, shown: bool = False) -> sqlalchemy.Connection:
        raise UsageError(
            "a session was used after its block had ended.",
            why="the block's connection was given back with its end.",
            fix="run statements inside the block; objects it loaded may be looked at after it.",
        )

    def before_commit(self) -> None:
        """Its connection is gone: `connection_now` says so."""


OVER: AsyncRouted = _Over()
"""What a Session is bound to once its block has ended."""


class AsyncRoutedSession(orm.Session):
    """A Session bound to the one connection of its block. (The session under asyncio's AsyncSession is this one too.)"""

    routed: AsyncRouted

    def get_bind(self, *args: Any, **kwargs: Any) -> sqlalchemy.Connection:
        """The block's connection, whatever is asked for: one block is one endpoint."""
        return self.routed.connection_now(shown="clause" not in kwargs and "mapper" not in kwargs)

    def commit(self) -> None:
        """As SQLAlchemy's, where the block allows it."""
        self.routed.before_commit()
        super().commit()

    def connection(self, *args: Any, **kwargs: Any) -> sqlalchemy.Connection:
        """The block's Connection, for the user to hold: it serves no other block afterwards."""
        self.routed.connection_now(shown=True)
        return super().connection(*args, **kwargs)
