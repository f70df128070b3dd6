# Generated from waiters_async.py by scripts/twins.py. Do not edit.
"""Who waits for the load of another process, by the digest of its key.

Each thread (task) has its own flag, raised before it asks: the load may have ended when the answer comes.
"""

from __future__ import annotations

import threading

from regionkit.core.concurrency import Flag, caller

__all__ = ["Waiters"]


class Waiters:
    """The waiting callers of one tier. Safe to share between threads (tasks of one loop)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, dict[object, Flag | None]] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def enter(self, digest: bytes) -> None:
        """The caller may have to wait. Its flag is made when it has to."""
        with self._lock:
            self._by_digest.setdefault(digest, {})[caller()] = None

    def mine(self, digest: bytes) -> Flag | None:
        """The caller's flag; None when it was woken already."""
        with self._lock:
            flags, me = self._by_digest.get(digest, {}), caller()
            if me not in flags:
                return None
            flag = flags[me] = flags[me] or Flag()
            return flag

    def leave(self, digest: bytes) -> None:
        """The caller waits no more. Twice is no error."""
        with self._lock:
            flags = self._by_digest.get(digest)
            if flags is None:
                return
            flags.pop(caller(), None)
            if not flags:
                del self._by_digest[digest]

    def wake(self, digest: bytes) -> None:
        """The load of this key has ended, or counts no more."""
        with self._lock:
            flags = self._by_digest.pop(digest, {})
        for flag in flags.values():
            if flag is not None:
                flag.set()

    def wake_all(self) -> None:
        """The same for every key."""
        with self._lock:
            woken, self._by_digest = self._by_digest, {}
        for flags in woken.values():
            for flag in flags.values():
                if flag is not None:
                    flag.set()

    def renew(self) -> None:
        """After a fork: the parent's callers are not here."""
        self._lock = threading.Lock()
        self._by_digest = {}
