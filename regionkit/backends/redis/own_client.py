# Generated from own_client_async.py by scripts/twins.py. Do not edit.
"""A client that the application hands in: what of it our own connections need to be like its own.

1. Its connections are never used: they have its time-outs and its retries, and serve others. Ours are made with its address,
   account, TLS and way of speaking, without retries, and end at our deadlines.
2. What cannot be copied whole is refused by name: a Sentinel or a cluster picks servers by itself, and a class of the
   application's own may do anything.
3. Not copied, as it belongs to the client's own connections: time-outs, retries, health checks, client-side caching, its
   size, maintenance notifications. A credential provider is asked at each connect.
"""

from __future__ import annotations

import ssl
from types import MappingProxyType
from typing import Any

from regionkit.backends.redis.connection_settings import ConnectionSettings
from regionkit.backends.redis.stream import (
    BlockingConnectionPool,
    ConnectionPool,
    Redis,
    TcpConnection,
    TlsConnection,
    UnixConnection,
)
from regionkit.errors import ConfigurationError

__all__ = ["client_settings"]

IS_ASYNC = False

_ACCOUNT = ("username", "password", "credential_provider")
_SPEECH = (
    "db",
    "client_name",
    "protocol",
    "legacy_responses",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "socket_read_size",
)
_TCP = ("host", "port", "socket_keepalive", "socket_keepalive_options", "socket_type")
_TLS = frozenset(
    {
        *("ssl_keyfile", "ssl_certfile", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version"),
        *("ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_ciphers"),
        *("ssl_include_verify_flags", "ssl_exclude_verify_flags"),
    }
)
_CHECKS = MappingProxyType(
    {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED, None: ssl.CERT_NONE}
)
_OTHERS = MappingProxyType(
    {
        "RedisCluster": "a cluster moves keys itself and has no single replication offset",
        "MultiDBClient": "it picks databases itself, which is regionkit's task",
        "Sentinel": "it holds no keys and picks servers itself",
    }
)
_FIX = "pass a redis.asyncio.Redis of one server" if IS_ASYNC else "pass a redis.Redis of one server"


def client_settings(client: Any) -> ConnectionSettings:
    """How connections are made that are like those of `client`, but for time-outs and retries.

    Raises:
        ConfigurationError: it is of the other world (threads or asyncio), leads to more than one server, or has parts of the
            application's own that cannot be copied.
    """
    if not isinstance(client, Redis):
        raise _not_a_client(client)
    pool: Any = client.connection_pool
    kind = type(pool)
    if kind.__name__ == "SentinelConnectionPool":
        raise _unusable("a client of Sentinel", "Sentinel picks the server itself, which is regionkit's task")
    if kind not in (ConnectionPool, BlockingConnectionPool):
        raise _unusable(f"a client with a pool of class {kind.__name__}", "only the driver's own pools can be copied")
    made_as = pool.connection_class
    if made_as not in (TcpConnection, TlsConnection, UnixConnection):
        raise _unusable(
            f"a client with connections of class {made_as.__name__}", "only the driver's own connections can be copied"
        )
    given: dict[str, Any] = pool.connection_kwargs
    if given.get("redis_connect_func") is not None:
        raise _unusable("a client with a redis_connect_func", "it may change the client's connections in unknown ways")
    names = _SPEECH if made_as is UnixConnection else (*_TCP, *_SPEECH)
    return ConnectionSettings(
        arguments={name: given[name] for name in names if given.get(name) is not None},
        account={name: given[name] for name in _ACCOUNT if given.get(name) is not None},
        tls=_tls(given) if made_as is TlsConnection else None,
        path=given.get("path", "") if made_as is UnixConnection else None,
    )


def _tls(given: dict[str, Any]) -> ssl.SSLContext:
    """TLS as the client has it."""
    wanted = {name for name, value in given.items() if name.startswith("ssl_") and value not in (None, False)}
    if wanted - _TLS:
        raise _unusable(
            f"a client with {', '.join(sorted(wanted - _TLS))}", "this way to check a certificate cannot be copied"
        )
    context = ssl.create_default_context()
    checks = given.get("ssl_cert_reqs", "required")
    if not isinstance(checks, ssl.VerifyMode):
        if checks not in _CHECKS:
            raise _unusable(
                "a client with such ssl_cert_reqs", 'it is "none", "optional", "required" or an ssl.VerifyMode'
            )
        checks = _CHECKS[checks]
    context.check_hostname = bool(given.get("ssl_check_hostname", True)) and checks is not ssl.CERT_NONE
    context.verify_mode = checks
    for flag in given.get("ssl_include_verify_flags") or ():
        context.verify_flags |= flag
    for flag in given.get("ssl_exclude_verify_flags") or ():
        context.verify_flags &= ~flag
    if given.get("ssl_certfile") or given.get("ssl_keyfile"):
        context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"), given.get("ssl_password"))
    roots = {
        "cafile": given.get("ssl_ca_certs"),
        "capath": given.get("ssl_ca_path"),
        "cadata": given.get("ssl_ca_data"),
    }
    if any(roots.values()):
        context.load_verify_locations(**roots)
    if given.get("ssl_min_version") is not None:
        context.minimum_version = given["ssl_min_version"]
    if given.get("ssl_ciphers") is not None:
        context.set_ciphers(given["ssl_ciphers"])
    return context


def _not_a_client(client: Any) -> ConfigurationError:
    names = {kind.__name__ for kind in type(client).__mro__}
    for name, why in _OTHERS.items():
        if name in names:
            return _unusable(f"a {name}", why)
    if "Redis" in names:
        other, ours = ("threads", "asyncio") if IS_ASYNC else ("asyncio", "threads")
        return _unusable(f"a client of redis-py for {other}", f"this kit runs in {ours}")
    return _unusable(f"a {type(client).__name__}", "it is not a client of redis-py")


def _unusable(what: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{what} cannot serve.", why=f"{why}.", fix=f"{_FIX}, or a url.")
