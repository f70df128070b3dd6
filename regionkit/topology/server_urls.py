"""URLs of servers that are no SQL servers: Redis, MongoDB, Cassandra, and the named stores in memory.

One URL may name several hosts of one cluster. What its parameters may say: `server_parameters`. Off loopback TLS is required
unless the endpoint says `tls="off"`. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from regionkit.errors import ConfigurationError
from regionkit.topology.server_parameters import server_parameter
from regionkit.topology.url_parts import UrlParts, mask_url, split_url
from regionkit.topology.urls import Tls
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["ServerUrl", "server_url"]


class _Kind(NamedTuple):
    schemes: frozenset[str]
    port: int
    several: bool


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "redis": _Kind(frozenset({"redis", "rediss", "valkey", "valkeys", "unix"}), 6379, several=False),
        "mongo": _Kind(frozenset({"mongodb"}), 27017, several=True),
        "cassandra": _Kind(frozenset({"cassandra"}), 9042, several=True),
        "memory": _Kind(frozenset({"memory"}), 0, several=False),
    }
)
_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|(\w[\w.-]{0,254})(?::(\d{1,5}))?")
_TLS_SCHEMES = frozenset({"rediss", "valkeys"})
SOCKET = "unix"
"""Scheme of a Redis server's Unix socket, and the name under which its parameters are known."""
MOST_HOSTS = 64
"""Hosts in one URL: contact points, or the members of one replica set (which has at most 50)."""


@dataclass(frozen=True, slots=True, repr=False)
class ServerUrl:
    """One server or cluster and the account there. Its repr and str are masked; immutable, hashable.

    Attributes:
        backend: "redis", "mongo", "cassandra" or "memory".
        scheme: as written.
        username: None when the URL names none.
        password: decoded; None when the URL has none.
        hosts: (name or address, port), at least one; of a Unix socket its path, which begins with "/", and 0.
        database: number, database or keyspace; None when there is none.
        query: parameters, each once.
        text: the URL as given; holds the password.
    """

    backend: str
    scheme: str
    username: str | None
    password: str | None
    hosts: tuple[tuple[str, int], ...]
    database: str | None
    query: tuple[tuple[str, str], ...]
    text: str

    @property
    def masked(self) -> str:
        """The URL without its secrets."""
        return mask_url(self.text)

    def __repr__(self) -> str:
        return f"ServerUrl({self.masked!r})"

    @property
    def is_local(self) -> bool:
        """Whether no network is used at all."""
        return self.backend == "memory" or self.scheme == SOCKET

    @property
    def is_loopback(self) -> bool:
        """Whether the bytes never leave this machine."""
        return self.is_local or all(_is_loopback(host) for host, _ in self.hosts)

    def tls(self, asked: Tls | None) -> Tls:
        """The TLS that holds for an endpoint that asks for `asked`; None: "require" off loopback or where the URL says so.

        Raises:
            ConfigurationError: the endpoint says "off" and the URL asks for TLS, or there can be none.
        """
        wanted = self.scheme in _TLS_SCHEMES or dict(self.query).get("tls") == "true"
        if asked == "off" and wanted:
            raise ConfigurationError(f"{self.masked} requires TLS, and tls='off' disables it.", fix="drop one of them.")
        if asked == "require" and self.is_local:
            what = "a store in memory" if self.backend == "memory" else "a Unix socket"
            raise ConfigurationError(f"{what} has no connection to protect.", fix="leave tls out.")
        return asked or ("require" if wanted or not self.is_loopback else "off")


def server_url(backend: str, url: object) -> ServerUrl:
    """The `url` of a server of `backend`, checked.

    Raises:
        ConfigurationError: another scheme, a host that is none, an unknown parameter, or one that weakens TLS.
    """
    kind = _KINDS[backend]
    if not isinstance(url, str):
        raise ConfigurationError(f"a URL must be a text, not {shown(url)}.", fix="pass a URL.")
    parts = split_url(url)
    if parts.scheme not in kind.schemes or parts.driver:
        scheme = f"{parts.scheme}+{parts.driver}" if parts.driver else parts.scheme
        if scheme == "mongodb+srv":
            raise ConfigurationError(
                "a mongodb+srv URL is not taken.",
                why="DNS would name the members, and each one has to be known before it is contacted.",
                fix="write mongodb:// with the hosts of the members.",
            )
        raise ConfigurationError(
            f"{scheme!r} is not the scheme of a {backend} URL.", fix=did_you_mean(scheme, sorted(kind.schemes))
        )
    if parts.scheme == SOCKET:
        return _of_socket(parts, url)
    address = parts.host if parts.port is None else f"{_bracketed(parts.host)}:{parts.port}"
    hosts = tuple(_host(text, kind.port, url) for text in (address.split(",") if kind.several else [address]))
    if len(hosts) > MOST_HOSTS or len(set(hosts)) != len(hosts):
        raise ConfigurationError(
            f"{mask_url(url)} names a host twice, or more than {MOST_HOSTS}.", fix="name each once."
        )
    query = _parameters(backend, parts, url)
    if query.get("tls") == "false" and not all(_is_loopback(host) for host, _ in hosts):
        raise ConfigurationError(
            f"{mask_url(url)} disables TLS.",
            why="it is required except on loopback.",
            fix='set tls="off" on the endpoint.',
        )
    if backend == "redis":
        _check_number(parts.path or "0", url)
    return ServerUrl(
        backend=backend,
        scheme=parts.scheme,
        username=parts.username,
        password=parts.password,
        hosts=hosts,
        database=parts.path or None,
        query=tuple(query.items()),
        text=url,
    )


def _of_socket(parts: UrlParts, url: str) -> ServerUrl:
    """`unix://account@/path/of/the.sock?db=1`: as redis-py writes it."""
    if parts.host or parts.port is not None or not parts.path:
        raise ConfigurationError(
            f"{mask_url(url)} is not a path of a socket.",
            why="there is a host before the path." if parts.path else "it has no path.",
            fix="write unix:///run/redis/redis.sock, and an account as unix://name:password@/run/redis/redis.sock.",
        )
    query = _parameters(SOCKET, parts, url)
    database = query.pop("db", None)
    _check_number(database or "0", url)
    return ServerUrl(
        backend="redis",
        scheme=SOCKET,
        username=parts.username,
        password=parts.password,
        hosts=((f"/{parts.path}", 0),),
        database=database,
        query=tuple(query.items()),
        text=url,
    )


def _parameters(kind: str, parts: UrlParts, url: str) -> dict[str, str]:
    """The parameters of a URL that are used, each once."""
    query: dict[str, str] = {}
    for given, text in parts.query:
        found = server_parameter(kind, given, text, mask_url(url))
        if found is None:
            continue
        name, value = found
        if name in query:
            raise ConfigurationError(
                f"{mask_url(url)}: parameter {shown(given)} is not taken.",
                why="it is there twice.",
                fix="write it once.",
            )
        query[name] = value
    return query


def _check_number(database: str, url: str) -> None:
    if not (database.isascii() and database.isdigit()):
        raise ConfigurationError(
            f"{mask_url(url)}: {shown(database)} is not a database of a Redis server.",
            why="there they are numbers.",
            fix="write redis://host/1, or unix:///run/redis/redis.sock?db=1.",
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host(text: str, usual: int, url: str) -> tuple[str, int]:
    found = _HOST.fullmatch(_bracketed(text) if text.count(":") > 1 and "[" not in text else text)
    port = usual if found is None else int(found[2] or found[4] or usual)
    if found is None or port > 65535:
        raise ConfigurationError(
            f"{mask_url(url)}: {shown(text)} is not a host.", fix="write host or host:port; IPv6 addresses in [ ]."
        )
    return found[1] or found[3], port


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
