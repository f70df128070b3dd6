# Generated from many_async.py by scripts/twins.py. Do not edit.
"""Several keys at once: one look at the tier, one load for all that is missing there.

1. Keys whose load this caller leads are loaded together and landed before it waits for anybody else's.
2. What comes of each key is what `fetch` says; a key that was not loaded here after all goes through it by itself.
3. Without `load_many` the missing keys are loaded one after the other.
4. However it ends, no lease of its keys stands until its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from regionkit.caching.back.reading import buffered
from regionkit.caching.fetch import Fetcher, needs_tags
from regionkit.caching.flights import Flight
from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.local_table import Entry, Mark
from regionkit.caching.outcome import Outcome, Wanted
from regionkit.caching.parts import Call
from regionkit.caching.policy import State
from regionkit.caching.source import by_home
from regionkit.caching.steps import Sealing, TierDown
from regionkit.caching.strategies import TTL
from regionkit.errors import CacheError

__all__ = ["Many"]


class _Batch:
    """What became of the keys of one call so far.

    Attributes:
        found: entries that answer it, by key.
        landed: those that others may take too.
        stale: those that may be served where a load fails.
        marks: of the keys that are on their way.
        held: leases that were neither used nor given back.
    """

    def __init__(self) -> None:
        self.found: dict[Any, Entry] = {}
        self.landed: dict[Stored, Entry] = {}
        self.stale: dict[Stored, Entry] = {}
        self.marks: dict[Stored, Mark] = {}
        self.held: dict[Stored, tuple[Call, Lease]] = {}


class Many:
    """The gets of many keys of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def entries(self, calls: Sequence[Call]) -> dict[Any, Entry]:
        """The entries of all calls, by key; those without one are left out."""
        batch = _Batch()
        missing = [call for call in calls if not self._here(call, batch)]
        strategy = self._fetcher.parts.strategy
        if missing and not isinstance(strategy, TTL) and strategy.load_many is not None:
            missing = self._together(missing, batch)
        elif missing:
            missing = self._there(missing, batch)
        for call in missing:
            entry, _ = self._fetcher.entry(call)
            if entry is not None:
                batch.found[call.key] = entry
        return batch.found

    def _here(self, call: Call, batch: _Batch) -> bool:
        entry = self._fetcher.parts.table.get(call.stored)
        if entry is None:
            return False
        if self._fetcher.state(entry, call) is not State.FRESH:
            batch.stale[call.stored] = entry
            return False
        entry.hits += 1
        if self._fetcher.parts.shaper.slides:
            self._fetcher.parts.shaper.slide(entry)
        batch.found[call.key] = entry
        return True

    def _mark(self, calls: list[Call], batch: _Batch) -> None:
        parts = self._fetcher.parts
        batch.marks = {call.stored: parts.table.mark(call.stored, parts.shaper.digest(call.stored)) for call in calls}

    def _there(self, calls: list[Call], batch: _Batch) -> list[Call]:
        """What the tier has of them; the calls that are left."""
        parts = self._fetcher.parts
        self._mark(calls, batch)
        try:
            return self._read(calls, batch)
        except TierDown:
            parts.counters.shared_down += 1
            return calls
        finally:
            for mark in batch.marks.values():
                parts.table.unmark(mark)

    def _read(self, calls: list[Call], batch: _Batch) -> list[Call]:
        """What the tier has of them; the calls that are left, with the heads of what is not taken."""
        left, sure = [], all(call.load is None for call in calls)
        there = self._fetcher.parts.tier.read([call.stored for call in calls], sure=sure)
        for call, data in zip(calls, there, strict=True):
            entry, head, fits = None, b"", False
            if data:
                entry, head, fits = self._fetcher.taken(call, data, batch.marks[call.stored])
            if fits and entry is not None:
                batch.landed[call.stored] = batch.found[call.key] = entry
                continue
            if entry is not None:
                batch.stale[call.stored] = entry
            left.append(msgspec.structs.replace(call, rejected=head) if head else call)
        return left

    def _together(self, calls: list[Call], batch: _Batch) -> list[Call]:
        """Load together what this caller may load; the calls that are left."""
        parts = self._fetcher.parts
        boarded = {call.stored: parts.flights.board(call.stored, call.load) for call in calls}
        leading = {call.stored: flight for call in calls for flight, leads in [boarded[call.stored]] if leads}
        others = [call for call in calls if call.stored not in leading]
        mine = [call for call in calls if call.stored in leading]
        self._mark(mine, batch)
        try:
            left = self._loaded(self._read(mine, batch), batch)
        except TierDown:
            parts.counters.shared_down += 1
            left = [call for call in mine if call.key not in batch.found]
        finally:
            for call in mine:
                parts.table.unmark(batch.marks[call.stored])
                self._land(call, leading[call.stored], batch.landed.get(call.stored))
        return [*others, *left]

    def _land(self, call: Call, flight: Flight, entry: Entry | None) -> None:
        self._fetcher.parts.flights.leave(call.stored, call.load, flight)
        flight.end(entry)

    def _loaded(self, calls: list[Call], batch: _Batch) -> list[Call]:
        """Load with a lease for each key; the calls whose keys gave none, or were not loaded well enough."""
        parts, fetcher = self._fetcher.parts, self._fetcher
        if not calls:
            return []
        begun = parts.tier.begin_many([(call.stored, call.rejected) for call in calls], fetcher.patience())
        left = []
        for call, answer in zip(calls, begun, strict=True):
            if answer.verdict is Verdict.LOAD and answer.lease is not None:
                batch.held[call.stored] = (call, answer.lease)
            elif answer.buffered:
                entry = buffered(parts, call, answer.data, batch.marks[call.stored])
                batch.landed[call.stored] = batch.found[call.key] = entry
            else:
                left.append(call)
        if not batch.held:
            return left
        try:
            left += self._stored(self._outcomes(batch), batch)
        finally:
            if batch.held:  # nobody waits for what is not loaded any more
                fetcher.give_up([(call.stored, lease) for call, lease in batch.held.values()])
        return left

    def _outcomes(self, batch: _Batch) -> dict[Any, Outcome]:
        """What one load brings. Where it fails, what is kept for that is found, and there is no outcome.

        Raises:
            Exception: of the load, where a key has nothing that may be served in its place.
        """
        parts, fetcher = self._fetcher.parts, self._fetcher
        strategy, wanted = parts.strategy, list(batch.held.values())
        assert not isinstance(strategy, TTL)
        assert strategy.load_many is not None
        try:
            outcomes = fetcher.loads.bounded(lambda: self._by_home(strategy.load_many, wanted), list(batch.held))
        except Exception as error:
            if isinstance(error, CacheError):
                raise
            for call, lease in wanted:
                stale = batch.stale.get(call.stored)
                if stale is None:
                    raise
                del batch.held[call.stored]
                clean = fetcher.abandoned(call.stored, lease)
                if not clean or batch.marks[call.stored].spoiled:
                    raise
                batch.found[call.key] = fetcher.served_anyway(call, stale, error)
            return {}
        parts.counters.loads += 1
        return outcomes

    def _by_home(self, load_many: Any, wanted: list[tuple[Call, Lease]]) -> dict[Any, Outcome]:
        """One load for each part of the store."""
        source = self._fetcher.parts.source
        found: dict[Any, Outcome] = {}
        held = {call.key: (call, lease) for call, lease in wanted}
        for keys in (by_home(source, held)).values():
            leases = [held[key][1] for key in keys]
            floor, owner = max(lease.floor for lease in leases), any(lease.owner_only for lease in leases)
            asked = Wanted(load_many, None, floor, owner, held[keys[0]][0].session)
            found |= source.load_many(keys, asked)
        return found

    def _stored(self, outcomes: dict[Any, Outcome], batch: _Batch) -> list[Call]:
        """Store what was loaded, in one step; the calls that do not take it. Where the tier does not answer, all do."""
        parts, fetcher = self._fetcher.parts, self._fetcher
        ready: list[tuple[Call, Lease, Entry, Sealing]] = []
        for call, lease in list(batch.held.values()):
            entry, sealing = fetcher.sealing(call, outcomes[call.key], batch.stale.get(call.stored))
            batch.found[call.key] = entry
            if sealing is not None:
                entry.stamp = lease.stamp
                ready.append((call, lease, entry, sealing))
                continue
            if fetcher.abandoned(call.stored, lease):
                batch.landed[call.stored] = entry
            del batch.held[call.stored]
        try:
            verdicts = parts.tier.commit_many([(c.stored, lease, sealing) for c, lease, _, sealing in ready])
        except TierDown:
            parts.counters.shared_down += 1
            unsure = [(call, lease) for call, lease, entry, _ in ready if needs_tags(entry, outcomes[call.key])]
            for call, lease in unsure:  # loaded again at once: their leases may be there still
                del batch.found[call.key], batch.held[call.stored]
                fetcher.abandoned(call.stored, lease)
            return [call for call, _ in unsure]
        left = []
        for (call, _, entry, _), verdict in zip(ready, verdicts, strict=True):
            del batch.held[call.stored]
            if verdict is Verdict.STORED:
                parts.table.put(entry, batch.marks[call.stored])
                batch.landed[call.stored] = entry
                continue
            parts.counters.refused_fills += 1
            if needs_tags(entry, outcomes[call.key]) or (verdict is Verdict.BELOW and not outcomes[call.key].owner):
                del batch.found[call.key]
                left.append(call)
        return left
