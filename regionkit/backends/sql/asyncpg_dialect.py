"""PostgreSQL through asyncpg: cursors over `asyncpg_connection`, and a dialect that takes the position in COMMIT's round trip.

SQLAlchemy's adapter for asyncpg begins transactions in round trips of their own and asks four questions of each new connection.
Here the connection begins them, and the cursor reads JSON, so that none is asked. What is used of SQLAlchemy's adapter: its
constructor, the errors that it makes of asyncpg's, and that a cursor is what `cursor()` gives.
"""

from __future__ import annotations

import collections
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_dbapi,
    PGDialect_asyncpg,
)
from sqlalchemy.util import await_only

from regionkit.backends.sql.asyncpg_connection import AsyncBounded
from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed, Undone, as_driver, swallowed
from regionkit.backends.sql.message_asyncpg import answered, ask, error_of, rows
from regionkit.backends.sql.observation import without_header
from regionkit.backends.sql.postgres_texts import ABORTED, COMMIT, LASTS, SWALLOWED

__all__ = ["AsyncAsyncpgDialect"]

JSON_TYPES = frozenset({114, 3802})
"""Numbers of json and jsonb, which asyncpg gives as texts."""
COUNTED = re.compile(r"(?:SELECT|UPDATE|DELETE|MERGE|INSERT \d+) (\d+)")
BATCH = 1000
"""Rows that a stream fetches at a time where all are asked for."""
FEW = 50
"""Rows that a stream fetches at a time where one is asked for."""
_INTEGERS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


class WaitExpired(DeadlinePassed, AsyncAdapt_asyncpg_dbapi.OperationalError):
    """The deadline passed while waiting for PostgreSQL; the connection is closed."""


class PlanChanged(Undone, AsyncAdapt_asyncpg_dbapi.NotSupportedError):
    """The tables of a prepared statement were changed; its transaction is rolled back."""


PLAN_CHANGED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


class Adapted(AsyncAdapt_asyncpg_connection):
    """What SQLAlchemy and whoever takes the DBAPI connection holds."""

    __slots__ = ()

    def cursor(self, server_side: bool = False) -> Any:
        return _Stream(self) if server_side else _Cursor(self)

    def translate(self, error: Exception) -> None:
        """Raise SQLAlchemy's error for one of asyncpg's."""
        driver: Any = self._connection
        if driver.expired and driver.deadline is not None:
            seconds = driver.deadline.timeout
            raise _waited(f"the deadline of {seconds:g} s passed while waiting for the server") from error
        self._handle_exception(error)

    @property  # type: ignore[misc]  # SQLAlchemy has a setter, which nobody calls here
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return bool(as_driver(self).automatic)

    def commit(self) -> None:
        """COMMIT, whoever asks for it past SQLAlchemy."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """ROLLBACK, as that."""
        self._end("ROLLBACK")

    def _end(self, text: str) -> None:
        driver: Any = self._connection
        if not driver.busy:
            return
        try:
            await_only(driver.execute(text))
        except Exception as error:
            self.translate(error)

    def close(self) -> None:
        """Close it without a wait."""
        as_driver(self).leave()

    def terminate(self) -> None:
        """Close it without a wait."""
        as_driver(self).leave()


class _Cursor:
    """A cursor whose rows are all there."""

    server_side = False
    _invalidate_schema_cache_asof = 0.0  # SQLAlchemy's execution context sets it
    arraysize = 1

    def __init__(self, connection: Adapted) -> None:
        self._adapted = connection
        self.connection: AsyncBounded = as_driver(connection)
        self._rows: collections.deque[Any] = collections.deque()
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement."""
        self._drive(self._execute(operation, parameters or ()))

    def executemany(self, operation: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run a statement with several rows of parameters."""
        self.description = None
        self._drive(self.connection.executemany(operation, parameters))

    def _drive(self, doing: Any) -> Any:
        driver = self.connection
        try:
            return await_only(doing)
        except Exception as error:
            driver.stop(error)
            self._adapted.translate(error)
        except BaseException as error:
            driver.stop(error)
            raise

    async def _execute(self, operation: str, parameters: Sequence[Any]) -> None:
        driver = self.connection
        driver.before(operation)
        plan = await driver.plan(operation)
        attributes = plan.get_attributes()
        self.description = [(a.name, a.type.oid, *(None,) * 5) for a in attributes] or None
        await self._run(plan, parameters)

    async def _run(self, plan: Any, parameters: Sequence[Any]) -> None:
        found = await plan.fetch(*parameters)
        self._rows = collections.deque(self._read(found))
        counted = COUNTED.match(plan.get_statusmsg() or "")
        self.rowcount = int(counted[1]) if counted else -1

    def _read(self, found: Sequence[Any]) -> Sequence[Any]:
        """Rows, with JSON as values."""
        places = [n for n, column in enumerate(self.description or ()) if column[1] in JSON_TYPES]
        if not places:
            return found
        read = []
        for record in found:
            row = list(record)
            for n in places:
                row[n] = None if row[n] is None else json.loads(row[n])
            read.append(tuple(row))
        return read

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        found, self._rows = list(self._rows), collections.deque()
        return found

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """SQLAlchemy 2.1 asks for it; there is nothing to close."""

    def setinputsizes(self, *sizes: Any) -> None:
        """Nothing: asyncpg asks the server."""

    def __iter__(self) -> Any:
        while (row := self.fetchone()) is not None:
            yield row


class _Stream(_Cursor):
    """A cursor whose rows stay at the server until they are asked for: in the transaction, or in one of its own."""

    server_side = True

    def __init__(self, connection: Adapted) -> None:
        super().__init__(connection)
        self._portal: Any = None
        self._own = False

    async def _execute(self, operation: str, parameters: Sequence[Any]) -> None:
        driver = self.connection
        if driver.automatic and not driver.branch and not driver.is_in_transaction():
            with driver.own_statements():
                driver.left("a statement")
                await asyncpg.Connection.execute(driver, "BEGIN")
            self._own = driver.streaming = True
        await super()._execute(operation, parameters)

    async def _run(self, plan: Any, parameters: Sequence[Any]) -> None:
        self._portal = await plan.cursor(*parameters)

    def _more(self, count: int) -> None:
        if self._portal is None:
            return
        self.connection.left("a statement")
        found = self._drive(self._portal.fetch(count))
        self._rows.extend(self._read(found))
        if len(found) < count:
            self._over()

    def _over(self) -> None:
        self._portal = None
        if self._own:
            self._own = self.connection.streaming = False
            with self.connection.own_statements():
                self._drive(asyncpg.Connection.execute(self.connection, "COMMIT"))

    def fetchone(self) -> Any:
        if not self._rows:
            self._more(FEW)
        return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = size or FEW
        if len(self._rows) < wanted:
            self._more(wanted - len(self._rows))
        return super().fetchmany(wanted)

    def fetchall(self) -> list[Any]:
        while self._portal is not None:
            self._more(BATCH)
        return super().fetchall()

    def close(self) -> None:
        super().close()
        if self.connection.stands and not self.connection.expired:
            self._over()


class AsyncAsyncpgDialect(PGDialect_asyncpg):
    """PostgreSQL for asyncio, through asyncpg."""

    supports_statement_cache = True  # SQLAlchemy looks for it in each class

    def on_connect(self) -> Any:
        """Nothing: the cursor reads JSON."""

    def connect(self, *args: Any, **named: Any) -> Any:
        return await_only(self._connected(*args, **named))

    async def _connected(self, *args: Any, **named: Any) -> Adapted:
        deadline = CONNECT_DEADLINE.get()
        left = None if deadline is None else deadline.require("connecting")
        limits = {name: int(named.pop(name)) for name in _INTEGERS if name in named}
        within = named.pop("connect_timeout", None)
        prepares = named.pop("prepares", True)
        if within is not None:
            left = float(within) if left is None else min(left, float(within))
        try:
            made: AsyncBounded = await asyncpg.connect(*args, connection_class=AsyncBounded, timeout=left, **named)
        except TimeoutError as error:
            raise _waited("the deadline passed while connecting") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _refused(error) from error
        made.deadline = deadline  # SQLAlchemy asks on the first connection before anybody has it
        made.prepares = prepares
        made.options = named.get("server_settings", {}).get("options", "")
        made.keep_alive(limits)
        adapted: Any = Adapted
        return adapted(self.loaded_dbapi, made, prepared_statement_cache_size=0)  # type: ignore[no-any-return]  # untyped

    def do_close(self, dbapi_connection: Any) -> None:
        """Close it at once; nothing is awaited, so nothing can be cancelled half-way."""
        as_driver(dbapi_connection).leave()

    do_terminate = do_close

    def _get_server_version_info(self, connection: Any) -> Any:
        """What the server said when it was connected to: a question less on the first connection, as the next two."""
        version = as_driver(connection.connection.dbapi_connection).get_server_version()
        return (version.major, version.minor)

    def _set_backslash_escapes(self, connection: Any) -> None:
        told = as_driver(connection.connection.dbapi_connection).get_settings().standard_conforming_strings
        self._backslash_escapes = told == "off"

    def _get_default_schema_name(self, connection: Any) -> Any:
        question = "SELECT current_schema(), current_setting('default_transaction_isolation')"
        schema, level = connection.exec_driver_sql(question).one()
        self._level: Any = level.upper()
        return schema

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Of a new session."""
        return self._level

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """What SQLAlchemy asked for, else that of a new session."""
        driver = as_driver(dbapi_connection)
        return "AUTOCOMMIT" if driver.automatic else driver.level or self._level

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """For the transactions that begin from now on."""
        driver = as_driver(dbapi_connection)
        with driver.own_statements():
            dbapi_connection.rollback()
        driver.automatic = level == "AUTOCOMMIT"
        driver.level = "" if driver.automatic or level == getattr(self, "_level", "") else level

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether each statement commits by itself."""
        return bool(as_driver(dbapi_conn).automatic)

    def set_readonly(self, connection: Any, value: Any) -> None:
        """Of the transactions that begin from now on."""
        as_driver(connection).readonly = bool(value)

    def get_readonly(self, connection: Any) -> Any:
        """Whether they are."""
        return as_driver(connection).readonly

    def set_deferrable(self, connection: Any, value: Any) -> None:
        """Of the transactions that begin from now on."""
        as_driver(connection).deferrable = bool(value)

    def get_deferrable(self, connection: Any) -> Any:
        """Whether they are."""
        return as_driver(connection).deferrable

    def do_commit(self, dbapi_connection: Any) -> None:
        """COMMIT, and its position, in one round trip.

        Raises:
            TransactionRolledBack: the server answered ROLLBACK: an error inside was swallowed.
        """
        driver = as_driver(dbapi_connection)
        if driver.busy:
            driver.send_commit(lambda: self._commit(dbapi_connection, driver), functools.partial(answered, driver))

    def _commit(self, dbapi_connection: Any, driver: AsyncBounded) -> None:
        results = ask(dbapi_connection, COMMIT + driver.restore if driver.finishing else COMMIT)
        last = results[-1]
        driver.restored = driver.finishing and not last.error
        if len(results) > 1 and results[1].tag == "COMMIT":
            driver.position = None
            if len(results) < 3 or results[2].error:
                return  # committed; only its position is not known
        elif last.error:
            error = error_of(driver, last)
            if last.error.get("C") == ABORTED:
                raise swallowed(SWALLOWED) from error
            dbapi_connection.translate(error)
        else:
            raise swallowed(SWALLOWED)
        driver.warning = next((n for r in results for n in r.notices if "synchronous replication" in n), driver.warning)
        flush, insert = (int(text) for text in rows(results[2])[0] if text is not None)
        driver.position = without_header(insert) if rows(results[0])[0][0] == "off" else flush

    def do_rollback(self, dbapi_connection: Any) -> None:
        """ROLLBACK, remembered for a keyed write whose marker goes with it."""
        driver = as_driver(dbapi_connection)
        if not driver.busy:
            return
        driver.rolling_back()
        if driver.finishing:
            driver.restored = self.restore(dbapi_connection, b"ROLLBACK")
        else:
            ask(dbapi_connection, b"ROLLBACK")

    def restore(self, dbapi_connection: Any, first: bytes = b"") -> bool:
        """Put back what a block set, in one message behind `first`; whether all of it was done."""
        driver = as_driver(dbapi_connection)
        return bool(driver.is_restored(ask(dbapi_connection, first + driver.restore)[-1]))

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement; the first of a transaction travels together with its BEGIN."""
        driver: AsyncBounded = cursor.connection
        driver.sending()
        automatic = driver.automatic and not driver.branch
        starts = not driver.is_closed() and not driver.is_in_transaction() and not automatic
        opening = driver.opening
        try:
            try:
                cursor.execute(statement, parameters)
            except AsyncAdapt_asyncpg_dbapi.Error as error:
                if not isinstance(error.__cause__, PLAN_CHANGED):
                    raise
                driver.forget_plans()
                await_only(driver.reload_schema_state())
                if driver.branch or not (starts or automatic):
                    changed: Any = PlanChanged
                    raise changed(*error.args) from error
                if starts:
                    with driver.own_statements():
                        ask(cursor._adapted, b"ROLLBACK")
                    driver.opening = opening
                cursor.execute(statement, parameters)
        finally:
            driver.announced = False
        if automatic:  # SET and the like give no columns, and outlive the block
            driver.dirty |= cursor.description is None or LASTS.search(statement) is not None

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement with several rows of parameters."""
        cursor.connection.sending()
        try:
            cursor.executemany(statement, parameters)
        finally:
            cursor.connection.announced = False

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Run one statement as it is."""
        self.do_execute(cursor, statement, ())

    def is_disconnect(self, error: Any, connection: Any, cursor: Any) -> bool:
        """Whether the connection is of no more use."""
        lost = connection is not None and as_driver(connection).is_closed()
        return lost or isinstance(error, DeadlinePassed)


def _waited(said: str) -> Exception:
    kind: Any = WaitExpired  # untyped
    return kind(said)  # type: ignore[no-any-return]  # an exception


def _refused(error: Exception) -> Exception:
    """SQLAlchemy's error for one of a connection that was not made."""
    kind: Any = AsyncAdapt_asyncpg_dbapi.OperationalError  # untyped
    made = kind(str(error))
    made.pgcode = made.sqlstate = getattr(error, "sqlstate", None)
    return made  # type: ignore[no-any-return]  # an exception
