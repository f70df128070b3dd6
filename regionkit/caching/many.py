# Generated from many_async.py by scripts/twins.py. Do not edit.
"""Several keys at once: one look at the tier, one load for all that is missing there.

1. Keys whose load this caller leads are loaded together and landed before it waits for anybody else's.
2. What comes of each key is what `fetch` says; a key that was not loaded here after all goes through it by itself.
3. Without `load_many` the missing keys are loaded one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.caching.fetch import Fetcher
from regionkit.caching.flights import Flight
from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.local_table import Entry, Mark
from regionkit.caching.outcome import Wanted
from regionkit.caching.parts import Call
from regionkit.caching.policy import State
from regionkit.caching.steps import Sealing, TierDown
from regionkit.caching.strategies import TTL

__all__ = ["Many"]


class Many:
    """The gets of many keys of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def loader(self, key: Any) -> Any:
        """The loader of one key where the strategy has only one of many."""
        strategy = self._fetcher.parts.strategy
        assert not isinstance(strategy, TTL)
        assert strategy.load_many is not None
        found = self._fetcher.parts.source.load_many([key], Wanted(strategy.load_many))
        return found[key].value

    def entries(self, calls: Sequence[Call]) -> dict[Any, Entry]:
        """The entries of all calls, by key; those without one are left out."""
        found: dict[Any, Entry] = {}
        missing = [call for call in calls if not self._here(call, found)]
        strategy = self._fetcher.parts.strategy
        if missing and not isinstance(strategy, TTL) and strategy.load_many is not None:
            missing = self._together(missing, found)
        elif missing:
            missing = self._there(missing, found)
        for call in missing:
            entry, _ = self._fetcher.entry(call)
            if entry is not None:
                found[call.key] = entry
        return found

    def _here(self, call: Call, found: dict[Any, Entry]) -> bool:
        entry = self._fetcher.parts.table.get(call.stored)
        if entry is None or self._fetcher.state(entry, call) is not State.FRESH:
            return False
        entry.hits += 1
        if self._fetcher.parts.shaper.slides:
            self._fetcher.parts.shaper.slide(entry)
        found[call.key] = entry
        return True

    def _there(self, calls: list[Call], found: dict[Any, Entry]) -> list[Call]:
        """What the tier has of them; the calls that are left."""
        parts = self._fetcher.parts
        marks = {call.stored: parts.table.mark(call.stored, parts.shaper.digest(call.stored)) for call in calls}
        try:
            return self._read(calls, marks, found)
        except TierDown:
            parts.counters.shared_down += 1
            return calls
        finally:
            for mark in marks.values():
                parts.table.unmark(mark)

    def _read(self, calls: list[Call], marks: dict[Stored, Mark], found: dict[Any, Entry]) -> list[Call]:
        left = []
        for call, data in zip(calls, self._fetcher.parts.tier.read([c.stored for c in calls]), strict=True):
            entry, fits = None, False
            if data is not None:
                entry, _, fits = self._fetcher.taken(call, data, marks[call.stored])
            if fits and entry is not None:
                found[call.key] = entry
            else:
                left.append(call)
        return left

    def _together(self, calls: list[Call], found: dict[Any, Entry]) -> list[Call]:
        """Load together what this caller may load; the calls that are left."""
        parts = self._fetcher.parts
        boarded = {call.stored: parts.flights.board(call.stored, call.load) for call in calls}
        leading = {call.stored: flight for call in calls for flight, leads in [boarded[call.stored]] if leads}
        others = [call for call in calls if call.stored not in leading]
        mine = [call for call in calls if call.stored in leading]
        landed: dict[Stored, Entry] = {}
        marks = {call.stored: parts.table.mark(call.stored, parts.shaper.digest(call.stored)) for call in mine}
        try:
            left = self._read(mine, marks, found)
            left = self._loaded(left, marks, found, landed)
        except TierDown:
            parts.counters.shared_down += 1
            left = [call for call in mine if call.key not in found]
        finally:
            for call in mine:
                parts.table.unmark(marks[call.stored])
                self._land(call, leading[call.stored], landed.get(call.stored) or found.get(call.key))
        return [*others, *left]

    def _land(self, call: Call, flight: Flight, entry: Entry | None) -> None:
        self._fetcher.parts.flights.leave(call.stored, call.load, flight)
        flight.end(entry)

    def _loaded(
        self, calls: list[Call], marks: dict[Stored, Mark], found: dict[Any, Entry], landed: dict[Stored, Entry]
    ) -> list[Call]:
        """Load with a lease for each key; the calls whose keys gave none, or were not loaded well enough."""
        parts, fetcher = self._fetcher.parts, self._fetcher
        strategy = parts.strategy
        assert not isinstance(strategy, TTL)
        if not calls:
            return []
        begun = parts.tier.begin_many([(call.stored, b"") for call in calls], fetcher.patience())
        leases: list[tuple[Call, Lease]] = []
        left = []
        for call, answer in zip(calls, begun, strict=True):
            if answer.verdict is Verdict.LOAD and answer.lease is not None:
                leases.append((call, answer.lease))
            else:
                left.append(call)
        if not leases:
            return left
        floor = max(lease.floor for _, lease in leases)
        owner = any(lease.owner_only for _, lease in leases)
        assert strategy.load_many is not None
        wanted = Wanted(strategy.load_many, None, floor, owner, calls[0].session)
        ready: list[tuple[Call, Lease, Entry, Sealing]] = []
        try:
            outcomes = fetcher.bounded(lambda: parts.source.load_many([c.key for c, _ in leases], wanted))
            parts.counters.loads += 1
            for call, lease in leases:
                entry, sealing = fetcher.sealing(call, outcomes[call.key], None)
                found[call.key] = entry
                if sealing is not None:
                    entry.stamp = lease.stamp
                    ready.append((call, lease, entry, sealing))
        except BaseException:
            for call, lease in leases:
                fetcher.give_up(call.stored, lease)
            raise
        kept = {call.stored for call, *_ in ready}
        for call, lease in leases:
            if call.stored not in kept:
                fetcher.abandoned(call.stored, lease)
        try:
            verdicts = parts.tier.commit_many([(c.stored, lease, sealing) for c, lease, _, sealing in ready])
        except TierDown:  # what was loaded is given out; whether it was stored nobody knows
            parts.counters.shared_down += 1
            return left
        for (call, _, entry, _), verdict in zip(ready, verdicts, strict=True):
            if verdict is Verdict.STORED:
                parts.table.put(entry, marks[call.stored])
                landed[call.stored] = entry
                continue
            parts.counters.refused_fills += 1
            if verdict is Verdict.BELOW:
                del found[call.key]
                left.append(call)
        return left
