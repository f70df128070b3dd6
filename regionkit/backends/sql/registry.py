"""Which module serves which kind of SQL server, imported when the first endpoint of that kind is made."""

from __future__ import annotations

import importlib

from sqlalchemy import Dialect
from sqlalchemy.dialects import registry

from regionkit.backends.sql.server import Server, SqlContext
from regionkit.errors import MissingDriver

__all__ = ["registered", "server_of"]

_SERVERS = {
    "postgresql": ("postgres_server", "PostgresServer", "psycopg", "postgres"),
    "mariadb": ("mariadb_server", "MariaServer", "pymysql", "mysql"),
    "sqlite": ("sqlite_server", "SqliteServer", "sqlite3", ""),
    "asyncpg": ("asyncpg_server", "AsyncpgServer", "asyncpg", "asyncpg"),
}
"""By the kind of server, or by the driver where the kind has several."""
_DIALECTS = {
    "postgresql+psycopg": ("postgres", "PostgresDialect"),
    "postgresql+asyncpg": ("asyncpg_dialect", "AsyncpgDialect"),
    "mysql+pymysql": ("mariadb", "MariaDialect"),
    "sqlite+pysqlite": ("sqlite", "SqliteDialect"),
}


def server_of(kind: str, driver_name: str, context: SqlContext) -> Server:
    """The server object of an endpoint: of this kind, through this driver.

    Raises:
        MissingDriver: its driver is not installed; the error names the extra.
    """
    module, name, driver, extra = _SERVERS.get(driver_name) or _SERVERS[kind]
    try:
        found = importlib.import_module(f"regionkit.backends.sql.{module}")
        if context.is_async and kind == "mariadb":
            importlib.import_module("aiomysql")
        if extra == "asyncpg":
            importlib.import_module("asyncpg")
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in (driver, "aiomysql", "psycopg_binary", "psycopg_c"):
            raise
        raise MissingDriver(
            f"store {context.store.name!r} needs the driver {error.name}.",
            why="drivers are extras; this one is not installed.",
            fix=f'pip install "regionkit[{extra}]"',
        ) from error
    made: Server = getattr(found, name)(context)
    return made


def registered(drivername: str, *, is_async: bool) -> str:
    """The name under which SQLAlchemy finds our dialect for a driver."""
    module, name = _DIALECTS[drivername]
    dialect = drivername.partition("+")[0]
    ours = f"{dialect}.regionkit" + ("_async" if is_async else "")
    found: type[Dialect] = getattr(
        importlib.import_module(f"regionkit.backends.sql.{module}"), ("Async" if is_async else "") + name
    )
    registry.impls[ours] = lambda: (
        found
    )  # by name SQLAlchemy searches the package, which another thread may not have filled yet
    return ours.replace(".", "+")
