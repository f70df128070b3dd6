"""A database with a history, a copy that lags, and an account: what a late, reordered, lost or doubled step may not do.

The database's rows count up from 0, each commit of a key by one. A commit has a position too. What `truth` says of a key is the
oldest row that may stand in the cache: what an invalidation told, and every row that was written through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from regionkit.caching.ledger import Lease, Ledger, Verdict
from regionkit.caching.version import NOTHING, of_position, of_row

KEYS = (b"a", b"b")
TAG = b"t" * 16
TAGS = {b"a": (TAG,), b"b": ()}
FLOOR_LIFE, LAG, LEASE, WRITE, TAG_LIFE = 100, 90, 400, 150, 10_000
"""Milliseconds. A copy lags less than a floor lives; leases and writes may well take longer."""


WEIGHTS = {
    "passes": 8, "copy_comes_on": 6, "commits_by_itself": 10, "begins": 14, "reads": 14, "stores": 14, "abandons": 1,
    "invalidates": 5, "invalidates_again": 1, "invalidates_tag": 3, "invalidates_a_tag_that_nothing_carries": 2, "clears": 1,
    "clears_as_nobody_knows_how_far_it_is": 1, "loses_the_account": 0.5, "intends": 4,
    "writes_through": 5, "publishes": 4, "aborts": 0.5,
}  # fmt: skip
"""How often each step is taken."""
OF_KEYS = ("commits_by_itself", "begins", "invalidates", "intends")
OF_EARLIER = {
    **dict.fromkeys(("reads", "stores", "abandons"), "loads"),
    **dict.fromkeys(("writes_through", "publishes", "aborts"), "writes"),
    "invalidates_again": "told",
    "invalidates_a_tag_that_nothing_carries": "told",
}
"""Steps that go on with something that stands in a list."""


@dataclass
class Load:
    """One load that is under way."""

    key: bytes
    lease: Lease
    row: int = -1
    version: str = NOTHING
    owner: bool = False


@dataclass
class Write:
    """One write through the cache. `row`: once it has committed."""

    key: bytes
    id: bytes
    until: int
    row: int = -1
    lo: str = NOTHING
    dead: bool = False
    ended: bool = False


@dataclass
class World:
    """All of it. `kind`: of versions, "position", "row", or "none", where every load is from the owner."""

    kind: str = "position"
    settles: bool = True
    most: int = 1000
    make: Any = Ledger
    now: int = 1000
    head: int = 0
    copied: int = 0
    commits: list[tuple[int, int, bytes, int]] = field(default_factory=list)  # (position, time, key, row)
    loads: list[Load] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    told: list[tuple[bytes, str]] = field(default_factory=list)
    cached: dict[bytes, int] = field(default_factory=dict)
    truth: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))
    made: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = self._opened()

    def _opened(self) -> Any:
        self.made += 1
        generation = b"%08d" % self.made
        return self.make(generation, floor_life=FLOOR_LIFE, tag_life=TAG_LIFE, most=self.most, settles=self.settles)

    def _row(self, key: bytes, at: int) -> int:
        return max((row for position, _, of, row in self.commits if of == key and position <= at), default=0)

    def _version(self, key: bytes, position: int) -> str:
        if self.kind == "none":
            return NOTHING
        return of_position(1, position) if self.kind == "position" else of_row(self._row(key, position))

    def _fresh_id(self) -> bytes:
        self.made += 1
        return b"%016d" % self.made

    def passes(self, milliseconds: int) -> None:
        """Time; the copy comes on at least as far as it may lag."""
        self.now += milliseconds
        old = [position for position, at, _, _ in self.commits if at <= self.now - LAG]
        self.copied = max([self.copied, *old])

    def copy_comes_on(self) -> None:
        """By one commit."""
        self.copied = min(self.head, self.copied + 1)

    def commits_by_itself(self, key: bytes) -> None:
        """A write past the cache: nobody is told yet."""
        self.head += 1
        self.commits.append((self.head, self.now, key, self._row(key, self.head) + 1))

    def begins(self, key: bytes) -> None:
        """A reader has found nothing."""
        begun = self.ledger.begin(key, self._fresh_id(), self.now, LEASE)
        self._count(begun.verdict)
        if begun.verdict is Verdict.LOAD:
            self.loads.append(Load(key, begun.lease))
        elif begun.verdict is Verdict.SETTLE:
            for id in begun.intents:
                self.settle(key, id)

    def settle(self, key: bytes, id: bytes) -> None:
        """Find out what became of a write that is over its time: it can commit no more."""
        write = next(write for write in self.writes if write.id == id)
        write.dead = True
        if write.row >= 0:
            self.invalidates(key)
        self.ledger.abort(key, id)

    def reads(self, number: int, owner: bool) -> None:
        """A load reads the owner, or the copy."""
        load = self.loads[-1 - number % len(self.loads)]
        if load.row >= 0:
            return
        load.owner = owner or self.kind == "none"  # whatever it was told: not every loader listens
        at = self.head if load.owner else self.copied
        load.row, load.version = self._row(load.key, at), self._version(load.key, at)

    def stores(self, number: int) -> None:
        """A load's answer arrives; it may arrive again."""
        load = self.loads[-1 - number % len(self.loads)]
        if load.row < 0:
            return
        tags = TAGS[load.key]
        verdict = self.ledger.commit(load.key, load.lease, self.now, load.version, owner=load.owner, tags=tags)
        self._count(verdict)
        if verdict is Verdict.STORED:
            self.cached[load.key] = load.row

    def abandons(self, number: int) -> None:
        """A load failed; its value may still arrive."""
        load = self.loads[-1 - number % len(self.loads)]
        self.ledger.abandon(load.key, load.lease.token)

    def invalidates(self, key: bytes) -> None:
        """All that has committed is told of a key."""
        self.cached.pop(key, None)
        self.told.append((key, self._version(key, self.head)))
        self.ledger.invalidate(key, self.now, self.told[-1][1])
        self.truth[key] = self._row(key, self.head)

    def invalidates_again(self, number: int) -> None:
        """What was told of a key arrives once more, or only now."""
        key, version = self.told[-1 - number % len(self.told)]
        self.cached.pop(key, None)
        self.ledger.invalidate(key, self.now, version)

    def invalidates_a_tag_that_nothing_carries(self, number: int) -> None:
        """It takes a place in the account all the same."""
        if not self.ledger.invalidate_tag(b"%016d" % number, self.now):
            self.clears_as_nobody_knows_how_far_it_is()

    def invalidates_tag(self) -> None:
        """The same of what carries the tag."""
        if self.kind == "row":
            return  # rows of several keys have no version in common
        tagged = [key for key in KEYS if TAGS[key]]
        for key in tagged:
            self.cached.pop(key, None)
            self.truth[key] = self._row(key, self.head)
        version = self._version(tagged[0], self.head)
        if not self.ledger.invalidate_tag(TAG, self.now, version):
            self.clears_as_nobody_knows_how_far_it_is()

    def clears(self) -> None:
        """The same of everything."""
        if self.kind == "row":
            return
        self.cached.clear()
        self.made += 1
        self.ledger.clear(b"%08d" % self.made, self.now, self._version(KEYS[0], self.head))
        self.truth = {key: self._row(key, self.head) for key in KEYS}

    def clears_as_nobody_knows_how_far_it_is(self) -> None:
        """Without a version: what was told before with one still holds."""
        self.cached.clear()
        self.made += 1
        self.ledger.clear(b"%08d" % self.made, self.now)

    def loses_the_account(self) -> None:
        """A server forgets it, and leases, which are keys of their own, stay."""
        leases, self.cached = self.ledger.leases, {}
        self.ledger = self._opened()
        self.ledger.leases.update(leases)
        self.ledger.owner_until = self.now + FLOOR_LIFE
        for write in self.writes:  # intents are gone with it; what is still to commit is told by its own publish
            write.dead = write.dead or write.row < 0

    def intends(self, key: bytes) -> None:
        """A write through the cache begins."""
        write = Write(key, self._fresh_id(), self.now + WRITE)
        self.writes.append(write)
        self.cached.pop(key, None)
        self.ledger.intend(key, write.id, self.now, WRITE)

    def writes_through(self, number: int) -> None:
        """It commits, in its time."""
        write = self.writes[-1 - number % len(self.writes)]
        if write.row >= 0 or write.dead or write.ended or (not self.settles and self.now >= write.until):
            return
        before = self.head
        self.commits_by_itself(write.key)
        write.row = self.truth[write.key] = self._row(write.key, self.head)
        write.lo = self._version(write.key, before if self.kind == "position" else self.head)

    def publishes(self, number: int) -> None:
        """It says so; it may say so again."""
        write = self.writes[-1 - number % len(self.writes)]
        if write.row < 0:
            return
        write.ended = True
        self.cached.pop(write.key, None)
        hi = self._version(write.key, self.head)
        verdict = self.ledger.publish(write.key, write.id, self.now, write.lo, hi, TAGS[write.key])
        self._count(verdict)
        if verdict is Verdict.STORED:
            self.cached[write.key] = write.row

    def aborts(self, number: int) -> None:
        """It has surely done nothing."""
        write = self.writes[-1 - number % len(self.writes)]
        if write.row >= 0:
            return
        write.dead = True
        self.ledger.abort(write.key, write.id)

    def _count(self, verdict: Verdict) -> None:
        self.verdicts[verdict.value] = self.verdicts.get(verdict.value, 0) + 1

    def walks(self, chance: Random, steps: int) -> None:
        """So many steps at random, checked after each: most are of loads and writes, few of what takes everything away."""
        for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
            near = min(int(chance.expovariate(0.7)), 5)
            if name in OF_KEYS:
                arguments: list[Any] = [chance.choice(KEYS)]
            elif name == "passes":
                arguments = [chance.choice((1, 5, 30, FLOOR_LIFE, WRITE))]
            elif name == "reads":
                arguments = [near, chance.random() < 0.3]
            elif name in OF_EARLIER:
                arguments = [near]
            else:
                arguments = []
            if name not in OF_EARLIER or getattr(self, OF_EARLIER[name]):
                getattr(self, name)(*arguments)
                self.check()

    def check(self) -> None:
        """No entry is older than what was told before."""
        for key, row in self.cached.items():
            assert row >= self.truth[key], f"{key!r} stands as row {row}, and {self.truth[key]} was told"
