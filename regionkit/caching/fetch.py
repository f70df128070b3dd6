# Generated from fetch_async.py by scripts/twins.py. Do not edit.
"""What a get does when the local table has no fresh entry: ask the tier, load, store, wait, or serve what is stale.

1. One caller of the process asks for a key, the others take what it brings (`flights`). Over processes the tier's lease does the
   same (`ledger`).
2. What is loaded is stored when the tier says STORED, and in the local table when nothing was told of the key meanwhile. A
   caller gets what it loaded; who waited for a load that was not stored starts again, as it may have come later.
3. A load that did not reach the floor (BELOW) is done once more, from the owner. So is a load from a copy whose value carries
   tags and for which the tier gave no such verdict (its lease was taken away, or no answer came): the floors of tags are known
   to the tier alone, and the caller may have invalidated one of them before.
4. A tier that is down stores nothing and shows nothing: loads go on, at most `MOST_LOADS` at once in this process.
5. A caller that has waited through `MOST_ROUNDS` loads for itself and stores nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from regionkit.caching.back.reading import buffered, unsure, without_row
from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.entry import HEADER, Unreadable
from regionkit.caching.events import LoadFailed
from regionkit.caching.flights import Flight
from regionkit.caching.glance import NO_HEAD, MissRun
from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.loads import Loads
from regionkit.caching.local_table import Entry, Mark
from regionkit.caching.outcome import Outcome, Wanted
from regionkit.caching.parts import Call, Parts
from regionkit.caching.policy import State, state_of
from regionkit.caching.steps import Found, Sealing, TierDown
from regionkit.caching.strategies import TTL
from regionkit.core.concurrency import Slots, spawn
from regionkit.errors import BackendError, CacheError

__all__ = ["Fetcher", "needs_tags"]

T = TypeVar("T")

MOST_ROUNDS = 5
"""Times that a caller waits for others' loads: by then each has failed, or the key is written all the time."""
MOST_REFRESHES = 8
"""Loads in the background at once: a refresh that finds no room is left to a later get."""
MOST_PAUSES = 10_000
"""Keys whose failed load is not tried again yet. Beyond, all of them are."""


def needs_tags(entry: Entry, outcome: Outcome) -> bool:
    """Rule 3: it came from a copy and carries tags, so that it is given to nobody before the tier has compared their floors."""
    return bool(entry.tags) and not outcome.owner


class Fetcher:
    """The slow path of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.loads = Loads(parts.name, parts.strategy, parts.counters)
        self._refreshes = Slots(MOST_REFRESHES)
        self._pauses: dict[Stored, float] = {}
        self.misses = MissRun()

    def renew(self) -> None:
        """After a fork: the parent's loads are not here, and chance is another."""
        self.loads.renew()
        self._refreshes = Slots(MOST_REFRESHES)
        self.parts.shaper.renew()

    def state(self, entry: Entry, call: Call) -> State:
        """What an entry is to this call."""
        if not self.parts.source.covers(entry.lo, call.session):
            return State.EXPIRED
        now = self.parts.clock.monotonic()
        state = state_of(
            now, entry.soft, entry.hard, entry.kept, youngest=call.youngest, made=entry.made, refresh=call.refresh
        )
        paused = self._pauses.get(entry.key, -math.inf) > now
        return State.SOFT if state is State.EXPIRED and paused and not call.refresh and now < entry.kept else state

    def entry(self, call: Call) -> tuple[Entry | None, str]:
        """The entry that answers the call, and which tier it came from; None: nothing is there, and nobody was to load.

        Raises:
            CacheError: the loader returned a value that cannot be cached.
            DeadlineExceeded: it did not answer in time.
            Exception: what the loader raised.
        """
        parts = self.parts
        for _ in range(MOST_ROUNDS):
            found = parts.table.get(call.stored)
            if found is not None:
                state = self.state(found, call)
                if state is State.FRESH or state is State.SOFT:
                    found.hits += 1
                    if parts.shaper.slides:
                        parts.shaper.slide(found)
                    if state is State.SOFT:
                        parts.counters.stale_serves += 1
                        self.refresh(call, found.head)
                    return found, "local"
            if call.load is not None:
                self.loads.check(call.stored)
            flight, leads = parts.flights.board(call.stored, call.load)
            if leads:
                return self._led(call, flight, found)
            if not flight.landed(self.patience()):
                break
            if flight.error is not None:
                raise flight.error
            if flight.entry is not None and self._takes(flight.entry, call):
                parts.counters.joined += 1
                return flight.entry, "loader"
        # others were waited for long enough: load for this caller, and store nothing
        return (None, "shared") if call.load is None else (self._loaded(call), "loader")

    def _takes(self, entry: Entry, call: Call) -> bool:
        """Whether one who waited for a load takes what it brought: also that nothing is there, where nobody keeps that."""
        if self.state(entry, call) in (State.FRESH, State.SOFT):
            return True
        fits = not call.refresh and entry.made >= call.youngest
        return not entry.found and fits and self.parts.source.covers(entry.lo, call.session)

    def patience(self) -> float:
        """Seconds that one load may take, and that others wait for it."""
        return self.loads.patience

    def _led(self, call: Call, flight: Flight, stale: Entry | None, boarded: Any = None) -> tuple[Entry | None, str]:
        """The caller leads a flight: it lands, with whatever comes of it."""
        parts, boarded = self.parts, boarded or call.load
        try:
            entry, tier, kept = self._fetched(call, stale)
        except Exception as error:
            parts.flights.leave(call.stored, boarded, flight)
            flight.end(error=error)
            raise
        except BaseException:
            parts.flights.leave(call.stored, boarded, flight)
            flight.end()
            raise
        parts.flights.leave(call.stored, boarded, flight)
        flight.end(entry if kept else None)
        return entry, tier

    def _fetched(self, call: Call, stale: Entry | None) -> tuple[Entry | None, str, bool]:
        """The entry, its tier, and whether others may take it too."""
        table = self.parts.table
        mark = table.mark(call.stored, self.parts.shaper.digest(call.stored))
        try:
            answer = self._asked(call, mark, stale)
            if not call.refresh and not isinstance(self.parts.strategy, TTL):  # a get of TTL loads nothing
                self.misses.ended_at(answer[1])
            return answer
        except TierDown as down:
            parts = self.parts
            parts.counters.shared_down += 1
            if parts.strategy.buffers:
                raise unsure(parts.name, f"the shared tier does not answer: {down}") from down
            if call.load is None:
                return None, "shared", False
            entry = self._loaded(call)
            return entry, "loader", not down.sent
        finally:
            table.unmark(mark)

    def _asked(self, call: Call, mark: Mark, stale: Entry | None) -> tuple[Entry | None, str, bool]:
        parts = self.parts
        rejected, owner = call.rejected, False
        if self.misses.goes_on and call.load is not None:
            rejected = rejected or NO_HEAD
        for _ in range(MOST_ROUNDS):
            if not call.refresh and not rejected:
                [data] = parts.tier.read([call.stored], sure=call.load is None)
                if data:  # nothing at all is no entry, and no head that could be rejected
                    entry, rejected, fits = self.taken(call, data, mark)
                    if fits:
                        return entry, "shared", True
                    if not rejected:  # another version of the type owns it
                        break
                    stale = entry or stale
            if call.load is None:
                data = parts.tier.buffered(call.stored) if parts.strategy.buffers else b""
                return (buffered(parts, call, data, mark) if data else None), "shared", True
            found = parts.tier.begin(call.stored, rejected, self.patience())
            match found.verdict:
                case Verdict.STORED if found.buffered:
                    return buffered(parts, call, found.data, mark), "shared", True
                case Verdict.STORED:
                    entry, rejected, fits = self.taken(call, found.data, mark)
                    if fits:
                        return entry, "shared", True
                    stale = entry or stale
                case Verdict.LOAD:
                    made, again = self._load_and_store(call, found, mark, stale, owner=owner)
                    if made is not None:
                        return made, "loader", not again
                    owner, rejected = True, b""
                case Verdict.WAIT:
                    parts.counters.waits += 1
                    parts.tier.wait(call.stored, min(found.wait, self.patience()))
                    rejected = b"" if not call.refresh else rejected
                case Verdict.SETTLE:
                    if not parts.settle(found.intents, call.stored, call.key):
                        break  # its writer still stands in its transaction
                case _:
                    break
        if call.load is None:
            return None, "shared", False
        parts.counters.bypassed += 1
        return self._loaded(call), "loader", False

    def taken(self, call: Call, data: bytes, mark: Mark) -> tuple[Entry | None, bytes, bool]:
        """What the tier's bytes are to this call: the entry, the head to reject, and whether it serves."""
        parts = self.parts
        head = data[:HEADER]
        try:
            envelope = parts.shaper.envelope(call.stored, data)
            here = parts.tier.times(envelope.generation)
            if here is None:
                return None, head, False
            entry = parts.shaper.parsed(call.stored, envelope, here)
        except Unreadable as error:
            parts.counters.unreadable_because(error.reason)
            return None, b"" if error.reason == "other schema" else head, False
        entry.head, entry.asked = head, call.key
        state = self.state(entry, call)
        if state is State.EXPIRED or state is State.GONE:
            return entry, head, False
        parts.counters.shared_hits += 1
        parts.table.put(entry, mark)
        if state is State.SOFT:
            parts.counters.stale_serves += 1
            self.refresh(call, head)
        return entry, head, True

    def _load_and_store(
        self, call: Call, found: Found, mark: Mark, stale: Entry | None, *, owner: bool
    ) -> tuple[Entry | None, bool]:
        """With a lease: load and store. The entry, and whether who waited starts again; None: once more, from the owner."""
        parts, lease = self.parts, found.lease
        assert lease is not None
        held, again = True, False
        try:
            outcome = self._outcome(call, stale, found.floor, owner=owner or lease.owner_only)
            entry, sealing = self.sealing(call, outcome, stale)
            if sealing is None:
                held = not self.abandoned(call.stored, lease)
                return entry, held
            held, entry.stamp = False, lease.stamp
            again = needs_tags(entry, outcome) and not owner
            verdict = parts.tier.commit(call.stored, lease, sealing)
        except TierDown:  # the lease may be there still: nobody waits for its end, this caller least of all
            parts.counters.shared_down += 1
            if not again:
                self.give_up([(call.stored, lease)])
                return entry, True
            self.abandoned(call.stored, lease)
            return None, True
        except Exception as error:
            clean = self.abandoned(call.stored, lease) if held else False
            if isinstance(error, CacheError) or stale is None or not clean or mark.spoiled or mark.told:
                raise
            return self.served_anyway(call, stale, error), False
        except BaseException:
            if held:  # waiters need not wait for the end of the lease
                self.give_up([(call.stored, lease)])
            raise
        if verdict is Verdict.STORED:
            parts.table.put(entry, mark)
            return entry, False
        parts.counters.refused_fills += 1
        if again or (verdict is Verdict.BELOW and not outcome.owner and not owner):
            return None, True
        return entry, True

    def abandoned(self, stored: Stored, lease: Lease) -> bool:
        """Give a lease back; whether nothing else had happened to the key."""
        try:
            return self.parts.tier.abandon(stored, lease)
        except TierDown:
            return False

    def give_up(self, held: Sequence[tuple[Stored, Lease]]) -> None:
        """Whoever waits need not wait for the end of the leases. In the background: the caller was cancelled."""

        def run() -> None:
            for stored, lease in held:
                self.abandoned(stored, lease)

        spawn("regionkit give up", run)

    def served_anyway(self, call: Call, stale: Entry, error: Exception) -> Entry:
        """The load failed; what is kept for that is served, and the load is not tried again for a while."""
        parts, strategy = self.parts, self.parts.strategy
        now = parts.clock.monotonic()
        if now >= stale.kept or isinstance(strategy, TTL) or not parts.source.covers(stale.lo, call.session):
            raise error
        parts.counters.error_serves += 1
        self._pause(call.stored)
        parts.emit(LoadFailed(parts.name, type(error).__name__, True))
        return stale

    def _pause(self, stored: Stored) -> None:
        """A load has failed: while something is served in its place, it is not tried again for a while."""
        strategy = self.parts.strategy
        if isinstance(strategy, TTL):
            return
        if len(self._pauses) >= MOST_PAUSES:
            self._pauses.clear()
        self._pauses[stored] = self.parts.clock.monotonic() + strategy.error_pause

    def _outcome(self, call: Call, stale: Entry | None, floor: str, *, owner: bool) -> Outcome:
        """Run the loader, within its time and among the loads of this process.

        Raises:
            DeadlineExceeded: it was not over in time, or found no room.
            BackendError: the sink of WriteBack, which loads where there is no loader, does not answer.
            Exception: what the loader raised.
        """
        try:
            return self._brought(call, stale, floor, owner=owner)
        except SinkDown as down:
            raise BackendError(
                f"the sink of cache {self.parts.name!r} does not answer.",
                why=f"{down}.",
                fix="try again when it does.",
                retryable=True,
            ) from down
        except SinkRefused as refused:
            raise without_row(self.parts.name, call.key, refused) from refused

    def _brought(self, call: Call, stale: Entry | None, floor: str, *, owner: bool) -> Outcome:
        """What the loader brings."""
        parts = self.parts
        assert call.load is not None
        strategy = parts.strategy
        if not isinstance(strategy, TTL) and strategy.load is None and call.load is strategy.load_many:
            several = Wanted(call.load, None, floor, owner, call.session)
            outcome = (self.loads.bounded(lambda: parts.source.load_many([call.key], several), [call.stored]))[call.key]
        else:
            previous = None if stale is None else self.parts.shaper.lookup(stale, "local")
            wanted = Wanted(call.load, previous, floor, owner, call.session)
            outcome = self.loads.bounded(lambda: parts.source.load(call.key, wanted), [call.stored])
        parts.counters.loads += 1
        return outcome

    def _loaded(self, call: Call) -> Entry:
        """Load for this caller alone, from the owner."""
        if self.parts.strategy.buffers:
            raise unsure(self.parts.name, f"others have loaded the key {MOST_ROUNDS} times, and it is still missing")
        outcome = self._outcome(call, None, "", owner=True)
        return self.sealing(call, outcome, None)[0]

    def sealing(self, call: Call, outcome: Outcome, stale: Entry | None) -> tuple[Entry, Sealing | None]:
        """The entry of what was loaded, and how it is stored; None: it is not."""
        parts = self.parts
        if outcome.unchanged:
            if stale is None:
                raise CacheError(
                    f"the loader of cache {parts.name!r} returned Unchanged, and there was nothing to confirm.",
                    fix="return Unchanged only when `previous` is not None.",
                )
            outcome = msgspec.structs.replace(
                outcome, value=self.parts.shaper.value(stale), found=stale.found, tags=stale.tags, unchanged=False
            )
        life = parts.shaper.life(found=outcome.found, ttl=outcome.ttl or call.ttl)
        entry, sealing = self.parts.shaper.sealed(call.stored, outcome, life)
        entry.asked = call.key
        return entry, sealing

    def refresh(self, call: Call, head: bytes) -> None:
        """Load in the background, unless somebody does, many are under way, or it has just failed."""
        paused = self._pauses.get(call.stored, -math.inf) > self.parts.clock.monotonic()
        if call.load is None or paused or not self._refreshes.try_acquire():
            return
        again = Call(call.key, call.stored, call.load, call.ttl, -math.inf, True, None, head)
        ours = ("refresh", call.load)  # whoever comes meanwhile is served what there is, and does not wait for this

        def run() -> None:
            try:
                flight, leads = self.parts.flights.board(call.stored, ours)
                if leads:
                    self.parts.counters.refreshes += 1
                    self._led(again, flight, None, ours)
            except Exception as error:
                self._pause(call.stored)
                self.parts.emit(LoadFailed(self.parts.name, type(error).__name__, False))
            finally:
                self._refreshes.release()

        spawn(f"regionkit refresh {self.parts.name}", run)
