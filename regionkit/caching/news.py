# Generated from news_async.py by scripts/twins.py. Do not edit.
"""What a cache does with the news of its shared tier."""

from __future__ import annotations

from collections.abc import Callable

from regionkit.caching.counters import Counters
from regionkit.caching.events import BusLost, BusRegained
from regionkit.caching.flights import Flights
from regionkit.caching.local_table import LocalTable
from regionkit.core.events import Event

__all__ = ["News"]


class News:
    """The ear's listener: what other processes told is not what it was, is not served here any more either."""

    def __init__(
        self,
        name: str,
        table: LocalTable,
        flights: Flights,
        counters: Counters,
        emit: Callable[[Event], None],
        *,
        has_local: bool,
    ) -> None:
        self._name = name
        self._table = table
        self._flights = flights
        self._counters = counters
        self._emit = emit
        self._has_local = has_local
        self._live = False

    def invalidated(self, digest: bytes, stamp: int) -> None:
        """A key is not what it was before `stamp` (0: at all)."""
        key = self._table.invalidate_digest(digest, stamp)
        if key is not None:
            self._flights.detach(key)

    def expired(self, digest: bytes) -> None:
        """A key is to be loaded anew: the tier has it, with its end."""
        self._table.take_out_digest(digest)

    def tag_invalidated(self, tag: bytes) -> None:
        """What carries a tag is not what it was."""
        self._table.invalidate_tag(tag)
        self._flights.detach_all()

    def lost(self, *, live: bool | None) -> None:
        """Something may have been missed: all that is held here goes. None: whether news come is as it was."""
        self._flights.detach_all()
        self._table.drop_all(open=None if live is None else live and self._has_local)
        if live is None or live is self._live:
            return
        self._live = live
        if live:
            self._emit(BusRegained(self._name))
        else:
            self._counters.bus_losses += 1
            self._emit(BusLost(self._name, "the shared tier has sent no notifications for max_local_stale seconds"))

    def renew(self) -> None:
        """After a fork: no news come here yet."""
        self._live = False
