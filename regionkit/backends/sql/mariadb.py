"""The dialects of MariaDB and MySQL for PyMySQL and aiomysql, over the connections of `mariadb_connection`.

Which of the two it is, the server says in its greeting, before anything was asked.

Round trips of a new connection are expensive over distance. The drivers and SQLAlchemy send autocommit, character set and five
questions one by one; here they are one statement and one question.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

from pymysql.constants import CR
from sqlalchemy.dialects.mysql.aiomysql import MySQLDialect_aiomysql
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed, as_driver
from regionkit.backends.sql.mariadb_connection import SESSION_TRACK, Bounded, WaitExpired
from regionkit.backends.sql.message_pymysql import answered

__all__ = ["AsyncMariaDialect", "MariaDialect"]

FIRST = ("VERSION()", "DATABASE()", "@@{}_isolation", "@@sql_mode", "@@lower_case_table_names")
"""What SQLAlchemy asks on the first connection of an engine. MariaDB calls the isolation tx_, MySQL transaction_."""
HARMLESS = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|REPLACE|SAVEPOINT|RELEASE|ROLLBACK\s+TO)\b", re.IGNORECASE)
"""Statements without rows that leave nothing behind in the session."""


class _Dialect:
    """What both forms of the dialect share."""

    def create_connect_args(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        positional, named = super().create_connect_args(url, *args, **kwargs)  # type: ignore[misc]  # of the dialect mixed with
        named["client_flag"] = named.get("client_flag", 0) | SESSION_TRACK
        return positional, named

    def on_connect(self) -> Any:
        """Nothing: the settings of `settled` name the character set already."""

    def initialize(self, connection: Any) -> None:
        """Take from one answer what SQLAlchemy would ask in five."""
        cursor = connection.connection.cursor()
        known = as_driver(connection.connection).is_mariadb
        asked = f"SELECT {', '.join(FIRST)}".format("tx" if known else "transaction")
        cursor.execute(asked)
        self._first = dict(zip(FIRST, cursor.fetchone(), strict=True))
        cursor.close()
        super().initialize(connection)  # type: ignore[misc]  # of the dialect mixed with

    def _get_server_version_info(self, connection: Any) -> Any:
        return self._parse_server_version(self._first["VERSION()"])  # type: ignore[attr-defined]  # SQLAlchemy's, as below

    def _get_default_schema_name(self, connection: Any) -> Any:
        return self._first["DATABASE()"]

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Of a new session."""
        return self._first["@@{}_isolation"].upper().replace("-", " ")

    def _fetch_setting(self, connection: Any, setting_name: str) -> Any:
        if (known := self._first.get(f"@@{setting_name}")) is not None:
            return str(known)
        return super()._fetch_setting(connection, setting_name)  # type: ignore[misc]

    def do_commit(self, dbapi_connection: Any) -> None:
        """COMMIT; its answer carries the position."""
        driver = as_driver(dbapi_connection)
        if driver.busy:
            driver.send_commit(dbapi_connection.commit, functools.partial(answered, driver))

    def do_rollback(self, dbapi_connection: Any) -> None:
        """ROLLBACK where a transaction may be open; otherwise it would cost a round trip for nothing."""
        driver = as_driver(dbapi_connection)
        if driver.busy:
            driver.rolling_back()
            dbapi_connection.rollback()
            driver.begun = driver.lost_all = False

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Set it; its SET and COMMIT are not the block's."""
        with as_driver(dbapi_connection).own_statements():
            super().set_isolation_level(dbapi_connection, level)  # type: ignore[misc]  # of the dialect mixed with

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement."""
        self._run(super().do_execute, cursor, statement, parameters, context)  # type: ignore[misc]  # of the dialect mixed with

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement with several rows of parameters."""
        self._run(super().do_executemany, cursor, statement, parameters, context)  # type: ignore[misc]  # as above

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Run one statement as it is."""
        self._run(super().do_execute_no_params, cursor, statement, context)  # type: ignore[misc]  # as above

    def _run(self, run: Callable[..., None], cursor: Any, *arguments: Any) -> None:
        driver = getattr(cursor, "_cursor", cursor).connection
        driver.sending()
        try:
            run(cursor, *arguments)
        finally:
            driver.announced = False
        if driver.branch and (not driver.counts or HARMLESS.match(arguments[0])):
            return  # answers tell of SET, where the engine's connection lets them
        driver.dirty |= driver.get_autocommit() and cursor.description is None  # SET and the like outlive the block

    def is_disconnect(self, error: Any, connection: Any, cursor: Any) -> bool:
        """Whether the connection is of no more use."""
        ours = isinstance(error, DeadlinePassed)
        return ours or super().is_disconnect(error, connection, cursor)  # type: ignore[misc]  # of the dialect mixed with


def settled(connection: Any, init_command: Callable[[Any], str], *, autocommit: bool) -> str:
    """The statement that a new connection begins with."""
    connection.autocommit_mode = autocommit
    settings = init_command(connection).removeprefix("SET ")
    return f"SET NAMES {connection.charset}, @@session.autocommit={int(autocommit)}, {settings}"


class MariaDialect(_Dialect, MySQLDialect_pymysql):
    """MariaDB for threads."""

    supports_statement_cache = True

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        deadline = CONNECT_DEADLINE.get()
        if deadline is not None:
            left = deadline.require("connecting")
            within = min(left, kwargs.get("connect_timeout") or left)
            kwargs.update(connect_timeout=within, read_timeout=left, write_timeout=left)
        first, autocommit = kwargs.pop("init_command"), kwargs.pop("autocommit")
        connection = Bounded(*args, **kwargs, autocommit=None, defer_connect=True)
        connection.deadline = deadline  # PyMySQL's limit is one of each read, and a handshake has several
        connection.connect()
        connection.query(settled(connection, first, autocommit=autocommit))
        return connection


class AsyncMariaDialect(_Dialect, MySQLDialect_aiomysql):
    """MariaDB for asyncio."""

    supports_statement_cache = True

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        return self.loaded_dbapi.connect(*args, async_creator_fn=self._create, **kwargs)

    def do_close(self, dbapi_connection: Any) -> None:
        """Close it at once; nothing is awaited, so nothing can be cancelled half-way."""
        as_driver(dbapi_connection).close()

    do_terminate = do_close

    async def _create(self, *args: Any, **kwargs: Any) -> Any:
        deadline = CONNECT_DEADLINE.get()
        from regionkit.backends.sql.aiomysql_connection import AsyncBounded

        first, autocommit = kwargs.pop("init_command"), kwargs.pop("autocommit")
        connection = AsyncBounded(*args, **kwargs, autocommit=None)
        left = None if deadline is None else deadline.require("connecting")
        if left is not None:
            left = min(left, kwargs.get("connect_timeout") or left)
        try:
            async with asyncio.timeout(left):
                await connection._connect()
                await connection.query(settled(connection, first, autocommit=autocommit))
        except TimeoutError:
            connection.close()
            raise WaitExpired(CR.CR_CONN_HOST_ERROR, "the deadline passed while connecting") from None
        except BaseException:
            connection.close()  # a cancelled one would stay until garbage is collected
            raise
        connection.deadline = deadline  # SQLAlchemy asks on the first connection before anybody has it
        return connection
