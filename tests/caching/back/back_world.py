"""A buffer, rows with a guard, flushers that freeze and writers whose answers are lost: what a late or doubled step may not do.

`shown` is what a reader has to get of a key at least: the version of the last put that was acknowledged. Where a copy that lags
takes over, it is what readers get from there on; versions rise all the same.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from regionkit.caching.back.buffer_model import BufferModel, Held
from regionkit.caching.back.rules import Acked, Answer, Fate

NAMES = (b"a", b"b", b"c")
MOST, BYTES, REMEMBERED = 3, 40, 4

WEIGHTS = {
    "passes": 10, "puts": 8, "puts_and_hears_nothing": 3, "asks_again": 4, "claims": 10, "flushes": 12, "acks": 10,
    "fails": 4, "parks": 5, "retries": 3, "discards": 6, "begins": 14, "commits": 10, "ends": 6, "is_copied": 2,
    "is_promoted": 0.7, "is_lost": 0.2, "reserves": 2, "puts_reserved": 2, "settles": 1,
    "leaves": 2,
}  # fmt: skip


class Taken:
    """One claim of one record, in the hands of a flusher."""

    def __init__(self, name: bytes, held: Held, at: int) -> None:
        self.name, self.held, self.at, self.epoch, self.token = name, held, at, 0, b""
        self.newer: bool | None = None


class World:
    """All of it."""

    def __init__(self, make: Any = BufferModel) -> None:
        self.make = make
        self.now, self.runs, self.ids, self.epoch = 1000, 1, 0, 0
        self.model = self.made()
        self.copy = copy.deepcopy(self.model)
        self.rows: dict[bytes, Held] = {}
        self.past: dict[bytes, list[Held]] = {name: [] for name in NAMES}
        self.told: dict[bytes, int] = {}
        self.shown: dict[bytes, int] = {}
        self.history: dict[bytes, list[Held]] = {name: [] for name in NAMES}  # puts that this buffer surely has seen
        self.versions: list[int] = []
        self.by_id: dict[bytes, int] = {}
        self.taken: list[Taken] = []
        self.tokens: dict[bytes, set[bytes]] = {}
        self.paused: dict[bytes, int] = {}
        self.lost: list[tuple[bytes, bytes, Any, int, int]] = []
        self.loads: list[tuple[bytes, bytes, Held | None]] = []
        self.over: set[bytes] = set()  # a flusher may come later than what is known of a discarded value
        self.settled: set[int] = set()
        self.answers: dict[str, int] = {}
        self.reserved: list[tuple[bytes, bytes, Any, int, int | None, int]] = []

    def made(self) -> Any:
        """A new buffer."""
        return self.make(max_dirty=MOST, max_bytes=BYTES, remembered=REMEMBERED)

    @property
    def run(self) -> str:
        """Of the server."""
        return f"run {self.runs}"

    def saw(self, word: str) -> None:
        """An answer was given."""
        self.answers[word] = self.answers.get(word, 0) + 1

    def new(self, version: int) -> None:
        """A version that was given out."""
        assert version not in self.versions, "a version was given twice"
        assert version > max(self.versions, default=0), "a later put is below an earlier one"
        self.versions.append(version)

    def passes(self, chance: Random) -> None:
        """Time."""
        self.now += chance.choice((1, 5, 20, 100))

    def sent(
        self, name: bytes, id: bytes, value: Any, size: int, since: int | None, *, reserves: bool = False
    ) -> tuple[Answer, int]:
        """A put, with the epoch raised where it is asked for."""
        for _ in range(2):
            expected = self.model.read(name).version if self.model.read(name) and size % 2 else None
            answer, version = self.model.put(
                name, id, value, size, self.now, run=self.run, expected=expected, since=since, reserves=reserves
            )
            self.saw(answer.value)
            if answer is not Answer.OPEN:
                break
            assert self.epoch < 10**5
            self.epoch += 1
            assert not self.model.open(self.run, 0), "an old epoch opens a buffer of another run"
            assert self.model.open(self.run, self.epoch)
        if answer in (Answer.DONE, Answer.FULL, Answer.RESERVED):
            self.new(version)
        if answer is Answer.DONE:
            assert id not in self.by_id, "a put was done twice"
            self.by_id[id] = version
            self.history[name].append(Held(version, id, self.now, value, size))
        if answer is Answer.SEEN:
            assert self.by_id.get(id) == version, "a put is said to have a version that it has not"
        return answer, version

    def put_of(self, chance: Random) -> tuple[bytes, bytes, Any, int]:
        """A new one."""
        self.ids += 1
        value = None if chance.random() < 0.2 else self.ids
        return chance.choice(NAMES), b"%016d" % self.ids, value, chance.choice((1, 2, 8, 30))

    def puts(self, chance: Random) -> None:
        name, id, value, size = self.put_of(chance)
        answer, version = self.sent(name, id, value, size, None)
        if answer is Answer.DONE:
            self.shown[name] = version
        elif answer is Answer.FULL:  # the writer writes the row itself, and says so
            self.write(name, Held(version, id, self.now, value, size))
            self.model.clean.pop(name, None)  # as every write of a row by the cache
            self.model.leases.pop(name, None)
            self.model.floors[name] = max(version, self.model.floors.get(name, 0))
            self.model.ack(name, version, 0, self.now, epoch=0)
            self.shown[name] = max(version, self.shown.get(name, 0))

    def puts_and_hears_nothing(self, chance: Random) -> None:
        since = max(self.versions, default=0)
        name, id, value, size = self.put_of(chance)
        if chance.random() < 0.5:
            answer, version = self.sent(name, id, value, size, None)
            if answer is Answer.DONE:
                self.shown[name] = version  # readers may have seen it
        self.lost.append((name, id, value, size, since))

    def reserves(self, chance: Random) -> None:
        """The record goes to a journal next; its put comes later, or never."""
        name, id, value, size = self.put_of(chance)
        answer, version = self.sent(name, id, value, size, None, reserves=True)
        if answer is Answer.RESERVED:
            there = self.model.read(name)
            expected = there.version if there and chance.random() < 0.3 else None
            self.reserved.append((name, id, value, size, expected, version))

    def puts_reserved(self, chance: Random) -> None:
        """By whoever reserved it, perhaps after others."""
        if not self.reserved:
            return
        name, id, value, size, expected, version = self.reserved.pop(chance.randrange(len(self.reserved)))
        there = self.model.read(name)
        answer, _ = self.model.put(name, id, value, size, self.now, run=self.run, expected=expected, reserved=version)
        self.saw(f"late {answer.value}")
        self.saw(answer.value)
        if answer is Answer.DONE:
            assert version not in self.settled, "what was settled is put: its journal has it no more"
            assert expected is None or (there is not None and there.version == expected), "another than was expected"
            self.by_id[id] = version
            self.history[name].append(Held(version, id, self.now, value, size))
            self.shown[name] = version

    def settles(self, chance: Random) -> None:
        """The journal asks which of its records it may forget."""
        name = chance.choice(NAMES)
        version = chance.choice([put.version for put in self.history[name]] or [1])
        if self.reserved and chance.random() < 0.7:
            name, *_, version = chance.choice(self.reserved)
        if self.model.run == self.run:
            fate = self.model.settle(name, version)
            self.saw(fate.value)
            if fate is Fate.SETTLED:
                self.settled.add(version)

    def asks_again(self, chance: Random) -> None:
        if self.lost:
            name, id, value, size, since = self.lost.pop(chance.randrange(len(self.lost)))
            answer, version = self.sent(name, id, value, size, since)
            if answer is Answer.DONE:
                self.shown[name] = version

    def claims(self, chance: Random) -> None:
        if self.model.run == self.run:
            token = b"%d" % len(self.tokens)
            found = self.model.claim(2, self.now, 50, token)
            self.tokens[token] = set(found)
            for name, held in found.items():
                self.taken.append(Taken(name, held, self.now))
                self.taken[-1].epoch, self.taken[-1].token = self.epoch, token

    def leaves(self, chance: Random) -> None:
        """A flusher ends a claim: nobody waits for what it has; or it ends it before the claim comes."""
        if self.taken:
            token = chance.choice(self.taken).token
            before, till = dict(self.model.due), self.model.claims.get(token)
            self.model.end(token, self.now, 50)
            assert not self.model.claim(2, self.now, 50, token), "a claim that was ended has records"
            for name, at in before.items():
                now = self.model.due[name]
                if name in self.tokens[token]:
                    assert at != till or now <= self.now, "a claim that is over is waited for"
                    self.saw("ended" if at != now else "nothing to end")
                elif at != self.paused.get(name):  # a pause may be over in the same millisecond
                    assert now == at, "the claim of another is over"

    def write(self, name: bytes, held: Held) -> bool:
        """The guard: whether the row is newer."""
        row = self.rows.get(name)
        if row is None or row.version < held.version:
            self.rows[name] = held
            self.past[name] += [] if row is None else [row]
        return self.rows[name].version > held.version

    def flushes(self, chance: Random) -> None:
        if self.taken:
            one = chance.choice(self.taken[-4:])
            if one.epoch < self.epoch:  # the sink has given out a later one
                self.taken.remove(one)
                return
            one.newer = self.write(one.name, one.held)

    def acks(self, chance: Random) -> None:
        written = [one for one in self.taken if one.newer is not None]
        if written:
            one = chance.choice(written)
            if chance.random() < 0.8 or one.epoch < self.epoch:
                self.taken.remove(one)
            epoch = 0 if one.newer else one.epoch
            answer = self.model.ack(one.name, one.held.version, one.at, self.now, epoch=epoch)
            self.saw(answer.value)
            if answer is not Acked.AGAIN:
                self.told[one.name] = max(one.held.version, self.told.get(one.name, 0))

    def fails(self, chance: Random) -> None:
        if self.taken:
            one = self.taken.pop(chance.randrange(len(self.taken)))
            same = self.model.dirty.get(one.name) == one.held
            assert self.model.fail(one.name, one.held.version, self.now, 30) == same, "a pause for a later value"
            self.paused[one.name] = self.now + 30
            assert same or self.model.due.get(one.name, 0) <= self.now, "a later value waits for a claim that is over"

    def parks(self, chance: Random) -> None:
        unwritten = [one for one in self.taken if one.newer is None]
        if unwritten:
            one = chance.choice(unwritten)
            if one.held.version > (self.rows[one.name].version if one.name in self.rows else 0):
                if chance.random() < 0.5:  # else another flusher has it too
                    self.taken.remove(one)
                newer = self.model.dirty.get(one.name, one.held) != one.held
                self.saw(f"parked {self.model.park(one.name, one.held.version, 'no', one.held.size + 2, self.now)}")
                assert not newer or self.model.due.get(one.name, 0) <= self.now, (
                    "a later value waits for a claim that is over"
                )

    def retries(self, chance: Random) -> None:
        self.saw(self.model.retry(chance.choice(NAMES), self.now))

    def discards(self, chance: Random) -> None:
        """What readers get from here on is what is left."""
        name = chance.choice(NAMES)
        if name in self.model.parked and name not in self.model.dirty:
            self.model.discard([name])
            self.over.discard(name)
            if chance.random() < 0.75:  # its time is over before a flusher goes on that was frozen
                self.model.discarded.pop(name, None)
                self.over.add(name)
            self.history[name] = []
            self.shown[name] = self.rows[name].version if name in self.rows else 0

    def begins(self, chance: Random) -> None:
        """A load reads the row as it is, or as a copy had it before what was told."""
        name = chance.choice(NAMES)
        self.ids += 1
        token = b"%016d" % self.ids
        if self.model.begin(name, token):
            row = self.rows.get(name)
            past = [old for old in self.past[name] if old.version < self.told.get(name, 0)]
            if past and chance.random() < 0.4:
                row = past[-1]
            self.loads.append((name, token, row))

    def commits(self, chance: Random) -> None:
        if self.loads:
            name, token, row = self.loads.pop(chance.randrange(len(self.loads)))
            if row is not None and self.model.commit(name, token, row):
                self.saw("stored")

    def ends(self, chance: Random) -> None:
        """The time of a clean value."""
        self.model.clean.pop(chance.choice(NAMES), None)

    def is_copied(self, chance: Random) -> None:
        """The replica has what the server has."""
        self.copy = copy.deepcopy(self.model)

    def is_promoted(self, chance: Random) -> None:
        """The replica takes over, with what it had."""
        self.taken_over(copy.deepcopy(self.copy))

    def is_lost(self, chance: Random) -> None:
        """All of it."""
        self.taken_over(self.made())
        self.copy = self.made()

    def taken_over(self, model: Any) -> None:
        self.model = model
        self.model.clean, self.model.leases, self.model.discarded = {}, {}, {}  # another generation
        self.model.floors = {name: row.version for name, row in self.rows.items()}
        self.runs += 1
        self.loads = []
        self.told = {}
        for name in NAMES:
            held = self.model.read(name)
            row = self.rows.get(name)
            self.shown[name] = held.version if held else row.version if row else 0
            self.history[name] = []
            if name in self.model.dirty:
                self.model.ages[name] = min(self.model.ages[name], self.now)
                self.history[name].append(self.model.dirty[name])
        self.by_id = {id: version for id, version in self.model.puts.values() if id} | {
            held.id: held.version
            for held in [*self.model.dirty.values(), *(p.held for p in self.model.parked.values())]
        }

    def check(self) -> None:
        """What has to hold after each step."""
        model = self.model
        for name in NAMES:
            held, row = model.read(name), self.rows.get(name)
            got = held or row
            assert (got.version if got else 0) >= self.shown.get(name, 0), "a reader gets less than was acknowledged"
            if name in model.clean:
                assert name not in model.dirty, "a clean value beside a dirty one"
                assert name not in model.parked, "a clean value beside one that is parked"
                most = max(self.told.get(name, 0), model.clean[name].version)
                late = name in self.over and any(
                    one.name == name and one.newer is not None and one.held.version > most for one in self.taken
                )
                known = row if model.run == self.run and not late else model.clean[name]
                assert model.clean[name] == known, "a clean value that the row does not show"
            if name in model.dirty:
                behind = [put.time for put in self.history[name] if row is None or put.version > row.version]
                assert model.ages[name] <= min(behind, default=self.now), "the age says too little"
                if name in model.parked:
                    assert model.parked[name].held.version < model.dirty[name].version, "an older value is dirty"
        assert set(model.due) == set(model.ages) == set(model.dirty), "nobody would claim it"
        assert model.bytes == sum(h.size for h in model.dirty.values()) + sum(p.size for p in model.parked.values())
        assert len(model.dirty) + len(model.parked) <= MOST, "more keys than there may be"
        assert model.bytes <= BYTES + 2 * len(model.parked), "more bytes than there may be"
        assert all(at <= self.now + 50 + len(self.tokens) for at in model.due.values())

    def walks(self, chance: Random, steps: int) -> None:
        """Steps at random; in the end everything is flushed."""
        for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
            getattr(self, name)(chance)
            self.check()
        self.drains()

    def drains(self) -> None:
        """A flusher that is well: each row shows the last put, unless that is parked."""
        for one in [one for one in self.taken if one.newer is not None]:
            self.model.ack(one.name, one.held.version, one.at, self.now, epoch=0 if one.newer else one.epoch)
        self.taken = []
        if self.model.run != self.run:
            self.epoch += 1
            assert self.model.open(self.run, self.epoch)
        for _ in range(20):
            self.now += 60
            for name, held in self.model.claim(100, self.now, 50, b"last").items():
                epoch = 0 if self.write(name, held) else self.epoch
                assert self.model.ack(name, held.version, self.now, self.now, epoch=epoch) is Acked.CLEAN
                self.check()
        assert not self.model.dirty
        assert self.model.oldest() is None
        for name in set(NAMES) - set(self.model.parked):
            row = self.rows.get(name)
            assert (row.version if row else 0) >= self.shown.get(name, 0), "an acknowledged put is lost"
