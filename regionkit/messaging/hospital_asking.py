"""What a caller of the hospital asks for, checked. Pure."""

from __future__ import annotations

from typing import Any

from regionkit.core.given import check_text, is_number
from regionkit.errors import UsageError
from regionkit.messaging.case import OPEN
from regionkit.messaging.envelope import LARGEST_MESSAGE, stored_key

__all__ = ["STATUSES", "asked", "case_id", "limited", "needed", "pause_of"]

LONGEST_CASE_ID = 200
"""Bytes: they are shorter."""
STATUSES = (*OPEN, "discharged", "buried", "redirected", "open")
"""Of a case; "open" is each that is not over."""


def asked(**named: Any) -> dict[str, Any]:
    """A filter: what is None is left out, texts are as they stand in tables.

    Raises:
        UsageError: a status that is not known, or what is no text.
    """
    found = {name: value for name, value in named.items() if value is not None}
    for name, value in found.items():
        if name != "key" or value != "":  # a key may be empty
            check_text(name, value, LARGEST_MESSAGE, UsageError)
    if found.get("status", "open") not in STATUSES:
        raise UsageError(f"status {found['status']!r} is not known.", fix=f"write one of {', '.join(STATUSES)}.")
    if "key" in found:
        found["key"] = stored_key(found["key"])
    if "consumer" in found:
        found["scope"] = str(found.pop("consumer")).encode()
    return found


def needed(name: str, given: Any) -> Any:
    """What a verb is about.

    Raises:
        UsageError: it is None: that would be about all.
    """
    if given is None:
        raise UsageError(f"{name}=None names nothing.", fix=f"give the {name}.")
    return given


def case_id(id: str) -> str:
    """An id of a case.

    Raises:
        UsageError: it can be none.
    """
    check_text("id", id, LONGEST_CASE_ID, UsageError)
    return id


def limited(limit: int, most: int) -> int:
    """A limit.

    Raises:
        UsageError: it is below 1, or above `most`.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        raise UsageError(f"a limit of {limit!r}.", fix=f"give a number from 1 to {most}.")
    return limit


def pause_of(rate: float | None) -> float:
    """Seconds between two runs.

    Raises:
        UsageError: a rate that cannot be kept.
    """
    if rate is not None and not (is_number(rate, 0.0, 1e6) and rate):
        raise UsageError(f"rate={rate!r} cannot be kept.", fix="give cases a second, above 0.")
    return 0.0 if rate is None else 1.0 / rate
