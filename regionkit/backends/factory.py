# Generated from factory_async.py by scripts/twins.py. Do not edit.
"""Which backend opens which store, imported when the first endpoint of its kind is made."""

from __future__ import annotations

from typing import Any

from regionkit.contract.endpoint import EndpointBackend
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.errors import ConfigurationError, MissingDriver
from regionkit.topology import Store

__all__ = ["backend_of", "plain_backend_of"]

DRIVERS = {"redis": ("redis", "redis"), "mongo": ("pymongo", "mongo"), "cassandra": ("cassandra", "cassandra")}
"""Package and extra of each backend that needs a driver; SQL servers say theirs themselves."""


def backend_of(context: EndpointContext[Any]) -> EndpointBackend:
    """The backend of one endpoint. Connects to nothing.

    Raises:
        MissingDriver: its driver is not installed; the error names the extra.
        ConfigurationError: no backend of that name, or one that takes no client of the application's.
    """
    store: Store = context.store
    if context.endpoint.client is not None and store.backend != "sql":
        raise ConfigurationError(
            f"store {store.name!r}, endpoint {context.endpoint.id!r}: a {store.backend} store does not take client=.",
            why="positions, deadlines and the refusal of writes in a read block belong to the connection that regionkit opens.",
            fix="give url= in place of client=.",
        )
    return _imported(context, plain=False)


def plain_backend_of(context: EndpointContext[Any]) -> EndpointBackend:
    """The same, where what the application hands in is taken: for pillars without a kit.

    Raises:
        MissingDriver: its driver is not installed; the error names the extra.
        ConfigurationError: no backend of that name, or a client that cannot serve.
    """
    return _imported(context, plain=True)


def _imported(context: EndpointContext[Any], *, plain: bool) -> EndpointBackend:
    store: Store = context.store
    try:
        return _opened(store.backend, context, plain=plain)
    except ImportError as error:
        package, extra = DRIVERS.get(store.backend, ("", ""))
        if (error.name or "").partition(".")[0] != package or isinstance(error, MissingDriver):
            raise
        raise MissingDriver(
            f"store {store.name!r} needs the driver {package!r}.",
            why="it is not installed.",
            fix=f'pip install "regionkit[{extra}]"',
        ) from error


def _opened(backend: str, context: EndpointContext[Any], *, plain: bool) -> EndpointBackend:
    match backend:
        case "sql" if plain:
            from regionkit.backends.sql.plain import PlainSqlEndpoint

            return PlainSqlEndpoint(context)
        case "sql" if context.endpoint.client is not None:
            from regionkit.backends.sql.own_engine import OwnEngineEndpoint

            return OwnEngineEndpoint(context)
        case "sql":
            from regionkit.backends.sql.endpoint import SqlEndpoint

            return SqlEndpoint(context)
        case "redis":
            from regionkit.backends.redis.endpoint import RedisEndpoint

            return RedisEndpoint(context)
        case "mongo":
            from regionkit.backends.mongo.endpoint import MongoEndpoint

            return MongoEndpoint(context)
        case "cassandra":
            from regionkit.backends.cassandra.endpoint import CassandraEndpoint

            return CassandraEndpoint(context)
        case "memory":
            from regionkit.backends.memory.endpoint import MemoryEndpoint

            return MemoryEndpoint(context)
    raise ConfigurationError(f"no backend {backend!r}.", fix="use a store class of this version.")
