"""Several statements in one message to PostgreSQL through psycopg, by the simple query protocol. Routing's own wire, too.

1. All answers are read, whatever they say. A wait that was cut short closes the connection; so does COPY, which has no place
   in a message.
2. Outside of a transaction PostgreSQL takes one message for one transaction: an error undoes what went before it.
3. Behind a COMMIT or PREPARE TRANSACTION goes, in the same message, what puts back what the block had set.
4. libpq does not tell to which statement a notice belongs: it stands at its own or at the one before.

Source: PostgreSQL manual, "Frontend/Backend Protocol", "Simple Query" and "Multiple Statements in a Simple Query".
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg import errors, generators
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from sqlalchemy.util import await_only

from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.postgres_texts import BEGINNINGS, SEPARATOR, ends, plain_answer
from regionkit.backends.sql.postgres_waiting import TimeIsOver
from regionkit.contract.message import Answer, Statement
from regionkit.core.overlap import Call
from regionkit.errors import UsageError

__all__ = ["answered", "ask", "error_of", "failed", "handed_over", "rows", "send"]

COPYING = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)


def ask(dbapi_connection: Any, command: bytes, notices: list[tuple[int, str]] | None = None) -> list[Any]:
    """Results of all statements of one message, the last one an error where there was one. For threads and in greenlets.

    `notices`: takes what the server warns of, each with the number of results that were there before.
    """
    driver = as_driver(dbapi_connection)
    results: list[Any] = []
    if notices is None:
        return _sent(driver, _ask_gen(driver, command, results))

    def note(diagnostic: Any) -> None:
        notices.append((len(results), f"{diagnostic.severity}: {diagnostic.message_primary}"))

    driver.add_notice_handler(note)
    try:
        return _sent(driver, _ask_gen(driver, command, results))
    finally:
        driver.remove_notice_handler(note)


def _sent(driver: Any, asking: Generator[Any, Any, list[Any]]) -> list[Any]:
    if isinstance(driver, psycopg.AsyncConnection):
        return await_only(_sent_async(driver, asking))
    with driver.lock:
        return driver.wait(asking)  # type: ignore[no-any-return]


async def _sent_async(driver: Any, asking: Generator[Any, Any, list[Any]]) -> list[Any]:
    async with driver.lock:
        return await driver.wait(asking)  # type: ignore[no-any-return]


def _ask_gen(driver: Any, command: bytes, results: list[Any]) -> Generator[Any, Any, list[Any]]:
    driver._check_connection_ok()
    pgconn = driver.pgconn
    pgconn.send_query(command)
    yield from generators.send(pgconn)
    try:
        result = yield from generators.fetch(pgconn)
        while result is not None:
            results.append(result)
            if result.status in COPYING:
                pgconn.finish()
                raise psycopg.NotSupportedError("COPY has no place in a message; the connection was closed")
            # most answers have come with the first one: no generator for those
            result = (yield from generators.fetch(pgconn)) if pgconn.is_busy() else pgconn.get_result()
        yield from generators.fetch(pgconn)  # what came with NOTIFY is handed over there
    except psycopg.OperationalError:
        if not results or results[-1].status != ExecStatus.FATAL_ERROR:
            raise  # else the server's last word is the cause
    if not results:  # each statement has an answer; libpq says nothing where the loss was noticed before
        raise psycopg.OperationalError("the connection was lost before an answer came")
    return results


def handed_over(call: Call, gen: Generator[Any, Any, Any], fileno: int, seconds: float | None) -> Any:
    """psycopg's wait, in which the other calls of an overlap go on. For a pillar's own messages: no lock of a thread is held."""
    until = None if seconds is None else time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = call.ready(fileno, wanted, None if until is None else until - time.monotonic())
            if not ready:
                raise TimeIsOver
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value


def answered(driver: Any, error: Exception) -> bool:
    """Whether an error is the server's answer, and not the loss of the connection."""
    return bool(driver.pgconn.status == ConnStatus.OK)


def failed(result: Any) -> bool:
    """Whether a result is an error."""
    return bool(result.status == ExecStatus.FATAL_ERROR)


def error_of(driver: Any, result: Any) -> psycopg.Error:
    """The error that a result tells of."""
    return errors.error_from_result(result, encoding=driver.pgconn._encoding)


def rows(result: Any) -> list[list[str | None]]:
    """A result's rows as text."""
    return [
        [None if (v := result.get_value(r, c)) is None else v.decode() for c in range(result.nfields)]
        for r in range(result.ntuples)
    ]


def send(dbapi_connection: Any, statements: Sequence[Statement]) -> list[Answer]:
    """Send statements, none of them empty, in one message: one answer to each. BEGIN goes in front where psycopg would send it.

    Raises:
        psycopg.Error: the server's, to the first statement that failed.
        UsageError: there are not as many answers as statements. All were done.
    """
    driver = as_driver(dbapi_connection)
    notices: list[tuple[int, str]] = []
    texts = [statement.text for statement in statements]
    idle = driver.pgconn.transaction_status == TransactionStatus.IDLE
    begins = idle and not driver.autocommit and texts[0].split(None, 1)[0].upper() not in BEGINNINGS
    if begins:
        texts.insert(0, driver._get_tx_start_command().decode())
    restore: bytes = getattr(driver, "restore", b"") if ends(texts[-1].upper()) else b""
    results = ask(dbapi_connection, SEPARATOR.join(texts).encode(driver.info.encoding) + restore, notices)
    driver.done = len(results) - failed(results[-1])
    if restore and len(results) > len(texts):
        driver.restored = driver.is_restored(results[-1])
        del results[len(texts) :]
    if results and results[-1].status == ExecStatus.FATAL_ERROR:
        raise error_of(driver, results[-1])
    if begins:
        del results[0]
        notices = [(max(0, number - 1), notice) for number, notice in notices]
    if len(results) != len(statements):
        raise UsageError(
            f"{len(statements)} statements got {len(results)} answers.",
            why="one of the texts holds several statements, or does not end its own; all of them were done.",
            fix="pass each statement as a separate text.",
        )
    transformer = Transformer(driver)
    told: list[tuple[str, ...]] = [() for _ in results]
    for number, notice in notices:
        told[min(number, len(told) - 1)] += (notice,)
    return [_answer(transformer, result, said) for result, said in zip(results, told, strict=True)]


def _answer(transformer: Any, result: Any, notices: tuple[str, ...]) -> Answer:
    plain = plain_answer((result.command_status or b"").decode())
    if not (result.ntuples or notices):
        return plain
    found: tuple[tuple[Any, ...], ...] = ()
    if result.ntuples:
        transformer.set_pgresult(result)
        found = tuple(transformer.load_rows(0, result.ntuples, tuple))
    return Answer(plain.tag, found, plain.count, notices)
