"""PostgreSQL through psycopg 3: bounded connections and a dialect that takes the position in COMMIT's own round trip.

SQLAlchemy's dialect layer is one code for threads and asyncio (coroutines are resumed by greenlets), so this module
serves both; only the driver connection has two classes.

Facts behind it, each with a test: a frozen server outlives statement_timeout, tcp_user_timeout and asyncio.timeout, so the
wait itself is bounded; with synchronous_commit off the flush position trails the commit, so the insert position is taken,
less the page header where it stands behind one; in an aborted transaction COMMIT answers ROLLBACK without an error.
Source: PostgreSQL manual, "Frontend/Backend Protocol" and "System Administration Functions".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg, PGDialectAsync_psycopg
from sqlalchemy.util import await_only

from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed, DriverState, Undone, as_driver, swallowed
from regionkit.backends.sql.message_psycopg import answered, ask, error_of, handed_over, rows
from regionkit.backends.sql.observation import without_header
from regionkit.backends.sql.postgres_connecting import AsyncConnects, WaitExpired, bounded_connect
from regionkit.backends.sql.postgres_texts import (
    ABORTED,
    COMMIT,
    SWALLOWED,
    lasts,
    note_end,
    restoring,
    several,
)
from regionkit.backends.sql.postgres_waiting import TimeIsOver, wait, wait_async
from regionkit.backends.sql.quiet_pipeline import AsyncQuietPipelines, QuietPipelines
from regionkit.backends.sql.riding import CAN_RIDE, ride
from regionkit.contract.interrupted import interruption, keep_own
from regionkit.core.overlap import own_call

__all__ = ["AsyncBounded", "AsyncPostgresDialect", "Bounded", "PostgresDialect"]


STREAMS = (psycopg.ServerCursor, psycopg.AsyncServerCursor)  # they stay open at the server


class PlanChanged(Undone, errors.FeatureNotSupported):
    """The tables of a prepared statement were changed; its transaction is rolled back."""


class _Shared(DriverState):
    """What both forms of the connection do without waiting.

    Attributes:
        streams: cursors that the server keeps, held here until the block's end.
        pooled: whether a pooler (PgBouncer) stands in front; None where that was not asked. Its server connections are shared.
        settings: what the session began with and the server does not know as its beginning; name and value.
    """

    pgconn: Any
    _autocommit: bool
    _prepared: Any
    streams: list[Any]
    rides = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams = []
        self.pooled: bool | None = None
        self.settings: dict[str, str] = {}

    @property
    def restore(self) -> bytes:
        """Statements that put back what a block may have set, behind a semicolon."""
        return restoring(tuple(self.settings.items()), branch=self.branch)

    def is_restored(self, last: Any) -> bool:
        """Whether the last answer to `restore` says that nothing of the block is left."""
        if last.status == ExecStatus.FATAL_ERROR:
            return False
        return not self.branch or rows(last)[0][-1] == "0"

    def touched(self) -> None:
        """The driver is about to send something, by whomever."""
        super().touched()
        self.dirty |= not self.announced and self._autocommit and not self.branch

    def settle(self) -> None:
        """Let go of cursors that were left open. One that outlives its transaction would stay at the server."""
        streams, self.streams = self.streams, []
        for cursor in streams:
            if not cursor.closed:
                self.dirty |= cursor.withhold
                cursor._closed = True  # without a word to the server: the connection is closed, or its transaction over

    def forget_plans(self) -> bool:
        """Drop all prepared statements before the next one is sent; whether there were any.

        After a migration PostgreSQL refuses a prepared statement whose columns have changed, for as long as it is kept.
        """
        return bool(self._prepared.clear())

    def _start_query(self) -> Generator[Any, Any, None]:
        """BEGIN before the first statement; in a pipeline it travels with it, where psycopg would wait for its answer."""
        if self.sealed or not self.announced:  # else the dialect has said so
            self.touched()
        if self._autocommit and not self.opening:
            return
        begun = self._pipeline is not None and self._pipeline.result_queue  # type: ignore[attr-defined]  # BEGIN is in it
        if begun or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return
        if self.opening:
            opening, self.opening = self.opening, ()
            for text in opening:
                yield from self._exec_command(text.encode())
        else:
            yield from super()._exec_command(self._get_tx_start_command())  # type: ignore[attr-defined,misc]

    def _exec_command(self, command: Any, *arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
        """psycopg's way to send what is no query of a cursor; its own commit() and rollback() are the user's."""
        result = yield from super()._exec_command(command, *arguments, **options)  # type: ignore[misc]  # psycopg's
        if command in (b"COMMIT", b"ROLLBACK"):
            self.ended_by(command.decode())
        return result

    @property
    def altered(self) -> bool:
        """Whether its rows are no tuples, or its transactions have another mode."""
        return self.row_factory is not tuple_row or self._read_only is not None  # type: ignore[attr-defined]  # psycopg's

    @property
    def stands(self) -> bool:
        """Whether it is not lost, as far as libpq knows."""
        return bool(self.pgconn.status == ConnStatus.OK)

    @property
    def busy(self) -> bool:
        """Whether the server holds a transaction open on it."""
        return bool(self.pgconn.transaction_status != TransactionStatus.IDLE)

    def _expire(self) -> WaitExpired:
        self.expired = True
        self.pgconn.finish()
        assert self.deadline is not None
        return WaitExpired(f"the deadline of {self.deadline.timeout:g} s passed while waiting for the server")

    def _stop(self, error: BaseException) -> None:
        """The wait ended by something else than the server's answer: the next one would get that."""
        own = interruption(error) is not None
        if own or not isinstance(error, Exception):
            self.stopped = own
            if own:
                keep_own(error)  # the end of a pipeline takes the traceback off
            self.pgconn.finish()

    def _noticed(self, diagnostic: Any) -> None:
        if "synchronous replication" in (diagnostic.message_primary or ""):
            self.warning = diagnostic.message_primary


class Bounded(_Shared, QuietPipelines, psycopg.Connection[Any]):
    """A psycopg connection whose waits end at the deadline."""

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Any:  # psycopg 3.2 gives a time-out
        return bounded_connect(super()._connect_gen(conninfo, **options))

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        left = self.left("a statement") if self.deadline is not None else timeout
        call = own_call() if self.branch and self.finishing else None
        try:
            if call is not None:
                return handed_over(call, gen, self.pgconn.socket, left)
            return wait(gen, self.pgconn.socket, interval, left)
        except TimeIsOver:
            raise self._expire() from None
        except BaseException as error:
            self._stop(error)
            raise


class AsyncBounded(_Shared, AsyncQuietPipelines, AsyncConnects):
    """The same for asyncio. A cancelled wait closes the connection at once and waits for no server."""

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        left = self.left("a statement") if self.deadline is not None else timeout
        try:
            return await wait_async(gen, self.pgconn.socket, interval, left)
        except TimeIsOver:
            raise self._expire() from None
        except BaseException as error:
            self._stop(error)
            raise


class _Dialect:
    """What both forms of the dialect share."""

    first: Callable[[Any, Any, str, Any], None]  # runs the first statement of a transaction
    undo: Callable[[Any], None]  # rolls it back
    is_async: bool

    def _get_server_version_info(self, connection: Any) -> Any:
        """What libpq was told when it connected: a question less on the first connection of an engine, as the next two."""
        return divmod(as_driver(connection.connection.dbapi_connection).info.server_version, 10000)

    def _set_backslash_escapes(self, connection: Any) -> None:
        told = as_driver(connection.connection.dbapi_connection).info.parameter_status("standard_conforming_strings")
        self._backslash_escapes = told == "off"

    def _get_default_schema_name(self, connection: Any) -> Any:
        question = "SELECT current_schema(), current_setting('default_transaction_isolation')"
        schema, level = connection.exec_driver_sql(question).one()
        self._level: Any = level.upper()
        return schema

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Of a new session."""
        return self._level

    def do_commit(self, dbapi_connection: Any) -> None:
        """COMMIT, and its position, in one round trip.

        Raises:
            TransactionRolledBack: the server answered ROLLBACK: an error inside was swallowed.
        """
        driver = as_driver(dbapi_connection)
        if driver.busy:
            driver.send_commit(lambda: self._commit(dbapi_connection, driver), functools.partial(answered, driver))

    def _commit(self, dbapi_connection: Any, driver: Any) -> None:
        results = ask(dbapi_connection, COMMIT + driver.restore if driver.finishing else COMMIT)
        last = results[-1]
        failed = last.status == ExecStatus.FATAL_ERROR
        driver.restored = driver.finishing and not failed
        if len(results) > 1 and results[1].command_status == b"COMMIT":
            driver.position = None
            if results[2].status == ExecStatus.FATAL_ERROR:
                return  # committed; only its position is not known
        elif failed:
            error = error_of(driver, last)
            if error.sqlstate == ABORTED:
                raise swallowed(SWALLOWED) from error
            raise error
        else:
            raise swallowed(SWALLOWED)
        late, position = results[0].get_value(0, 0) == b"off", results[2]
        driver.position = without_header(int(position.get_value(0, 1))) if late else int(position.get_value(0, 0))

    def do_rollback(self, dbapi_connection: Any) -> None:
        """ROLLBACK, remembered for a keyed write whose marker goes with it."""
        driver = as_driver(dbapi_connection)
        if driver.busy:
            driver.rolling_back()
            if driver.finishing:
                driver.forget_plans()  # as psycopg does: what they stand on may be gone
                driver.restored = self.restore(dbapi_connection, b"ROLLBACK")
                return
        super().do_rollback(dbapi_connection)  # type: ignore[misc]

    def restore(self, dbapi_connection: Any, first: bytes = b"") -> bool:
        """Put back what a block set, in one message behind `first`; whether all of it was done."""
        driver = as_driver(dbapi_connection)
        return bool(driver.is_restored(ask(dbapi_connection, first + driver.restore)[-1]))

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement; the first of a transaction travels together with its BEGIN."""
        raw = self._use(cursor)
        driver = raw.connection
        branch = driver.branch
        autocommit = driver._autocommit and not branch
        begins = bool(driver.opening) if branch else not autocommit
        starts = begins and driver.pgconn.transaction_status == TransactionStatus.IDLE
        rides = starts and CAN_RIDE and not several(statement)  # a message takes one statement, and no stream
        if isinstance(raw, STREAMS):
            rides = False
            raw._withhold |= autocommit  # outside of a transaction the server keeps no other
            driver.streams.append(raw)
        run = self.first if rides else self._plainly
        try:
            run(driver, cursor, statement, parameters)
        except errors.FeatureNotSupported as error:
            if not driver.forget_plans():
                raise
            if driver.branch or not (starts or autocommit):
                raise PlanChanged(*error.args) from error
            if starts:
                with driver.own_statements():
                    self.undo(driver)
            run(driver, cursor, statement, parameters)
        finally:
            driver.announced = False
        if not autocommit:
            note_end(driver, raw, statement)
        else:  # SET and the like give no columns, and outlive the block
            result = raw.pgresult
            driver.dirty |= result is None or result.nfields == 0 or lasts(statement)

    def _plainly(self, driver: Any, cursor: Any, statement: str, parameters: Any) -> None:
        cursor.execute(statement, parameters)

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement with several rows of parameters."""
        driver = self._use(cursor).connection
        try:
            super().do_executemany(cursor, statement, parameters, context)  # type: ignore[misc]  # of the dialect mixed with
        finally:
            driver.announced = False

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Run one statement as it is."""
        driver = self._use(cursor).connection
        try:
            super().do_execute_no_params(cursor, statement, context)  # type: ignore[misc]  # of the dialect mixed with
        finally:
            driver.announced = False
        driver.dirty |= bool(driver._autocommit and not driver.branch)  # it may have been a SET: rare enough to be sure

    def _use(self, cursor: Any) -> Any:
        """psycopg's cursor, which is about to send: in asyncio SQLAlchemy's adapter is around it."""
        raw = cursor._cursor if self.is_async else cursor
        raw.connection.sending()
        return raw

    def is_disconnect(self, error: Any, connection: Any, cursor: Any) -> bool:
        """Whether the connection is of no more use: also one that died in a pipeline which libpq cannot leave any more."""
        driver = None if connection is None else as_driver(connection)
        stuck = driver is not None and driver._pipeline is None and driver.pgconn.pipeline_status != PipelineStatus.OFF
        return stuck or isinstance(error, DeadlinePassed) or super().is_disconnect(error, connection, cursor)  # type: ignore[misc]


class PostgresDialect(_Dialect, PGDialect_psycopg):
    """PostgreSQL for threads."""

    supports_statement_cache = True  # SQLAlchemy looks for it in each class

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = Bounded.connect(*args, **kwargs)
        connection.deadline = CONNECT_DEADLINE.get()  # SQLAlchemy asks on the first connection before anybody has it
        connection.add_notice_handler(connection._noticed)
        return connection

    def first(self, driver: Any, cursor: Any, statement: str, parameters: Any) -> None:
        """BEGIN and the statement, in one message."""
        with driver.lock:
            driver.wait(ride(driver, cursor, statement, parameters))

    def undo(self, driver: Any) -> None:
        """ROLLBACK."""
        driver.rollback()


class AsyncPostgresDialect(_Dialect, PGDialectAsync_psycopg):
    """PostgreSQL for asyncio."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> Any:
        return cls

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = self.loaded_dbapi.connect(*args, async_creator_fn=AsyncBounded.connect, **kwargs)
        connection._connection.deadline = CONNECT_DEADLINE.get()  # as above
        connection.add_notice_handler(connection._connection._noticed)
        return connection

    def first(self, driver: Any, cursor: Any, statement: str, parameters: Any) -> None:
        """BEGIN and the statement, in one message."""
        await_only(self._first(driver, cursor, statement, parameters))

    def undo(self, driver: Any) -> None:
        """ROLLBACK."""
        await_only(driver.rollback())

    async def _first(self, driver: Any, cursor: Any, statement: str, parameters: Any) -> None:
        raw = cursor._cursor
        async with driver.lock:
            await driver.wait(ride(driver, raw, statement, parameters))
        if raw.pgresult and raw.pgresult.status == ExecStatus.TUPLES_OK:
            cursor._rows.extend(await raw.fetchall())  # as the adapter does after an execute of its own
