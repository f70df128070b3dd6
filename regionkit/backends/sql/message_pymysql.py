"""Several statements in one message to MariaDB, through PyMySQL and through aiomysql, which is built on it.

1. Three commands leave at once: statements may be several, the statements, they may not any more. The server takes one after
   the other, so nobody else's text on this connection is ever read as several statements.
2. All answers are read, of all three commands; where one does not come the connection is closed.
3. Warnings are counted. Their texts would take a statement of their own, which would hide ROW_COUNT() from the next one.

Source: MariaDB Knowledge Base, "COM_SET_OPTION", "COM_MULTI_QUERY" and "COM_QUERY Response".
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.constants import CLIENT, COMMAND, CR
from sqlalchemy.util import await_only

from regionkit.backends.sql.classify import is_unknown_at_commit
from regionkit.backends.sql.driver import as_driver
from regionkit.contract.message import Answer, Statement
from regionkit.errors import UsageError

__all__ = ["answered", "idle", "send"]

SEPARATOR = b"\n;\n"
"""Between statements: a comment at the end of one must not swallow it."""
SEVERAL, SINGLE = b"\x00\x00", b"\x01\x00"
"""What COM_SET_OPTION is told: MYSQL_OPTION_MULTI_STATEMENTS_ON, and _OFF."""
CLIENT_CODES = range(2000, 3000)
"""Error numbers that the client's side makes up: the server uses those below and above."""

LAST_WORDS = (1053, 1153, 1184, 1927)
"""After these the server closes: ER_SERVER_SHUTDOWN, NET_PACKET_TOO_LARGE, NEW_ABORTING_CONNECTION, CONNECTION_KILLED."""


def answered(driver: Any, error: Exception) -> bool:
    """Whether an error is the server's answer, one that tells what became of a COMMIT."""
    return isinstance(error, pymysql.err.Error) and idle(driver) and not is_unknown_at_commit(error)


def send(dbapi_connection: Any, statements: Sequence[Statement]) -> list[Answer]:
    """Send statements, none of them empty, in one message: one answer to each.

    Raises:
        pymysql.err.Error: the server's, to the first statement that failed; its `unanswered` counts that one and those behind it.
        UsageError: there are more answers than statements. All were done.
    """
    driver = as_driver(dbapi_connection)
    wait = await_only if hasattr(driver, "_reader") else _there
    switches = len(statements) > 1 and not driver.client_flag & CLIENT.MULTI_STATEMENTS
    text = SEPARATOR.join(statement.text.encode(driver.encoding) for statement in statements)
    failed: pymysql.err.Error | None = None
    answers: list[Answer] = []
    try:
        if switches:
            wait(driver._execute_command(COMMAND.COM_SET_OPTION, SEVERAL))
        wait(driver._execute_command(COMMAND.COM_QUERY, text))
        first = driver._next_seq_id  # more than 1 behind a text of several packets
        if switches:
            wait(driver._execute_command(COMMAND.COM_SET_OPTION, SINGLE))
            _read_switched(driver, wait)
        driver._next_seq_id = first
        try:
            more = True
            while more:
                wait(driver._read_query_result())
                answers.append(_answer(driver._result))
                more = driver._result.has_next
        except pymysql.err.Error as error:
            if error.args[:1] == () or error.args[0] in CLIENT_CODES:
                raise
            failed = error
            failed.unanswered = len(statements) - len(answers)
            if error.args[0] in LAST_WORDS:
                raise
        if switches:
            _read_switched(driver, wait)
    except BaseException as error:
        driver.close() if hasattr(driver, "_reader") else driver._force_close()
        if failed is None or not isinstance(error, Exception):
            raise
        raise pymysql.err.OperationalError(CR.CR_SERVER_LOST, f"the server closed the connection: {failed}") from failed
    if failed is not None:
        raise failed
    if len(answers) != len(statements):
        raise UsageError(
            f"{len(statements)} statements got {len(answers)} answers.",
            why="one of the texts holds several statements, or calls a procedure that answers; all of them were done.",
            fix="pass each statement as a separate text.",
        )
    return answers


def _there(result: Any) -> Any:
    return result


def _read_switched(driver: Any, wait: Any) -> None:
    driver._next_seq_id = 1
    packet = wait(driver._read_packet())
    if not (packet.is_eof_packet() or packet.is_ok_packet()):
        raise pymysql.err.InternalError("COM_SET_OPTION was answered by something else")


def _answer(result: Any) -> Answer:
    warned = result.warning_count
    notices = (f"{warned} warnings" if warned > 1 else "1 warning",) if warned else ()
    if result.description is None:
        return Answer("", count=result.affected_rows, notices=notices)
    return Answer("", tuple(result.rows), notices=notices)


def idle(driver: Any) -> bool:
    """Whether an idle connection still stands: nothing to read, and not closed by the other side."""
    if hasattr(driver, "_reader"):  # aiomysql; None once it is closed
        return driver._reader is not None and driver._writer is not None and not driver._reader.at_eof()
    if driver._sock is None:
        return False
    poll = select.poll()
    poll.register(driver._sock, select.POLLIN)
    return not poll.poll(0)  # a byte or an end where nothing was asked: the server said goodbye
