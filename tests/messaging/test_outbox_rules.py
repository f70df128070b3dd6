"""The rules of an outbox against a model: crashes, lost answers, take-overs, failovers; a consumer with gates judges the rest."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from regionkit.messaging.delivery import Gate, Verdict, judge, moved
from regionkit.messaging.envelope import NOTHING_BEFORE, Number
from regionkit.messaging.outbox_rules import (
    FULL_SCAN,
    Event,
    Floor,
    Leaving,
    Row,
    Run,
    Sending,
    Taken,
    begun,
    in_order,
    leaving,
    numbered,
    takes,
    waves,
)

TO = b"to"


def event(name: str, key: bytes | None = b"a", to: bytes = TO) -> Event:
    return Event(name, to, key, name.encode())


def row(seq: int, key: bytes | None = b"a", n: int = 0, **more: Any) -> Row:
    number = Number(1, "h", n) if n else None
    return Row(seq, str(seq), key, b"", number, NOTHING_BEFORE, 0.0, **more)


def test_keys_are_locked_in_one_order() -> None:
    """Whatever order events were published in; those of a key stay as they were."""
    events = [event("1", b"b"), event("2", b"a"), event("3", None), event("4", b"b"), event("5", b"c", b"at")]
    assert list(takes(events)) == [(b"at", b"c"), (TO, b"a"), (TO, b"b")]
    assert [e.id for e in in_order(events)] == ["5", "3", "2", "1", "4"]
    assert takes(events) == takes(reversed(events))


def test_numbers_follow_what_the_row_of_the_key_says() -> None:
    """The first one after a failover names the history before; the others their own."""
    taken = {(TO, b"a"): Taken(2, "new", 12, 1, "old")}
    found = numbered([event("1"), event("2"), event("3", None)], taken)
    assert [(e.id, number, before) for e, number, before in found] == [
        ("3", None, NOTHING_BEFORE),
        ("1", Number(2, "new", 11), Number(1, "old", 10)),
        ("2", Number(2, "new", 12), Number(2, "new", 11)),
    ]


def test_a_run_is_like_no_other() -> None:
    """Its epoch is above the one before, and above those that a failover has undone: it is a time. Its id has chance in it."""
    first, second = begun(7, "server", now=100.9), begun(7, "server", now=100.9)
    assert first.epoch == 100 and first.history != second.history
    assert begun(200, "server", now=100.0).epoch == 201


def test_how_a_row_leaves() -> None:
    """Numbers are never left out."""
    assert leaving(row(1, n=1), 10.0) == (Leaving.ITSELF, "")
    assert leaving(row(1, n=1, expires_at=10.0), 10.0) == (Leaving.TOMBSTONE, "expired")
    assert leaving(row(1, n=1, expires_at=10.1), 10.0) == (Leaving.ITSELF, "")
    assert leaving(row(1, expires_at=10.0), 10.0) == (Leaving.DROPPED, "expired")
    assert leaving(row(1, n=1, tomb="buried"), 10.0) == (Leaving.TOMBSTONE, "buried")


def test_waves() -> None:
    """Of each key one row a wave, in order; what has no key goes with the first."""
    rows = [row(1, b"a"), row(2, b"b"), row(3, b"a"), row(4, None), row(5, b"a"), row(6, b"b"), row(7, None)]
    assert [[r.seq for r in wave] for wave in waves(rows, gated=False)] == [[1, 2, 4, 7], [3, 6], [5]]
    assert [[r.seq for r in wave] for wave in waves(rows, gated=True)] == [[1, 2, 3, 4, 5, 6, 7]]
    assert waves([], gated=True) == waves([], gated=False) == []


def test_what_was_not_confirmed_holds_its_key() -> None:
    """Refused or without an answer; what has no key holds nothing."""
    sending = Sending()
    sending.became(row(1, b"a"), confirmed=False)
    sending.became(row(2, b"b"), confirmed=False, refused="no")
    sending.became(row(3, None), confirmed=False)
    sending.became(row(4, b"c"), confirmed=True)
    rest = [row(5, b"a"), row(6, b"b"), row(7, None), row(8, b"c")]
    assert [r.seq for r in sending.may_go(rest)] == [7, 8]
    assert [len(part) for part in (sending.confirmed, sending.refused, sending.unknown)] == [1, 1, 2]


class Transactions:
    """Rows as transactions of PostgreSQL commit them: seqs are drawn before, and in another order than that of the commits."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.next_xid, self.next_seq = 100, 1
        self.running: dict[int, list[int]] = {}
        self.visible: set[int] = set()

    def step(self) -> None:
        if self.chance.random() < 0.4 or not self.running:
            self.running[self.next_xid] = []
            self.next_xid += 1
        xid = self.chance.choice(list(self.running))
        self.running[xid].append(self.next_seq)
        self.next_seq += 1
        if self.chance.random() < 0.6:
            xid = self.chance.choice(list(self.running))
            self.visible.update(self.running.pop(xid))

    @property
    def snapshot(self) -> tuple[int, int]:
        return min(self.running, default=self.next_xid), self.next_xid


@pytest.mark.parametrize("seed", range(60))
def test_a_floor_passes_nothing_that_will_ever_be_there(seed: int) -> None:
    """Late commits of low seqs are found without a full scan; and the floor does rise."""
    chance = random.Random(seed)
    world, floor, gone, highest = Transactions(chance), Floor(), set[int](), 0
    for _ in range(300):
        for _ in range(chance.randrange(4)):
            world.step()
        at = floor.begin(1.0)
        there = sorted(seq for seq in world.visible - gone if seq > at)[: chance.choice([3, 50])]
        floor.polled([row(seq) for seq in there], *world.snapshot)
        gone.update(seq for seq in there if chance.random() < 0.8)
        assert all(seq > floor.at for seqs in world.running.values() for seq in seqs)
        assert all(seq > floor.at for seq in world.visible - gone)
        highest = max(highest, floor.at)
    assert highest > 20
    assert floor.begin(1.0 + FULL_SCAN) == 0


@dataclass
class Database:
    """What is committed, and replicated."""

    incarnation: str
    run: Run | None = None
    run_of: str = ""
    keys: dict[bytes, Taken] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    seq: int = 0
    said: dict[bytes, list[str]] = field(default_factory=dict)

    def publish(self, events: list[Event], now: float) -> None:
        if self.run is None or self.run_of != self.incarnation:
            self.run, self.run_of = (
                begun(self.run.epoch if self.run else 0, self.incarnation, now=now),
                self.incarnation,
            )
        for (_, key), size in takes(events).items():
            old = self.keys.get(key, Taken(0, "", 0, 0, ""))
            self.keys[key] = Taken(self.run.epoch, self.run.history, old.n + size, old.epoch, old.history)
        places = {(TO, key): taken for key, taken in self.keys.items()}
        for e, number, prev in numbered(events, places):
            self.seq += 1
            self.rows[self.seq] = Row(self.seq, e.id, e.key, b"", number, prev, 0.0)
            if e.key is not None:
                self.said.setdefault(e.key, []).append(e.id)


class Consumer:
    """One with gates: what it cannot apply yet comes again."""

    def __init__(self) -> None:
        self.gates: dict[bytes, Gate] = {}
        self.applied: dict[bytes, list[str]] = {}
        self.waiting: list[Row] = []
        self.verdicts: dict[Verdict, int] = {}
        self.diverged = 0

    def take(self, rows: list[Row]) -> None:
        self.waiting += rows
        again = True
        while again:
            again, waiting, self.waiting = False, self.waiting, []
            for r in waiting:
                assert r.key is not None and r.number is not None
                judged = judge(self.gates.get(r.key), r.number, r.prev)
                self.verdicts[judged.verdict] = self.verdicts.get(judged.verdict, 0) + 1
                if judged.verdict is Verdict.APPLY:
                    self.gates[r.key] = moved(self.gates.get(r.key), r.number)
                    self.applied.setdefault(r.key, []).append(r.id)
                    self.diverged += judged.diverged
                    again = True
                elif judged.verdict is Verdict.GAP:
                    self.waiting.append(r)


def world(seed: int, *, failovers: bool, gated: bool, steps: int = 120) -> tuple[Database, Consumer, int]:
    """Publish, replicate, poll, send, settle in any order; crashes and take-overs in between."""
    chance, names, now, lost = random.Random(seed), iter(range(1 << 30)), 1000.0, 0
    primary, consumer = Database("server 0"), Consumer()
    replica = copy.deepcopy(primary)
    flying: list[tuple[Database, list[Row]]] = []  # of relays that died, or were overtaken, after their poll

    def relay(*, dies: bool, fails: float) -> None:
        polled = [primary.rows[seq] for seq in sorted(primary.rows)][: chance.choice([2, 5, 20])]
        sending = Sending()
        if dies and chance.random() < 0.5:
            flying.append((primary, polled))
            return
        for wave in waves(polled, gated=gated):
            landed = []
            for r in sending.may_go(wave):
                lands, answers = chance.random() >= fails, chance.random() >= fails
                landed += [r] if lands else []
                sending.became(r, confirmed=lands and answers)
            if gated:
                chance.shuffle(landed)  # a source keeps no order
            consumer.take(landed)
            if dies and chance.random() < 0.3:
                return
        for r in sending.confirmed:
            del primary.rows[r.seq]

    for step in range(steps):
        now += 1.0
        match chance.choice(["publish", "publish", "relay", "relay", "replicate", "late", "failover"]):
            case "publish":
                keys = [chance.choice([b"a", b"b", b"c"]) for _ in range(chance.randrange(1, 4))]
                primary.publish([event(str(next(names)), key) for key in keys], now)
            case "relay":
                relay(dies=chance.random() < 0.3, fails=0.2)
            case "replicate":
                replica = copy.deepcopy(primary)
            case "late" if flying:
                _, rows = flying.pop(chance.randrange(len(flying)))
                consumer.take(rows)
            case "failover" if failovers and chance.random() < 0.3:
                lost += sum(map(len, primary.said.values())) - sum(map(len, replica.said.values()))
                primary = copy.deepcopy(replica)
                primary.incarnation = f"server {step}"
    while primary.rows:
        relay(dies=False, fails=0.1)
    for _, rows in flying:
        consumer.take(rows)
    return primary, consumer, lost


@pytest.mark.parametrize("gated", [True, False])
def test_nothing_is_lost_or_doubled_or_out_of_order(gated: bool) -> None:
    """Crashes, lost answers, late sendings of relays that were overtaken: what was published is applied, once, in order."""
    duplicates = 0
    for seed in range(150):
        primary, consumer, _ = world(seed, failovers=False, gated=gated)
        assert consumer.applied == primary.said, seed
        assert not consumer.waiting, seed
        duplicates += consumer.verdicts.get(Verdict.DUPLICATE, 0)
    assert duplicates > 100


@pytest.mark.parametrize("gated", [True, False])
def test_failovers_lose_only_what_was_not_replicated(gated: bool) -> None:
    """Whatever stands in the database at the end is applied, once and in order, though numbers were given out again."""
    lost = diverged = 0
    for seed in range(300):
        primary, consumer, gone = world(seed, failovers=True, gated=gated)
        for key, said in primary.said.items():
            kept = [id for id in consumer.applied.get(key, []) if id in set(said)]
            assert kept == said, (seed, key)
            assert len(consumer.applied[key]) == len(set(consumer.applied[key])), (seed, key)
        lost, diverged = lost + gone, diverged + consumer.diverged
    assert lost > 100 and diverged > 20


def test_the_model_sees_a_history_that_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 3 without its cure: numbers are given out again under the same history, and events are lost as duplicates."""
    import sys

    monkeypatch.setattr(sys.modules[__name__], "begun", lambda *_, **__: Run(1, "same"))
    wrong = 0
    for seed in range(100):
        primary, consumer, _ = world(seed, failovers=True, gated=True)
        wrong += any(
            [id for id in consumer.applied.get(key, []) if id in set(said)] != said
            for key, said in primary.said.items()
        )
    assert wrong > 10
