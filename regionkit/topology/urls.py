"""SQL URLs: which server and driver, at which one address, and whether TLS is as strict as it has to be.

Off loopback TLS is required, which means verified and checked against the host name; a URL that asks for less is
refused. The TLS rules live here, the settings themselves in the backend. Pure: imports neither SQLAlchemy nor a driver.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from regionkit.errors import ConfigurationError
from regionkit.topology.url_parts import UrlParts, mask_url, split_url
from regionkit.topology.validation import did_you_mean, shown
from regionkit.topology.variables import has_variable

__all__ = ["ParsedUrl", "Tls", "mask_url", "sql_url"]

Tls = Literal["require", "off"]
"""What an endpoint asks of TLS: "require": encrypted, verified, host name checked; "off": what the URL says holds."""


class _Dialect(NamedTuple):
    server: Literal["postgresql", "mariadb", "sqlite"]
    sync_driver: str
    async_driver: str
    accepted: frozenset[str]  # driver names that mean ours
    others: frozenset[str] = frozenset()  # async drivers besides, where they are named


_PYMYSQL = _Dialect("mariadb", "pymysql", "aiomysql", frozenset({"pymysql", "aiomysql"}))
_DIALECTS: Mapping[str, _Dialect] = MappingProxyType(
    {
        "postgresql": _Dialect(
            "postgresql", "psycopg", "psycopg", frozenset({"psycopg", "psycopg_async"}), frozenset({"asyncpg"})
        ),
        "mysql": _PYMYSQL,
        "mariadb": _PYMYSQL,
        "sqlite": _Dialect("sqlite", "pysqlite", "aiosqlite", frozenset({"pysqlite", "aiosqlite"})),
    }
)

# parameters that are a part of the address or the account: moved to where they belong, so that no check can miss them
_POSTGRESQL_FIELDS = {"user": "username", "password": "password", "host": "host", "port": "port", "dbname": "database"}
_MYSQL_FIELDS = {"user": "username", "password": "password", "passwd": "password"} | {
    "host": "host",
    "port": "port",
    "db": "database",
    "database": "database",
}
_FIELDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"postgresql": _POSTGRESQL_FIELDS, "mariadb": _MYSQL_FIELDS, "sqlite": {}}
)

# parameters that take the address, the account or TLS from somewhere that nobody here can check
_REFUSED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "postgresql": frozenset({"service", "servicefile", "hostaddr"}),
        "mariadb": frozenset({"read_default_file", "read_default_group"}),
        "sqlite": frozenset(),
    }
)

_HOST = re.compile(r"\w[\w.-]{0,254}")
_OLD_TLS = frozenset({"", "tlsv1", "tlsv1.0", "tlsv1.1"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "none", "off", "optional", ""})
_TLS_FLAGS = frozenset({"ssl", "ssl_verify_cert", "ssl_check_hostname", "ssl_verify_identity"})
_WEAK_MODES = frozenset({"disabled", "preferred", "required", "verify_ca"})


@dataclass(frozen=True, slots=True, repr=False)
class ParsedUrl:
    """One address of a SQL server, and the account there. Its repr and str are masked; immutable, hashable.

    Attributes:
        dialect: as SQLAlchemy names it: "postgresql", "mysql", "mariadb" or "sqlite".
        driver: ours for that dialect: "psycopg", "asyncpg", "pymysql", "aiomysql", "pysqlite" or "aiosqlite".
        username: None when the URL names none.
        password: decoded; None when the URL has none.
        host: a name, an address without brackets, or the directory of a Unix socket; None when there is none.
        port: None: the server's usual one.
        database: decoded; for sqlite the path; None when there is none.
        query: the driver's parameters, each name once, decoded; never the address or the account.
    """

    dialect: str
    driver: str
    username: str | None
    password: str | None
    host: str | None
    port: int | None
    database: str | None
    query: tuple[tuple[str, str], ...]

    @property
    def server(self) -> Literal["postgresql", "mariadb", "sqlite"]:
        """The kind of server: MySQL and MariaDB are both "mariadb"."""
        return _DIALECTS[self.dialect].server

    @property
    def drivername(self) -> str:
        """Dialect and driver, as `sqlalchemy.engine.URL.create` takes them."""
        return f"{self.dialect}+{self.driver}"

    @property
    def address(self) -> tuple[str, str | None, int | None, str | None, str | None]:
        """Server, host, port, database and socket: what is left when the account and the settings are taken away."""
        host = None if self.host is None else self.host.lower()
        port = self.port or {"postgresql": 5432, "mariadb": 3306}.get(self.server)
        return self.server, host, port, self.database, dict(self.query).get("unix_socket")

    @property
    def is_local(self) -> bool:
        """Whether no network is used at all: a file, or a Unix socket (also a PostgreSQL URL without a host)."""
        if self.server == "postgresql":
            return self.host is None or self.host[0] in "/@"
        return self.server == "sqlite" or bool(dict(self.query).get("unix_socket"))

    @property
    def is_loopback(self) -> bool:
        """Whether the bytes never leave this machine: `is_local`, no host, "localhost", 127.0.0.0/8 or ::1."""
        if self.is_local or self.host is None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def tls(self, asked: Tls | None) -> Tls:
        """The TLS that holds for an endpoint that asks for `asked`; None: "require" off loopback or where the URL asks for it.

        Raises:
            ConfigurationError: when TLS is to be required, and the URL asks for less or there can be none; or the URL asks for
                it, and the endpoint says "off".
        """
        wants = self._wants_tls
        if asked == "off" and wants:
            raise ConfigurationError(f"{self.masked} requires TLS, and tls='off' disables it.", fix="drop one of them.")
        tls = asked or ("require" if wants or not self.is_loopback else "off")
        if tls == "off":
            return tls
        if self.is_local:
            raise ConfigurationError(
                f"tls='require' is not possible for {self.masked}.",
                why="a file or a Unix socket has no TLS, and needs none.",
                fix="leave tls out.",
            )
        weakening = self.weakening
        if weakening is not None:
            raise ConfigurationError(
                f"{self.masked} weakens TLS: {weakening}.",
                why="except on loopback TLS is required, with the certificate and the host name verified.",
                fix="take the parameter out of the URL (TLS is set for you), or set tls = 'off' on this endpoint.",
            )
        return tls

    @property
    def _wants_tls(self) -> bool:
        """Whether a MariaDB URL asks for verified TLS; a PostgreSQL URL's sslmode goes to libpq as it is."""
        return self.server == "mariadb" and self.weakening is None and any(_asks_pymysql(*item) for item in self.query)

    @property
    def weakening(self) -> str | None:
        """The first parameter that asks for less than verified TLS with the host name checked, and why; else None."""
        check = {"postgresql": _weakens_libpq, "mariadb": _weakens_pymysql}.get(self.server)
        found = (check(name.lower(), value) for name, value in self.query) if check else ()
        return next((reason for reason in found if reason), None)

    @property
    def masked(self) -> str:
        """The URL without its secrets."""
        return UrlParts(
            self.dialect,
            self.driver,
            self.username,
            self.password,
            self.host or "",
            None if self.port is None else str(self.port),
            self.database,
            self.query,
        ).render(masked=True)

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"ParsedUrl({self.masked!r})"


def _weakens_libpq(name: str, value: str) -> str | None:
    if name == "sslmode" and value != "verify-full":
        return "only sslmode=verify-full checks the certificate and the host name"
    if name in ("ssl_min_protocol_version", "ssl_max_protocol_version") and value.lower() in _OLD_TLS:
        return f"{name} lets in TLS older than 1.2"
    if name == "gssencmode" and value != "disable":
        return "with gssencmode GSSAPI may take the place of TLS"
    if name == "sslkeylogfile":
        return "sslkeylogfile writes the session keys to a file"
    return None


def _weakens_pymysql(name: str, value: str) -> str | None:
    if name == "ssl_disabled":
        return "ssl_disabled turns TLS off (PyMySQL takes any text, even 'false', for yes)"
    if name in _TLS_FLAGS and value.lower() in _FALSE:
        return f"{name} turns a check off"
    if name in ("ssl_mode", "ssl-mode", "sslmode") and value.lower().replace("-", "_") in _WEAK_MODES:
        return f"{name} requires less than a verified certificate and host name"
    if name == "ssl_cipher":
        return "a list of ciphers may hold those without a certificate"
    return None


def _asks_pymysql(name: str, value: str) -> bool:
    if name in ("ssl_mode", "ssl-mode", "sslmode"):
        return value.lower().replace("-", "_") == "verify_identity"
    return name in ("ssl_ca", "ssl_capath", "ssl_cert") or name in _TLS_FLAGS


def sql_url(url: str, *, is_async: bool) -> ParsedUrl:
    """Reads the URL of one SQL server. No error shows any part that may be secret.

    A URL without a driver gets ours; naming ours, in its sync or async form, is the same: `is_async` alone decides. asyncpg is
    taken where it is named, and in threads psycopg serves such a URL.

    Args:
        url: percent-encoded, with every `${NAME}` already replaced.
        is_async: whether the driver is to be the async one.

    Raises:
        ConfigurationError: another dialect or driver, several addresses, a parameter that hides the address, or a URL
            whose parts cannot be told for sure.
    """
    if has_variable(url):
        raise ConfigurationError(
            "a URL still holds a ${NAME} (not shown).",
            why="variables are replaced in TOML only, once.",
            fix="in code put the value in yourself (percent-encoded); a literal '${' is written %24%7B.",
        )
    parts = split_url(url)
    dialect_name = "postgresql" if parts.scheme == "postgres" else parts.scheme
    dialect = _DIALECTS.get(dialect_name)
    if dialect is None:
        raise ConfigurationError(
            f"a SQL store cannot use {shown(parts.scheme)}.", fix=did_you_mean(parts.scheme, _DIALECTS)
        )
    driver = dialect.async_driver if is_async else dialect.sync_driver
    if is_async and parts.driver in dialect.others:
        driver = parts.driver
    elif parts.driver and parts.driver not in dialect.accepted | dialect.others:
        raise ConfigurationError(
            f"driver {shown(parts.driver)} is not supported.",
            why="time-outs, TLS and the meaning of errors are set per driver.",
            fix=f"write {dialect_name}:// and get {driver}, or pass your own engine as client=.",
        )
    fields, query = _account_and_address(parts, dialect.server)
    return ParsedUrl(
        dialect=dialect_name,
        driver=driver,
        username=fields.get("username"),
        password=fields.get("password"),
        host=_checked_host(fields.get("host"), dialect.server),
        port=_checked_port(fields.get("port")),
        database=fields.get("database"),
        query=query,
    )


def _account_and_address(parts: UrlParts, server: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    if server == "sqlite" and (parts.host or parts.username is not None or parts.port is not None):
        raise ConfigurationError(
            "a sqlite URL names a host.", fix="write sqlite:///relative/path.db or sqlite:////absolute/path.db."
        )
    given = {
        "username": parts.username,
        "password": parts.password,
        "host": parts.host,
        "port": parts.port,
        "database": parts.path,
    }
    # an empty password is one; any other part that is empty is left out
    fields = {name: value for name, value in given.items() if value or (name == "password" and value is not None)}
    query: dict[str, str] = {}
    for name, value in parts.query:
        if value is None:
            raise ConfigurationError(
                "a URL parameter has no '=' (not shown).", fix="write name=value, and '&' inside a value as %26."
            )
        if name in _REFUSED[server]:
            raise ConfigurationError(
                f"the URL parameter {name} is refused.",
                why="it reads the address, the account or TLS from a place that cannot be checked.",
                fix="write host, account and database into the URL itself.",
            )
        field = _FIELDS[server].get(name)
        target, key = (query, name) if field is None else (fields, field)
        if key in target:
            raise ConfigurationError(
                f"the URL gives {shown(name)} twice.",
                why="one endpoint is one address and one account; drivers disagree on which of the two counts.",
                fix="keep one of them; make each further address a separate endpoint.",
            )
        target[key] = value
    if server == "mariadb" and "unix_socket" in query and fields.get("host", "localhost") != "localhost":
        raise ConfigurationError("the URL gives both a host and a unix_socket.", fix="keep one of them.")
    return fields, tuple(query.items())


def _checked_host(host: str | None, server: str) -> str | None:
    if not host:
        return None
    if "," in host:
        raise ConfigurationError(
            "a URL names several hosts.",
            why="one endpoint is one address: its role, position and health are watched one by one.",
            fix="write one endpoint for each host.",
        )
    if _HOST.fullmatch(host) or (server == "postgresql" and host[0] in "/@"):
        return host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return host
    raise ConfigurationError(
        "the host in a URL is not a host name or address (not shown).",
        fix="percent-encode user name and password; put an IPv6 address into [ ], and the port behind it.",
    )


def _checked_port(port: str | None) -> int | None:
    if not port:
        return None
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535:
        return int(port)
    raise ConfigurationError(
        "the port in a URL is not a number from 1 to 65535 (not shown).",
        why="a raw '/' or ':' in the password can also look like this.",
        fix="correct the port; percent-encode the password.",
    )
