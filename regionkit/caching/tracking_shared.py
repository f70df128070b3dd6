# Generated from tracking_shared_async.py by scripts/twins.py. Do not edit.
"""Server-assisted invalidation: the server itself tells which of a cache's keys were changed, by whomever.

1. The ear makes a cache right; this only makes it quicker, and hears what no process of the cache tells: keys that another
   program changes or deletes, that expire, or that the server evicts.
2. One connection of its own speaks RESP3 and tracks by prefix (CLIENT TRACKING ON BCAST). What it is told of goes from this
   process's memory, and nothing else happens: the next get asks the server.
3. What this process stored itself is told of too. For `OWN` seconds after it has sent a key that key stays here.
4. Between two connections nothing is heard: after each one that was lost, all that this process holds goes.
5. A server or an account that cannot track is asked no more; the cache works without it, and its status says why.

Source: Redis manual, "Client-side caching in Redis", broadcasting mode.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import redis

from regionkit.caching.keys import Stored
from regionkit.caching.steps import TierDown
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.supervisor import Supervisor

__all__ = ["Tracking"]

IS_ASYNC = False

BEAT = 0.5
"""Seconds that the server keeps one question: a thread that waits in it ends no sooner."""
AGAIN = 0.5
"""Seconds between two connections."""
OWN = 1.0
"""Seconds within which the server's word about a key comes back."""
MOST_OWN = 10_000
"""Keys that are remembered as stored by this process; beyond, the oldest are forgotten, and cost one question more."""
OFF, ON = "off", "on"


class Tracking:
    """What one tier hears from its server about the keys of a prefix. Runs in the background from `listen` on.

    Attributes:
        state: "off", "on", or why the server cannot do it.
    """

    def __init__(self, tier: Any, clock: Clock, prefix: bytes) -> None:
        self._tier = tier
        self._clock = clock
        self._prefix = prefix
        self._supervisor = Supervisor(clock)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self.state = OFF
        self._lock = threading.Lock()
        self._own: dict[bytes, float] = {}

    def listen(self) -> None:
        """Start, unless it runs, or the server cannot do it."""
        if not self._closed and self.state in (OFF, ON):
            self._supervisor.start("cache key tracking", self._round, self._failed, longest_back_off=AGAIN)

    def stored(self, names: Sequence[bytes]) -> None:
        """This process is about to store these."""
        until = self._clock.monotonic() + OWN
        with self._lock:
            for name in names:
                self._own.pop(name, None)
                self._own[name] = until
            while len(self._own) > MOST_OWN:
                del self._own[next(iter(self._own))]

    def _round(self) -> float | None:
        try:
            self._tier.ask(self._followed, trips=3, listens=BEAT)
        except TierDown:
            self._lost()
            return AGAIN
        self._lost()
        return AGAIN if self.state == OFF else None

    def _failed(self, error: BaseException) -> None:
        self._lost()

    def _lost(self) -> None:
        if self.state == ON:
            self.state = OFF
            self._tier.lost()

    def _followed(self, connection: Any) -> None:
        """Hear on one connection, until it or the cache is closed. It serves nothing else afterwards."""
        connection.progress.changed = True
        parser = connection._parser
        if not hasattr(parser, "set_invalidation_push_handler"):
            self.state = "the driver reads no RESP3: install redis[hiredis]"
            return
        parser.set_invalidation_push_handler(self._told)
        try:
            connection.ask_one("HELLO", 3)
            connection.ask_one("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self._prefix)
            self._tier.lost()  # what is held was taken while nothing was heard
            self.state = ON
            self._hear(connection)
        except redis.exceptions.ResponseError as error:
            self._lost()
            self.state = str(error)

    def _hear(self, connection: Any) -> None:
        """Ask for what never comes: the server's word about keys arrives meanwhile."""
        nothing = ("XREAD", "BLOCK", round(BEAT * 1000), "STREAMS", self._prefix + b"-", "$")
        while not self._closed and connection.generation == self._tier.connections:
            connection.stop()
            connection.start(Deadline(self._clock, self._tier.patience(BEAT)))
            connection.ask_one(*nothing)

    def _told(self, said: Sequence[Any]) -> None:
        names = said[1]
        if names is None:  # FLUSHDB
            self._tier.lost()
            return
        now = self._clock.monotonic()
        for name in names:
            with self._lock:
                own = self._own.pop(name, 0.0) >= now
            if own:
                continue
            key = self._key(name)
            if key is not None:
                self._tier.changed(key)

    def _key(self, name: bytes) -> Stored | None:
        """The key of this tenant's that has this name; None of another, and of one for which a digest stands."""
        bare = name[len(self._prefix) :]
        if not bare or bare[:1] in (b"@", b"#"):
            return None
        return bare[1:].decode() if bare[:1] == b"s" else bare

    def renew(self) -> None:
        """After a fork: the parent's connection is not here."""
        self._supervisor.renew()
        self._begin()

    def close(self) -> None:
        """Hear no more."""
        self._closed = True
        self._supervisor.stop(within=0.0 if IS_ASYNC else BEAT)  # a thread that waits for the server is not ended
