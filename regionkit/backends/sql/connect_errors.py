"""Why no connection to an endpoint was had, as an error of regionkit's. Nothing was sent."""

from __future__ import annotations

import ssl
from typing import Any

import sqlalchemy

from regionkit.backends.sql.classify import classify, code_of, refused
from regionkit.backends.sql.rights import lacking
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.endpoint_errors import first_line, not_had, too_late
from regionkit.contract.outcomes import Failure
from regionkit.contract.unreached import without_frames
from regionkit.errors import ConfigurationError, MissingDriver, RegionKitError

__all__ = ["unreached"]

UNKNOWN_VARIABLE = 1193
"""ER_UNKNOWN_SYSTEM_VARIABLE."""
CRYPTOGRAPHY = "'cryptography' package is required"
"""PyMySQL's words, in a RuntimeError."""
NO_OPTIONS = "unsupported startup parameter"
"""PgBouncer's words; PostgreSQL's own are others."""


def unreached(context: SqlContext, error: Exception) -> Exception:
    """The error of a connection that was not made; one that does not speak of the server as it is."""
    told = _told(context, error)
    if told is not error:
        without_frames(error)
    return told


def _told(context: SqlContext, error: Exception) -> Exception:
    failure = classify(error)
    original: Any = getattr(error, "orig", None)
    if hasattr(original, "_pgconn"):
        original._pgconn = None  # psycopg keeps the password there, and error reporters show attributes
    store, endpoint = context.store.name, context.endpoint
    if failure is Failure.CANCELLED:
        late = too_late(context, f"{endpoint.id!r} gave no answer while connecting.", why=first_line(error))
        late.blames_endpoint = False  # somebody ended the question
        return late
    if failure is Failure.DEADLINE:
        return too_late(context, f"{endpoint.id!r} did not answer in time while connecting.")
    if isinstance(error, RuntimeError) and CRYPTOGRAPHY in str(error):
        return MissingDriver(
            f"the account of {endpoint.id!r} logs in with the server's key, and the package cryptography is not installed.",
            why="the account uses caching_sha2_password, which without TLS encrypts the password with the server's public key.",
            fix='pip install "regionkit[mysql]", or let the endpoint use TLS (tls = "require").',
        )
    if code_of(error) == UNKNOWN_VARIABLE:
        return ConfigurationError(
            f"the server of {endpoint.id!r} is not what its greeting says.",
            why=f"it distinguishes MariaDB from MySQL, which have different variables: {first_line(error)}",
            fix="let the proxy in front of it greet with the server's own version (ProxySQL: mysql-server_version; MaxScale: "
            "version_string).",
        )
    if original is not None and NO_OPTIONS in str(original):
        return ConfigurationError(
            f"the pooler or proxy in front of the server of {endpoint.id!r} refuses the start parameters of a connection.",
            why=first_line(error),
            fix="PgBouncer: set ignore_startup_parameters = options, and give the endpoint a read_url whose account has "
            "default_transaction_read_only = on.",
        )
    right = lacking(context, error, context.history_table)
    if right is not None:
        return right
    cause = refused(error)
    is_drivers = isinstance(error, sqlalchemy.exc.DBAPIError | OSError) or failure is Failure.CONNECTION
    if cause is not None or (is_drivers and not isinstance(error, RegionKitError)):
        below = getattr(original, "__context__", None)  # aiomysql does not say what OpenSSL said
        why = first_line(below if isinstance(below, ssl.SSLError) else error)
        what = f"no connection to {endpoint.id!r} of {store!r}."
        retryable = failure is not Failure.APPLICATION
        return not_had(context, error, cause, what, why, retryable=retryable)
    return error
