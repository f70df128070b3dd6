"""An engine of the application's makes a connection for us, within the deadline of who asked for it.

1. Only where that deadline is ours: connections that the application asks for are made as ever.
2. What comes out is what the engine would have made: the same class, by the same arguments.
3. A `creator` of the application's, or a listener to `do_connect` that gives a connection, makes it in whatever time it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy import event

from regionkit.backends.sql.driver import CONNECT_DEADLINE
from regionkit.core.deadline import Deadline

__all__ = ["bound_connecting"]

Named = dict[str, Any]


def bound_connecting(engine: sqlalchemy.Engine) -> None:
    """From now on the engine ends making a connection at `CONNECT_DEADLINE`, where one is set. Once for each engine."""
    if _kind(engine.dialect) in _MADE and not event.contains(engine, "do_connect", _connected):
        event.listen(engine, "do_connect", _connected)


def _connected(dialect: Any, record: Any, positional: Any, named: Named) -> Any:
    deadline = CONNECT_DEADLINE.get()
    return None if deadline is None else _MADE[_kind(dialect)](dialect, deadline, positional, named)


def _kind(dialect: Any) -> str:
    driver: str = dialect.driver.removesuffix("_async")
    return f"{driver}, async" if dialect.is_async else driver


def _by_psycopg(dialect: Any, deadline: Deadline, positional: Any, named: Named) -> Any:
    import psycopg

    from regionkit.backends.sql.postgres_connecting import Connects

    connection: Any = Connects.connect(*positional, **named)
    connection.__class__ = psycopg.Connection
    return connection


def _by_psycopg_async(dialect: Any, deadline: Deadline, positional: Any, named: Named) -> Any:
    import psycopg

    from regionkit.backends.sql.postgres_connecting import AsyncConnects, WaitExpired

    async def made(*arguments: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(deadline.require("connecting")):
                connection = await AsyncConnects.connect(*arguments, **options)
        except TimeoutError:
            raise WaitExpired("the deadline passed while connecting") from None
        connection.__class__ = psycopg.AsyncConnection
        return connection

    return dialect.connect(*positional, **{"async_creator_fn": made, **named})


def _by_pymysql(dialect: Any, deadline: Deadline, positional: Any, named: Named) -> Any:
    import pymysql

    from regionkit.backends.sql.mariadb_connection import Connects

    left = deadline.require("connecting")
    within = min(left, named.get("connect_timeout") or left)
    connection = Connects(*positional, **{**named, "connect_timeout": within, "defer_connect": True})
    connection.connect_by(deadline)
    connection.__class__ = pymysql.connections.Connection
    return connection


def _by_aiomysql(dialect: Any, deadline: Deadline, positional: Any, named: Named) -> Any:
    import aiomysql
    from pymysql.constants import CR

    from regionkit.backends.sql.mariadb_connection import WaitExpired

    async def made(*arguments: Any, **options: Any) -> Any:
        connection = aiomysql.Connection(*arguments, **options)
        try:
            async with asyncio.timeout(deadline.require("connecting")):
                await connection._connect()
        except TimeoutError:
            connection.close()
            raise WaitExpired(CR.CR_CONN_HOST_ERROR, "the deadline passed while connecting") from None
        except BaseException:
            connection.close()  # a cancelled one would stay until garbage is collected
            raise
        return connection

    return dialect.connect(*positional, **{"async_creator_fn": made, **named})


_MADE: MappingProxyType[str, Callable[[Any, Deadline, Any, Named], Any]] = MappingProxyType(
    {
        **{"psycopg": _by_psycopg, "psycopg, async": _by_psycopg_async},
        **{"pymysql": _by_pymysql, "aiomysql, async": _by_aiomysql},
    }
)
