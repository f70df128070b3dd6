"""Floors of tags as far as one process knows them: asked for once, raised by the news, forgotten where news may be missed.

An answer that was under way while something was forgotten is used by who asked, and not kept: it may be older than what made the
process forget, and no news would raise it any more.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

__all__ = ["TagFloors"]


class TagFloors:
    """The stamps of tags' floors. Thread-safe. `most`: tags that are remembered; beyond, all are asked for again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._stamps: dict[bytes, int] = {}
        self._era = 0

    def known(self, tags: Collection[bytes]) -> tuple[dict[bytes, int], int]:
        """The floors that are known, and the era in which they are."""
        with self._lock:
            return {tag: self._stamps[tag] for tag in tags if tag in self._stamps}, self._era

    def learned(self, told: Mapping[bytes, int], era: int) -> dict[bytes, int]:
        """What was told, raised by the news that came meanwhile. It is kept when nothing was forgotten since `era`."""
        with self._lock:
            newest = {tag: max(stamp, self._stamps.get(tag, 0)) for tag, stamp in told.items()}
            if era == self._era:
                self._stamps |= newest
                self._bound()
            return newest

    def raised(self, tag: bytes, stamp: int) -> None:
        """News of a tag."""
        with self._lock:
            self._stamps[tag] = max(stamp, self._stamps.get(tag, 0))
            self._bound()

    def forget(self, tag: bytes) -> None:
        """What is known of a tag may be too low."""
        with self._lock:
            self._stamps.pop(tag, None)
            self._era += 1

    def forget_all(self) -> None:
        """What is known of any may be too low."""
        with self._lock:
            self._stamps = {}
            self._era += 1

    def renew(self) -> None:
        """After a fork: another thread may have held the lock."""
        self._lock = threading.Lock()
        self._stamps = {}
        self._era = 0

    def _bound(self) -> None:
        if len(self._stamps) > self._most:
            self._stamps = {}
            self._era += 1
