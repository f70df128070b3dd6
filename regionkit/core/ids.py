"""Ids that sort by time: UUID version 7 (RFC 9562, section 5.7), monotonic within a process.

Randomness comes from `os.urandom`: these ids name histories and markers, where a guess must not hit.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

__all__ = ["uuid7"]


class _Last:
    """The newest id of this process, and its lock."""

    def __init__(self) -> None:
        self.value = 0
        self.renew()

    def renew(self) -> None:
        self.lock = threading.Lock()


_last = _Last()
os.register_at_fork(after_in_child=_last.renew)  # another thread of the parent may have held the lock


def uuid7() -> uuid.UUID:
    """A new UUIDv7; each is greater than every one made before it in this process. Thread-safe."""
    millis = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (millis << 80) | (0x7 << 76) | ((random >> 68 & 0xFFF) << 64) | (0x2 << 62) | (random & ((1 << 62) - 1))
    with _last.lock:
        if value <= _last.value:
            value = _successor(_last.value)
        _last.value = value
    return uuid.UUID(int=value)


def _successor(value: int) -> int:
    """The next value that keeps version and variant: count in the 74 free bits, then in the millisecond."""
    free = ((value >> 80) << 74) | ((value >> 64 & 0xFFF) << 62) | (value & ((1 << 62) - 1))
    free += 1 + int.from_bytes(os.urandom(6), "big")  # a random step: the next id is not guessable from this one
    return ((free >> 74) << 80) | (0x7 << 76) | ((free >> 62 & 0xFFF) << 64) | (0x2 << 62) | (free & ((1 << 62) - 1))
