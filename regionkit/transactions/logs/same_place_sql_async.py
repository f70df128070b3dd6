"""Whether a participant's database is the very one that a SQL log stands in: asked of the server, through both connections.

1. No URL proves it: its host may stand in its query, or behind a function that connects. Of a server that was copied with its
   folder the copy bears the same ids. What equals is asked on.
2. The log holds a lock of the server's under a random name, and the participant's connection has to meet it: that is the same
   running server. It has to see the log's id in a database of the same name: that is the same database.
3. A file of SQLite is the same where its path is; one in memory is nobody else's.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.log_sql import LogSql
from regionkit.transactions.participants.participant_async import AsyncParticipant

__all__ = ["is_same"]

_BOTH = ("mariadb", "mysql")
_HOLD = MappingProxyType(
    {
        "postgresql": "SELECT pg_advisory_xact_lock({key})",
        **dict.fromkeys(_BOTH, "SELECT GET_LOCK('rk:{key}', 0)"),
    }
)
_LET_GO = MappingProxyType(dict.fromkeys(_BOTH, "DO RELEASE_LOCK('rk:{key}')"))
_MET = MappingProxyType(
    {
        "postgresql": "CASE WHEN pg_try_advisory_xact_lock({key}) THEN 0 ELSE 1 END",
        **dict.fromkeys(_BOTH, "1 - IS_FREE_LOCK('rk:{key}')"),
        "sqlite": "1",
    }
)
_WHERE = MappingProxyType(
    {
        "postgresql": "current_database()",
        **dict.fromkeys(_BOTH, "database()"),
        "sqlite": "(SELECT file FROM pragma_database_list WHERE name = 'main')",
    }
)


async def is_same(
    engine: Any, participant: AsyncParticipant, write: Callable[[Deadline], Any], sql: LogSql, deadline: Deadline
) -> bool:
    """Whether it is of this engine, or proved to be of its database.

    Args:
        engine: the log's.
        participant: any.
        write: a transaction on the log's own connection.
        sql: the log's statements.
        deadline: of the questions.

    Raises:
        RegionUnavailable, DeadlineExceeded: one of the two did not answer.
    """
    mine, theirs = (getattr(given, "sync_engine", given) for given in (engine, participant.given))
    if mine is theirs:
        return True
    ask = getattr(participant, "ask", None)
    if ask is None or not hasattr(theirs, "url") or _address(mine.url) != _address(theirs.url):
        return False
    key, server = secrets.randbits(62), sql.server
    question = sql["met"].format(where=_WHERE[server], met=_MET[server].format(key=key))
    async with write(deadline) as unit:
        own = (await unit.native.execute(text(sql["own"].format(where=_WHERE[server])))).first()
        if server in _HOLD:
            await unit.native.execute(text(_HOLD[server].format(key=key)))
            try:
                met = await _asked(ask, question, deadline)
            finally:
                if server in _LET_GO:
                    await unit.native.execute(text(_LET_GO[server].format(key=key)))
    if server not in _HOLD:  # SQLite has one writer at a time
        met = await _asked(ask, question, deadline)
    return own is not None and all(own) and met == [(*own, 1)]


async def _asked(
    ask: Callable[[str, Deadline], Awaitable[Any]], question: str, deadline: Deadline
) -> list[tuple[Any, ...]]:
    try:
        return [tuple(row) for row in await ask(question, deadline)]
    except DBAPIError:  # there is no such table, or it may not be read
        return []


def _address(url: Any) -> tuple[Any, ...]:
    """What an engine's URL names, whatever its driver; not its password."""
    url = make_url(url)
    kind = {"mariadb": "mysql"}.get(url.get_backend_name(), url.get_backend_name())
    database = str(Path(url.database or "").resolve()) if kind == "sqlite" else url.database
    return kind, url.username, url.host, url.port, database
