"""What a store may set on its engine, client or sessions: few keys, typed, each with a reason to differ.

Time-outs are not among them: one deadline bounds every call. Nor is what regionkit sets itself for safety.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from regionkit.errors import ConfigurationError
from regionkit.topology.validation import did_you_mean, from_mapping, shown

__all__ = ["SessionOptions", "SqlOptions", "check_flag", "check_number", "options_from"]

T = TypeVar("T")

_BOUNDS = {
    "pool_size": (1, 10_000),
    "max_overflow": (0, 10_000),
    "pool_recycle": (1, 604_800),
    "query_cache_size": (0, 1_000_000),
}


@dataclass(frozen=True, slots=True)
class SqlOptions:
    """Options of the engine of each endpoint; each is the argument of `sqlalchemy.create_engine` of the same name.

    Attributes:
        pool_size: connections kept open to an endpoint, in each process.
        max_overflow: connections beyond `pool_size` that a burst may open and close again.
        pool_recycle: seconds after which a connection is replaced at its next use: keep it under the idle limit of
            firewalls and proxies on the way.
        query_cache_size: compiled statements kept; raise it when there are more distinct queries, 0 turns it off.
        prepare: let PostgreSQL keep a plan of each statement that runs often (psycopg's `prepare_threshold`, which a URL may
            give). Behind PgBouncer nothing is prepared anyway. No argument of the engine; the other servers prepare nothing.
        echo: log every statement; parameters are never logged.

    Raises:
        ConfigurationError: a value of another type or out of bounds, naming the option.
    """

    pool_size: int = 10
    max_overflow: int = 10
    pool_recycle: int = 1800
    query_cache_size: int = 500
    prepare: bool = True
    echo: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            check_number(name, getattr(self, name), low, high)
        check_flag("prepare", self.prepare)
        check_flag("echo", self.echo)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Options of the sessions that blocks yield; each is the argument of `sqlalchemy.orm.sessionmaker` of that name.

    Attributes:
        autoflush: send pending changes before each query.
        expire_on_commit: forget loaded attributes at commit. Off, unlike SQLAlchemy's default: objects outlive the
            block, and a later attribute access must not go to a server without a decision.

    Raises:
        ConfigurationError: a value that is not true or false, naming the option.
    """

    autoflush: bool = True
    expire_on_commit: bool = False

    def __post_init__(self) -> None:
        check_flag("autoflush", self.autoflush)
        check_flag("expire_on_commit", self.expire_on_commit)


def check_number(name: str, value: object, low: int, high: int) -> None:
    """Accepts a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigurationError(
            f"option {name} = {shown(value)} is not usable.", fix=f"give a whole number from {low} to {high}."
        )


def check_flag(name: str, value: object) -> None:
    """Accepts true or false."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"option {name} = {shown(value)} is not usable.", fix="give true or false.")


def options_from(kind: str, make: type[T], given: T | Mapping[str, Any] | None) -> T:
    """`given` as a `make`: one already, a mapping of its known keys, or None for the defaults.

    Raises:
        ConfigurationError: an unknown key with a near match, or a bad value; both name the option.
    """
    if isinstance(given, make):
        return given
    known = [field.name for field in fields(make)]  # type: ignore[arg-type]  # all are dataclasses
    if given is None:
        return make()
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{kind} must be a mapping, not {shown(given)}.", fix=did_you_mean(None, known))
    return from_mapping(kind, make, given, known)
