"""The chapter on caching: one process, no server. A database of the demo's own is slow, changes in the middle, and goes away.

Nothing here happens by luck: a load waits until what is to happen meanwhile has happened.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from regionkit.caching import Cache, Lazy, Local
from regionkit.demo.narration import Narrator

__all__ = ["tell_caching"]

CALLERS = 50
SLOW = 0.05
"""Seconds that the database takes for an answer."""
LONGEST = 10.0
"""Seconds that a thread of this chapter waits for another."""


class Landings(msgspec.Struct, frozen=True):
    """What is cached."""

    count: int


class SlowDatabase:
    """One table, and what is needed to stop a read in the middle.

    Attributes:
        reads: how often it was asked.
        here: False: it is away.
    """

    def __init__(self) -> None:
        self.rows = {"ICN": 1}
        self.reads = 0
        self.here = True
        self._lock = threading.Lock()
        self._held: threading.Event | None = None
        self.read_row = threading.Event()

    def load(self, airport: str) -> Landings | None:
        """The loader of the chapter's cache."""
        with self._lock:
            self.reads += 1
            held, self._held = self._held, None
        if not self.here:
            raise ConnectionError("the database is away")
        count = self.rows.get(airport)
        self.read_row.set()
        time.sleep(SLOW)
        if held is not None:
            held.wait(LONGEST)
        return None if count is None else Landings(count)

    def hold_next(self) -> threading.Event:
        """The next read has its row and waits, until the event is set, before it gives it out."""
        self.read_row.clear()
        self._held = threading.Event()
        return self._held


def tell_caching(say: Narrator) -> dict[str, Any]:
    """Tell the chapter; its figures."""
    database = SlowDatabase()
    strategy = Lazy(load=database.load, ttl=300.0, stale_if_error=3600.0, error_pause=30.0)
    cache: Cache[Landings] = Cache("landings", Landings, tiers=[Local()], strategy=strategy)
    with cache, ThreadPoolExecutor(CALLERS) as threads:
        return (
            _stampede(say, database, cache, threads)
            | _in_flight(say, database, cache, threads)
            | _away(say, database, cache)
        )


def _stampede(
    say: Narrator, database: SlowDatabase, cache: Cache[Landings], threads: ThreadPoolExecutor
) -> dict[str, Any]:
    """Everybody wants what nobody has."""
    together = threading.Barrier(CALLERS)

    def get(_: int) -> float:
        together.wait(LONGEST)
        began = time.monotonic()
        cache.get("ICN")
        return time.monotonic() - began

    slowest = max(threads.map(get, range(CALLERS)))
    say.step(
        f"A cache, and no server for it: {CALLERS} threads ask at once for what it does not have yet; the database, "
        f"{SLOW * 1000:.0f} ms away, is asked {_times(database.reads)}.",
        'Cache("landings", Landings, tiers=[Local()], strategy=Lazy(...))',
        slowest,
    )
    return {"cache_callers": CALLERS, "cache_loads": database.reads}


def _in_flight(
    say: Narrator, database: SlowDatabase, cache: Cache[Landings], threads: ThreadPoolExecutor
) -> dict[str, Any]:
    """A load has read the old row when the row changes, and comes back after the invalidation."""
    cache.invalidate("ICN")
    held = database.hold_next()
    late = threads.submit(cache.get, "ICN")
    database.read_row.wait(LONGEST)
    database.rows["ICN"] = 2
    cache.invalidate("ICN")
    held.set()
    brought = late.result(LONGEST)
    kept = cache.get("ICN")
    assert brought is not None and kept is not None
    refused = cache.status()["refused_fills"]
    say.step(
        f"A slow load reads {brought.count} landing, a second plane lands, the key is invalidated, and then the load "
        f"comes back. It is {'not stored' if refused else 'stored'}: the next get says {kept.count}.",
        'cache.invalidate("ICN")',
    )
    return {"cache_late_loads_refused": refused, "cache_stale": int(kept.count != database.rows["ICN"])}


def _away(say: Narrator, database: SlowDatabase, cache: Cache[Landings]) -> dict[str, Any]:
    """The value is due while the database is away."""
    database.here = False
    cache.expire("ICN")
    reads = database.reads
    began = time.monotonic()
    found = [cache.get("ICN") for _ in range(CALLERS)]
    seconds = time.monotonic() - began
    tried = database.reads - reads
    say.step(
        f"The value is due, and the database is away: {CALLERS} gets are served the last one; the database is tried "
        f"{_times(tried)}.",
        'Lazy(..., stale_if_error=3600); cache.expire("ICN")',
        seconds,
    )
    cache.invalidate("ICN")
    try:
        cache.get("ICN")
        told = "the value"
    except ConnectionError as error:
        told = type(error).__name__
    say.step(
        f"After an invalidation nobody is served it any more, not even then: the caller gets the loader's {told}.",
        'cache.invalidate("ICN"); cache.get("ICN")',
    )
    return {
        "cache_served_on_error": sum(value == Landings(2) for value in found),
        "cache_tries_on_error": tried,
        "cache_error_after_invalidation": told,
    }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
