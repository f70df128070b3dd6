# Generated from flights_async.py by scripts/twins.py. Do not edit.
"""One load a key in the process: the first caller leads, the others take what it brings.

1. A flight belongs to a key and a loader: nobody takes what another loader brought.
2. An error of the load is every waiter's. A leader that is cancelled or interrupted leaves the flight `abandoned`: its waiters
   start again, and one of them leads.
3. `detach` ends the boarding, at an invalidation: who comes later starts a new flight, as the older one may bring an old value.
4. Waiting ends at the waiter's own time.
"""

from __future__ import annotations

import threading
from typing import Any

from regionkit.caching.keys import Stored
from regionkit.caching.local_table import Entry
from regionkit.core.concurrency import Flag

__all__ = ["Flight", "Flights"]


class Flight:
    """One load that is under way.

    Attributes:
        entry: what it brought; None while it flies, and when it brought nothing.
        error: of the load.
    """

    __slots__ = ("_ended", "_over", "entry", "error")

    def __init__(self) -> None:
        self._ended: Flag | None = None  # of most nobody waits for the end
        self._over = False
        self.entry: Entry | None = None
        self.error: Exception | None = None

    def end(self, entry: Entry | None = None, error: Exception | None = None) -> None:
        """It is over: with an entry, with an error, or abandoned."""
        self.entry, self.error = entry, error
        self._over = True  # before the look at the flag: who waits has made that before the look at this
        if self._ended is not None:
            self._ended.set()

    def boarded(self) -> None:
        """One more waits for its end. Under the lock of the flights."""
        if self._ended is None:
            self._ended = Flag()

    def landed(self, seconds: float) -> bool:
        """Wait at most `seconds`; whether it is over. Of whoever has boarded it."""
        assert self._ended is not None
        return self._over or self._ended.wait(seconds)


class Flights:
    """The loads of one cache in this process. Safe to share between threads (tasks of one loop)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Stored, dict[Any, Flight]] = {}

    def board(self, key: Stored, loader: Any) -> tuple[Flight, bool]:
        """The flight of this key and loader, and whether the caller leads it."""
        with self._lock:
            flights = self._flying.setdefault(key, {})
            flight = flights.get(loader)
            if flight is not None:
                flight.boarded()
                return flight, False
            flight = flights[loader] = Flight()
            return flight, True

    def leave(self, key: Stored, loader: Any, flight: Flight) -> None:
        """The leader is done: nobody boards any more."""
        with self._lock:
            flights = self._flying.get(key)
            if flights is not None and flights.get(loader) is flight:
                del flights[loader]
                if not flights:
                    del self._flying[key]

    def detach(self, key: Stored) -> None:
        """Later callers start anew."""
        with self._lock:
            self._flying.pop(key, None)

    def detach_all(self) -> None:
        """The same for every key."""
        with self._lock:
            self._flying = {}

    def renew(self) -> None:
        """After a fork: the parent's callers are not here."""
        self._lock = threading.Lock()
        self._flying = {}
