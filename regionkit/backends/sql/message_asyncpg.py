"""Several statements in one message to PostgreSQL through asyncpg: the simple query protocol, whose answers `asyncpg_tap` keeps.

Values of rows: numbers, truth values and bytes as Python's; all else as PostgreSQL's texts, for asyncpg reads none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.util import await_only

from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.postgres_texts import BEGINNINGS, SEPARATOR, ends, plain_answer
from regionkit.backends.sql.postgres_wire import WireResult, value_of
from regionkit.contract.message import Answer, Statement
from regionkit.errors import UsageError

__all__ = ["answered", "ask", "error_of", "failed", "rows", "send"]


def ask(dbapi_connection: Any, command: bytes) -> list[WireResult]:
    """Results of all statements of one message, the last one an error where there was one. In greenlets."""
    driver, text = as_driver(dbapi_connection), command.decode()
    try:
        found: list[WireResult] = await_only(driver.ask(text))
        return found
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        translate = getattr(dbapi_connection, "translate", None)  # not of what the user holds
        if translate is None:
            raise
        translate(error)
        raise


def answered(driver: Any, error: Exception) -> bool:
    """Whether an error is the server's answer, and not the loss of the connection."""
    return not driver.is_closed()


def failed(result: WireResult) -> bool:
    """Whether it is an error."""
    return bool(result.error)


def error_of(driver: Any, result: WireResult) -> Exception:
    """The error that a result tells of."""
    made: Exception = asyncpg.PostgresError.new(result.error)
    return made


def rows(result: WireResult) -> list[list[str | None]]:
    """A result's rows as text."""
    return result.rows


def send(dbapi_connection: Any, statements: Sequence[Statement]) -> list[Answer]:
    """Send statements, none of them empty, in one message: one answer to each. BEGIN goes in front where a transaction begins.

    Raises:
        sqlalchemy's DBAPI errors: the server's, to the first statement that failed.
        UsageError: there are not as many answers as statements. All were done.
    """
    driver = as_driver(dbapi_connection)
    texts = [statement.text for statement in statements]
    begins = () if texts[0].split(None, 1)[0].upper() in BEGINNINGS else driver.beginnings()
    restore = driver.restore if ends(texts[-1].upper()) else b""
    results = ask(dbapi_connection, SEPARATOR.join((*begins, *texts)).encode() + restore)
    driver.done = len(results) - bool(results and results[-1].error)
    count = len(begins) + len(texts)
    if restore and len(results) > count:
        driver.restored = driver.is_restored(results[-1])
        del results[count:]
    if results and results[-1].error:
        dbapi_connection.translate(error_of(driver, results[-1]))
    earlier = [notice for result in results[: len(begins)] for notice in result.notices]
    del results[: len(begins)]
    if len(results) != len(statements):
        raise UsageError(
            f"{len(statements)} statements got {len(results)} answers.",
            why="one of the texts holds several statements, or does not end its own; all of them were done.",
            fix="pass each statement as a separate text.",
        )
    results[0] = results[0]._replace(notices=(*earlier, *results[0].notices))
    return [_answer(result) for result in results]


def _answer(result: WireResult) -> Answer:
    plain = plain_answer(result.tag)
    if not (result.rows or result.notices):
        return plain
    read = [tuple(map(value_of, result.types, row)) for row in result.rows]
    return Answer(plain.tag, tuple(read), plain.count, result.notices)
