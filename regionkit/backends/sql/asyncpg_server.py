"""A PostgreSQL endpoint through asyncpg: the questions are those of `postgres_server`, the arguments asyncpg's.

libpq reads TLS parameters by itself; for asyncpg an SSLContext is made of them, by the same rules.
"""

from __future__ import annotations

import select
import ssl
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.postgres_server import KEEPALIVE, READ_ONLY, PostgresServer
from regionkit.errors import ConfigurationError
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_parameters

__all__ = ["AsyncpgServer"]

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_CONTEXT = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")
_LIMITS = (
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "connect_timeout",
)
_PASSED = ("passfile", "target_session_attrs", "krbsrvname", "gsslib")


class AsyncpgServer(PostgresServer):
    """One PostgreSQL endpoint, through asyncpg."""

    adapter = "message_asyncpg"

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        context = self._context
        longest, options = self._options(kind)
        query = sql_parameters(url)
        name = query.pop("application_name", f"regionkit {context.namespace}")
        settings = {"application_name": name, "options": " ".join([query.pop("options", ""), *options]).strip()}
        prepares = context.store.options.prepare and query.pop("prepare_threshold", "5").lower() != "none"
        limits = {**KEEPALIVE, "tcp_user_timeout": str(max(longest, 10_000))}
        limits |= {name: query.pop(name) for name in _LIMITS if name in query}
        arguments: dict[str, Any] = {
            "server_settings": settings,
            "ssl": _tls(query, required=url.tls(context.endpoint.tls) == "require"),
            "prepares": prepares,
            **limits,
            **{name: query.pop(name) for name in _PASSED if name in query},
        }
        if url.port is None and url.host is not None:
            arguments["port"] = 5432  # otherwise asyncpg reads the environment
        made = URL.create(
            "postgresql+asyncpg",
            username=url.username,
            password=url.password,
            host=url.host,
            port=url.port,
            database=url.database,
        )
        return made, arguments

    def _meet(self, driver: Any, process: str | None, read_only: str | None) -> None:
        """What a new connection is, told by the server.

        Raises:
            ConfigurationError: a pooler stands in front: asyncpg's prepared statements would be another server's.
        """
        endpoint = self._context.endpoint
        driver.pooled = process != str(driver.pid)
        if driver.pooled:
            raise ConfigurationError(
                f"a pooler (PgBouncer) is in front of the server of {endpoint.id!r}, and its URL names asyncpg.",
                why="asyncpg prepares each statement, and a pooler may run it on another server connection.",
                fix="write postgresql:// (psycopg, which notices poolers), or give the address of the server itself.",
            )
        if READ_ONLY in driver.options and read_only != "on":
            raise ConfigurationError(
                f"a connection for reads to {endpoint.id!r} of {self._context.store.name!r} is not read-only.",
                why="what regionkit sets when it connects was dropped on the way.",
                fix="give the address of the server itself.",
            )

    def alive(self, dbapi_connection: Any) -> bool:
        driver = as_driver(dbapi_connection)
        if driver.is_closed():
            return False
        poll = select.poll()
        poll.register(driver.tap.socket, select.POLLIN)
        return not poll.poll(0)  # nothing was asked: it is an end, or the FATAL message that comes before one

    def drop(self, dbapi_connection: Any) -> None:
        driver = as_driver(dbapi_connection)
        driver.deadline = None
        driver.terminate()


def _tls(query: dict[str, str], *, required: bool) -> Any:
    """The TLS argument for asyncpg: an SSLContext, a word for less than that, or False."""
    given = {name: query.pop(name) for name in _CONTEXT if name in query}
    mode = "verify-full" if required else given.get("sslmode", "disable")
    if mode in ("disable", "allow", "prefer"):
        return False if mode == "disable" else mode
    root = given.get("sslrootcert", "system")
    made = ssl.create_default_context(cafile=None if root == "system" else root)
    made.minimum_version = _VERSIONS.get(query.pop("ssl_min_protocol_version", "TLSv1.2"), ssl.TLSVersion.TLSv1_2)
    if (highest := query.pop("ssl_max_protocol_version", "")) in _VERSIONS:
        made.maximum_version = _VERSIONS[highest]
    made.check_hostname = mode == "verify-full"
    if mode == "require" and "sslrootcert" not in given:
        made.verify_mode = ssl.CERT_NONE
    if "sslcert" in given:
        made.load_cert_chain(given["sslcert"], given.get("sslkey"), given.get("sslpassword"))
    if "sslcrl" in given:
        made.load_verify_locations(given["sslcrl"])
        made.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return made
