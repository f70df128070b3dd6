# Generated from handle_async.py by scripts/twins.py. Do not edit.
"""What a block does at its SQL endpoint: it takes a checkout at the first statement, and commits or rolls back at its end.

A block that runs no statement costs no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy

from regionkit.backends.sql.bridge import Engine, drive, native_connection, open_session, resume
from regionkit.backends.sql.client import OVER, RoutedSession
from regionkit.backends.sql.connection import BlockConnection
from regionkit.backends.sql.message import message
from regionkit.contract.checkout import Checkout, TakeCheckout
from regionkit.contract.message import Answer, Statement
from regionkit.contract.progress import NOTHING, Progress
from regionkit.errors import UsageError
from regionkit.facts.request import Kind
from regionkit.topology import SessionOptions

__all__ = ["SqlHandle"]


def _over() -> Checkout:
    """Where the connection of a block that has ended would come from."""
    raise UsageError(
        "a block was used after its end.",
        why="its connection was given back with its end.",
        fix="run statements inside the block.",
    )


class SqlHandle:
    """Between a block and its Session or Connection. Not shared between threads or tasks."""

    __slots__ = ("_checkout", "_connection", "_core", "_engine", "_kind", "_snapshot", "_source", "native", "session")

    def __init__(
        self,
        options: SessionOptions,
        engine: Engine,
        kind: Kind,
        source: TakeCheckout,
        *,
        core: bool,
        snapshot: bool,
    ) -> None:
        self._engine = engine
        self._kind = kind
        self._source = source
        self._snapshot = snapshot
        self._core = core
        self._checkout: Any = None
        self._connection: BlockConnection | None = None
        self.native: Any = None
        self.session: RoutedSession | None = None
        if not core:
            self.native, self.session = open_session(RoutedSession, options)
            self.session.routed = self

    def connection_now(self, *, shown: bool = False) -> BlockConnection:
        """The block's connection, from inside SQLAlchemy. `shown`: the user gets to hold it."""
        connection = self._connection
        if connection is None:
            connection = self._taken(resume(self._source()))
        elif connection.invalidated:
            raise connection.lost()
        if shown:
            self._checkout.keeps = False
        return connection

    def before_commit(self) -> None:
        """Raise where only the block's end may commit."""
        if self._checkout is not None:
            self._checkout.driver.require_own_end()

    def connection(self) -> sqlalchemy.Connection:
        """The block's connection, in its transaction. From inside SQLAlchemy, or when it is there already."""
        return self.session.connection() if self.session is not None else self.connection_now()

    def begin(self, checkout: Checkout) -> None:
        """Take the connection now."""
        if self._snapshot:
            drive(self._taken, checkout)
            connection = self.connection_now()
        else:
            connection = self._taken(checkout)
        if self._core:
            connection.handed = True
            self.native = native_connection(self._engine, connection)

    def _taken(self, checkout: Any) -> BlockConnection:
        self._checkout = checkout
        connection: BlockConnection = checkout.connection
        if self._snapshot:
            checkout.begin_snapshot()
        self._connection = connection
        checkout.keeps = not self._snapshot
        return connection

    @property
    def pending(self) -> bool:
        """Whether the Session holds changes that were not sent."""
        s = self.session
        if s is None or not (s._new or s._dirty_states or s._deleted):
            return False
        return bool(s._new or s.dirty or s.deleted)

    def finish(self) -> None:
        """The block ended well: commit a write; of a read, refuse changes left pending."""
        if self._core and self._connection is not None and self._connection.closed:
            raise UsageError(
                "the connection of a block was closed inside it.",
                why="what was not committed by then is rolled back.",
                fix="leave closing to the block.",
            )
        if self._checkout is not None:
            self._checkout.driver.finishing = True
            self._checkout.driver.require_held()
        if self._kind is Kind.READ:
            if self.session is not None and self.pending:
                raise UsageError(
                    "a read block ended with changes pending in its session.",
                    why="reads run in autocommit on a read-only connection: the changes would be dropped in silence.",
                    fix="write in s.write(...); an object only looked at can be left out with session.expunge(obj).",
                )
            if self._snapshot and self._connection is not None:
                drive(self._end_snapshot)
        elif self._core:
            if self._connection is not None and self._connection.in_transaction():
                drive(self._connection.commit)
        elif self._connection is not None or self.pending:
            assert self.session is not None
            drive(self.session.commit)

    def abort(self) -> None:
        """The block raised: roll back, or close the connection where that would take time."""
        connection = self._connection
        if connection is None or connection.invalidated or connection.closed:
            return
        self._checkout.keeps = False
        driver = self._checkout.driver
        driver.finishing = True
        late = driver.deadline is not None and driver.deadline.remaining() <= 0.0
        if driver.expired or late or driver.unread:  # a ROLLBACK would have to read the rest first
            drive(connection.invalidate)
        elif self.session is not None:
            drive(self.session.rollback)
        else:
            drive(connection.rollback)

    def _end_snapshot(self) -> None:
        """Before what is asked at the end of the block: inside, the server would answer as of the snapshot."""
        assert self._connection is not None
        if self.session is not None:
            self.session.close()
        else:
            self._connection.rollback()
        self._checkout.end_snapshot()

    def close(self) -> None:
        """Let go of everything but the checkout. What fails here was told by `finish` or `abort`, or harms nobody."""
        self._source = _over  # it is the block's own, which holds this handle: the two would be left to the collector
        try:
            if self.session is not None:
                self.session.routed = OVER
                if self._connection is None:
                    self.session.close()  # no connection was taken: nothing to wait for
                else:
                    drive(self.session.close)
            elif self._snapshot and self._connection is not None and not self._connection.closed:
                drive(self._connection.rollback)
        except Exception:
            return

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Several statements in one round trip, in the block's transaction."""
        return drive(lambda: message(self.connection(), statements))

    def hold(self, why: str) -> None:
        """Only the block's end may end its transaction. `why`: what stands in it, in a sentence.

        Raises:
            UsageError: it was held, and was ended since.
        """
        self._checkout.driver.require_held()
        self._checkout.driver.hold(why)

    @property
    def stands(self) -> bool:
        """Whether the block's connection is surely not lost. The end of a psycopg cursor's call takes tracebacks off."""
        return self._checkout is None or bool(getattr(self._checkout.driver, "stands", False))

    @property
    def speaker(self) -> object:
        """The thread or task that runs a statement at this moment."""
        return None if self._connection is None else self._connection.speaker

    @property
    def progress(self) -> Progress:
        """What the block has done so far: the driver's connection counts."""
        return NOTHING if self._checkout is None else self._checkout.driver

    def outcome(self, result: Any) -> Any:
        """What a function of execute_write returned is what the caller gets."""
        return result
