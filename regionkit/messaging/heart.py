# Generated from heart_async.py by scripts/twins.py. Do not edit.
"""Keeps leases alive while what holds them runs: a thread, so that neither a long sort nor a blocked event loop stops it.

1. A lease is renewed when a third of it is over, and each third again. What is over sooner costs an entry in a table.
2. In asyncio the thread has an event loop of its own, and opens claims of its own there; the kit's stores, which belong to their
   loop, are renewed in that loop: one that is blocked for most of a lease loses it.
3. Whether a lease still holds is judged here by a clock that counts suspension, from before the last renewal was sent. Only the
   store knows whether it was really lost: it refuses the next step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.concurrency import gather, sleep, thread
from regionkit.errors import RegionKitError
from regionkit.messaging.claim import Wish
from regionkit.messaging.claiming import Claims

__all__ = ["Heart", "Watch"]

LOG = logging.getLogger("regionkit.messaging")

LOOKS = 12
"""Looks at the table in the time of a lease: the first renewal is sent when five twelfths are over at the latest."""
LONGEST_PAUSE = 2.5
"""Seconds between two looks at most: that of a lease of 30 s."""
IDLE_LOOKS = 24
"""Looks at an empty table after which the thread ends; the next call starts another."""
AT_ONCE = 16
"""Leases renewed at the same time."""
RENEW_WITHIN = 5.0
"""Seconds that a renewal may take; a quarter of the lease where that is less."""


class Watch(msgspec.Struct, gc=False):
    """One lease that is kept alive. Read by any thread; changed by its heart.

    Attributes:
        wish: whose lease.
        fence: that it was won with.
        since: when the last renewal that was answered was sent, or the claim.
        is_lost: another has taken it over.
    """

    wish: Wish
    fence: int
    since: float
    is_lost: bool = False

    def holds(self, now: float) -> bool:
        """Whether the lease holds at `now`, as far as is known here."""
        return not self.is_lost and now < self.since + self.wish.lease


class Heart:
    """The thread of one store of claims. Safe to share between threads and tasks.

    Args:
        opened: gives the claims that the thread renews by.
        clock: that counts suspension.
    """

    def __init__(self, opened: Callable[[], Claims], clock: Clock) -> None:
        self._opened = opened
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._watched: dict[bytes, Watch] = {}
        self._entered = 0
        self._least = LONGEST_PAUSE * LOOKS
        self._number = 0
        self._beating = -1

    def watch(self, wish: Wish, fence: int, since: float) -> Watch:
        """Keep a lease alive that was asked for at `since`, until `leave`."""
        watch = self._watched[wish.owner] = Watch(wish, fence, since)
        self._entered += 1
        if self._beating != self._number or wish.lease < self._least:
            self._start(wish.lease)
        return watch

    def leave(self, watch: Watch) -> None:
        """Let the lease end."""
        self._watched.pop(watch.wish.owner, None)

    def _start(self, lease: float) -> None:
        with self._lock:
            if self._beating == self._number and lease >= self._least:
                return
            self._least = min(self._least, lease)
            self._number += 1
            number = self._beating = self._number
            thread("regionkit leases", lambda: self._beat(number))

    def _beat(self, number: int) -> None:
        idle, entered = 0, -1
        claims: Claims | None = None
        try:
            claims = self._opened()
            while self._number == number:
                sleep(self._least / LOOKS)
                idle = 0 if self._watched or self._entered != entered else idle + 1
                entered = self._entered
                if idle >= IDLE_LOOKS and self._rests(number):
                    break
                now = self._now()
                due = [w for w in self._watched.copy().values() if now >= w.since + w.wish.lease / 3]
                for at in range(0, len(due), AT_ONCE):
                    gather([_renewal(self, claims, watch) for watch in due[at : at + AT_ONCE]])
        except Exception:
            LOG.exception("leases are not renewed until the next call")
        finally:
            if self._beating == number:
                self._beating = -1
            if claims is not None:
                claims.close()

    def _rests(self, number: int) -> bool:
        """Whether this thread may end: whoever enters a lease from now on sees that none beats."""
        with self._lock:
            if self._number == number:
                self._beating = -1 if not self._watched else number
            return self._beating != number

    def renew(self, claims: Claims, watch: Watch) -> None:
        """Renew one lease now."""
        wish, now = watch.wish, self._now()
        try:
            kept = claims.step("renew", wish, watch.fence, within=min(RENEW_WITHIN, wish.lease / 4))
        except RegionKitError as error:
            LOG.warning("a lease of %s could not be renewed; trying again: %s", wish.scope.decode("replace"), error)
            return
        except Exception:
            LOG.exception("a lease of %s could not be renewed; trying again", wish.scope.decode("replace"))
            return
        if kept:
            watch.since = now
        else:
            watch.is_lost = True
            self.leave(watch)

    def close(self) -> None:
        """End the thread at its next look; leases that are watched end by themselves."""
        self._number += 1
        self._watched.clear()


def _renewal(heart: Heart, claims: Claims, watch: Watch) -> Callable[[], None]:
    return lambda: heart.renew(claims, watch)
