"""The account of keys in motion: whatever comes late, twice or not at all, what stands is not older than what was told."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from spoiling import spoiled

from regionkit.caching import ledger as module
from regionkit.caching.ledger import ALL, Floor, Lease, Ledger, Verdict, is_above
from regionkit.caching.version import OWNER_ONLY, of_position, of_row

from .ledger_world import FLOOR_LIFE, KEYS, LEASE, TAG, WRITE, World

NUMBERS = st.integers(0, 3)
KEY = st.sampled_from(KEYS)


class Machine(RuleBasedStateMachine):
    """Any order of steps."""

    make: Any = Ledger
    world = World()

    @initialize(
        kind=st.sampled_from(("position", "row", "none")), settles=st.booleans(), most=st.sampled_from((1, 2, 1000))
    )
    def begin(self, kind: str, settles: bool, most: int) -> None:
        """Without a table of intents nobody learns what a dead writer did: every load is then from the owner."""
        self.world = World(kind if settles else "none", settles, most, self.make)

    @rule(milliseconds=st.sampled_from((1, 30, FLOOR_LIFE, WRITE, LEASE)))
    def passes(self, milliseconds: int) -> None:
        self.world.passes(milliseconds)

    @rule()
    def copy_comes_on(self) -> None:
        self.world.copy_comes_on()

    @rule(key=KEY)
    def commits_by_itself(self, key: bytes) -> None:
        self.world.commits_by_itself(key)

    @rule(key=KEY)
    def begins(self, key: bytes) -> None:
        self.world.begins(key)

    @precondition(lambda self: self.world.loads)
    @rule(number=NUMBERS, owner=st.booleans())
    def reads(self, number: int, owner: bool) -> None:
        self.world.reads(number, owner)

    @precondition(lambda self: self.world.loads)
    @rule(number=NUMBERS)
    def stores(self, number: int) -> None:
        self.world.stores(number)

    @precondition(lambda self: self.world.loads)
    @rule(number=NUMBERS)
    def abandons(self, number: int) -> None:
        self.world.abandons(number)

    @rule(key=KEY)
    def invalidates(self, key: bytes) -> None:
        self.world.invalidates(key)

    @precondition(lambda self: self.world.told)
    @rule(number=NUMBERS)
    def invalidates_again(self, number: int) -> None:
        self.world.invalidates_again(number)

    @rule(number=NUMBERS)
    def invalidates_a_tag_that_nothing_carries(self, number: int) -> None:
        self.world.invalidates_a_tag_that_nothing_carries(number)

    @rule()
    def invalidates_tag(self) -> None:
        self.world.invalidates_tag()

    @rule()
    def clears(self) -> None:
        self.world.clears()

    @rule()
    def clears_as_nobody_knows_how_far_it_is(self) -> None:
        self.world.clears_as_nobody_knows_how_far_it_is()

    @rule()
    def loses_the_account(self) -> None:
        self.world.loses_the_account()

    @rule(key=KEY)
    def intends(self, key: bytes) -> None:
        self.world.intends(key)

    @precondition(lambda self: self.world.writes)
    @rule(number=NUMBERS)
    def writes_through(self, number: int) -> None:
        self.world.writes_through(number)

    @precondition(lambda self: self.world.writes)
    @rule(number=NUMBERS)
    def publishes(self, number: int) -> None:
        self.world.publishes(number)

    @precondition(lambda self: self.world.writes)
    @rule(number=NUMBERS)
    def aborts(self, number: int) -> None:
        self.world.aborts(number)

    @invariant()
    def nothing_is_stale(self) -> None:
        self.world.check()


def runs(examples: int, make: Any = Ledger, **options: Any) -> None:
    """The machine, with an account of this make."""

    class Made(Machine):
        pass

    Made.make = make
    run_state_machine_as_test(
        Made,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


KINDS = (("position", True), ("row", True), ("none", True), ("none", False))
"""Kinds of versions, and whether writes over their time are settled. Where they are not, nobody learns what a dead writer did."""


def walked(seeds: range, make: Any = Ledger) -> Counter[str]:
    """Walks at random, each with an account of this make; how often each answer was given."""
    answers: Counter[str] = Counter()
    for seed in seeds:
        kind, settles = KINDS[seed % len(KINDS)]
        world = World(kind, settles, (1000, 1000, 2, 1)[seed // len(KINDS) % 4], make)
        world.walks(Random(seed), 150)
        answers.update(world.verdicts)
    return answers


def test_no_order_of_steps_leaves_a_value_older_than_what_was_told() -> None:
    """Steps that Hypothesis chooses, and makes as few as it can where they fail."""
    runs(150)


def test_long_walks_leave_no_value_older_than_what_was_told() -> None:
    """Each answer is given often: walks in which nothing is stored would prove nothing."""
    answers = walked(range(1200))
    given = set(Verdict) - {Verdict.INTENDED}  # no lease stands beside an intent: it is kept out twice
    assert all(answers[verdict.value] > 100 for verdict in given), answers


_INTENDED = ("        if key in self.intents:\n            return Verdict.INTENDED\n", "")
_BYPASS = ("        if key in self.intents:\n            return Begun(Verdict.BYPASS, floor=floor)\n", "")
SWITCHES = {
    "the lease is another's": [
        (
            "        if held is None or held.token != lease.token:\n            return Verdict.LOST\n"
            "        del self.leases[key]\n",
            "        held = lease\n        self.leases.pop(key, None)\n",
        )
    ],
    "the lease, at an invalidation": [
        (
            "        self.leases.pop(key, None)\n        self._raise(key, version, now)\n\n    def invalidate_tag",
            "        self._raise(key, version, now)\n\n    def invalidate_tag",
        )
    ],
    "the generation": [("if held.generation != self.generation or ", "if "), ("        self.leases.clear()\n", "")],
    "the floor's stamp": [("    if stamp <= floor.stamp:\n        return False\n", "")],
    "the floor's version": [("return owner or reaches(", "return True or (")],
    "the version of a late load's lease": [(", Floor(0, held.floor)]", "]")],
    "what an earlier floor asked for": [("        version = max(version, before.version)\n", "        pass\n")],
    "intents": [_INTENDED, _BYPASS],
    "writes over their time": [("        if over and not self._settles:\n", "        if over:\n"),
        ("        if over and self._settles:\n", "        if False:\n"),],
    "other intents, when a write is published": [(" or key in self.intents or", " or")],
    "the own intent, when a write is published": [
        ("if intent is None or ", "intent = intent or Intent(self.stamp, now + 1)\n        if ")
    ],
    "floors that are no more, when a write is published": [(" or intent.stamp <= self.forgotten:", ":")],
    "the time when only the owner will do": [
        ("        if (held.owner_only or now < self.owner_until) and not owner:\n            return Verdict.BELOW\n", "")
    ],
    "floors that were too many": [("            self.owner_until = max(self.owner_until, left.until)\n", "")],
}  # fmt: skip
"""Protections, each by the text that is it, and what stands there without it."""


@pytest.mark.parametrize("protection", SWITCHES)
def test_without_a_protection_something_stale_stands(protection: str) -> None:
    """Each matters: the walks turn red without it."""
    rules = spoiled(module, SWITCHES[protection])
    rules["Verdict"] = Verdict
    with pytest.raises(AssertionError, match="was told"):
        walked(range(6000), rules["Ledger"])


def account(most: int = 1000, *, settles: bool = False) -> Ledger:
    """An account that is new."""
    return Ledger(b"12345678", floor_life=FLOOR_LIFE, tag_life=10_000, most=most, settles=settles)


def begun(ledger: Ledger, key: bytes = b"a", now: int = 0) -> Lease:
    """The lease of a load that begins."""
    lease = ledger.begin(key, b"%16d" % ledger.stamp, now, LEASE).lease
    assert lease is not None
    return lease


def test_what_a_tag_asked_for_is_asked_for_by_the_cache_when_the_tag_goes() -> None:
    """Of too many tags the oldest goes, and the cache is to be cleared."""
    ledger = account(most=1)
    assert ledger.invalidate_tag(TAG, 0, of_position(1, 9))
    assert not ledger.invalidate_tag(b"other", 0)
    ledger.clear(b"87654321", 0)
    assert set(ledger.tags) == {b"other", ALL}
    lease = begun(ledger)
    assert lease.floor == of_position(1, 9)
    assert ledger.commit(b"a", lease, 0, of_position(1, 8), owner=False, tags=(TAG,)) is Verdict.BELOW


def test_versions_of_two_kinds_do_not_compare() -> None:
    """A load of another kind than the floor's is stored when it comes from the owner."""
    for told, given, verdict in (
        (of_row(5), of_position(1, 9), Verdict.BELOW),
        (of_position(1, 5), of_row(9), Verdict.BELOW),
        (of_row(5), "", Verdict.BELOW),
        ("", of_row(0), Verdict.STORED),
        (of_row(5), of_row(5), Verdict.STORED),
    ):
        ledger = account()
        ledger.invalidate(b"a", 0, told)
        assert ledger.commit(b"a", begun(ledger), 0, given, owner=False) is verdict
        assert ledger.commit(b"a", begun(ledger), 0, given, owner=True) is Verdict.STORED
    assert not is_above(Floor(5), 5, "", owner=True)


def test_memory_is_bounded_by_time_and_by_number() -> None:
    """Floors, tags and leases of keys that nobody comes back to."""
    ledger = account(most=50)
    for number in range(500):
        now = number * 10
        ledger.invalidate(b"i%d" % number, now)
        begun(ledger, b"l%d" % number, now)
        if not ledger.invalidate_tag(b"t%d" % number, now):
            ledger.clear(b"%08d" % number, now)
    assert len(ledger.floors) <= FLOOR_LIFE // 10 + 1
    assert len(ledger.tags) <= 51
    assert len(ledger.leases) <= LEASE // 10 + 1


def test_a_wait_says_how_long_at_most() -> None:
    """And the lease that is over is another's."""
    ledger = account()
    first = begun(ledger)
    waiting = ledger.begin(b"a", b"another", 100, LEASE)
    assert (waiting.verdict, waiting.wait) == (Verdict.WAIT, LEASE - 100)
    second = begun(ledger, now=LEASE)
    assert ledger.commit(b"a", first, LEASE, owner=True) is Verdict.LOST
    assert ledger.commit(b"a", second, LEASE, owner=True) is Verdict.STORED
    assert not ledger.abandon(b"a", second.token)


def test_only_the_owner_stays_until_its_time_ends() -> None:
    """A write of which nobody knows how far it is, then one that is older: a copy that has the older will not do."""
    ledger = Ledger(bytes(8), floor_life=1000, tag_life=1000, most=10)
    ledger.invalidate(b"a", 0, OWNER_ONLY)
    ledger.invalidate(b"a", 0, of_position(1, 50))
    begun = ledger.begin(b"a", b"t", 1, 500)
    assert begun.lease is not None
    assert begun.floor == OWNER_ONLY
    assert ledger.commit(b"a", begun.lease, 2, of_position(1, 60), owner=False) is Verdict.BELOW
