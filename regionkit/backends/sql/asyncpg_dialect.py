"""PostgreSQL through asyncpg: a dialect that takes the position in COMMIT's own round trip.

SQLAlchemy's adapter for asyncpg begins transactions in round trips of their own and asks four questions of each new connection.
Here the connection begins them, and the cursor reads JSON, so that none is asked.
"""

from __future__ import annotations

import functools
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_dbapi,
    PGDialect_asyncpg,
)
from sqlalchemy.util import await_only

from regionkit.backends.sql.asyncpg_connection import AsyncBounded
from regionkit.backends.sql.asyncpg_cursor import Adapted, waited
from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed, Undone, as_driver, swallowed
from regionkit.backends.sql.message_asyncpg import answered, ask, error_of, rows
from regionkit.backends.sql.observation import without_header
from regionkit.backends.sql.postgres_texts import ABORTED, COMMIT, LASTS, SWALLOWED

__all__ = ["AsyncAsyncpgDialect"]

_INTEGERS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


class PlanChanged(Undone, AsyncAdapt_asyncpg_dbapi.NotSupportedError):
    """The tables of a prepared statement were changed; its transaction is rolled back."""


PLAN_CHANGED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


class AsyncAsyncpgDialect(PGDialect_asyncpg):
    """PostgreSQL for asyncio, through asyncpg."""

    supports_statement_cache = True  # SQLAlchemy looks for it in each class
    message_adapter = "asyncpg"
    """Of `message`: SQLAlchemy's own dialect of that name has connections that cannot do it."""

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
            raise waited("the deadline passed while connecting") from error
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


def _refused(error: Exception) -> Exception:
    """SQLAlchemy's error for one of a connection that was not made."""
    kind: Any = AsyncAdapt_asyncpg_dbapi.OperationalError  # untyped
    made = kind(str(error))
    made.pgcode = made.sqlstate = getattr(error, "sqlstate", None)
    return made  # type: ignore[no-any-return]  # an exception
