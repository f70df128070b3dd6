"""What an application gives: refused early, with what may be given. Pure.

1. True is no number, NaN lies in no range, and a number without an upper bound is a mistake of units.
2. A text that stands for yes or no is neither: "no" is true.
3. What a thing can do is not asked by `hasattr`: a database of PyMongo's has every attribute.
"""

from __future__ import annotations

import os
import re
from inspect import getattr_static
from typing import Any

from regionkit.core.storable import storable
from regionkit.errors import ConfigurationError, RegionKitError, UsageError

__all__ = [
    "MOST",
    "can",
    "check_call",
    "check_count",
    "check_flag",
    "check_path",
    "check_seconds",
    "check_text",
    "is_number",
    "require_call",
    "shown",
]

_HARMLESS = re.compile(r"[\w .+*#-]{0,64}")
MOST = 10**12
"""Of what is counted, where nothing else bounds it: more than any server keeps."""


def shown(value: object) -> str:
    """`value` for a message: quoted when it looks like a name or a number, else only described: it may hold a password."""
    if isinstance(value, str):
        return repr(str(value)) if _HARMLESS.fullmatch(value) else f"(a text of {len(value)} characters)"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)[:80]
    return f"(a value of type {type(value).__name__})"


def is_number(given: object, low: float, high: float) -> bool:
    """Whether it is a number from `low` to `high`."""
    return isinstance(given, int | float) and not isinstance(given, bool) and low <= given <= high


def check_seconds(
    name: str, given: object, low: float, high: float, error: type[RegionKitError] = ConfigurationError
) -> None:
    """Refuse what is no time from `low` to `high` seconds.

    Raises:
        ConfigurationError: it is none; or `error`.
    """
    if not is_number(given, low, high):
        raise error(f"{name}={shown(given)} is not a time.", fix=f"give seconds, from {low:.12g} to {high:.12g}.")


def check_count(
    name: str, given: object, low: int, high: int = MOST, error: type[RegionKitError] = ConfigurationError
) -> None:
    """Refuse what is no whole number from `low` to `high`.

    Raises:
        ConfigurationError: it is none; or `error`.
    """
    if not (isinstance(given, int) and is_number(given, low, high)):
        raise error(f"{name}={shown(given)} is not usable.", fix=f"give a whole number from {low} to {high}.")


def check_flag(name: str, given: object) -> None:
    """Refuse what is not True or False.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(given, bool):
        raise ConfigurationError(f"{name}={shown(given)} is not usable.", fix="give True or False.")


def check_call(name: str, given: object) -> None:
    """Refuse what is neither None nor can be called.

    Raises:
        ConfigurationError: it is neither.
    """
    if given is not None and not callable(given):
        raise ConfigurationError(f"{name}={shown(given)} is not a function.", fix="pass a function.")


def require_call(name: str, given: object) -> None:
    """Refuse what cannot be called.

    Raises:
        UsageError: it cannot.
    """
    if not callable(given):
        raise UsageError(f"{name}={shown(given)} is not a function.", fix="pass a function.")


def check_text(name: str, given: object, longest: int, error: type[RegionKitError] = ConfigurationError) -> None:
    """Refuse what is no text of 1 to `longest` bytes that every server keeps.

    Raises:
        ConfigurationError: it is none; or `error`.
    """
    if not isinstance(given, str) or storable(given) != given or not 0 < len(given.encode()) <= longest:
        raise error(
            f"{name}={shown(given)} is not usable.",
            fix=f"give a text of 1 to {longest} bytes, without NUL.",
        )


def check_path(name: str, given: object) -> None:
    """Refuse what is no path.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ConfigurationError(
            f"{name}={shown(given)} is not a path.", fix="give the path, a text or a pathlib.Path."
        )


def can(given: Any, *methods: str) -> bool:
    """Whether it is an object that has these methods, and does not make up what it is asked for."""
    return not isinstance(given, type) and all(getattr_static(given, name, None) is not None for name in methods)
