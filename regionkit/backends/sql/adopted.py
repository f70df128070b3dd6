"""A driver connection that the application's engine made becomes one of ours: its waits end at the deadline from then on.

One code for threads and asyncio: it runs in SQLAlchemy's world. PostgreSQL: our connection stands over the same libpq
connection. MariaDB: the connection itself gets our class; one that was made without session tracking tells no position with
its COMMIT, so it is asked for later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regionkit.backends.sql.driver import as_driver
from regionkit.errors import ConfigurationError

__all__ = ["adopt_mariadb", "adopt_postgres"]


def adopt_postgres(connection: Any, options: str) -> Any:
    """Our connection over the same libpq connection."""
    import psycopg
    from psycopg.pq import ExecStatus

    from regionkit.backends.sql import postgres
    from regionkit.backends.sql.message_psycopg import ask, error_of, rows

    driver = as_driver(connection)
    _require_known(driver, {psycopg.Connection, psycopg.AsyncConnection})
    connection.rollback()
    begins = driver._get_tx_start_command().decode()
    if rows(ask(connection, b"SELECT pg_backend_pid()")[-1])[0][0] != str(driver.pgconn.backend_pid):
        raise ConfigurationError(
            "the engine's connections go through a pooler (PgBouncer).",
            why="what regionkit sets on them would reach others, or be lost between two transactions.",
            fix="give an engine that connects to the server itself, or a kit's store: its URL may lead to a pooler.",
        )
    made: Any = (postgres.Bounded if type(driver) is psycopg.Connection else postgres.AsyncBounded)(driver.pgconn)
    made._prepared = driver._prepared  # what the application had prepared stands at the server, under psycopg's names
    del driver.pgconn  # it is ours now: the other object must neither use it nor complain of it
    made.begins = begins
    made.add_notice_handler(made._noticed)
    if connection is driver:
        connection = made
    else:
        connection._connection = made
    words = [word.removeprefix("-c").strip().partition("=") for word in options.split("-c ") if word.strip()]
    made.settings = {name: value for name, _, value in words}
    answer = ask(connection, ";".join(f"SET {name}='{value}'" for name, value in made.settings.items()).encode())[-1]
    if answer.status == ExecStatus.FATAL_ERROR:
        raise error_of(made, answer)
    return connection


def adopt_mariadb(connection: Any, init_command: Callable[[Any], str]) -> Any:
    """The connection itself, of our class."""
    import pymysql

    from regionkit.backends.sql import mariadb_connection as mariadb

    driver, ours = as_driver(connection), mariadb.Bounded
    if not isinstance(driver, pymysql.connections.Connection):
        from regionkit.backends.sql.aiomysql_connection import AsyncBounded

        ours = AsyncBounded
    _require_known(driver, {ours.__bases__[-1]})
    connection.rollback()
    driver.__class__ = ours
    driver.counts = 0 if driver.client_flag & mariadb.SESSION_TRACK else 1  # who tells no position tells no change
    cursor = connection.cursor()
    cursor.execute(init_command(driver))
    cursor.execute("SET autocommit=0")
    cursor.close()
    driver.begun = False  # else the first look at where it stands leaves a transaction open, and its snapshot
    return connection


def _require_known(driver: Any, known: set[type]) -> None:
    if type(driver) not in known:
        raise ConfigurationError(
            f"the engine's connections are of the class {type(driver).__name__}.",
            why="they become connections of regionkit's, whose waits end at the deadline, and this class may do more.",
            fix="let the engine make plain connections of the driver.",
        )
