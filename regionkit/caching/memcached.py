# Generated from memcached_async.py by scripts/twins.py. Do not edit.
"""The tier on a Memcached server: values there, the account in this process. A smaller promise than Shared's:

1. A load is stored by exchange: the server numbers each change of a value, and takes what was loaded only over what was there
   when the load began. So an invalidation, by whichever process, refuses every load that had begun before it.
2. Only the process that invalidated knows a floor. A load that another process begins *after* an invalidation,
   from a copy of the database that lags, is stored, and is stale for up to its ttl: load from the owner.
3. There are no notifications. A Local tier in front does not hear of other processes' invalidations: it needs `ttl=`, and may be
   stale for that long.
4. One load a key over all processes, by a lease that the server forgets at its end; others look again and again.
5. `clear` and tags work by a number in each entry. A number that the server has dropped counts as just raised: what is evicted
   makes misses, never stale values. The first load of each new tag is not kept.
6. Ends are told by the clocks of the machines: one that is wrong by a second is wrong by a second here too.
7. An intent of a write is a mark in the place of the value. While it stands nothing is stored; where the server drops it, an old
   value may be stored until the write has committed, and goes then.
8. The server asks nobody for a password. TLS off loopback, unless the URL ends in `?tls=off`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from regionkit.caching.entry import GENERATION, HARD, HEADER, MAGIC, SOFT, STAMP, VERSION, tags_in
from regionkit.caching.inside import Inside
from regionkit.caching.keys import Stored, digest_of
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.ledger_tier import LedgerTier
from regionkit.caching.memcached_link import MemcachedLink
from regionkit.caching.memcached_wire import delete, gets, increment, store, values_in
from regionkit.caching.policy import longest_tagged
from regionkit.caching.steps import BATCH, FIRST_POLL, Found, RowState, Sealing, TierDown
from regionkit.caching.tiers import Memcached
from regionkit.core.clock import Clock
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError

__all__ = ["MemcachedTier", "opened_tier"]

T = TypeVar("T")

FOREVER = math.inf
EXPIRED_KEPT = 86_400.0
"""Seconds for which an entry that was expired is kept: as long as anybody serves it when a load fails."""
_MARK, _INTENT = b"mark", b"intent"


class _Load(NamedTuple):
    """What was there when a load began: its number at the server, the stamp, the generation."""

    number: int
    stamp: int
    generation: bytes


class MemcachedTier:
    """The values of one cache at one server. Safe to share between threads (tasks of one loop)."""

    def __init__(self, cache: Inside, options: Memcached, clock: Clock, ledger: LedgerTier) -> None:
        self._link = MemcachedLink(options, cache.name, clock, cache.emit)
        self._heard = cache.heard
        self._scope: bytes = cache.scope
        self._prefix = f"{cache.namespace}:rk:{cache.name}:".encode()
        self._clock = clock
        self._ledger = ledger
        self._loads: dict[bytes, _Load] = {}
        self._intents: dict[tuple[bytes, Stored], int] = {}
        self._generation = b""

    def _at(self, kind: bytes, of: bytes = b"") -> bytes:
        return b"%b%b%b" % (self._prefix, kind, of.hex().encode())

    def _value(self, key: Stored) -> bytes:
        return self._at(b"v", digest_of(key, self._scope))

    def _lease(self, key: Stored) -> bytes:
        return self._at(b"l", digest_of(key, self._scope))

    # generation and stamps

    def _values(self, names: Sequence[bytes]) -> dict[bytes, tuple[bytes, int]]:
        """Values by name, and which generation is open now."""
        found = self._link.ask(gets([self._at(b"g"), *names]), values_in)
        generation = found.get(self._at(b"g"), (b"", 0))[0]
        if len(generation) != 8:
            self._link.said(store(b"add", self._at(b"g"), os.urandom(8), FOREVER))
            found = self._link.ask(gets([self._at(b"g"), *names]), values_in)
            generation = found.get(self._at(b"g"), (b"", 0))[0]
        self._open(generation)
        return found

    def _open(self, generation: bytes) -> None:
        if generation != self._generation:
            self._generation = generation
            self._heard.lost(live=True)

    def _next_stamp(self) -> int:
        """A number above all that were given; where the count is gone, all that was cached is too."""
        [said] = self._link.said(increment(self._at(b"q")))
        if said.isdigit():
            return int(said)
        generation = os.urandom(8)
        self._link.said(
            store(b"set", self._at(b"g"), generation, FOREVER), store(b"add", self._at(b"q"), b"0", FOREVER)
        )
        self._open(generation)
        [said] = self._link.said(increment(self._at(b"q")))
        if not said.isdigit():
            raise TierDown("the server keeps nothing")
        return int(said)

    def _tags_hold(self, tagged: Mapping[bytes, tuple[Sequence[bytes], int]]) -> set[bytes]:
        """Of entries, with their tags and stamps, those whose tags were not invalidated since."""
        names = sorted({self._at(b"t", tag) for tags, _ in tagged.values() for tag in tags})
        floors = self._link.ask(gets(names), values_in) if names else {}

        def holds(tags: Sequence[bytes], stamp: int) -> bool:
            found = [floors.get(self._at(b"t", tag), (b"", 0))[0] for tag in tags]
            return all(floor.isdigit() and int(floor) < stamp for floor in found)

        return {name for name, (tags, stamp) in tagged.items() if holds(tags, stamp)}

    def times(self, generation: bytes) -> int | None:
        """The machine's clock, milliseconds; None when `generation` is not the present one."""
        return _now() if generation and generation == self._generation else None

    # the steps

    def read(self, keys: Sequence[Stored], *, sure: bool = False) -> list[bytes | None]:
        """The entries of keys, one round trip for all; one more for their tags. Which generation is open comes with them."""
        found = self._values([self._value(key) for key in keys])
        entries = {name: data for name, (data, _) in found.items() if data[:3] == MAGIC}
        tagged = {
            name: (tags, int(data[STAMP]))
            for name, data in entries.items()
            if data[STAMP].isdigit() and (tags := tags_in(data))
        }
        held = self._tags_hold(tagged) if tagged else set()
        return [entries.get(n) if n not in tagged or n in held else None for n in map(self._value, keys)]

    def buffered(self, key: Stored) -> bytes:
        """Nothing: write-back needs a server."""
        return b""

    def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load."""
        found = self._ledger.begin(key, rejected, lasts)
        if found.lease is None:
            return found
        there: Found | None = None
        try:
            there = self._begun(key, found.lease, rejected, lasts)
        finally:
            if there is None or there.lease is None:
                self._ledger.abandon(key, found.lease)
        return found if there.lease is not None else there

    def _begun(self, key: Stored, lease: Lease, rejected: bytes, lasts: float) -> Found:
        """The same at the server; with the lease where it is given."""
        name, leased = self._value(key), False
        for _ in range(2):
            data, number = (self._values([name])).get(name, (b"", 0))
            if data[:3] == MAGIC and data[:HEADER] != rejected and (self.read([key]))[0] is not None:
                if leased:
                    self._link.said(delete(self._lease(key)))
                return Found(Verdict.STORED, data)
            if data.startswith(_INTENT):
                return Found(Verdict.BYPASS)
            leased = leased or self._link.did(store(b"add", self._lease(key), lease.token.hex().encode(), lasts))
            if not leased:
                return Found(Verdict.WAIT, wait=lasts)
            if data:
                break
            self._link.said(store(b"add", name, _MARK, lasts))
        self._loads[lease.token] = _Load(number, self._next_stamp(), self._generation)
        return Found(Verdict.LOAD, lease=lease)

    def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys, one after the other."""
        return [self.begin(key, rejected, lasts) for key, rejected in wanted]

    def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Store what was loaded, if it may be."""
        load = self._loads.pop(lease.token, None)
        verdict = self._ledger.commit(key, lease, sealing)
        if verdict is Verdict.STORED and not (load and self._exchanged(key, load, sealing)):
            verdict = Verdict.LOST
        self._link.said(delete(self._lease(key)))
        return verdict

    def _exchanged(self, key: Stored, load: _Load, sealing: Sealing) -> bool:
        if not load.number:
            return False
        name = self._value(key)
        if sealing.tags and not self._tags_hold({name: (sealing.tags, load.stamp)}):
            stamp = b"%d" % self._next_stamp()
            self._link.said(*[store(b"add", self._at(b"t", tag), stamp, FOREVER) for tag in sealing.tags])
            return False
        data = _stamped(sealing.data, load.generation, load.stamp)
        return self._link.did(store(b"cas", name, data, sealing.kept, load.number))

    def commit_many(self, loads: Sequence[tuple[Stored, Lease, Sealing]]) -> list[Verdict]:
        """The same for several keys."""
        return [self.commit(key, lease, sealing) for key, lease, sealing in loads]

    def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load failed: a waiting caller may try."""
        self._loads.pop(lease.token, None)
        held = self._ledger.abandon(key, lease)
        self._link.said(delete(self._lease(key)))
        return held

    def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        self._ledger.wait(key, seconds)
        name, pause, until = self._lease(key), FIRST_POLL, self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and name in self._values([name]):
            sleep(min(pause, max(0.0, until - self._clock.monotonic())))
            pause *= 1.5

    def invalidate(self, keys: Sequence[Stored], version: str, id: bytes = b"") -> None:
        """Keys are not what they were."""
        self._ledger.invalidate(keys, version, id)
        for at in range(0, len(keys), BATCH):
            some = keys[at : at + BATCH]
            self._link.done(*[delete(name) for key in some for name in (self._value(key), self._lease(key))])

    def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        self._ledger.invalidate_named(named, version)
        names = [self._at(kind, digest) for _, digest in named for kind in (b"v", b"l")]
        for at in range(0, len(names), BATCH):
            self._link.done(*map(delete, names[at : at + BATCH]))

    def rows(self, ids: Sequence[bytes]) -> dict[bytes, RowState]:
        """What is known here of the rows of writes."""
        return self._ledger.rows(ids)

    def tail(self, id: bytes, moved_to: int | None, lasts: float, part: str) -> int | None:
        """Each process tails for itself."""
        return self._ledger.tail(id, moved_to, lasts, part)

    def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """What carries the tag is not what it was."""
        told = self._ledger.invalidate_tag(tag, version, id)
        self._link.done(store(b"set", self._at(b"t", tag), b"%d" % self._next_stamp(), FOREVER))
        return told

    def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was."""
        self._ledger.clear(version, id)
        generation = os.urandom(8)
        self._link.done(store(b"set", self._at(b"g"), generation, FOREVER))
        self._open(generation)

    def expire(self, keys: Sequence[Stored]) -> None:
        """Entries are to be loaded anew, and may be served when that fails."""
        names = [self._value(key) for key in keys]
        found = self._values(names)
        end = b"%013d" % _now()
        for name in names:
            data, number = found.get(name, (b"", 0))
            if data[:3] == MAGIC:
                self._link.said(
                    store(b"cas", name, data[: SOFT.start] + end + end + data[HARD.stop :], EXPIRED_KEPT, number)
                )

    def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        self._ledger.put(key, sealing)
        stamp = self._next_stamp()
        self._values([])
        data = _stamped(sealing.data, self._generation, stamp)
        self._link.done(delete(self._lease(key)), store(b"set", self._value(key), data, sealing.kept))
        return stamp

    def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        self._ledger.intend(keys, id, seconds)
        for key in keys:
            name = self._value(key)
            self._link.done(store(b"set", name, _INTENT + id, seconds), delete(self._lease(key)))
            data, number = (self._values([name])).get(name, (b"", 0))
            if data == _INTENT + id:
                self._intents[id, key] = number

    def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed: store its value over its own mark, else act as `invalidate`. The verdict, and the stamp."""
        number = self._intents.pop((id, key), 0)
        verdict, _ = self._ledger.publish(key, id, sealing, hi)
        stamp, name = self._next_stamp(), self._value(key)
        if verdict is Verdict.STORED and number and not sealing.tags:
            data = _stamped(sealing.data, self._generation, stamp)
            if self._link.did(store(b"cas", name, data, sealing.kept, number)):
                return verdict, stamp
        self._link.done(delete(name))
        return Verdict.BELOW, stamp

    def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        self._ledger.abort(keys, id)
        for key in keys:
            number = self._intents.pop((id, key), 0)
            if number:
                self._link.said(store(b"cas", self._value(key), _MARK, 1.0, number))

    def renew(self) -> None:
        """After a fork: the parent's connections are not used or closed here."""
        self._ledger.renew()
        self._link.renew()
        self._loads, self._intents, self._generation = {}, {}, b""

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._link.close()
        self._ledger.close()


def _now() -> int:
    return int(time.time() * 1000)


def _stamped(data: bytes, generation: bytes, stamp: int) -> bytes:
    """An entry with its generation and stamp, its ends from now on."""
    now = _now()
    ends = b"%013d%013d%013d" % (now + int(data[SOFT]), now + int(data[HARD]), now)
    return b"%b%b%016d%b%b%b" % (
        data[: GENERATION.start],
        generation,
        stamp,
        data[VERSION.start : SOFT.start],
        ends,
        data[HEADER:],
    )


def opened_tier(cache: Inside, shared: Memcached, clock: Clock, floor_life: float) -> MemcachedTier:
    """The tier of a cache. Connects to nothing.

    Raises:
        ConfigurationError: an unusable URL; a Local tier without an end of its own.
    """
    if cache.local is not None and cache.local.ttl is None:
        raise ConfigurationError(
            "a Local tier before Memcached needs ttl=.",
            why="it does not learn what other processes invalidate, and may serve old values that long.",
            fix="write Local(ttl=5), or leave the Local tier out.",
        )
    life = longest_tagged(cache.strategy)
    ledger = LedgerTier(clock, floor_life=floor_life, tag_life=life, settles=cache.settles)
    return MemcachedTier(cache, shared, clock, ledger)
