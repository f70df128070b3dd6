"""The account of keys in motion: who loads, who writes, and what may still be stored. Pure.

Beside the values each cache keeps, in one place that is lost whole or not at all: a generation, a count of stamps, and for
keys (tags, the cache itself) *floors*, *leases* and *intents*. `scripts/` says the same in Lua for a server; one process alone
uses this class. A test runs both through the same steps.

| step       | when                                    | then |
|------------|-----------------------------------------|------|
| begin      | an intent of the key is over its time   | SETTLE: find out first what became of that write (rule 7) |
|            | an intent is alive                      | BYPASS: load from the owner, store nothing |
|            | a lease is alive                        | WAIT |
|            | else                                    | LOAD: a lease with the next stamp, and the floor to be reached |
| commit     | the lease is another's, gone or over    | LOST: something has changed since it began |
|            | the generation is another               | LOST |
|            | an intent stands                        | INTENDED |
|            | the load is not above a floor (rule 2), or below the one that its lease told | BELOW |
|            | only the owner will do (now, or when the load began), and it read a copy | BELOW |
|            | else                                    | STORED |
| invalidate | always                                  | value and lease go; the floor is raised to (next stamp, version) |
| intend     | always                                  | value and lease go; the intent stands until it is over its time |
| publish    | the own intent is alive, the only one, above all floors (rule 2), and older than none that is forgotten | STORED |
|            | else                                    | BELOW, and as invalidate |
| abort      | always                                  | the own intent goes: the write has surely done nothing |
| put        | always                                  | lease goes; the floor is raised to the next stamp, the value has it |
| a tag      | always                                  | its floor is raised to (next stamp, version), within rule 3 |
| clear      | always                                  | another generation; leases go; the cache's own floor is raised |

1. Deletions come first in every step: one that fails half-way has made a miss, never a stale value.
2. A load is above a floor when its lease has a later stamp, and when it was read from the owner or its version is not below
   the floor's. So a load that began before an invalidation is refused, and one from a copy that lags too. A write counts
   from the stamp of its intent: of two that overlap, neither's value is stored by the other's grace.
3. A floor lives longer than any copy lags that a load reads from: the lease carries it from there on, however long the load
   takes. Floors of tags and of the cache itself live as long as any entry with tags. Of too many keys' floors the oldest go, and
   for one floor's life only loads from the owner are stored. Of too many tags' the whole cache is cleared, with the version of
   the one that goes.
4. Whoever finds the account gone, or another run of the server, opens a new generation: entries of others are misses, and
   for one floor's life only loads from the owner are stored.
5. Versions of two kinds do not compare: a load of another kind than the floor's has to come from the owner.
6. An entry whose row version is above the invalidation's stays, when it was stored whole: it is newer than what was told.
7. Where nobody can find out what became of a write, its intent goes at its time, and the floor is raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from regionkit.caching.version import NOTHING, OWNER_ONLY, reaches

__all__ = ["ALL", "Begun", "Floor", "Intent", "Lease", "Ledger", "Verdict", "is_above"]

ALL = b"*"
"""The floor of the cache itself: of `clear`, and of floors that were too many."""


class Verdict(Enum):
    """What a step answers."""

    LOAD = "load"
    WAIT = "wait"
    BYPASS = "bypass"
    SETTLE = "settle"
    STORED = "stored"
    LOST = "lost"
    INTENDED = "intended"
    BELOW = "below"


class Floor(msgspec.Struct, frozen=True, gc=False):
    """What a load has to be above. `until`: milliseconds of the account's clock."""

    stamp: int
    version: str = NOTHING
    until: int = 0


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right to load a key. `floor`: version that the load should reach. `owner_only`: only the owner will do."""

    token: bytes
    stamp: int
    until: int
    generation: bytes
    floor: str = NOTHING
    owner_only: bool = False


class Begun(msgspec.Struct, frozen=True):
    """Answer of `begin`. `intents`: those over their time, to settle. `wait`: milliseconds that a lease still has at most."""

    verdict: Verdict
    lease: Lease | None = None
    floor: str = NOTHING
    intents: tuple[bytes, ...] = ()
    wait: int = 0


class Intent(msgspec.Struct, frozen=True, gc=False):
    """A write that is about to commit, from its stamp on, and at most `until`."""

    stamp: int
    until: int


def is_above(floor: Floor | None, stamp: int, version: str, *, owner: bool) -> bool:
    """Rule 2."""
    if floor is None:
        return True
    if stamp <= floor.stamp:
        return False
    return owner or reaches(version, floor.version)


class Ledger:
    """The account of one process. Not thread-safe: whoever uses it holds a lock.

    Args:
        generation: 8 bytes, random.
        floor_life: milliseconds that the floor of a key lives.
        tag_life: those of a tag, and of the cache itself: no entry with tags lives longer.
        most: floors of keys at once, and of tags.
        settles: intents over their time are to be settled; else they are forgotten, as nobody can know.
    """

    def __init__(self, generation: bytes, *, floor_life: int, tag_life: int, most: int, settles: bool = False) -> None:
        self.generation = generation
        self.stamp = 0
        self.owner_until = 0
        self.forgotten = 0
        self._floor_life = floor_life
        self._tag_life = tag_life
        self._most = most
        self._settles = settles
        self.floors: dict[bytes, Floor] = {}
        self.tags: dict[bytes, Floor] = {}
        self.leases: dict[bytes, Lease] = {}
        self.intents: dict[bytes, dict[bytes, Intent]] = {}

    def begin(self, key: bytes, token: bytes, now: int, lease: int) -> Begun:
        """Somebody has found nothing (or nothing good) and wants to load. `lease`: milliseconds."""
        self._prune(now)
        over = tuple(sorted(id for id, intent in self.intents.get(key, {}).items() if intent.until <= now))
        if over and not self._settles:
            for id in over:
                self._dropped(key, id)
            self._raise(key, NOTHING, now)
        floor = max((f.version for f in self._floors(key, ()) if f is not None), default=NOTHING)
        if over and self._settles:
            return Begun(Verdict.SETTLE, floor=floor, intents=over)
        if key in self.intents:
            return Begun(Verdict.BYPASS, floor=floor)
        held = self.leases.get(key)
        if held is not None and held.until > now:
            return Begun(Verdict.WAIT, floor=floor, wait=held.until - now)
        self.leases.pop(key, None)
        self.stamp += 1
        made = Lease(token, self.stamp, now + lease, self.generation, floor, now < self.owner_until)
        self.leases[key] = made
        return Begun(Verdict.LOAD, made, floor)

    def commit(
        self, key: bytes, lease: Lease, now: int, version: str = NOTHING, *, owner: bool, tags: Iterable[bytes] = ()
    ) -> Verdict:
        """The load is there; whether it may be stored."""
        self._prune(now)
        held = self.leases.get(key)
        if held is None or held.token != lease.token:
            return Verdict.LOST
        del self.leases[key]
        if held.generation != self.generation or held.until <= now:
            return Verdict.LOST
        if key in self.intents:
            return Verdict.INTENDED
        if (held.owner_only or now < self.owner_until) and not owner:
            return Verdict.BELOW
        floors = [*self._floors(key, tags), Floor(0, held.floor)]
        above = all(is_above(floor, held.stamp, version, owner=owner) for floor in floors)
        return Verdict.STORED if above else Verdict.BELOW

    def abandon(self, key: bytes, token: bytes) -> bool:
        """The load failed; whether the lease was still this one's."""
        held = self.leases.get(key)
        if held is None or held.token != token:
            return False
        del self.leases[key]
        return True

    def invalidate(self, key: bytes, now: int, version: str = NOTHING) -> None:
        """The value is not what it was."""
        self._prune(now)
        self.leases.pop(key, None)
        self._raise(key, version, now)

    def invalidate_tag(self, tag: bytes, now: int, version: str = NOTHING) -> bool:
        """What carries the tag is not what it was. False: there are too many tags, and the cache has to be cleared."""
        self._prune(now)
        self._raise_tag(tag, version, now)
        if len(self.tags) <= self._most:
            return True
        left = self.tags.pop(next(iter(self.tags)))
        self._raise_tag(ALL, left.version, now)
        return False

    def clear(self, generation: bytes, now: int, version: str = NOTHING) -> None:
        """Everything is invalidated. Leases end with their generation."""
        self.generation = generation
        self.leases.clear()
        self._raise_tag(ALL, version, now)

    def intend(self, key: bytes, id: bytes, now: int, lasts: int) -> None:
        """A write of the key is about to commit."""
        self._prune(now)
        self.leases.pop(key, None)
        self.stamp += 1
        self.intents.setdefault(key, {})[id] = Intent(self.stamp, now + lasts)

    def publish(
        self, key: bytes, id: bytes, now: int, lo: str = NOTHING, hi: str = NOTHING, tags: Iterable[bytes] = ()
    ) -> Verdict:
        """The write has committed; whether its value may be stored, with the stamp that `stamp` is then."""
        self._prune(now)
        self.leases.pop(key, None)
        intent = self.intents.get(key, {}).get(id)
        self._dropped(key, id)
        floors = self._floors(key, tags)
        self._raise(key, hi, now)
        if intent is None or intent.until <= now or key in self.intents or intent.stamp <= self.forgotten:
            return Verdict.BELOW
        above = all(is_above(floor, intent.stamp, lo, owner=not lo) for floor in floors)
        return Verdict.STORED if above else Verdict.BELOW

    def abort(self, key: bytes, id: bytes) -> None:
        """The write has surely done nothing."""
        self._dropped(key, id)

    def put(self, key: bytes, now: int) -> int:
        """A value was set by itself; the stamp of it."""
        self._prune(now)
        self.leases.pop(key, None)
        self._raise(key, NOTHING, now)
        return self.stamp

    def _floors(self, key: bytes, tags: Iterable[bytes]) -> list[Floor | None]:
        return [self.floors.get(key), *(self.tags.get(tag) for tag in (ALL, *tags))]

    def _raise(self, key: bytes, version: str, now: int) -> None:
        self.stamp += 1
        raised = _raised(self.floors.pop(key, None), self.stamp, version, now + self._floor_life)
        self.floors[key] = raised  # the newest stands last
        if len(self.floors) > self._most:
            left = self.floors.pop(next(iter(self.floors)))
            self.owner_until = max(self.owner_until, left.until)
            self.forgotten = max(self.forgotten, left.stamp)

    def _raise_tag(self, tag: bytes, version: str, now: int) -> None:
        self.stamp += 1
        self.tags[tag] = _raised(self.tags.pop(tag, None), self.stamp, version, now + self._tag_life)

    def _dropped(self, key: bytes, id: bytes) -> None:
        intents = self.intents.get(key)
        if intents is not None and intents.pop(id, None) is not None and not intents:
            del self.intents[key]

    def _prune(self, now: int) -> None:
        """What is over its time goes, a few at a step: each table stands in the order of its ends, or nearly so."""
        for table in (self.floors, self.tags, self.leases):
            for _ in range(_PRUNED):
                name = next(iter(table), None)
                if name is None or table[name].until > now:
                    break
                gone = table.pop(name)
                if table is self.floors:
                    self.forgotten = max(self.forgotten, gone.stamp)


_PRUNED = 2
"""Ends looked at by each step, in each table: twice as many as a step can add."""


def _raised(before: Floor | None, stamp: int, version: str, until: int) -> Floor:
    """A floor never sinks, and "only the owner" stays as long as it lives; of versions of two kinds the later one counts."""
    if before is not None and (not version or before.version == OWNER_ONLY or before.version[:1] == version[:1]):
        version = max(version, before.version)
    return Floor(stamp, version, until)
