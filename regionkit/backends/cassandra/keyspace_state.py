"""What endpoints of one keyspace share within a process: time stamps that never go back, and what each table is.

1. A client time stamp is later than every earlier one of this process, and than every one in the session's bookmark: the
   session's later write wins, also in another data centre whose clock is slow.
2. A bookmark whose stamp lies too far ahead is refused: a write stamped there would hide everybody's later writes.
3. A table is written by conditional statements or by plain ones, as its first write says. Mixed, they break each other: the
   stamps of conditional writes come from the servers, those of plain ones from here.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from regionkit.backends.cassandra.cql import Facts
from regionkit.errors import InvalidBookmark, UsageError

__all__ = ["MOST_SKEW", "MOST_TABLES", "KeyspaceState", "LentSlot", "StampSlot", "keyspace_state_of"]

MOST_SKEW = 10.0
"""Seconds that a bookmark's time stamp may lie ahead of our clock: twice what a badly kept clock is off. A write stamped
further ahead would hide every other writer's value of the same cell for as long."""
MOST_TABLES = 10_000
"""Tables remembered in one keyspace: more than a cluster can carry."""


class StampSlot(threading.local):
    """The time stamp of the request that this thread is making; the driver takes it from here. None: the server's own."""

    stamp: int | None = None
    sending = False

    def __call__(self) -> int | None:
        return self.stamp


class LentSlot(threading.local):
    """The same for an application's session, whose own requests keep the time stamps that its cluster gives."""

    stamp: int | None = None
    sending = False

    def stamped(self, request: Any) -> None:
        """Listens to each request that the session makes, in the thread that makes it."""
        if self.sending:
            request.message.timestamp = self.stamp


class KeyspaceState:
    """Of one keyspace in one process. Thread-safe."""

    __slots__ = ("__weakref__", "_conditional", "_last")

    def __init__(self) -> None:
        self._last = 0
        self._conditional: dict[str, bool] = {}

    def stamp(self, wall: float, floor: int) -> int:
        """The time stamp of a write, microseconds, later than `floor` and than the last one.

        Two threads at once may get equal ones: their writes are concurrent, and a session writes from one thread.

        Raises:
            InvalidBookmark: `floor` lies further ahead than clocks may differ.
        """
        now = int(wall * 1e6)
        if floor > now + int(MOST_SKEW * 1e6):
            raise InvalidBookmark(
                f"the session's last write is stamped {(floor - now) / 1e6:.1f} s ahead of this machine's clock.",
                why=f"its clock or ours is wrong, and at most {MOST_SKEW:g} s are compensated; this write would lose.",
                fix="set the clocks by NTP; a session without that bookmark can write at once.",
            )
        self._last = stamp = max(now, floor + 1, self._last + 1)
        return stamp

    def check(self, facts: Facts, keyspace: str) -> None:
        """Whether a write's tables are written like that, which its first write decides.

        Raises:
            UsageError: one of them is written the other way in this process.
        """
        kinds = self._conditional
        for name in facts.tables:
            table = name if "." in name else f"{keyspace}.{name}"
            if kinds.setdefault(table, facts.conditional) is not facts.conditional:
                ours, theirs = _WORDS[facts.conditional], _WORDS[not facts.conditional]
                raise UsageError(
                    f"a {ours} write to {table}, which this process writes with {theirs} statements.",
                    why="conditional statements are ordered by the servers and plain ones by client clocks: one can undo "
                    "the other without a trace.",
                    fix="write a table with IF in every statement, or in none.",
                )
            if len(kinds) > MOST_TABLES:
                kinds.pop(next(iter(kinds)))

    def is_plain(self, name: str, keyspace: str) -> bool:
        """Whether this process wrote the table without conditions."""
        return self._conditional.get(name if "." in name else f"{keyspace}.{name}") is False


_WORDS = {True: "conditional", False: "plain"}
_LIVING: weakref.WeakValueDictionary[tuple[str, str], KeyspaceState] = weakref.WeakValueDictionary()
"""As long as an endpoint uses it: endpoints of one keyspace know each other by nothing else."""


def keyspace_state_of(cluster: str, keyspace: str) -> KeyspaceState:
    """What all endpoints of a cluster's keyspace share in this process, whichever hosts their URLs name.

    A cluster is known by the name that it gives itself: two of one name count as one.
    """
    key = (cluster, keyspace)
    found = _LIVING.get(key)
    return found if found is not None else _LIVING.setdefault(key, KeyspaceState())
