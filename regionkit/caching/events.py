"""What happens to a cache, as events. None carries a key or a value: they may be anybody's data."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = [
    "BusLost",
    "BusRegained",
    "CacheEvent",
    "CacheInconsistent",
    "IntentSettled",
    "LoadFailed",
    "SharedDown",
    "SharedUp",
    "TailFailed",
    "ToldLate",
]


class CacheEvent(Event, frozen=True, gc=False):
    """Of one cache, `cache`."""

    about: ClassVar[str] = "cache"
    cache: str


class LoadFailed(CacheEvent, frozen=True, gc=False):
    """A load failed and nobody was told: it ran in the background, or an older value was `served`.

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING
    error: str
    served: bool


class SharedDown(CacheEvent, frozen=True, gc=False):
    """The shared tier does not answer. Gets load; nothing is stored.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING
    why: str


class SharedUp(CacheEvent, frozen=True, gc=False):
    """The shared tier answers again."""


class BusLost(CacheEvent, frozen=True, gc=False):
    """News of other processes may have been missed: the local tier is empty, and takes nothing until they come again.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING
    why: str


class BusRegained(CacheEvent, frozen=True, gc=False):
    """News come again, and the local tier takes entries."""


class IntentSettled(CacheEvent, frozen=True, gc=False):
    """A write died under way. `committed`: it had committed, and its keys were invalidated; else it never can."""

    committed: bool


class CacheInconsistent(CacheEvent, frozen=True, gc=False):
    """A hit was not what the owner had, although longer ago than any copy may lag.

    Attributes:
        tier: that gave the hit: "local" or "shared".
        age: seconds since the entry was made.
    """

    level: ClassVar[int] = logging.ERROR
    tier: str
    age: float


class ToldLate(CacheEvent, frozen=True, gc=False):
    """An invalidation arrived at the shared tier after it had not at first. `waiting`: how many still do."""

    waiting: int


class TailFailed(CacheEvent, frozen=True, gc=False):
    """What other regions have written cannot be read. It is tried again; meanwhile values here may be older than theirs.

    Attributes:
        error: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING
    error: str
