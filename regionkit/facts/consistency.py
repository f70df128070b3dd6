"""Consistency levels of a read, and what to do when the nearest copy cannot give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from regionkit.core.deadline import LONGEST_TIMEOUT
from regionkit.core.given import is_number
from regionkit.errors import ConfigurationError

__all__ = ["BOUNDED", "EVENTUAL", "ON_STALE", "SESSION", "STRONG", "Consistency", "Level", "OnStale", "on_stale_steps"]


class Level(StrEnum):
    """The four levels."""

    EVENTUAL = "eventual"
    BOUNDED = "bounded"
    SESSION = "session"
    STRONG = "strong"


class Consistency(msgspec.Struct, frozen=True):
    """A level, with its bound where it has one. Immutable and hashable.

    EVENTUAL: any allowed copy. BOUNDED(s): a copy proved to be at most `s` seconds behind. SESSION: sees all that this
    session, or the bookmark that it began with, wrote or saw; so reads are monotonic. STRONG: the current owner.
    """

    level: Level
    max_staleness: float = 0.0

    def __str__(self) -> str:
        return f"BOUNDED({self.max_staleness:g})" if self.level is Level.BOUNDED else self.level.name


EVENTUAL = Consistency(Level.EVENTUAL)
SESSION = Consistency(Level.SESSION)
STRONG = Consistency(Level.STRONG)


def BOUNDED(max_staleness: float) -> Consistency:
    """A read from a copy proved to be at most `max_staleness` seconds behind at the start of each statement.

    Raises:
        ConfigurationError: a bound that is no positive number of seconds.
    """
    if not is_number(max_staleness, 0.0, LONGEST_TIMEOUT) or not max_staleness:
        raise ConfigurationError(
            f"BOUNDED({max_staleness!r}) is not usable.",
            why=f"the bound is in seconds, more than 0 and at most {LONGEST_TIMEOUT:.0f}.",
            fix="for no staleness use STRONG; for any staleness, EVENTUAL.",
        )
    return Consistency(Level.BOUNDED, float(max_staleness))


OnStale = Literal["wait", "next", "primary", "raise", "serve"]
"""One step when the nearest copy is not proved: wait for it; the next proved copy; the owner; raise; serve it as it is."""

ON_STALE: tuple[OnStale, ...] = ("wait", "next", "primary")
_STEPS = ("wait", "next", "primary", "raise", "serve")


def on_stale_steps(steps: OnStale | Sequence[OnStale] | None) -> tuple[OnStale, ...]:
    """`on_stale=` as a tuple of steps, walked in order; after the last one the read is refused.

    Raises:
        ConfigurationError: an unknown step, or none.
    """
    if steps is None:
        return ON_STALE
    walk: tuple[OnStale, ...] = ()
    if isinstance(steps, str):
        walk = (steps,)
    elif isinstance(steps, Iterable):
        walk = tuple(steps)
    wrong = [step for step in walk if step not in _STEPS]
    if wrong or not walk:
        raise ConfigurationError(
            f"on_stale={steps!r} is not usable.",
            why=f"each step is one of {', '.join(_STEPS)}.",
            fix='leave it out for ("wait", "next", "primary").',
        )
    return walk
