"""Parameters of the URLs of Redis, MongoDB and Cassandra: each is used, says what holds anyway, or is refused by name. Pure.

None is dropped in silence: what a parameter asks for happens, or its endpoint is not made. URLs as providers hand them out
(`retryWrites=true&w=majority&appName=...`) are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from regionkit.errors import ConfigurationError
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["server_parameter"]

_LIMITS = ("one deadline bounds each call, connecting included", "timeout= of the call and the profile set it")
_POOL = ("the size of the pool is an option of the store", "options = { pool_size = 50 }")
_STRICT = ("TLS is verified, or there is none", "remove it; `tls=` of the endpoint decides about TLS")
_CHOICE = (
    "the decision of each call chooses the member",
    "consistency= and prefer= decide which endpoint serves a read",
)
_NODES = ("the members are named one by one, and each is spoken to directly", "write mongodb:// with their hosts")

_USED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "redis": {name: name for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")},
        "mongo": {
            name: name
            for name in (
                *("replicaSet", "authSource", "authMechanism", "directConnection", "tls", "tlsCAFile"),
                *("tlsCertificateKeyFile", "appName", "compressors", "zlibCompressionLevel"),
            )
        }
        | {"ssl": "tls"},
        "cassandra": {name: name for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")},
        "memory": {},
        "unix": {"db": "db"},
    }
)
"""By backend: a parameter, and the name under which it is known from then on."""
_FLAGS = frozenset({"tls", "ssl", "directConnection", "retryWrites", "retryReads"})
_HOLDS: Mapping[str, Mapping[str, tuple[tuple[str, ...], str]]] = MappingProxyType(
    {
        "mongo": {
            "retryWrites": (("true", "false"), ""),  # which calls run again, and when, is decided above the driver
            "retryReads": (("true", "false"), ""),
            "w": (("majority",), "a write is acknowledged by a majority: else an election takes it back"),
            "journal": (("true",), "a majority acknowledges what is in its journals"),
            "j": (("true",), "a majority acknowledges what is in its journals"),
            "readConcernLevel": (("majority",), "a block reads what a majority has, or more strictly"),
            "readPreference": (("primary",), f"{_CHOICE[0]}: {_CHOICE[1]}"),
        }
    }
)
"""Parameters that say what holds anyway: the values that do, and why no other is taken."""
_REDIS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "protocol": ("the version of RESP is an option of the store", "options = { protocol = 3 }"),
        "decode_responses": (
            "how replies are decoded is an option of the store",
            "options = { decode_responses = true }",
        ),
        "max_connections": _POOL,
        "client_name": ("connections bear no name", "take it out"),
        "health_check_interval": ("an idle connection is looked at before each use", "take it out"),
        **dict.fromkeys(("socket_timeout", "socket_connect_timeout", "retry_on_timeout", "timeout"), _LIMITS),
        **dict.fromkeys(("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"), _STRICT),
    }
)
_ACCOUNT = "the account is in front of the host"
_REFUSED: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "redis": {
            "db": ("the number of the database is the path", "write redis://host/1"),
            **dict.fromkeys(("username", "password"), (_ACCOUNT, "write redis://name:password@host")),
            **_REDIS,
        },
        "unix": {
            **dict.fromkeys(("username", "password"), (_ACCOUNT, "write unix://name:password@/run/redis/redis.sock")),
            **_REDIS,
        },
        "mongo": {
            "uuidRepresentation": ("it is an option of the store", 'options = { uuid_representation = "standard" }'),
            "tz_aware": ("it is an option of the store", "options = { tz_aware = true }"),
            "tzAware": ("it is an option of the store", "options = { tz_aware = true }"),
            **dict.fromkeys(("maxPoolSize", "minPoolSize", "maxIdleTimeMS", "maxConnecting"), _POOL),
            **dict.fromkeys(
                (
                    *("timeoutMS", "connectTimeoutMS", "socketTimeoutMS", "serverSelectionTimeoutMS", "wTimeoutMS"),
                    *("waitQueueTimeoutMS", "heartbeatFrequencyMS"),
                ),
                _LIMITS,
            ),
            **dict.fromkeys(("readPreferenceTags", "maxStalenessSeconds", "localThresholdMS"), _CHOICE),
            **dict.fromkeys(("loadBalanced", "srvMaxHosts", "srvServiceName"), _NODES),
            **dict.fromkeys(
                (
                    *("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames"),
                    "tlsDisableOCSPEndpointCheck",
                ),
                _STRICT,
            ),
        },
    }
)
"""Why a parameter that drivers know is not the URL's to set, and what is."""


def server_parameter(backend: str, name: str, value: str | None, url: str) -> tuple[str, str] | None:
    """What a parameter is from now on: its name and value; None where it says what holds anyway. `url`: masked.

    Raises:
        ConfigurationError: it is refused or not known, or its value is another one.
    """
    refused = _REFUSED.get(backend, {}).get(name)
    if refused is not None:
        why, fix = refused
        raise ConfigurationError(f"{url}: parameter {shown(name)} is not taken.", why=f"{why}.", fix=f"{fix}.")
    used, holds = _USED[backend].get(name), _HOLDS.get(backend, {}).get(name)
    if (used is None and holds is None) or value is None:
        known = sorted({*_USED[backend], *_HOLDS.get(backend, {})})
        raise ConfigurationError(
            f"{url}: parameter {shown(name)} is not taken.",
            why="time-outs, retries, consistency and the strictness of TLS are not the URL's to set.",
            fix=did_you_mean(name, known),
        )
    if name in _FLAGS and value not in ("true", "false"):
        raise ConfigurationError(f"{url}: {name} is {shown(value)}.", fix="write true or false.")
    if holds is not None:
        allowed, why = holds
        if value not in allowed:
            raise ConfigurationError(
                f"{url}: {name} is {shown(value)}.", why=f"{why}.", fix=f"write {allowed[0]}, or take it out."
            )
        return None
    assert used is not None
    return used, value
