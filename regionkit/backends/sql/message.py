"""Several statements in one message on a SQLAlchemy Connection: finds the driver's adapter, and keeps the block's books.

1. The message is part of the Connection's transaction: where none is open on the server, BEGIN travels in front of it.
2. An empty text is answered here and not sent. A COMMIT comes last in its message, and counts as the block's own: it needs
   the same proofs, and without an answer its outcome is unknown.
3. A driver's error comes out as SQLAlchemy's; a Connection that was lost is invalidated, a cancelled one too.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

import sqlalchemy

from regionkit.backends.sql.driver import DriverState, as_driver, swallowed
from regionkit.contract.message import Answer, Statement
from regionkit.errors import ConfigurationError, RegionKitError, UsageError

__all__ = ["message", "own_message"]

_ADAPTERS = MappingProxyType(
    {
        "psycopg": "psycopg",
        "psycopg_async": "psycopg",
        "pymysql": "pymysql",
        "aiomysql": "pymysql",
        "pysqlite": "sqlite",
        "aiosqlite": "sqlite",
    }
)
"""By the driver's name at SQLAlchemy: the module `message_...` that speaks to it."""
MOST_SHOWN = 200
"""Characters of a message that an error shows."""
_NESTED = re.compile(r"/\*|\*/")


def message(connection: sqlalchemy.Connection, statements: Sequence[Statement]) -> list[Answer]:
    """Send statements in one message where the server can; an answer to each. For threads, and inside a greenlet.

    Raises:
        sqlalchemy.exc.DBAPIError: the server's error, to the first statement that failed. Those behind it were not done.
        TransactionRolledBack: COMMIT was answered by ROLLBACK.
        UsageError: another tag than the one waited for, a text of several statements, more behind a COMMIT; or the
            transaction is held.
        OutcomeUnknown: a COMMIT in it was sent, and no answer came.
        DeadlineExceeded: no time was left. Nothing was sent.
        ConfigurationError: the engine's driver cannot do it.
    """
    adapter = _adapter(connection, statements)
    texts = [_significant(statement.text, connection.dialect.name) for statement in statements]
    sent = [Statement(text, said.tag) for text, said in zip(texts, statements, strict=True) if text]
    if not sent:
        return [Answer("") for _ in statements]
    kinds = [_ends(statement.text) for statement in sent]
    if "COMMIT" in kinds[:-1]:
        raise UsageError(
            "a message continues after its COMMIT.",
            why="an error there would leave open whether the COMMIT was done.",
            fix="let COMMIT be the last of its message.",
        )
    if not connection.in_transaction():
        connection.begin()
    state = _begin(connection, sent, rolls_back="ROLLBACK" in kinds)
    send = partial(_send, connection, adapter, sent)
    if state is None or "COMMIT" not in kinds:
        answers = iter(send())
    else:
        answers = iter(_committed(connection, adapter, state, send))
    return [next(answers) if text else Answer("") for text in texts]


def own_message(connection: sqlalchemy.Connection, statements: Sequence[Statement]) -> list[Answer]:
    """The same on a connection whose transactions its caller begins and ends: nothing is put in front, COMMIT may stand anywhere.

    No text may be empty.

    Raises:
        sqlalchemy.exc.DBAPIError, UsageError, ConfigurationError: as `message`.
    """
    if not statements:
        return []
    adapter = _adapter(connection, statements)
    if not connection.in_transaction():
        connection.begin()
    return _send(connection, adapter, statements)


def _adapter(connection: sqlalchemy.Connection, statements: Sequence[Statement]) -> Any:
    name = connection.dialect.driver
    module = getattr(connection.dialect, "message_adapter", None) or _ADAPTERS.get(name)
    if module is None:
        raise ConfigurationError(
            f"several statements in one message cannot be sent through {name}.",
            fix="use psycopg, PyMySQL, aiomysql, sqlite3 or aiosqlite; asyncpg by a URL, not by an engine.",
        )
    if any("\0" in statement.text for statement in statements):
        raise UsageError("a statement holds a NUL.", why="its text would end there.", fix="send the value as hex.")
    return _opened(module)


@cache
def _opened(name: str) -> Any:
    """By name, once: each driver's own library is imported there."""
    return import_module(f"regionkit.backends.sql.message_{name}")


def _begin(connection: Any, sent: Sequence[Statement], *, rolls_back: bool) -> DriverState | None:
    """Note what is about to be sent, where the Connection is a block's."""
    under = _driver_of(connection)
    state: DriverState | None = getattr(connection, "driver", None)
    if state is None:
        return None
    if rolls_back:
        state.rolling_back()
    if hasattr(connection, "sending"):  # of the application's engine
        for statement in sent:
            connection.sending(statement.text)
    else:
        state.left("a statement")
        state.sending()
        state.announced = False
        state.dirty |= connection.dialect.detect_autocommit_setting(under)
    return state


def _committed(connection: Any, adapter: Any, state: DriverState, send: Callable[[], list[Answer]]) -> list[Answer]:
    answers: list[Answer] = []
    if hasattr(connection, "commit_by"):
        connection.commit_by(lambda: answers.extend(send()))
        return answers
    under = _driver_of(connection)
    before = getattr(connection.dialect, "before_commit", None)
    last = None if before is None else partial(before, under)
    if state.counts:
        state.position = None  # it is not asked for
    driver = as_driver(under)

    def answered(error: Exception) -> bool:  # of any statement: those behind one that failed were not done
        return bool(adapter.answered(driver, getattr(error, "orig", None) or error))

    state.send_commit(lambda: answers.extend(send()), answered, last)
    return answers


def _send(connection: Any, adapter: Any, sent: Sequence[Statement]) -> list[Answer]:
    under = _driver_of(connection)
    try:
        answers: list[Answer] = adapter.send(under, sent)
    except RegionKitError:
        raise
    except BaseException as error:
        told = connection if hasattr(connection, "refused") else getattr(connection, "driver", None)
        if told is not None and isinstance(error, Exception):
            told.refused(error)
        try:
            connection._handle_dbapi_exception(error, _shown(sent), None, None, None)
        finally:
            if not connection.invalidated and _closed(as_driver(under)):
                connection.invalidate(error)
        raise
    for statement, answer in zip(sent, answers, strict=True):
        if statement.tag and answer.tag and answer.tag != statement.tag:
            if statement.tag == "COMMIT":
                raise swallowed(f"the server answered COMMIT with {answer.tag}.")
            raise UsageError(
                f"{statement.tag} was waited for, and {answer.tag} came.",
                why="the statement did something other than requested.",
                fix="look at the statement's text.",
            )
    return answers


def _driver_of(connection: Any) -> Any:
    unwatched = getattr(
        connection, "unwatched", contextlib.nullcontext
    )  # a block on the application's engine watches it
    with unwatched():
        return connection.connection.dbapi_connection


def _closed(driver: Any) -> bool:
    if hasattr(driver, "is_closed"):  # asyncpg
        return bool(driver.is_closed())
    return bool(driver.closed) if hasattr(driver, "closed") else not getattr(driver, "open", True)


def _shown(sent: Sequence[Statement]) -> str:
    first = sent[0].text[:MOST_SHOWN]
    return first if len(sent) == 1 else f"{first} (and {len(sent) - 1} more)"


def _significant(text: str, server: str) -> str:
    """A text without blanks, comments and semicolons around it; "" when there is nothing else."""
    mysql, at = server in ("mysql", "mariadb"), 0
    while at < len(text):
        if text[at].isspace() or text[at] == ";":
            at += 1
        elif text.startswith("--", at) or (mysql and text[at] == "#"):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("/*", at) and not (mysql and text.startswith(("/*!", "/*M!"), at)):
            at = _after_comment(text, at, nests=server == "postgresql")
        else:
            break
    return text[at:].rstrip("; \t\r\n\f")


def _after_comment(text: str, at: int, *, nests: bool) -> int:
    depth = 0
    for mark in _NESTED.finditer(text, at):
        depth = depth - 1 if mark.group() == "*/" else depth + 1 if nests else 1
        if depth == 0:
            return mark.end()
    return len(text)


def _ends(text: str) -> str:
    """Whether a statement ends the whole transaction, and how: COMMIT, ROLLBACK or ""."""
    words = text.upper().split(None, 3)
    first, rest = words[0], words[1:]
    if first in ("COMMIT", "END"):
        return "" if rest[:1] == ["PREPARED"] else "COMMIT"
    if first in ("ROLLBACK", "ABORT"):
        return "" if "TO" in rest or rest[:1] == ["PREPARED"] else "ROLLBACK"
    return ""
