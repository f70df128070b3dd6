"""What one cache is made of, and what one call asks of it. Values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from regionkit.caching.counters import Counters
from regionkit.caching.flights_async import AsyncFlights
from regionkit.caching.keys import Stored
from regionkit.caching.local_table import LocalTable
from regionkit.caching.shaping import Shaper
from regionkit.caching.source_async import AsyncSource
from regionkit.caching.strategies import Strategy
from regionkit.caching.tier_async import AsyncTier
from regionkit.core.clock import Clock
from regionkit.core.events import Event

__all__ = ["Call", "Parts"]


class Parts(msgspec.Struct, frozen=True):
    """What one cache is made of."""

    name: str
    strategy: Strategy
    shaper: Shaper
    table: LocalTable
    tier: AsyncTier
    flights: AsyncFlights
    source: AsyncSource
    counters: Counters
    clock: Clock
    emit: Callable[[Event], None]
    settle: Callable[[tuple[bytes, ...], Stored, Any], Any]


class Call(msgspec.Struct, frozen=True):
    """What one get asks for.

    Attributes:
        key: as the application gave it.
        stored: as it stands in the process.
        load: the loader; None: only look.
        ttl: seconds, in place of the strategy's.
        youngest: monotonic seconds; nothing made before is taken.
        refresh: load, whatever is there.
        session: whose writes the value has to show.
        rejected: head of the entry at the tier that is not taken.
    """

    key: Any
    stored: Stored
    load: Callable[..., Any] | None = None
    ttl: float | None = None
    youngest: float = -math.inf
    refresh: bool = False
    session: Any = None
    rejected: bytes = b""
