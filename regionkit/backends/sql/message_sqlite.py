"""Several statements to a SQLite file, one after the other: there is no way to it that would be worth saving.

For sqlite3, and for aiosqlite inside a greenlet: SQLAlchemy's cursor over it looks alike. The deadline interrupts a statement,
and leaves the connection as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from regionkit.backends.sql.driver import DriverState, as_driver
from regionkit.contract.message import Answer, Statement
from regionkit.errors import UsageError

__all__ = ["answered", "send"]


def answered(driver: Any, error: Exception) -> bool:
    """Whether an error tells what became of a COMMIT: SQLite says so, and the transaction is still open."""
    return isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError)


def send(dbapi_connection: Any, statements: Sequence[Statement]) -> list[Answer]:
    """Run statements, none of them empty, until one fails.

    Raises:
        sqlite3.Error: of that one.
        UsageError: a text holds several statements. It was not done.
    """
    driver = as_driver(dbapi_connection)
    return [_run(dbapi_connection, driver, statement.text) for statement in statements]


def _run(dbapi_connection: Any, driver: Any, text: str) -> Answer:
    if isinstance(driver, DriverState):
        driver.require_up()  # type: ignore[attr-defined]
        driver.left("a statement")
    cursor = dbapi_connection.cursor()
    try:
        cursor.execute(text)
        if cursor.description is None:
            return Answer("", count=cursor.rowcount)
        found = tuple(tuple(row) for row in cursor.fetchall())
        return Answer("", found, count=cursor.rowcount)
    except (sqlite3.Warning, sqlite3.ProgrammingError) as error:
        if "one statement at a time" not in str(error):
            raise
        raise UsageError(
            "a text holds several statements.",
            why="SQLite runs one at a time.",
            fix="pass each statement as a separate text.",
        ) from error
    finally:
        cursor.close()
