"""Entries of one cache: made of what was loaded or read, with their ends, and given out as values. No I/O."""

from __future__ import annotations

import contextlib
import math
import random
from typing import Any

from regionkit.caching.counters import Counters
from regionkit.caching.entry import Coder, Envelope, opened, plain_body, sealed
from regionkit.caching.keys import Stored, digest_of, digest_of_whole
from regionkit.caching.local_table import OVERHEAD, Entry
from regionkit.caching.lookup import Lookup
from regionkit.caching.outcome import Outcome
from regionkit.caching.policy import Life, bounded, drawn_soft, life_of, longest_tagged
from regionkit.caching.steps import Sealing
from regionkit.caching.strategies import TTL, Strategy
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.errors import CacheError

__all__ = ["Shaper"]


class Shaper:
    """What the entries of one cache look like. Safe to share between threads and tasks.

    Args:
        name: of the cache.
        strategy: of the cache.
        coder: of its values.
        shares: values are given to several callers as they are; else each gets a copy.
        routed: each hit is compared with what its session has to be shown.
        scope: part of every key's digest.
        longest_local: seconds that an entry lives in this process at most.
        clock: the clock to use.
        counters: of the cache.

    Attributes:
        slides: each read of an entry here begins its time anew.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy,
        coder: Coder[Any],
        clock: Clock,
        counters: Counters,
        *,
        shares: bool,
        routed: bool,
        scope: bytes,
        longest_local: float,
    ) -> None:
        self.name = name
        self.strategy = strategy
        self.coder = coder
        self.scope = scope
        self._shares = shares
        self._sliding = isinstance(strategy, TTL) and strategy.sliding
        self.slides = self._sliding and longest_local == math.inf  # else the shared tier says how long
        self._always_looked_at = routed or not shares or self.slides or clock is not SYSTEM_CLOCK
        self._longest_local = longest_local
        self._clock = clock
        self._counters = counters
        self._chance = random.Random()

    def renew(self) -> None:
        """After a fork: lives are drawn anew, else all children of one parent would draw the same."""
        self._chance = random.Random()

    def digest(self, stored: Stored) -> bytes:
        """By which other processes know a key."""
        return digest_of(stored, self.scope)

    def life(self, *, found: bool = True, ttl: float | None = None) -> Life | None:
        """How long an entry that is made now lives; None: it is not stored."""
        return life_of(self.strategy, self._chance.random(), found=found, ttl=ttl)

    def parsed(self, stored: Stored, envelope: Envelope, here: int) -> Entry:
        """The entry of an envelope. `here`: the time of the tier's clock now.

        Raises:
            Unreadable: it is none of this cache and key.
        """
        now = self._clock.monotonic()
        entry = self._entry_of(stored, envelope, None if envelope.negative else self.coder.decode(envelope))
        soft, hard = (now + (end - here) / 1000.0 for end in (envelope.soft, envelope.hard))
        if self._sliding:  # it was read: its time begins anew there too
            soft = hard = now + self.strategy.ttl
        kept = 0.0 if isinstance(self.strategy, TTL) else self.strategy.stale_if_error
        entry.made = now - max(0.0, (here - envelope.made) / 1000.0)
        self._live(entry, now, soft, hard, hard + (0.0 if envelope.negative else kept))
        entry.stamp, entry.lo, entry.hi = envelope.stamp, envelope.version, envelope.hi
        entry.tags = envelope.tags
        return entry

    def envelope(self, stored: Stored, data: bytes) -> Envelope:
        """What the bytes of a tier say.

        Raises:
            Unreadable: they are no entry of this cache and key.
        """
        return opened(data, self.digest(stored))

    def value_in(self, whole: bytes, data: bytes) -> Any:
        """The value of bytes of a tier, by the whole key; without an envelope where it is plain, as most are.

        Raises:
            Unreadable: they are no value of this cache and key.
        """
        digest = digest_of_whole(whole, self.scope)
        body = plain_body(data, digest)
        if body is not None and len(body) <= self.coder.largest:
            with contextlib.suppress(Exception):  # decoded below once more, and told there
                return self.coder.decode_body(body)
        return self.coder.decode(opened(data, digest))

    def _entry_of(self, stored: Stored, envelope: Envelope, value: Any) -> Entry:
        entry = Entry(stored, value if self._shares else None, found=not envelope.negative)
        if not self._shares:
            entry.body = envelope
        entry.size = OVERHEAD + len(stored) + len(envelope.body) * (1 if not self._shares else 4)
        return entry

    def _live(self, entry: Entry, now: float, soft: float, hard: float, kept: float) -> None:
        """Give an entry its ends; here it lives no longer than the local tier says."""
        limit = now + self._longest_local
        entry.soft = drawn_soft(self.strategy, entry.made, soft, self._chance.random())
        entry.hard, entry.kept = min(hard, limit), min(kept, limit)
        if not self._always_looked_at:
            entry.fresh_until = min(entry.soft, entry.hard)

    def slide(self, entry: Entry) -> None:
        """It was read: its time begins anew."""
        now = self._clock.monotonic()
        end = now + self.strategy.ttl
        self._live(entry, now, end, end, end)

    def sealed(self, stored: Stored, outcome: Outcome, life: Life | None) -> tuple[Entry, Sealing | None]:
        """The entry of a value, and how it is stored; None: it is not.

        Raises:
            CacheError: it cannot be encoded, or is of another type than the cache's.
        """
        body, compressed, fits = b"", False, True
        if outcome.found:
            try:
                body, compressed = self.coder.encode(outcome.value)
            except TypeError as error:
                raise CacheError(
                    f"a value for cache {self.name!r} cannot be cached.",
                    why=f"{error}.",
                    fix="make the cache with `... | None` as its type, if None is a value; absent keys need no value."
                    if outcome.value is None
                    else "return a value of the cache's type, or make the cache with the type that is returned.",
                ) from error
            except ValueError:
                self._counters.unstorable += 1
                fits = False
        now = self._clock.monotonic()
        if life is None or not outcome.store or not fits:
            life = None
        elif outcome.tags:
            life = bounded(life, longest_tagged(self.strategy))
        envelope = Envelope(
            generation=bytes(8),
            stamp=0,
            version=outcome.version,
            soft=0 if life is None else round(life.soft * 1000),
            hard=0 if life is None else round(life.hard * 1000),
            made=0,
            tags=outcome.tags,
            hi=outcome.hi,
            negative=not outcome.found,
            compressed=compressed,
            body=body,
            schema=self.coder.schema,
        )
        entry = self._entry_of(stored, envelope, outcome.value)
        entry.lo, entry.hi, entry.tags, entry.made = outcome.version, outcome.hi, outcome.tags, now
        if not fits:
            entry.value, entry.body = outcome.value, None
        if life is None:
            return entry, None
        self._live(entry, now, now + life.soft, now + life.hard, now + life.kept)
        data = sealed(envelope, self.digest(stored))
        return entry, Sealing(data, life.kept, outcome.version, outcome.owner, outcome.tags)

    def value(self, entry: Entry) -> Any:
        """The value of an entry, which the caller may change where its type can be changed."""
        if entry.body is None:
            return entry.value
        return self.coder.decode(entry.body) if entry.found else None

    def lookup(self, entry: Entry | None, tier: str) -> Lookup:
        """What an entry is, for the application."""
        if entry is None:
            return Lookup(None, False, tier, 0.0, False, "")
        now = self._clock.monotonic()
        stale = entry.soft <= now and entry.kept > -math.inf  # what is not kept has just been loaded
        return Lookup(self.value(entry), entry.found, tier, max(0.0, now - entry.made), stale, entry.lo)
