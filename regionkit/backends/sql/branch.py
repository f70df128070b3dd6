# Generated from branch_async.py by scripts/twins.py. Do not edit.
"""A branch of a global transaction on a SQL server: a connection on which a pillar itself writes what begins and ends it.

1. Connections come from a pool of their own, with the driver in autocommit mode: neither SQLAlchemy nor the driver ever sends
   BEGIN, COMMIT or ROLLBACK there, and nothing is sent when one comes back.
2. `opening` goes out with the first use: PostgreSQL takes it in the message of the first statement, others in one before it.
3. The deadline of the moment ends every wait, and closes the connection with it (SQLite: interrupts the statement).
4. A connection goes back to the pool only where the driver proves it idle and nothing a later branch could notice is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from regionkit.backends.sql.branch_connection import BranchConnection, BranchSession, BranchState
from regionkit.backends.sql.bridge import Engine, drive, native_connection, open_session
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.enlist_transaction import NAME
from regionkit.backends.sql.message import own_message
from regionkit.contract.message import Answer, Statement
from regionkit.contract.unit import Committed
from regionkit.core.concurrency import Slots
from regionkit.core.deadline import Deadline
from regionkit.facts.observation import Observation
from regionkit.topology import SessionOptions

if TYPE_CHECKING:
    from regionkit.backends.sql.pool import SqlPool

__all__ = ["SqlBranch"]


class SqlBranch:
    """One connection for one branch, or for a phase of one. Not shared between threads or tasks at the same time.

    Attributes:
        opening: statements in front of the first use; whoever opens the branch sets them.
        observation: what the connection said when it was made.
    """

    def __init__(
        self,
        pool: SqlPool,
        engine: Engine,
        connection: BranchConnection,
        slots: Slots,
        deadline: Deadline,
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._slots = slots
        self._over = False
        self._opening: tuple[Statement, ...] = ()
        self._native: Any = None
        self._session: BranchSession | None = None
        self._sessions: Any = None
        self._joined: Any = None
        self._connection = connection
        pooled = connection.connection
        self.observation: Observation = pooled.info["observation"]
        self._driver = connection.driver = as_driver(pooled.dbapi_connection)
        self._driver.start(self, deadline)
        self._driver.branch = True
        self._state = connection.state = BranchState(self._connected)
        self._driver.guard = self._state.require_open

    @property
    def driver(self) -> Any:
        """The driver's connection: its facts (`busy`, `ended`, `implicit`, `position`, `pooled`)."""
        return self._driver

    @property
    def begins(self) -> str:
        """BEGIN, with the isolation level of the application's engine."""
        found: str = self._driver.begins
        return found

    @property
    def lost(self) -> bool:
        """Whether the connection is gone: what was sent last may have no answer."""
        driver = self._driver
        gone = self._over or self._connection.invalidated or driver.expired or driver.stopped
        return gone or not getattr(driver, "stands", True)

    @property
    def deadline(self) -> Deadline | None:
        """When the waits of the present phase end."""
        found: Deadline | None = self._driver.deadline
        return found

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._driver.deadline = deadline

    @property
    def opening(self) -> Sequence[Statement]:
        """What is still to be sent in front of the first use."""
        driver = self._driver
        return [Statement(text) for text in driver.opening] if driver.rides else self._opening

    @opening.setter
    def opening(self, statements: Sequence[Statement]) -> None:
        if self._driver.rides:
            self._driver.opening = tuple(statement.text for statement in statements)
            self._driver.hold(self._state.why)
        else:
            self._opening = tuple(statements)

    @property
    def doomed(self) -> str:
        """Why the branch cannot commit, as far as this side has seen; "" while it can."""
        driver = self._driver
        if not self._state.doomed:
            if driver.ended or driver.implicit or driver.commits:
                self._state.doom("a statement inside ended its transaction")
            elif self._connection.invalidated or driver.expired or driver.stopped:
                self._state.doom("its connection was lost")
        return self._state.doomed

    @property
    def torn(self) -> bool:
        """Whether work of the branch may have committed by itself, as far as this side has seen."""
        return bool(self._driver.torn)

    def doom(self, why: str) -> None:
        """It cannot commit any more. `why`: in a clause."""
        self._state.doom(why)

    def hold(self, why: str) -> None:
        """Say who ends the branch, in a sentence: an error of the user's own commit, rollback or close shows it."""
        self._state.why = why
        if self._driver.held:
            self._driver.hold(why)

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Send the pillar's own statements in one message, `opening` in front where it is still to be sent.

        Nothing is added, no text is looked at, and COMMIT may stand anywhere: who sends it reads its answer.

        Raises:
            sqlalchemy.exc.DBAPIError: the server's error to the first statement that failed, or the loss of the connection.
            DeadlineExceeded: no time was left. Nothing was sent.
            UsageError: the answer's tag is not the statement's, or this is a child of the process that opened the branch.
        """
        return drive(self._message, statements)

    def _message(self, statements: Sequence[Statement]) -> list[Answer]:
        driver, state = self._driver, self._state
        opening = self.opening
        if opening:
            self.opening = ()
        books = driver.used, driver.dirty, driver.ended, driver.fresh, driver.commits, driver.implicit
        sealed, driver.sealed, driver.finishing, own, state.own = driver.sealed, False, True, state.own, True
        try:
            driver.left("a statement")
            return own_message(self._connection, [*opening, *statements])[len(opening) :]
        except BaseException as error:
            state.note(error)
            if opening:  # else the next statement would run in no transaction, and stay
                state.doom("what begins it, or the first message with it, failed")
            raise
        finally:
            state.own, driver.finishing, driver.sealed = own, False, sealed
            driver.used, driver.dirty, driver.ended, driver.fresh, driver.commits, driver.implicit = books
            if opening:
                driver.hold(state.why)

    def _connected(self) -> BranchConnection:
        """The Connection for the user, its transaction begun on the server, or about to begin with the first statement."""
        connection = self._connection
        if connection.invalidated:
            raise connection.lost()
        if self._opening:
            self._message(())
        connection.begin_shell()
        return connection

    def native(self) -> Any:
        """The Connection (Connection) for the user, always the same."""
        self._state.require_open()
        connection = drive(self._connected)
        if self._native is None:
            self._native = native_connection(self._engine, connection)
        return self._native

    def session(self) -> Any:
        """The Session (Session) for the user, always the same; it takes the connection with its first statement."""
        self._state.require_open()
        if self._sessions is None:
            options = SessionOptions(expire_on_commit=False)
            self._sessions, self._session = open_session(BranchSession, options)
            self._session.state = self._state
            self._session.join_transaction_mode = "rollback_only"
        return self._sessions

    def flush(self) -> bool:
        """Send what the session holds, then run what was registered to run before the COMMIT (`enlist`); whether there was
        anything. Called until there is nothing.

        Raises:
            Exception: what the flush, or such a call, raised. The branch is doomed.
        """
        try:
            return drive(self._flush)
        except BaseException as error:
            self._state.doom(f"its session could not be flushed: {error}".splitlines()[0])
            raise

    def _flush(self) -> bool:
        if self._session is not None and self._session.flush_all():
            return True
        joined = self._connection.__dict__.get(NAME)
        return joined is not None and bool(joined.run_before())

    def tell(self, outcome: Committed) -> None:
        """What became of the global transaction: who joined the branch hears it. After `seal`."""
        joined, self._joined = self._joined, None
        if joined is not None:
            joined.end(outcome)

    def read_only(self) -> None:
        """It was declared reading: nobody may join it."""
        self._state.reading = True

    def seal(self) -> None:
        """Nothing more may be done by the user: the phases begin. Call it when nothing is left to flush."""
        if self._state.sealed:
            return
        self._state.sealed = self._driver.sealed = True
        self._joined = self._connection.__dict__.get(NAME)
        if self._joined is not None:
            self._joined.leave()
        if self._session is not None:
            with contextlib.suppress(Exception):  # an open savepoint, whose ROLLBACK TO is refused now
                self._session.close()

    def release(self) -> None:
        """Give the connection back where it is proved idle, else close it. Never raises; may be repeated."""
        self._end(keeps=True)

    def discard(self) -> None:
        """Close the connection: an answer may still come, or a prepared branch hangs on it. Never raises; may be repeated."""
        self._end(keeps=False)

    def _end(self, *, keeps: bool) -> None:
        if self._over:
            return
        self._over = True
        self.seal()
        try:
            with contextlib.suppress(Exception):
                drive(self._give_back, keeps)
        finally:
            self._driver.sealed = False
            self._slots.release()

    def _give_back(self, keeps: bool) -> None:
        connection, driver = self._connection, self._driver
        try:
            driver.settle()
            keeps = keeps and not self._pool.closed and not connection.invalidated and self._is_idle()
        except BaseException:
            keeps = False
            raise
        finally:
            connection.state = None
            driver.guard, driver.opening = None, ()
            if not keeps:
                connection.discard()
            else:
                driver.deadline = None
                self._keep()

    def _keep(self) -> None:
        """For the next branch: as it is where the user never had it in hand, else through the pool."""
        connection, kept = self._connection, self._pool.kept_branches
        if self._native is not None or self._session is not None or len(kept) >= self._pool.most_kept:
            connection.close()
            return
        connection.connection.info["idle_since"] = self._pool.clock.monotonic()
        kept.append(connection)
        while self._pool.closed and kept:  # it was closed in this moment
            with contextlib.suppress(IndexError):
                kept.pop().discard()

    def _is_idle(self) -> bool:
        """Whether the next branch could not notice this one."""
        driver = self._driver
        late = driver.expired or driver.deadline is None or driver.deadline.remaining() <= 0.0
        if (
            late
            or self._state.barred
            or driver.furnished
            or driver.busy
            or driver.unread
            or driver.altered
            or driver.dirty
        ):
            return False
        restore = getattr(self._connection.dialect, "restore", None)
        if restore is None or driver.restored or not driver.used:
            return True
        return bool(restore(self._connection.connection.dbapi_connection))
