# Generated from memory_async.py by scripts/twins.py. Do not edit.
"""A queue in this process: for tests, and where losing messages with the process is no harm.

A message stays until every group has acknowledged it; a group that comes later begins at the earliest that is still there.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Sequence

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import Flag, sleep
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.given import check_count
from regionkit.messaging.sources.checks import ANSWER_WITHIN, LONGEST_WAIT, check_group, check_lease
from regionkit.messaging.sources.values import Delivery, Sent, SourceFacts

__all__ = ["MemoryQueue"]

MOST = 100_000
"""Messages that wait at once: some 100 MB of small ones. Publishing beyond waits until its deadline."""
LOOK_AGAIN = 0.05
"""Seconds between two looks at a clock that may be a test's."""


class _Out(msgspec.Struct, gc=False):
    """A delivery that somebody has."""

    token: int
    until: float


class _Group:
    """Of one group: what waits, by (due, number), and who has what."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.ready: list[tuple[float, int]] = [(-FOREVER, n) for n in numbers]
        self.out: dict[int, _Out] = {}
        self.given: dict[int, int] = {}

    def take(self, most: int, now: float) -> list[int]:
        """What may be given now: what somebody has had beyond the lease, then what waits."""
        found = sorted(n for n, out in self.out.items() if out.until <= now)[:most]
        while self.ready and self.ready[0][0] <= now and len(found) < most:
            found.append(heapq.heappop(self.ready)[1])
        return found

    def next_at(self) -> float:
        """When there is something to give, at the earliest."""
        ends = min((out.until for out in self.out.values()), default=FOREVER)
        return min(ends, self.ready[0][0] if self.ready else FOREVER)


class _Pile:
    """What all members of all groups share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.bodies: dict[int, bytes] = {}
        self.left: dict[int, int] = {}  # groups that have not acknowledged it
        self.groups: dict[str | None, _Group] = {}
        self.waiting: list[Flag] = []

    def changed(self) -> None:
        """Wake who waits; with the lock held."""
        for flag in self.waiting:
            flag.set()


class MemoryQueue:
    """A source and a target in this process. Safe to share between threads (tasks of one loop).

    Args:
        name: of the queue.
        group: of this member; others of the queue are made by `member`.
        lease: seconds for which a delivery stays with the consumer that got it.
        most: messages that wait at once; publishing beyond waits.
        clock: by which leases and delays end.
    """

    def __init__(
        self,
        name: str = "memory",
        *,
        group: str | None = None,
        lease: float = 30.0,
        most: int = MOST,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_lease(lease)
        check_group(group)
        check_count("most", most, 1)
        self.name = name
        self.group = group
        self.facts = SourceFacts(
            "memory", FOREVER, lease, counts=True, notes=("messages end with the process; nothing is durable",)
        )
        self._lease = lease
        self._most = most
        self._clock = clock
        self._pile = _Pile()
        self._mine: dict[int, int] = {}  # number -> token
        self._tokens = itertools.count(1)

    def member(self, group: str | None = None) -> MemoryQueue:
        """Another member of the same queue, of a group of its own or of the same one."""
        made = MemoryQueue(self.name, group=group, lease=self._lease, most=self._most, clock=self._clock)
        made._pile, made._tokens = self._pile, self._tokens
        return made

    def open(self, deadline: Deadline | None = None) -> None:
        """Make the group; it begins at the earliest message that is still there."""
        with self._pile.lock:
            self._joined()

    def _joined(self) -> _Group:
        found = self._pile.groups.get(self.group)
        if found is None:
            found = self._pile.groups[self.group] = _Group(list(self._pile.bodies))
            for n in self._pile.bodies:
                self._pile.left[n] += 1
        return found

    def fetch(self, most: int, wait: float) -> list[Delivery]:
        """At most `most` messages, within `wait` seconds; those that another one has lost among them."""
        if most < 1:
            return []
        flag, until = Flag(), time.monotonic() + min(wait, LONGEST_WAIT)
        try:
            while True:
                with self._pile.lock:
                    found = self._taken(most)
                    if found or time.monotonic() >= until:
                        return found
                    if flag not in self._pile.waiting:
                        self._pile.waiting.append(flag)
                    flag.clear()
                    pause = LOOK_AGAIN if self._joined().next_at() < FOREVER else LONGEST_WAIT
                flag.wait(min(pause, max(0.0, until - time.monotonic())))
        finally:
            with self._pile.lock:
                if flag in self._pile.waiting:
                    self._pile.waiting.remove(flag)

    def _taken(self, most: int) -> list[Delivery]:
        group, now, found = self._joined(), self._clock.monotonic(), []
        for n in group.take(most, now):
            token = next(self._tokens)
            group.out[n], self._mine[n] = _Out(token, now + self._lease), token
            again = group.given.get(n, 0)
            group.given[n] = again + 1
            found.append(Delivery((n, token), self._pile.bodies[n], again, str(n)))
        return found

    def _own(self, deliveries: Sequence[Delivery]) -> list[int]:
        """The numbers of those that are still whose they were: nobody else was given them since."""
        group, own = self._joined(), []
        for n, token in dict.fromkeys(delivery.receipt for delivery in deliveries):
            if self._mine.get(n) == token:
                if n in group.out and group.out[n].token == token:
                    own.append(n)
                else:
                    del self._mine[n]  # another member has it
        return own

    def ack(self, deliveries: Sequence[Delivery]) -> int:
        """They are done. How many of them were still this member's."""
        with self._pile.lock:
            group, own = self._joined(), self._own(deliveries)
            for n in own:
                del group.out[n], group.given[n], self._mine[n]
                self._pile.left[n] -= 1
                if not self._pile.left[n]:
                    del self._pile.bodies[n], self._pile.left[n]
            return len(own)

    def give_back(self, deliveries: Sequence[Delivery], delay: float) -> None:
        """Deliver them again, to whomever, after `delay` seconds at the earliest."""
        with self._pile.lock:
            self._returned(self._own(deliveries), delay)

    def _returned(self, numbers: Sequence[int], delay: float) -> None:
        group, due = self._joined(), self._clock.monotonic() + delay
        for n in numbers:
            del group.out[n], self._mine[n]
            heapq.heappush(group.ready, (due if delay > 0 else -FOREVER, n))
        self._pile.changed()

    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """They are still being worked on."""
        with self._pile.lock:
            until = self._clock.monotonic() + self._lease
            for n in self._own(deliveries):
                self._joined().out[n].until = until

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline | None = None) -> list[Sent]:
        """Publish in this order. What finds no room until the deadline is not confirmed, nor what follows it."""
        deadline, done = deadline or Deadline(self._clock, ANSWER_WITHIN), 0
        while True:
            with self._pile.lock:
                for _, body in bodies[done : done + self._most - len(self._pile.bodies)]:
                    n = next(self._pile.numbers)
                    self._pile.bodies[n], self._pile.left[n] = body, len(self._pile.groups)
                    for group in self._pile.groups.values():
                        heapq.heappush(group.ready, (-FOREVER, n))
                    done += 1
                self._pile.changed()
            if done == len(bodies) or deadline.remaining() <= 0:
                return [Sent(n < done) for n in range(len(bodies))]
            sleep(min(LOOK_AGAIN, deadline.remaining()))

    def close(self) -> None:
        """Give back what is not acknowledged. May be called twice."""
        with self._pile.lock:
            group = self._joined()
            own = [n for n, token in self._mine.items() if n in group.out and group.out[n].token == token]
            self._returned(own, 0.0)
            self._mine.clear()
