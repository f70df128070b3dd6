# Generated from tracking_shared_async.py by scripts/twins.py. Do not edit.
"""Server-assisted invalidation: the server reports which keys of a cache changed, whichever program changed them.

1. The ear makes a cache right. Tracking only makes it faster, and reports what no process of the cache tells: keys that another
   program changes or deletes, keys that expire, and keys that the server evicts.
2. One extra connection speaks RESP3 and tracks by prefix (CLIENT TRACKING ON BCAST). A reported key is removed from this
   process's memory, and nothing else happens: the next get asks the server.
3. The server also reports what this process stored itself, and such a key stays in memory: the first report within `OWN` seconds
   after a store is taken for its own. Another program's change in the same turn of the server's loop has no report of its own.
4. Reports are lost between two connections. So each new connection empties the memory of this process.
5. If the server or the account cannot track, it is not asked again. The cache works without it, and its status says why.

Source: Redis manual, "Client-side caching in Redis", broadcasting mode.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import redis

from regionkit.caching.hearing_shared import BEAT, Hearing
from regionkit.caching.keys import Stored
from regionkit.caching.steps import TierDown
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline

__all__ = ["Tracking"]

AGAIN = 0.5
"""Seconds between two connections."""
OWN = 1.0
"""Seconds within which the server reports a key that this process stored."""
MOST_OWN = 10_000
"""Keys that are remembered as stored by this process; beyond that the oldest are forgotten, which costs one more question."""
OFF, ON = "off", "on"


class Tracking(Hearing):
    """Takes the server's reports about the keys of a prefix. Runs in the background from `listen` on.

    Attributes:
        state: "off", "on", or why the server cannot do it.
    """

    def __init__(self, tier: Any, clock: Clock, prefix: bytes) -> None:
        super().__init__(tier, clock)
        self._prefix = prefix

    def _begin(self) -> None:
        self.state = OFF
        self._lock = threading.Lock()
        self._own: dict[bytes, float] = {}

    def listen(self) -> None:
        """Start, unless it runs, or the server cannot do it."""
        if not self._closed and self.state in (OFF, ON):
            self._supervisor.start("cache key tracking", self._round, self._failed, longest_back_off=AGAIN)

    def stored(self, names: Sequence[bytes]) -> None:
        """This process is about to store these. What is stored while nothing is heard gets no report."""
        if self.state != ON:
            return
        until = self._clock.monotonic() + OWN
        with self._lock:
            for name in names:
                self._own.pop(name, None)
                self._own[name] = until
            while len(self._own) > MOST_OWN:
                del self._own[next(iter(self._own))]

    def refused(self, names: Sequence[bytes]) -> None:
        """These were not stored after all: the next report about one is another program's."""
        with self._lock:
            for name in names:
                self._own.pop(name, None)

    def _round(self) -> float | None:
        with contextlib.suppress(TierDown):
            self._tier.ask(self._followed, trips=3, listens=BEAT)
        self._lost()
        return AGAIN if self.state == OFF else None

    def _failed(self, error: BaseException) -> None:
        self._lost()

    def _lost(self) -> None:
        if self.state == ON:
            self.state = OFF
        with self._lock:
            self._own.clear()

    def _followed(self, connection: Any) -> None:
        """Take reports on one connection, until it or the cache is closed. The connection serves nothing else afterwards."""
        connection.progress.changed = True
        parser = connection._parser
        if not hasattr(parser, "set_invalidation_push_handler"):
            self.state = "the driver reads no RESP3: install redis[hiredis]"
            return
        parser.set_invalidation_push_handler(self._told)
        try:
            connection.ask_one("HELLO", 3)
            connection.ask_one("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self._prefix)
            self._tier.lost()  # rule 4
            self.state = ON
            self._hear(connection)
        except redis.exceptions.ResponseError as error:
            self._lost()
            self.state = str(error)

    def _hear(self, connection: Any) -> None:
        """Ask for a stream that does not exist: reports about keys arrive meanwhile."""
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
        """The key of this name: one that nobody here holds, where it is another tenant's or a digest."""
        bare = name[len(self._prefix) :]
        try:
            return bare[1:].decode() if bare[:1] == b"s" else bare
        except UnicodeDecodeError:  # another program's: it is no key of a cache
            return None
