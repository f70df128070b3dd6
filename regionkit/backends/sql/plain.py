# Generated from plain_async.py by scripts/twins.py. Do not edit.
"""An engine of the application's as a backing: connections that its engine makes, in a bounded pool of our own.

1. The engine makes each connection (its URL, creator, listeners, TLS); then it is detached from the engine's pool, and is ours:
   waits end at the deadline, COMMIT brings its position, a connection on which an answer may still come is closed. The engine
   is never disposed of, and none of its pooled connections is kept.
2. For that the driver's connection becomes one of our classes, so only drivers that we know are taken. mysqlclient, asyncpg,
   pg8000 and others serve routing and `enlist`, where no wait has to be ended.
3. What the engine's listeners set on a connection cannot all be put back (nothing lists a server's settings of custom names),
   and may be the tenant of the moment: such a connection serves one branch of a global transaction, and is closed.
4. Making a connection ends at the deadline too, unless the engine has a `creator`: then it says how long that may take.
5. SQLite is opened anew, by the same path or URI: its connections are of a class that cannot be changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy
from sqlalchemy import URL, event

from regionkit.backends.sql.adopted import adopt_mariadb, adopt_postgres
from regionkit.backends.sql.bridge import Engine
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.endpoint import SqlEndpoint
from regionkit.backends.sql.own_connecting import bound_connecting
from regionkit.backends.sql.own_engine_checks import is_furnished, plain_engine
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.capabilities import Capabilities
from regionkit.errors import ConfigurationError
from regionkit.facts.request import Kind
from regionkit.topology import Endpoint

__all__ = ["PlainSqlEndpoint"]

KNOWN = {
    "psycopg": "postgresql",
    "psycopg_async": "postgresql",
    "pymysql": "mariadb",
    "aiomysql": "mariadb",
    "pysqlite": "sqlite",
    "aiosqlite": "sqlite",
}
"""SQLAlchemy's names of the drivers that are taken, and what begins the address that stands for the engine."""
SQLITE = ("pysqlite", "aiosqlite")
QUOTES = not sqlalchemy.__version__.startswith("2.0.")
"""Whether URLs of SQLAlchemy hold any name of a file."""

NOTES = (
    "connections are made by the application's engine and then kept in a pool of regionkit's: each counts on the server",
    "a connection is made within the deadline, unless the engine has a creator=; waits on it end there",
    "a promotion is not proved there",
)


class PlainSqlEndpoint(SqlEndpoint):
    """One engine of the application's. Safe to share between threads or tasks.

    Raises:
        ConfigurationError: an engine of a driver, or of a kind, that cannot serve.
    """

    def __init__(self, context: SqlContext) -> None:
        self._given = plain_engine(context)
        self._driver = self._given.dialect.driver
        database = self._given.url.database or ""
        if self._driver not in KNOWN:
            raise ConfigurationError(
                f"an engine of the driver {self._driver!r} cannot keep rows of regionkit's.",
                why="nothing ends its waits at a deadline.",
                fix=f"use one of {', '.join(sorted(KNOWN))}; routing and enlist() take any driver.",
            )
        if self._driver in SQLITE and database in ("", ":memory:"):
            raise ConfigurationError(
                "a database in memory cannot keep rows of regionkit's.",
                why="it is private to one connection.",
                fix="give an engine of a file.",
            )
        endpoint = Endpoint(context.endpoint.region, context.endpoint.role, self._address(database))
        bound_connecting(self._given)
        super().__init__(replace(context, endpoint=endpoint.named(context.endpoint.id)))

    def _address(self, database: str) -> str:
        """What stands for the engine: of SQLite the file that it opens, by path or by URI."""
        query: dict[str, Any] = {}
        if self._driver in SQLITE:
            given, uri = self._given.dialect.create_connect_args(self._given.url)
            if uri.get("uri"):
                query = dict(parse_qsl(given[0].partition("?")[2])) | {"uri": "true"}
            elif database.startswith("file:"):
                raise ConfigurationError(
                    f"an engine of {database!r} may open another file than a path of that name says.",
                    why="whether SQLite reads it as a URI does not stand in the engine's URL.",
                    fix='write uri=true into it: create_engine("sqlite:///file:main.db?uri=true").',
                )
            if not QUOTES and any(one in database for one in "%?#"):
                raise ConfigurationError(
                    f"the file {database!r} does not fit into a URL of SQLAlchemy {sqlalchemy.__version__}.",
                    why="it quotes no %, ? or #, so the URL would name another file.",
                    fix="rename the file, or use SQLAlchemy 2.1.",
                )
        host = None if self._driver in SQLITE else "localhost"
        made = URL.create(KNOWN[self._driver], host=host, database=database, query=query)
        return made.render_as_string(hide_password=False)

    def declare(self, capabilities: Capabilities) -> Capabilities:
        """As the kind of server, without a proof of promotions."""
        told = super().declare(capabilities)
        return replace(told, detects_promotion=False, notes=(*told.notes, *NOTES))

    def _make_engine(self, kind: Kind, *, autocommits: bool | None = None, **pool: Any) -> Engine:
        engine = super()._make_engine(kind, autocommits=autocommits, **pool)
        if self._driver not in SQLITE:
            event.listen(getattr(engine, "sync_engine", engine), "do_connect", self._connect_by_engine)
        return engine

    def _connect_by_engine(self, dialect: Any, record: Any, positional: Any, named: dict[str, Any]) -> Any:
        """A connection that the application's engine makes, ours from then on."""
        pooled = self._given.raw_connection()
        connection = pooled.dbapi_connection
        level = self._given.get_execution_options().get("isolation_level", "AUTOCOMMIT")
        try:
            if level != "AUTOCOMMIT":  # else it is the engine's own, and set by now
                self._given.dialect.set_isolation_level(connection, level)  # type: ignore[arg-type]  # it has one
            if self._driver.startswith("psycopg"):
                connection = adopt_postgres(connection, named.get("options", ""))
            else:
                connection = adopt_mariadb(connection, named["init_command"])
        except BaseException:
            pooled.invalidate()
            raise
        pooled.detach()
        as_driver(connection).furnished = is_furnished(self._given)
        return connection
