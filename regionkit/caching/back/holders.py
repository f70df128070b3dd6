"""Which caches use a sink, and which cache a table is of. Pure, but for what this process remembers. Thread-safe.

1. A sink is closed by the last cache of this process that uses it.
2. Versions of two caches look alike: each would take the other's rows for later ones of its own, and lose what it acknowledged.
   So a sink serves one cache, whose name is written down beside the rows when its buffer is opened (`number_of_cache`).
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from typing import Any

from regionkit.errors import ConfigurationError

__all__ = ["HOLDERS", "Holders", "number_of_cache", "others_table", "place_of_table"]


class Holders:
    """The sinks of this process, and what holds them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_sink: weakref.WeakKeyDictionary[Any, weakref.WeakKeyDictionary[Any, bytes]] = (
            weakref.WeakKeyDictionary()
        )

    def hold(self, sink: Any, holder: Any, scope: bytes) -> None:
        """`holder`, of the cache `scope`, uses a sink from now on.

        Raises:
            ConfigurationError: a cache of another name does.
        """
        with self._lock:
            try:
                holders = self._by_sink.setdefault(sink, weakref.WeakKeyDictionary())
            except TypeError:
                return  # a sink of the application's that nobody can know again
            if any(other != scope for other in holders.values()):
                raise ConfigurationError(
                    "a sink serves two caches.",
                    why="their versions look alike: each would take the other's rows for later ones of its own.",
                    fix="make a sink for each cache, with a table of its own.",
                )
            holders[holder] = scope

    def let_go(self, sink: Any, holder: Any) -> bool:
        """`holder` uses it no more; whether nobody does."""
        with self._lock:
            try:
                holders = self._by_sink.get(sink)
            except TypeError:
                return True
            if holders is None:
                return True
            holders.pop(holder, None)
            return not holders

    def renew(self) -> None:
        """After a fork."""
        self._lock = threading.Lock()


HOLDERS = Holders()


def number_of_cache(cache: str) -> int:
    """The name of a cache as a number above 0, below 2^60."""
    return int.from_bytes(hashlib.sha256(cache.encode()).digest()[:8], "big") >> 4 | 1


def place_of_table(table: str) -> str:
    """The name of a table as it stands among the marks: 32 hex digits."""
    return hashlib.sha256(table.encode()).hexdigest()[:32]


def others_table(table: str, run: str) -> ConfigurationError:
    """The error of a cache whose table is another's. `run`: what gives it to this one."""
    return ConfigurationError(
        f"{table!r} is the table of another write-back cache.",
        why="their versions look alike: each would take the other's rows for later ones of its own. Nothing was put.",
        fix=f"give each cache a table of its own. Where the other cache is no more and nothing of it is dirty: {run}.",
    )
