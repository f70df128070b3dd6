# Generated from telling_async.py by scripts/twins.py. Do not edit.
"""Telling the tier, and this process, that something is not what it was; again and again where the tier does not answer.

1. This process is told before the tier and again after it: what was filled in between came from what is no longer true.
2. A tier that did not answer is told later, in order, until it does: an invalidation is raised to the caller and is not lost.
   More than `MOST_LATER` become one `clear`.
3. What is told twice does no harm: a floor is raised again, an entry that came later is loaded once more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from regionkit.caching.counters import Counters
from regionkit.caching.events import ToldLate
from regionkit.caching.flights import Flights
from regionkit.caching.keys import Stored
from regionkit.caching.local_table import LocalTable
from regionkit.caching.steps import BATCH, TierDown
from regionkit.caching.tier import Tier
from regionkit.caching.version import OWNER_ONLY
from regionkit.core.clock import Clock
from regionkit.core.events import Event
from regionkit.core.supervisor import Supervisor
from regionkit.errors import CacheError

__all__ = ["MOST_LATER", "Teller"]

MOST_LATER = 10_000
"""Invalidations that wait until the tier answers: some megabytes. Beyond, the whole cache is cleared in their place."""
AGAIN = 0.5
"""Seconds between two attempts to tell a tier that did not answer."""


class Teller:
    """The news of one cache. Safe to share between threads (tasks of one loop). `alone`: its versions are of one history."""

    def __init__(
        self,
        name: str,
        table: LocalTable,
        flights: Flights,
        tier: Tier,
        counters: Counters,
        emit: Callable[[Event], None],
        clock: Clock,
        *,
        alone: bool = True,
    ) -> None:
        self._name = name
        self._alone = alone
        self._table = table
        self._flights = flights
        self._tier = tier
        self._counters = counters
        self._emit = emit
        self._supervisor = Supervisor(clock)
        self._later: deque[tuple[str, Any, str]] = deque()
        self._lock = threading.Lock()
        self._jobs = 0
        self._telling = False

    @property
    def waiting(self) -> int:
        """Invalidations that the tier was not told of yet."""
        return len(self._later)

    def told(self, stored: Stored) -> None:
        """The key is not what it was, in this process."""
        self._flights.detach(stored)
        self._table.invalidate(stored)

    def told_tag(self, tag: bytes) -> None:
        """What carries the tag is not what it was, in this process."""
        self._flights.detach_all()
        self._table.invalidate_tag(tag)

    def told_all(self) -> None:
        """Nothing is what it was, in this process."""
        self._flights.detach_all()
        self._table.drop_all()

    def invalidate(self, stored: Sequence[Stored], version: str, ids: Sequence[bytes] = ()) -> None:
        """Keys are not what they were. `ids`: a batch each, of the row that tells other regions and need not tell this one.

        Raises:
            CacheError: the tier did not take it, and is told later.
        """
        self._counters.invalidations += len(stored)
        for key in stored:
            self.told(key)
        try:
            for start in range(0, len(stored), BATCH):
                id = ids[start // BATCH] if ids else b""
                self._tier.invalidate(stored[start : start + BATCH], version, id)
        except TierDown as down:
            self.tell_later("keys", tuple(stored), version)
            raise self.not_told(down) from down
        finally:
            for key in stored:
                self.told(key)

    def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> None:
        """What carries the tag is not what it was. Raises: as `invalidate`."""
        self._counters.invalidations += 1
        self.told_tag(tag)
        try:
            if not self._tier.invalidate_tag(tag, version, id):
                self.told_all()
        except TierDown as down:
            self.tell_later("tag", tag, version)
            raise self.not_told(down) from down
        finally:
            self.told_tag(tag)

    def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was. Raises: as `invalidate`."""
        self._counters.invalidations += 1
        self._flights.detach_all()
        try:
            self._tier.clear(version, id)
        except TierDown as down:
            self.tell_later("clear", None, version)
            raise self.not_told(down) from down
        finally:
            self.told_all()

    def not_told(self, down: TierDown, again: str = "") -> CacheError:
        """The error of a caller whose news did not arrive. `again`: the verb, where only the caller can say it again."""
        fix = "nothing: it is repeated until the tier answers. Until then other processes may serve the old value."
        if again:
            fix = f"{again} it again when the tier answers. Until then gets may return the previous value, or nothing."
        return CacheError(
            f"cache {self._name!r} could not inform its shared tier.",
            why=f"{down}.",
            fix=f"{down.fix.rstrip('.')}. Then {fix}" if down.fix else fix,
            retryable=not down.fix,
            committed="unknown" if down.sent else "no",
        )

    def tell_later(self, what: str, of: Any, version: str) -> None:
        """The tier was not told: it is, as soon as it answers."""
        with self._lock:
            if len(self._later) >= MOST_LATER:
                newest = max(version, *(waiting[2] for waiting in self._later))
                what, of, version = "clear", None, newest if self._alone else OWNER_ONLY
                self._later.clear()
            self._later.append((what, of, version))
            if self._telling:
                return
            self._telling = True
            self._jobs += 1  # the job before may not be quite over
        try:
            self._supervisor.start(f"cache news {self._jobs}", self._again, self._failed, longest_back_off=AGAIN)
        except BaseException:  # no thread can be started: the next notification starts it
            self._telling = False
            raise

    def _failed(self, error: BaseException) -> None:
        """It is told again after a pause."""

    def _first(self) -> tuple[str, Any, str] | None:
        with self._lock:
            self._telling = bool(self._later)
            return self._later[0] if self._later else None

    def _again(self) -> float | None:
        """Tell what waits, oldest first."""
        while (first := self._first()) is not None:
            what, of, version = first
            match what:
                case "keys":
                    self._tier.invalidate(of[:BATCH], version)
                    rest = of[BATCH:]
                case "tag":
                    self._tier.invalidate_tag(of, version)
                    rest = ()
                case _:
                    self._tier.clear(version)
                    rest = ()
            with self._lock:
                if self._later[0] is not first:  # they have become one clear meanwhile, which is not told yet
                    continue
                if rest:
                    self._later[0] = (what, rest, version)
                else:
                    self._later.popleft()
            if not rest:
                self._emit(ToldLate(self._name, len(self._later)))
        return None

    def renew(self) -> None:
        """After a fork: what waits is told by the parent."""
        self._lock = threading.Lock()
        self._telling = False
        self._later.clear()
        self._supervisor.renew()

    def close(self) -> None:
        """Stop telling. What still waits is lost with the process: entries end with their time."""
        self._supervisor.stop(within=AGAIN)
