"""An engine that the application hands in: whether it can serve, and what is then not promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from regionkit.backends.sql.own_engine_server import OWN_ENGINE_SERVERS, OwnEngineServer
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.capabilities import Capabilities
from regionkit.errors import ConfigurationError
from regionkit.topology import SqlStore, sql_url

__all__ = ["declared", "is_furnished", "plain_engine", "server_for"]

HARMLESS = ("sqlalchemy.", "opentelemetry.", "regionkit.")
"""Begin the modules of listeners that set nothing on a connection which a new one of the same engine would not have."""


def declared(capabilities: Capabilities, store: SqlStore) -> Capabilities:
    """What a kind of server can do, with what this store's handed-in engines take from it."""
    ours = [e.id for e in store.endpoints if e.client is not None]
    if not ours:
        return capabilities
    one = len(ours) == 1
    whose = f"the engine of {ours[0]} is" if one else f"the engines of {', '.join(ours)} are"
    notes = (
        f"{whose} the application's: deadlines, time-outs and retries are its own; regionkit looks at a call's deadline before"
        " each statement and before COMMIT, and ends none that is under way",
        "a block there is one transaction; COMMIT and its position are two round trips",
        "a promotion is not proved there: an operator calls kit.adopt",
    )
    return replace(capabilities, notes=(*capabilities.notes, *notes))


def plain_engine(context: SqlContext) -> sqlalchemy.Engine:
    """The Engine in what the endpoint was given.

    Raises:
        ConfigurationError: it is none, is of the other kind, or shares one connection among all its users.
    """
    given: Any = context.endpoint.client
    where = f"store {context.store.name!r}, endpoint {context.endpoint.id!r}"
    wanted, kit = (AsyncEngine, "AsyncRegionKit") if context.is_async else (sqlalchemy.Engine, "RegionKit")
    if not isinstance(given, wanted):
        make = "sqlalchemy.ext.asyncio.create_async_engine" if context.is_async else "sqlalchemy.create_engine"
        raise ConfigurationError(
            f"{where}: client is a {type(given).__name__}.",
            why=f"{kit} needs a SQLAlchemy {wanted.__name__}.",
            fix=f"make it with {make}(...), or give a url.",
        )
    plain: sqlalchemy.Engine = given.sync_engine if isinstance(given, AsyncEngine) else given
    if plain.dialect.is_async is not context.is_async:
        raise ConfigurationError(
            f"{where}: the engine's driver {plain.dialect.driver!r} is for asyncio.",
            why=f"{kit} calls it from plain threads.",
            fix="give an engine of a driver for threads, or use AsyncRegionKit with the AsyncEngine itself.",
        )
    if isinstance(plain.pool, StaticPool | SingletonThreadPool):
        raise ConfigurationError(
            f"{where}: the engine's {type(plain.pool).__name__} gives one connection to several users at once.",
            why="a read block makes its connection read-only, and every block is a separate transaction.",
            fix="let the engine have a QueuePool or a NullPool; a database in memory cannot be an endpoint.",
        )
    return plain


def is_furnished(engine: sqlalchemy.Engine) -> bool:
    """Whether the engine's connections may have settings that neither the server nor the driver can put back.

    Those of the moment (a listener to "checkout"), on any server; on PostgreSQL all that a listener or a `creator` set: its
    RESET ALL takes them too, and no view shows those of custom names. MariaDB has nothing that is put back: a connection whose
    session was changed is closed.
    """
    pool: Any = engine.pool
    asked = [*pool.dispatch.checkout]
    if engine.dialect.name == "postgresql":
        asked += [
            *pool.dispatch.connect,
            *pool.dispatch.first_connect,
            *engine.dialect.dispatch.do_connect,
            pool._creator,
        ]
    return any(not f"{getattr(one, '__module__', '')}.".startswith(HARMLESS) for one in asked)


def server_for(context: SqlContext, engine: sqlalchemy.Engine) -> OwnEngineServer:
    """What speaks to the engine's kind of server.

    Raises:
        ConfigurationError: a dialect that is not known, or another kind than the store's other endpoints.
    """
    kind = OWN_ENGINE_SERVERS.get(engine.dialect.name)
    where = f"store {context.store.name!r}, endpoint {context.endpoint.id!r}"
    if kind is None:
        raise ConfigurationError(
            f"{where}: an engine for {engine.dialect.name!r} is not known.",
            fix=f"give one for {', '.join(OWN_ENGINE_SERVERS)}.",
        )
    for other in context.store.endpoints:
        if _server(other) not in ("", kind.capabilities.server):
            raise ConfigurationError(
                f"{where} is {kind.capabilities.server}, and {other.id!r} is {_server(other)}.",
                why="servers of different kinds do not replicate from each other, and their positions cannot be compared.",
                fix="put them into stores of their own.",
            )
    return kind(context)


def _server(endpoint: Any) -> str:
    if endpoint.url is not None:
        return sql_url(endpoint.url, is_async=False).server
    plain = getattr(endpoint.client, "sync_engine", endpoint.client)
    found = OWN_ENGINE_SERVERS.get(getattr(getattr(plain, "dialect", None), "name", ""))
    return "" if found is None else found.capabilities.server
