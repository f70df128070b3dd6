"""Numbers that an application gives: refused early, with what may be given. Pure.

True is no number, NaN lies in no range, and a number without an upper bound is a mistake of units.
"""

from __future__ import annotations

from regionkit.core.storable import storable
from regionkit.errors import ConfigurationError, RegionKitError

__all__ = ["MOST", "check_count", "check_seconds", "is_number"]

MOST = 10**12
"""Of what is counted, where nothing else bounds it: more than any server keeps."""


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
        raise error(
            f"{name}={storable(repr(given)[:80])} is not a time.", fix=f"give seconds, from {low:.12g} to {high:.12g}."
        )


def check_count(
    name: str, given: object, low: int, high: int = MOST, error: type[RegionKitError] = ConfigurationError
) -> None:
    """Refuse what is no whole number from `low` to `high`.

    Raises:
        ConfigurationError: it is none; or `error`.
    """
    if not (isinstance(given, int) and is_number(given, low, high)):
        raise error(
            f"{name}={storable(repr(given)[:80])} is not usable.", fix=f"give a whole number from {low} to {high}."
        )
