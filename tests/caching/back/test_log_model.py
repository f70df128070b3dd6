"""The rules of log mode: whatever comes late or twice, each acknowledged put is applied once, in order, or parked."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from spoiling import spoiled

from regionkit.caching.back import log_rules as module
from regionkit.caching.back.log_rules import LogModel, Position
from regionkit.caching.back.rules import Answer

NAMES = (b"a", b"b")
MOST, BYTES, LASTS = 6, 200, 50


class Table:
    """A sink that keeps its position in the same transaction."""

    def __init__(self, position: Any) -> None:
        self.position = position()
        self.applied: list[int] = []

    def flush(self, version: int) -> None:
        """What it has not applied."""
        if self.position.is_new(version):
            self.applied.append(version)
            self.position = self.position.applied(version)

    def refuse(self, version: int) -> bool:
        """For good; False where it was applied."""
        self.position = self.position.refuse(version)
        return bool(self.position.is_refused(version))


class World:
    """A buffer, a table, and flushers of which each may be frozen between any two steps."""

    def __init__(self, make: Any, position: Any) -> None:
        self.model = make(max_dirty=MOST, max_bytes=BYTES)
        self.model.open("run", 1)
        self.table = Table(position)
        self.now, self.ids = 1000, 0
        self.owed: set[int] = set()
        self.retried: dict[int, int] = {}
        self.taken: list[dict[str, Any]] = []
        self.refused: dict[bytes, None] = {}
        self.seen: Counter[str] = Counter()

    def passes(self, chance: Random) -> None:
        if self.refused and chance.random() < 0.4:  # what was missing is there
            del self.refused[next(iter(self.refused))]
        self.now += chance.choice((1, 5, 30, 60))

    def puts(self, chance: Random) -> None:
        self.ids += 1
        id = b"%016d" % self.ids
        size = chance.choice((2, 5, 40))
        there = self.model.bytes + self.model.logged + self.model.aside_bytes
        answer, version = self.model.put_log(chance.choice(NAMES), id, self.ids, size, self.now, run="run")
        self.seen[answer.value] += 1
        if answer is Answer.DONE:
            self.owed.add(version)
            if chance.random() < 0.4:
                self.refused[id] = None
            assert len(self.model.log) + len(self.model.aside) <= MOST
            assert self.model.bytes + self.model.logged + self.model.aside_bytes <= max(BYTES, there)

    def claims(self, chance: Random) -> None:
        self.ids += 1
        token = b"t%015d" % self.ids
        found = self.model.claim_log(token, 3, self.now, LASTS)
        if found:
            assert not [one for one in self.taken if one["until"] > self.now and one["holds"]], "two have the lease"
            self.taken.append({"token": token, "entries": found, "at": 0, "until": self.now + LASTS, "holds": True})
            self.taken[-1]["parks"] = False
            self.seen["claimed"] += 1

    def flushes(self, chance: Random) -> None:
        """One step of a flusher: a part is written, its first entry is refused, or it ends."""
        if not self.taken:
            return
        one = chance.choice(self.taken)
        rest = one["entries"][one["at"] :]
        if not rest:
            self.ends(one, one["entries"][-1].held.version)
            return
        if one["parks"]:  # the sink has noted it some time ago
            one["parks"] = False
            if chance.random() < 0.1:  # it dies here
                self.taken.remove(one)
                return
            done = self.model.park_log(one["token"], rest[0].held.version, rest[0].size)
            self.seen[f"parked {done}"] += 1
            one["at"] += done
            if not done:
                self.ends(one, one["entries"][one["at"] - 1].held.version if one["at"] else 0)
            return
        position, version = self.table.position, rest[0].held.version
        if one.pop("gives_up", False):
            one["parks"] = self.table.refuse(version)
            self.seen[f"refused {one['parks']}"] += 1
            return
        if (rest[0].held.id in self.refused and position.is_new(version)) or position.is_refused(version):
            if self.model.failed(b"", self.now, 0, version) < 3:
                self.ends(one, one["entries"][one["at"] - 1].held.version if one["at"] else 0, pause=20)
            else:
                one["gives_up"] = True
            return
        self.table.flush(version)
        one["at"] += 1
        if chance.random() < 0.1:  # it dies here
            self.taken.remove(one)

    def ends(self, one: dict[str, Any], through: int, pause: int = 0) -> None:
        """It says what it has done, and gives the lease back."""
        for entry in one["entries"][: one["at"]]:
            self.model.ack(entry.name, entry.held.version, 0, self.now, epoch=1)
        self.model.done(b"" if pause else one["token"], through)
        if pause:
            self.model.failed(one["token"], self.now, pause)
        self.taken.remove(one)
        self.seen["ended"] += 1

    def retries(self, chance: Random) -> None:
        if self.model.aside:
            version = chance.choice([*self.model.aside])
            self.refused.pop(self.model.aside[version].held.id, None)
            new = self.model.retry_log(version, self.model.aside[version].size, self.now)
            self.owed.remove(version)
            self.owed.add(new)
            self.seen["retried"] += 1

    def check(self) -> None:
        """After each step."""
        applied = self.table.applied
        assert applied == sorted(set(applied)), "applied twice, or out of order"
        there = {entry.held.version for entry in self.model.log} | set(self.model.aside)
        assert self.owed <= there | set(applied), "an acknowledged put is nowhere"
        assert not set(self.model.aside) & set(applied), "what is parked was applied"
        assert not set(self.model.aside) & {entry.held.version for entry in self.model.log}, "it stands in both"
        last = {entry.name: entry.held.version for entry in self.model.log}
        told = {name: held.version for name, held in self.model.dirty.items()}
        assert all(told.get(name, version) == version for name, version in last.items()), "a reader gets another"


WEIGHTS = {"puts": 10, "claims": 8, "flushes": 20, "passes": 6, "retries": 1}


def walked(seeds: range, make: Any = LogModel, position: Any = Position) -> Counter[str]:
    """Walks at random; how often what happened."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        chance, world = Random(seed), World(make, position)
        for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=200):
            getattr(world, name)(chance)
            world.check()
        seen.update(world.seen)
    return seen


def test_each_put_is_applied_once_and_in_order_or_parked() -> None:
    """Flushers die and are late; entries are refused and retried."""
    seen = walked(range(300))
    assert all(
        seen[word] > 20 for word in ("done", "full", "claimed", "ended", "parked True", "refused True", "retried")
    ), seen


def test_what_was_refused_is_applied_by_nobody() -> None:
    """Also not by who has it since long ago, when another was refused meanwhile; what was applied is not refused."""
    position = Position().applied(2).refuse(3).refuse(5)
    assert [version for version in range(1, 8) if position.is_new(version)] == [6, 7]
    assert position.refuse(2) == position.refuse(4) == position
    assert [version for version in range(1, 8) if position.is_refused(version)] == [5]
    assert position.applied(7).is_refused(5), "nobody knows whether it is parked"


SWITCHES = {
    "one lease": [("self.lease and self.lease != token and self.until > now", "False")],
    "in order": [("found = self.log[:count]", "found = self.log[-count:]")],
    "DONE names a version": [("if entry.held.version <= through]:\n", "if through]:\n")],
    "a retry has a new version": [
        ("        new = version_of(self.epoch, self.number)\n        held", "        new = version\n        held")
    ],
    "a retry is the key's record": [
        ("        self.dirty[entry.name] = held\n", "        self.dirty.setdefault(entry.name, held)\n")
    ],
    "what is parked leaves the log": [
        ("        [entry] = found\n        self._remove(entry)\n", "        [entry] = found\n")
    ],
    "the next flusher hears of a refusal": [("return version == self.refused", "return False")],
    "what was applied is not refused": [("if self.is_new(version) else self", "")],
    "the bound of entries": [("len(self.log) + len(self.aside) < self._entries_at_most and ", "")],
    "the bound of bytes": [("there + grows + size <= self._bytes_at_most", "True")],
}
"""Protections, each by the text that is it, and what stands there without it."""


@pytest.mark.parametrize("protection", SWITCHES)
def test_without_a_protection_a_walk_fails(protection: str) -> None:
    """Each matters."""
    rules = spoiled(module, SWITCHES[protection])
    with pytest.raises(AssertionError):
        walked(range(4000), rules["LogModel"], rules["Position"])
