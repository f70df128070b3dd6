# Generated from glance_async.py by scripts/twins.py. Do not edit.
"""A hit at the server of a cache without a local tier: one GET, one look at the entry's head, one decoding.

1. What it takes, `fetch` would take: an entry of this key, tenant and generation, before its soft end, without tags. All else,
   also what cannot be read, is UNSURE: `fetch` finds out, and counts it.
2. Nobody else waits for it, and it waits for nobody: a GET is no load.
3. MISSING says that the server had nothing: `fetch` need not ask again before it asks for the right to load (`NO_HEAD`).
4. After `IN_A_ROW` gets that found nothing the next one does not look first: it asks for the right to load, and is answered with
   the entry where there is one. So a cache that fills takes two round trips for each miss, and one that is warm a GET for a hit.
"""

from __future__ import annotations

from typing import Any

from regionkit.caching.counters import Counters
from regionkit.caching.entry import BODY, DIGEST, FLAGS, GENERATION, HARD, MAGIC, SOFT, STAMP, TAGS, TIMES, Coder
from regionkit.caching.keys import Stored, digest_of
from regionkit.caching.steps import TierDown

__all__ = ["MISSING", "NO_HEAD", "UNSURE", "Glance", "MissRun"]

UNSURE, MISSING = object(), object()
NO_HEAD = b"-"
"""A head that no entry has: there was none."""
IN_A_ROW = 2
"""Misses in a row that make another one likely. A useless script costs a server some GETs, a useless look a round trip."""


class MissRun:
    """How often in a row the tier had nothing. Threads may count it wrong: it says what is cheaper, not what is right."""

    __slots__ = ("row",)

    def __init__(self) -> None:
        self.row = 0

    @property
    def goes_on(self) -> bool:
        """Whether the next look will probably find nothing either."""
        return self.row >= IN_A_ROW

    def ended_at(self, tier: str) -> None:
        """A get was answered by a tier."""
        self.row = 0 if tier == "shared" else self.row + 1


class Glance:
    """Hits of one cache at its shared tier. Safe to share between threads (tasks of one loop).

    Args:
        tier: an SharedTier.
        coder: of the cache's values.
        scope: part of every key's digest.
        counters: of the cache.
        misses: of the cache.
    """

    def __init__(self, tier: Any, coder: Coder[Any], scope: bytes, counters: Counters, misses: MissRun) -> None:
        self._tier = tier
        self._decode = coder.decode_body
        self._largest = coder.largest
        self._scope = scope
        self._counters = counters
        self._misses = misses

    def value(self, stored: Stored) -> Any:
        """The value that is there; MISSING (it may be: rule 4), or UNSURE."""
        if self._misses.goes_on:
            return MISSING
        try:
            data = self._tier.glance(stored)
            if data is None:
                return MISSING
            if data is NotImplemented or not BODY <= len(data) <= BODY + self._largest:
                return UNSURE
            here = self._tier.times(data[GENERATION])
            # magic; found, and not compressed; no tags; its stamp and its ends are numbers
            plain = data[:3] == MAGIC and data[FLAGS] == b"0" and data[TAGS] == b"00"
            if here is None or not plain or not data[STAMP].isdigit() or not data[TIMES].isdigit():
                return UNSURE
            if data[DIGEST] != digest_of(stored, self._scope) or not here < int(data[SOFT]) <= int(data[HARD]):
                return UNSURE
            value = self._decode(data[BODY:])
        except (TierDown, ValueError, RecursionError):  # no text, no number, no value of the type
            return UNSURE
        self._counters.shared_hits += 1
        self._misses.row = 0
        return value
