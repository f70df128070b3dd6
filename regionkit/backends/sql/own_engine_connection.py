"""A Connection of the application's engine in the hands of one block, or of the monitor.

The pool, the dialect, the driver's connection and their listeners stay the application's, as they are. What a block has to
know (was anything sent, did a COMMIT get its answer) is kept here, on the SQLAlchemy Connection that lives as long as the
block. A deadline is looked at before each statement and before COMMIT; one that is under way is the engine's to end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy

from regionkit.backends.sql.classify import code_of, is_unknown_at_commit
from regionkit.backends.sql.connection import BlockConnection
from regionkit.backends.sql.driver import DriverState
from regionkit.backends.sql.own_engine_server import OwnEngineServer
from regionkit.backends.sql.statement_size import least_size, most_size
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, OutcomeUnknown
from regionkit.facts.request import Kind

__all__ = ["BlockState", "OwnEngineConnection"]

TOO_LARGE = 1153
"""ER_NET_PACKET_TOO_LARGE, MariaDB's code for it."""

T = TypeVar("T")


class BlockState(DriverState):
    """What one block did. `deadline` stays None: no wait of the driver's is cut short by it.

    Attributes:
        until: the block's deadline.
        failed: a statement of the open transaction failed.
        lost_all: the server rolled the open transaction back by itself.
        bypassed: the driver's connection was given out, so statements may have been sent that nobody here saw.
    """

    until: Deadline | None = None
    failed: bool = False
    lost_all: bool = False
    bypassed: bool = False

    @property
    def busy(self) -> bool:
        """Whether a statement of the block's may have been sent."""
        return self.used

    def left(self, doing: str) -> float | None:
        """Seconds that the block has left; None before it began.

        Raises:
            DeadlineExceeded: none. The connection is as it was, so nothing keeps a rollback from being sent.
        """
        return None if self.until is None else self.until.require(doing)


class OwnEngineConnection(BlockConnection):
    """A Connection for one block. `begun`: a transaction may be open on it. `restricted`: it was made read-only itself."""

    driver: BlockState
    kind = Kind.READ
    snapshot = False
    serving = False
    begun = False
    inside = False
    restricted = False

    def __init__(self, engine: sqlalchemy.Engine, server: OwnEngineServer, connection: Any = None) -> None:
        self.driver = BlockState()  # first: listeners of the engine's may use the connection while it is made
        self.server = server
        super().__init__(engine, connection)
        if self._is_autocommit_isolation():
            self.execution_options(isolation_level=self.default_isolation_level)  # the pool's return takes it back

    @property
    def connection(self) -> Any:
        """The driver's connection. Asked for from outside, it may do anything: it counts as used from then on."""
        if self.serving and not self.inside:
            self.driver.bypassed = True
            self.driver.touched()
        return super().connection

    @property
    def info(self) -> Any:
        """What SQLAlchemy keeps with the driver's connection."""
        with self.unwatched():
            return super().info

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[None]:
        """Whoever asks for the driver's connection in here is SQLAlchemy or regionkit."""
        before, self.inside = self.inside, True
        try:
            yield
        finally:
            self.inside = before

    def require_transactions(self) -> None:
        """Refuse a driver that commits each statement by itself, past SQLAlchemy. SQLite's BEGIN is ours.

        Raises:
            ConfigurationError: it does.
        """
        under: Any = self.connection.dbapi_connection
        if self.dialect.name != "sqlite" and self.dialect.detect_autocommit_setting(under):
            raise ConfigurationError(
                "the engine's connections commit each statement by themselves.",
                why="a block is a transaction, so that an exception rolls a write back.",
                fix='leave autocommit out of the driver\'s arguments; isolation_level="AUTOCOMMIT" of SQLAlchemy is fine.',
            )

    def serve(self, kind: Kind, until: Deadline) -> None:
        """A block takes it."""
        self.kind, self.driver.until = kind, until
        self.server.taken(self)
        self.serving = True

    def run_own(self, statement: str) -> Sequence[Any]:
        """Run a statement of regionkit's own: it counts for nothing. Its only row; nothing where it gives none."""
        cursor: Any = None
        try:
            with self.unwatched():
                cursor = self.connection.cursor()
            cursor.execute(statement)
            row: Sequence[Any] = cursor.fetchone() if cursor.description else ()
        except BaseException as error:
            self._handle_dbapi_exception(error, statement, None, cursor, None)
        cursor.close()
        return row

    def undo(self) -> None:
        """End what the driver began for a statement of regionkit's own."""
        try:
            with self.unwatched():
                self.dialect.do_rollback(self.connection)
        except BaseException as error:
            self._handle_dbapi_exception(error, None, None, None, None)

    def aside(self, work: Callable[[], T]) -> T:
        """Ask questions. In a read block what follows sees what was there after the answer: its transaction begins anew."""
        if self.begun and self.kind is Kind.WRITE:
            return work()
        begun, self.begun = self.begun, False
        if begun:
            self.undo()
        try:
            return work()
        finally:
            if not self.invalidated:
                self.undo()
                if begun:
                    self._begin_impl(self._transaction)

    def _began(self) -> None:
        self.begun = True
        self.server.begin(self)

    def _begin_impl(self, transaction: Any) -> None:
        with self.unwatched():
            super()._begin_impl(transaction)
        if self.serving:
            self._began()

    def _execute_context(self, dialect: Any, constructor: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.serving:
            return super()._execute_context(dialect, constructor, statement, *args, **kwargs)
        if self.invalidated:
            raise self.lost()
        self.sending(str(statement))
        try:
            with self.unwatched():
                return super()._execute_context(dialect, constructor, statement, *args, **kwargs)
        except Exception as error:
            self.refused(error)
            if self.invalidated and isinstance(error, sqlalchemy.exc.DBAPIError):
                self._tell_too_large(error)
            raise

    def _exec_single_context(self, dialect: Any, context: Any, statement: Any, parameters: Any) -> Any:
        if self.serving:
            least = least_size(context.statement, context.parameters)
            if 0 < self.server.largest <= least:
                error = self._too_large(f"of at least {least} bytes", "it was not sent")
                self._handle_dbapi_exception(error, str(context.statement), parameters, context.cursor, context)
        return super()._exec_single_context(dialect, context, statement, parameters)

    def _tell_too_large(self, error: sqlalchemy.exc.DBAPIError) -> None:
        """The server breaks the connection in the midst of a statement that is too large: that is no fault of its own.

        Raises:
            OperationalError: it was too large, as far as it can be told here.
        """
        most = most_size(error.statement or "", error.params)
        if 0 < self.server.largest <= most:
            orig = self._too_large(f"of up to {most} bytes", f"the server closed the connection ({error.orig})")
            raise sqlalchemy.exc.OperationalError(
                error.statement, error.params, orig, connection_invalidated=True
            ) from error

    def _too_large(self, what: str, done: str) -> Exception:
        made: Exception = self.dialect.loaded_dbapi.OperationalError(
            TOO_LARGE,
            f"a statement {what} is larger than the server's max_allowed_packet, {self.server.largest}; {done}",
        )
        return made

    def sending(self, statement: str) -> None:
        """A statement of the block's is about to be sent."""
        self.driver.left("a statement")
        self.driver.sending()
        if self.kind is Kind.WRITE:
            self.server.sent(self, statement)

    def refused(self, error: Exception) -> None:
        """A statement failed."""
        self.driver.failed = True
        self.server.failed(self, code_of(error))

    def _commit_impl(self) -> None:
        """COMMIT, counted once it is answered.

        Raises:
            TransactionRolledBack: an error inside was swallowed. Nothing is committed.
            OutcomeUnknown: it was sent, and no answer came.
        """
        writes = self.serving and self.kind is Kind.WRITE
        with self.unwatched():
            if writes and self.driver.busy:
                self.commit_by(super()._commit_impl)
            else:
                super()._commit_impl()
        self.begun = False

    def commit_by(self, send: Callable[[], object]) -> None:
        """Commit what was done, by what sends COMMIT and takes its answer."""
        driver = self.driver
        try:
            driver.send_commit(send, self._answered, lambda: self.server.before_commit(self))
        except Exception as error:
            if driver.unknown:
                self._unknown(error)
            raise
        driver.failed = driver.bypassed = False

    def _answered(self, error: Exception) -> bool:
        lost = self.invalidated or isinstance(getattr(error, "orig", None) or error, OSError)
        return not (lost or is_unknown_at_commit(error))

    def _unknown(self, error: Exception) -> None:
        cause = getattr(error, "orig", None) or error
        if not self.invalidated:
            self.invalidate(error)
        raise OutcomeUnknown(
            "COMMIT was sent on the application's engine, and no answer came.",
            why=(str(cause).strip().splitlines() or [type(cause).__name__])[0],
            fix="kit.resolve(error) finds out if the write had an idempotency key; never run it again blindly.",
        ) from error

    def _rollback_impl(self) -> None:
        driver = self.driver
        if self.begun and driver.used:
            driver.rolling_back()
        with self.unwatched():
            super()._rollback_impl()
        self.begun = driver.failed = driver.lost_all = driver.bypassed = False

    def close(self) -> None:
        """Give it back to the application's pool as it came; what cannot be put back is closed."""
        try:
            if self.serving and not self.closed and not self.invalidated:
                self._put_back()
        finally:
            super().close()

    def _put_back(self) -> None:
        self.serving = False
        try:
            if self._transaction is not None:
                self._transaction.close()
            if self.begun:
                self._rollback_impl()
            if not self.invalidated:
                self.server.given_back(self)
        except Exception:  # the block has its answer: only the connection is lost
            self.invalidate()
