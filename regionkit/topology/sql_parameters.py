"""Parameters of a SQL URL: each is passed to the driver, read by regionkit, or refused by name with the reason. Pure.

None is dropped in silence: what a parameter asks for happens, or its endpoint is not made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from regionkit.errors import ConfigurationError
from regionkit.topology.urls import ParsedUrl
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["sql_parameters"]

_NO_TRANSACTION = "a block is one transaction: with autocommit half of it would stay when it fails"
_OWN_LIMITS = "one deadline bounds each call, connecting included: timeout= of the call and the profile set it"
_OTHER_DRIVER = "it is a word of another driver"

_PASSED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "postgresql": frozenset(
            [
                "application_name",
                "channel_binding",
                "client_encoding",
                "connect_timeout",
                "fallback_application_name",
                "gssdelegation",
                "gssencmode",
                "gsslib",
                "keepalives",
                "keepalives_count",
                "keepalives_idle",
                "keepalives_interval",
                "krbsrvname",
                "load_balance_hosts",
                "max_protocol_version",
                "min_protocol_version",
                "oauth_client_id",
                "oauth_client_secret",
                "oauth_issuer",
                "oauth_scope",
                "options",
                "passfile",
                "require_auth",
                "requirepeer",
                "scram_client_key",
                "scram_server_key",
                "ssl_max_protocol_version",
                "ssl_min_protocol_version",
                "sslcert",
                "sslcertmode",
                "sslcompression",
                "sslcrl",
                "sslcrldir",
                "sslkey",
                "sslkeylogfile",
                "sslmode",
                "sslnegotiation",
                "sslpassword",
                "sslrootcert",
                "sslsni",
                "target_session_attrs",
                "tcp_user_timeout",
            ]
        ),
        "mariadb": frozenset(
            ["charset", "client_flag", "connect_timeout", "local_infile", "program_name", "sql_mode", "unix_socket"]
        ),
        "sqlite": frozenset(["cache", "cached_statements", "detect_types", "mode", "uri", "vfs"]),
    }
)
_OF_LIBPQ = _PASSED["postgresql"] - frozenset(
    [
        "application_name",
        "client_encoding",
        "connect_timeout",
        "gsslib",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "options",
        "passfile",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
    ]
)
"""What libpq, under psycopg, understands, and asyncpg does not."""
_READ: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "postgresql": frozenset({"prepare_threshold"}),
        "mariadb": frozenset(
            [
                "ssl",
                "ssl-mode",
                "ssl_ca",
                "ssl_capath",
                "ssl_cert",
                "ssl_check_hostname",
                "ssl_cipher",
                "ssl_disabled",
                "ssl_key",
                "ssl_key_password",
                "ssl_mode",
                "ssl_verify_cert",
                "ssl_verify_identity",
                "sslmode",
                "use_unicode",
            ]
        ),
        "sqlite": frozenset({"outage"}),
    }
)
_REFUSED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "postgresql": {
            "autocommit": _NO_TRANSACTION,
            "command_timeout": _OTHER_DRIVER,
            "context": "it is a Python object",
            "cursor_factory": "it is a Python object",
            "pgbouncer": f"{_OTHER_DRIVER}; regionkit notices PgBouncer by itself and prepares nothing there",
            "prepared_statement_cache_size": f"{_OTHER_DRIVER}; options.prepare = false turns preparing off",
            "replication": "connections are for statements",
            "row_factory": "it is a Python object",
            "server_settings": f"{_OTHER_DRIVER}; options=-c%20name%3Dvalue sets what a session begins with",
            "ssl": f"{_OTHER_DRIVER}; TLS is on off loopback, and sslmode=verify-full turns it on elsewhere",
            "statement_cache_size": f"{_OTHER_DRIVER}; options.prepare = false turns preparing off",
        },
        "mariadb": {
            "auth_plugin": "only one of the two drivers knows it",
            "auth_plugin_map": "it is a Python object",
            "autocommit": _NO_TRANSACTION,
            "bind_address": "only one of the two drivers knows it",
            "collation": "it would hold until SQLAlchemy names the character set again; columns have theirs",
            "compress": "the drivers do not compress",
            "conv": "it is a Python object",
            "cursorclass": "it is a Python object",
            "defer_connect": "connections are made when they are needed",
            "init_command": "regionkit begins its sessions; sql_mode= and the server's init_connect may add to it",
            "max_allowed_packet": "it is the server's to set",
            "named_pipe": "the drivers have none",
            "read_timeout": _OWN_LIMITS,
            "server_public_key": "only one of the two drivers takes it as a text; TLS protects the password",
            "write_timeout": _OWN_LIMITS,
        },
        "sqlite": {
            "check_same_thread": "regionkit hands a connection from thread to thread, one at a time",
            "immutable": "changes of the file would not be seen",
            "isolation_level": _NO_TRANSACTION,
            "nolock": "two writers would destroy the file",
            "timeout": _OWN_LIMITS,
        },
    }
)
_NUMBERS = frozenset(
    [
        "cached_statements",
        "client_flag",
        "connect_timeout",
        "detect_types",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    ]
)
_MODES = frozenset({"ro", "rw", "rwc"})
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_NAME = re.compile(r"\w{1,64}")


def sql_parameters(url: ParsedUrl) -> dict[str, str]:
    """The parameters of a URL, each once, checked: those that the driver gets and those that regionkit reads.

    Raises:
        ConfigurationError: one that is refused or not known, or a value of another kind.
    """
    server, given = url.server, dict(url.query)
    refused, known = _REFUSED[server], _PASSED[server] | _READ[server]
    for name, value in given.items():
        if name in refused:
            raise ConfigurationError(
                f"the URL parameter {name} is refused for {url.dialect}.",
                why=f"{refused[name]}.",
                fix="take it out of the URL.",
            )
        if url.driver == "asyncpg" and name in _OF_LIBPQ:
            raise ConfigurationError(
                f"the URL parameter {name} is refused for asyncpg.",
                why="asyncpg does not know it; psycopg does.",
                fix="take it out of the URL, or write postgresql:// for psycopg.",
            )
        if name not in known:
            raise ConfigurationError(
                f"a URL parameter is none that {url.dialect} takes (not shown).",
                why="it would be ignored, or break each connection; a raw '&' in a password can also look like this.",
                fix=did_you_mean(name, known),
            )
        wanted = _wanted(name, value, given)
        if wanted:
            raise ConfigurationError(f"the URL parameter {name} is {shown(value)}.", fix=f"{wanted}.")
    return given


def _wanted(name: str, value: str, given: Mapping[str, str]) -> str:
    """What a value has to be, where it is not; "" where it is right."""
    if name in _NUMBERS and not re.fullmatch(r"\d{1,9}", value):
        return "give a whole number"
    if name == "prepare_threshold" and not re.fullmatch(r"\d{1,9}|[Nn]one", value):
        return "give a whole number, or none"
    if name in ("local_infile", "uri") and value.lower() not in _TRUE | _FALSE:
        return "give true or false"
    if name == "use_unicode" and value.lower() not in _TRUE:
        return "texts are texts: take it out"
    if name == "client_encoding" and value.lower().replace("-", "") not in ("utf8", "auto"):
        return "use UTF8: regionkit's own questions are"
    if name == "charset" and not _NAME.fullmatch(value):
        return "give its name"
    if name in ("mode", "cache", "vfs") and given.get("uri", "false").lower() not in _TRUE:
        return "SQLite reads it in a URI only: add uri=true, and write file: in front of the path"
    if name == "mode" and value not in _MODES:
        return f"give one of {', '.join(sorted(_MODES))}: a database in memory is private to one connection"
    return ""
