# Generated from claims_async.py by scripts/twins.py. Do not edit.
"""Claims that this process did not end, given back in the background.

1. Whoever leaves a claim goes on at once: it may be cancelled, or have been told that the buffer does not answer.
2. A claim is ended as soon as the buffer answers. No longer than its own time: by then it is over by itself.
3. One worker ends all that are left, in order. It ends with the last one.
"""

from __future__ import annotations

import threading
from collections import deque

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.flush_rules import LEASE
from regionkit.caching.steps import TierDown
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Task, sleep, spawn

__all__ = ["ClaimsLeft"]

AGAIN = 0.1
"""Seconds between two tries while the buffer does not answer."""


class ClaimsLeft:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, buffer: Buffer, clock: Clock) -> None:
        self._buffer = buffer
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """After a fork: the parent's claims are the parent's."""
        self._changing = threading.Lock()
        self._left: deque[tuple[bytes, float]] = deque()
        self._worker: Task | None = None

    def leave(self, token: bytes) -> None:
        """What is claimed under a token is not worked on any more, if anything is."""
        with self._changing:
            self._left.append((token, self._clock.monotonic() + LEASE))
            if self._worker is None:
                self._worker = spawn("regionkit claims", self._end)

    def ended(self, seconds: float) -> None:
        """Wait until none is left, at most so long."""
        worker = self._worker
        if worker is not None:
            worker.ended(seconds)

    def _end(self) -> None:
        while True:
            with self._changing:
                if not self._left:
                    self._worker = None
                    return
                token, until = self._left[0]
            try:
                self._buffer.end(token, LEASE)
            except TierDown:
                if self._clock.monotonic() < until:
                    sleep(AGAIN)
                    continue
            self._left.popleft()
