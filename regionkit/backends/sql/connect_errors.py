"""Why no connection to an endpoint was had, as an error of regionkit's. Nothing was sent."""

from __future__ import annotations

from typing import Any

import sqlalchemy

from regionkit.backends.sql.classify import classify, code_of, refused
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.outcomes import Failure
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionUnavailable

__all__ = ["deadline_error", "first_line", "unreached"]

UNKNOWN_VARIABLE = 1193
"""ER_UNKNOWN_SYSTEM_VARIABLE: a MySQL was asked for what only MariaDB has."""


def unreached(place: SqlContext, error: Exception) -> Exception:
    """The error of a connection that was not made; one that does not speak of the server as it is."""
    failure = classify(error)
    original: Any = getattr(error, "orig", None)
    if hasattr(original, "_pgconn"):
        original._pgconn = None  # psycopg keeps the password there, and error reporters show attributes
    store, endpoint = place.store.name, place.endpoint
    if failure is Failure.DEADLINE:
        return deadline_error(place, f"{endpoint.id!r} did not answer in time while connecting.", "see kit.status().")
    if code_of(error) == UNKNOWN_VARIABLE:
        return ConfigurationError(
            f"the server of {endpoint.id!r} is no MariaDB.",
            why="MySQL counts positions in another way, which this version does not read.",
            fix="use MariaDB 10.6 or later, or PostgreSQL.",
        )
    cause = refused(error)
    if cause is not None:
        return cause.error(endpoint.id, store=store, region=endpoint.region, why=first_line(error))
    if isinstance(error, sqlalchemy.exc.DBAPIError | OSError):
        return RegionUnavailable(
            f"no connection to {endpoint.id!r} of {store!r}.",
            why=first_line(error),
            fix="see kit.status(); reads go on elsewhere where the topology allows it.",
            store=store,
            region=endpoint.region,
            retryable=failure is not Failure.APPLICATION,
        )
    return error


def deadline_error(place: SqlContext, what: str, fix: str) -> DeadlineExceeded:
    """The deadline passed before a connection was there."""
    return DeadlineExceeded(
        what,
        why="the call's deadline passed before a connection was there; nothing was sent.",
        fix=fix,
        store=place.store.name,
        region=place.endpoint.region,
    )


def first_line(error: BaseException) -> str:
    """What the driver said, on one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
