"""The rules of delivery: each by an example, and all of them over random worlds with failovers, copies, disorder and cases."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regionkit.core.ids import uuid7
from regionkit.messaging.delivery import (
    ACCEPT_FOR,
    SKEW,
    Gate,
    Intake,
    Verdict,
    begun,
    judge,
    judge_claim,
    moved,
    take,
)
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, made_at

A, B, C = (lambda n: Number(1, "a", n)), (lambda n: Number(2, "b", n)), (lambda n: Number(3, "c", n))
GATE = Gate(A(4))


@pytest.mark.parametrize(
    ("gate", "number", "prev", "verdict"),
    [
        (None, A(1), NOTHING_BEFORE, Verdict.APPLY),
        (None, A(2), A(1), Verdict.GAP),
        (GATE, A(4), A(3), Verdict.DUPLICATE),
        (GATE, A(1), NOTHING_BEFORE, Verdict.DUPLICATE),
        (GATE, A(5), A(4), Verdict.APPLY),
        (GATE, A(7), A(4), Verdict.APPLY),  # numbers between went elsewhere: prev says so
        (GATE, A(6), A(5), Verdict.GAP),
        (GATE, B(5), A(4), Verdict.APPLY),
        (GATE, B(3), A(2), Verdict.APPLY),  # 3 and 4 were undone by a failover, and given out again
        (GATE, B(6), A(5), Verdict.GAP),
        (GATE, B(6), B(5), Verdict.GAP),
        (Gate(B(5), (A(6),)), A(6), A(5), Verdict.DUPLICATE),
        (Gate(B(5), (A(6),)), A(7), A(6), Verdict.OVERTAKEN),
        (Gate(B(5), (A(6),)), C(4), A(3), Verdict.APPLY),
        (Gate(C(5), (B(6),)), A(2), A(1), Verdict.OVERTAKEN),
        (GATE, B(1), NOTHING_BEFORE, Verdict.APPLY),  # the failover has lost all of the key
        (Gate(C(5), (B(6), A(8))), Number(4, "d", 8), A(7), Verdict.APPLY),
        (Gate(B(5)), Number(2, "other branch", 6), A(4), Verdict.OVERTAKEN),
        (Gate(A(4), parked="case"), A(5), A(4), Verdict.HELD),
        (Gate(A(4), parked="case"), A(9), A(8), Verdict.HELD),
        (Gate(A(4), parked="case"), A(3), A(2), Verdict.DUPLICATE),
        (Gate(A(4), parked="gap"), A(5), A(4), Verdict.APPLY),
        (Gate(A(4), parked="gap"), A(9), A(8), Verdict.HELD),
        (begun(Gate(NOTHING_BEFORE), A(9)), A(8), A(7), Verdict.OVERTAKEN),
        (begun(Gate(NOTHING_BEFORE), A(9)), A(9), A(8), Verdict.DUPLICATE),
    ],
)
def test_the_gate_says(gate: Gate | None, number: Number, prev: Number, verdict: Verdict) -> None:
    """Each of its rules."""
    assert judge(gate, number, prev).verdict is verdict


def test_what_closes_a_gap_says_so() -> None:
    """So that what waits behind goes on."""
    assert judge(Gate(A(4), parked="gap"), A(5), A(4)).closes
    assert not judge(GATE, A(5), A(4)).closes


def test_a_claim_tells_a_copy_from_another_payload() -> None:
    """By the fingerprint."""
    assert [judge_claim(stored, b"x") for stored in (None, b"x", b"y")] == [
        Verdict.APPLY,
        Verdict.DUPLICATE,
        Verdict.MISMATCH,
    ]


@pytest.mark.parametrize(
    ("ahead", "expires", "handled", "gated", "intake"),
    [
        (0.0, None, True, False, Intake.TAKEN),
        (-SKEW - 5.0, None, True, False, Intake.FUTURE),
        (-SKEW + 60.0, None, True, False, Intake.TAKEN),
        (ACCEPT_FOR + 5.0, None, True, False, Intake.STALE),
        (ACCEPT_FOR - 60.0, None, True, False, Intake.TAKEN),
        (ACCEPT_FOR + 5.0, None, True, True, Intake.TAKEN),  # a gate knows it for ever
        (5.0, 0.0, True, False, Intake.EXPIRED),
        (5.0, 0.0, False, True, Intake.EXPIRED),
        (5.0, 9.0, True, False, Intake.TAKEN),
        (5.0, None, False, False, Intake.UNHANDLED),
    ],
)
def test_intake(ahead: float, expires: float | None, handled: bool, gated: bool, intake: Intake) -> None:
    """Before a row is looked at. `ahead`: of the id's time, seconds."""
    id = str(uuid7())
    made = made_at(id)
    assert made is not None
    envelope = Envelope(id, "moved", b"", expires_at=None if expires is None else made + ahead + expires)
    assert take(envelope, made + ahead, accept_for=ACCEPT_FOR, handled=handled, gated=gated) is intake


def test_an_id_of_a_foreign_form_is_as_old_as_its_publisher_says() -> None:
    """And one that says nothing is taken."""
    old = Envelope("mine-42", "moved", b"", published_at=1000.0)
    assert take(old, 1001.0 + ACCEPT_FOR, accept_for=ACCEPT_FOR, handled=True, gated=False) is Intake.STALE
    assert take(Envelope("mine-42", "moved", b""), 1e9, accept_for=1.0, handled=True, gated=False) is Intake.TAKEN


# Worlds: one key, its outbox with failovers, copies in any order, and a consumer that obeys the rules.


@dataclass
class Outbox:
    """Gives out numbers; a failover undoes the last ones, and gives them out again under another history."""

    epoch: int = 1
    kept: list[tuple[Number, Number]] = field(default_factory=list)  # (number, prev), as the database has them now

    def publish(self) -> tuple[Number, Number]:
        prev = self.kept[-1][0] if self.kept else NOTHING_BEFORE
        self.kept.append((Number(self.epoch, f"h{self.epoch}", prev.n + 1), prev))
        return self.kept[-1]

    def fail_over(self, lost: int) -> None:
        self.epoch += 1
        del self.kept[len(self.kept) - min(lost, len(self.kept)) :]


@dataclass
class Consumer:
    """The gate, what is held, and what was applied; `failing` numbers make a case the first time."""

    failing: set[Number]
    gate: Gate | None = None
    held: dict[Number, Number] = field(default_factory=dict)
    case: tuple[Number, Number] | None = None
    applied: list[Number] = field(default_factory=list)
    overtaken: list[Number] = field(default_factory=list)

    def take(self, number: Number, prev: Number) -> bool:
        """Whether the delivery is acknowledged."""
        judged = judge(self.gate, number, prev)
        match judged.verdict:
            case Verdict.APPLY:
                self.gate = moved(self.gate, number)
                self._apply(number, prev)
                if judged.closes:
                    self.release()
            case Verdict.HELD:
                self.held[number] = prev
            case Verdict.OVERTAKEN:
                self.overtaken.append(number)
            case Verdict.GAP:
                return False
        return True

    def _apply(self, number: Number, prev: Number) -> None:
        if number in self.failing:
            self.case = (number, prev)
            self._park("case")
        else:
            self.applied.append(number)

    def _park(self, how: str) -> None:
        base = self.gate or Gate(NOTHING_BEFORE)
        self.gate = Gate(base.at, base.passed, base.first, how)  # type: ignore[arg-type]

    def park_before_gap(self, number: Number, prev: Number) -> bool:
        judged = judge(self.gate, number, prev)
        if judged.verdict is Verdict.GAP:
            self._park("gap")
        elif judged.verdict is not Verdict.HELD:
            return False
        self.held[number] = prev
        return True

    def treat(self) -> None:
        """The case is mended and applied."""
        if self.case is not None:
            self.failing.discard(self.case[0])
            self.applied.append(self.case[0])
            self.case = None
            self.release()

    def release(self) -> None:
        while self.case is None:
            if not self.held:
                self._park("")
                return
            number = min(self.held, key=lambda n: (n.epoch, n.n))
            assert self.gate is not None
            bare = Gate(self.gate.at, self.gate.passed, self.gate.first)
            verdict = judge(bare, number, self.held[number]).verdict
            if verdict is Verdict.GAP:
                self._park("gap")
                return
            prev = self.held.pop(number)
            if verdict is Verdict.APPLY:
                self.gate = moved(self.gate, number)
                self._apply(number, prev)
            elif verdict is Verdict.OVERTAKEN:
                self.overtaken.append(number)


def run_world(chance: random.Random) -> tuple[Outbox, Consumer, list[Number]]:
    """One world, until all that was published has come and nothing waits."""
    outbox, published, waiting = Outbox(), [], []
    consumer = Consumer(set())
    for _ in range(chance.randrange(4, 40)):
        what = chance.random()
        if what < 0.5:
            message = outbox.publish()
            published.append(message[0])
            if chance.random() < 0.15:
                consumer.failing.add(message[0])
            waiting += [message] * chance.choice((1, 1, 1, 2, 3))
        elif what < 0.57:
            outbox.fail_over(chance.randrange(0, 4))
        elif what < 0.63:
            consumer.treat()
        elif waiting:
            message = chance.choice(waiting)
            done = consumer.take(*message) or (chance.random() < 0.2 and consumer.park_before_gap(*message))
            if done and chance.random() < 0.9:  # else the acknowledgement is lost, and it comes again
                waiting.remove(message)
    for _ in range(len(waiting) + len(published) + 3):
        consumer.treat()
        for message in chance.sample(waiting, len(waiting)):
            if consumer.take(*message):
                waiting.remove(message)
    return outbox, consumer, published


@given(st.integers(min_value=0))
@settings(max_examples=400, deadline=None)
def test_a_world_ends_as_its_outbox_says(seed: int) -> None:
    """What the outbox has kept is applied once each, in its order; what it has lost is applied once or is a case."""
    outbox, consumer, published = run_world(random.Random(seed))
    kept = [number for number, _ in outbox.kept]
    assert not consumer.held
    assert len(set(consumer.applied)) == len(consumer.applied)
    assert [n for n in consumer.applied if n in set(kept)] == kept
    lost = set(published) - set(kept)
    assert set(consumer.applied) - set(kept) <= lost
    assert lost <= set(consumer.applied) | set(consumer.overtaken)
