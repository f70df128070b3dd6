# Generated from ledger_tier_async.py by scripts/twins.py. Do not edit.
"""The account of a cache that lives in one process alone. Values stand in the local tier's table, here is what may go into it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from regionkit.caching.keys import Stored, bare_name, stored_name
from regionkit.caching.ledger import Lease, Ledger, Verdict
from regionkit.caching.steps import Found, RowState, Sealing
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Flag

__all__ = ["LedgerTier"]

MOST_FLOORS = 100_000
"""Keys (and tags) whose invalidation is remembered at once: some 30 MB at most. Beyond, loads come from the owner for a while."""

MOST_DONE = 10_000
"""Rows that are remembered as told by their writers; one that is not is told again, which does no harm."""


class LedgerTier:
    """One process's account. Safe to share between threads (tasks of one loop).

    Args:
        clock: the clock to use.
        floor_life: seconds for which an invalidation is remembered.
        tag_life: seconds that an entry with tags may live at most.
        settles: intents over their time are settled by the cache.
    """

    def __init__(self, clock: Clock, *, floor_life: float, tag_life: float, settles: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ledger = Ledger(
            os.urandom(8),
            floor_life=round(floor_life * 1000),
            tag_life=round(tag_life * 1000),
            most=MOST_FLOORS,
            settles=settles,
        )
        self._waiting: dict[bytes, list[Flag]] = {}
        self._tailed: dict[str, int] = {}
        self._done: dict[bytes, None] = {}

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)

    def _wake(self, name: bytes) -> None:
        for flag in self._waiting.pop(name, ()):
            flag.set()

    def times(self, generation: bytes) -> int | None:
        """Never asked: no bytes are kept here."""
        return None

    def read(self, keys: Sequence[Stored], *, sure: bool = False) -> list[bytes | None]:
        """Nothing: the table was looked at already."""
        return [None] * len(keys)

    def buffered(self, key: Stored) -> bytes:
        """Nothing: write-back needs a server."""
        return b""

    def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load."""
        with self._lock:
            begun = self._ledger.begin(stored_name(key), os.urandom(8), self._now(), round(lasts * 1000))
        return Found(begun.verdict, b"", begun.lease, begun.floor, begun.intents, begun.wait / 1000)

    def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys."""
        return [self.begin(key, rejected, lasts) for key, rejected in wanted]

    def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Whether what was loaded may be stored."""
        name = stored_name(key)
        with self._lock:
            self._wake(name)
            return self._ledger.commit(
                name, lease, self._now(), sealing.version, owner=sealing.owner, tags=sealing.tags
            )

    def commit_many(self, loads: Sequence[tuple[Stored, Lease, Sealing]]) -> list[Verdict]:
        """The same for several keys."""
        return [self.commit(key, lease, sealing) for key, lease, sealing in loads]

    def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load failed; whether the lease was still this one's."""
        name = stored_name(key)
        with self._lock:
            self._wake(name)
            return self._ledger.abandon(name, lease.token)

    def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        name, flag = stored_name(key), Flag()
        with self._lock:
            held = self._ledger.leases.get(name)
            if held is None or held.until <= self._now():
                return
            self._waiting.setdefault(name, []).append(flag)
        flag.wait(seconds)

    def _did(self, id: bytes) -> None:
        if id:
            self._done[id] = None
            if len(self._done) > MOST_DONE:
                del self._done[next(iter(self._done))]

    def rows(self, ids: Sequence[bytes]) -> dict[bytes, RowState]:
        """What is known here of the rows of writes."""
        with self._lock:
            now = self._now()
            writing = {id for intents in self._ledger.intents.values() for id, i in intents.items() if i.until > now}
            return {
                id: RowState.DONE if id in self._done else RowState.PENDING if id in writing else RowState.NEW
                for id in ids
            }

    def invalidate(self, keys: Sequence[Stored], version: str, id: bytes = b"") -> None:
        """Keys are not what they were."""
        with self._lock:
            self._did(id)
            for name in map(stored_name, keys):
                self._ledger.invalidate(name, self._now(), version)
                self._wake(name)

    def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        with self._lock:
            for name in (bare_name(name) for name, _ in named):
                self._ledger.invalidate(name, self._now(), version)
                self._wake(name)

    def tail(self, id: bytes, moved_to: int | None, lasts: float, part: str) -> int | None:
        """Each process tails for itself. -1: it begins."""
        if moved_to is not None:
            self._tailed[part] = moved_to
        return self._tailed.get(part, -1)

    def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """What carries the tag is not what it was; False where the whole cache was cleared in its place."""
        with self._lock:
            self._did(id)
            if self._ledger.invalidate_tag(tag, self._now(), version):
                return True
            self._ledger.clear(os.urandom(8), self._now(), version)
            return False

    def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was."""
        with self._lock:
            self._did(id)
            self._ledger.clear(os.urandom(8), self._now(), version)

    def expire(self, keys: Sequence[Stored]) -> None:
        """The table knows it."""

    def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        name = stored_name(key)
        with self._lock:
            self._wake(name)
            return self._ledger.put(name, self._now())

    def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        with self._lock:
            for name in map(stored_name, keys):
                self._ledger.intend(name, id, self._now(), round(seconds * 1000))
                self._wake(name)

    def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed; whether its value may be stored."""
        name = stored_name(key)
        with self._lock:
            self._did(id)
            verdict = self._ledger.publish(name, id, self._now(), sealing.version, hi, sealing.tags)
            self._wake(name)
            return verdict, self._ledger.stamp

    def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        with self._lock:
            for name in map(stored_name, keys):
                self._ledger.abort(name, id)

    def renew(self) -> None:
        """After a fork: another thread may have held the lock, and the parent's loads are not here."""
        self._lock = threading.Lock()
        self._waiting = {}
        self._ledger.leases.clear()

    def close(self) -> None:
        """Nothing is held."""
