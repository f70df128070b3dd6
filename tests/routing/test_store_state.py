"""What one process knows: the memo, its end by the clock alone, threads, and events outside of the lock."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace as replaced
from random import Random

import pytest
from msgspec.structs import replace

from regionkit.core.deadline import FOREVER
from regionkit.core.events import Event
from regionkit.facts.bookmark import Entry
from regionkit.facts.consistency import BOUNDED, EVENTUAL, SESSION
from regionkit.facts.request import Kind, Request
from regionkit.routing.events import BreakerChanged, RoleChanged
from regionkit.routing.health import BreakerState
from regionkit.routing.store_state import MOST_SHARES, RequestClass, StoreState
from regionkit.routing.verdict import Outcome
from regionkit.testing.clock import VirtualClock
from regionkit.topology import PROFILES

from .worlds import PRIMARY, REPLICA, chain, store_of, told

LATER = FOREVER
"""A connection that was taken after every failure before it."""

H1, H12 = chain("h1"), chain("h1", "h2")


def ready(local: str = "r1") -> tuple[StoreState, VirtualClock]:
    """A primary in r0 and two replicas, all seen; r1 is local and fresh."""
    store, clock, _ = store_of("PRR", local=local)
    for i in range(3):
        store.observe(i, told(PRIMARY if i == 0 else REPLICA, H1, 50, at=clock.monotonic(), rtt=0.01 * (i + 1)))
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic()))
    for i in (1, 2):
        store.observe(i, told(REPLICA, H1, 50, at=clock.monotonic()))
    return store, clock


@pytest.fixture(autouse=True)
def _quick_switches() -> Iterator[None]:
    """Threads take turns often, so that races show."""
    was = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(was)


def test_the_memo_is_the_same_object_until_something_changes() -> None:
    """A new snapshot ends it; asking does not."""
    store, clock = ready()
    shared = RequestClass(Request(consistency=SESSION))
    first = store.route(shared)
    assert first.valid_until == FOREVER and first.index == 1
    clock.advance(3600.0)
    assert store.route(shared) is first
    store.observe(1, told(REPLICA, H1, 60, at=clock.monotonic()))
    assert store.route(shared) is not first


def test_the_clock_alone_ends_a_bounded_decision() -> None:
    """Nothing is observed; the proof runs out, and from then on the owner serves."""
    store, clock = ready()
    shared = RequestClass(Request(consistency=BOUNDED(2.0)))
    first = store.route(shared)
    assert first.index == 1 and first.valid_until == clock.monotonic() + 2.0
    clock.advance(1.999)
    assert store.route(shared) is first
    clock.advance(0.001)
    assert store.route(shared) is not first
    clock.advance(0.001)
    assert store.route(shared).index == 0


def test_the_memo_never_differs_from_a_new_decision() -> None:
    """Random observations, failures and pauses: the remembered answer is what decide() would say now."""
    random = Random(3)
    store, clock = ready()
    classes = [RequestClass(Request(consistency=c)) for c in (EVENTUAL, SESSION, BOUNDED(0.5), BOUNDED(3))]
    for on_stale in (("wait", "primary"), ("wait", "next"), ("wait", "raise"), ("wait", "primary", "next")):
        waits = Request(consistency=BOUNDED(1), on_stale=on_stale, wait_until=FOREVER)
        classes += [RequestClass(waits), RequestClass(replace(waits, consistency=BOUNDED(3)))]
    classes.append(RequestClass(Request(kind=Kind.WRITE)))
    for _ in range(3000):
        step, i = random.randrange(5), random.randrange(3)
        if step == 0:
            role = PRIMARY if i == 0 else REPLICA
            store.observe(i, told(role, H1, random.randint(40, 60), at=clock.monotonic(), rtt=random.random() / 10))
        elif step == 1:
            store.failed(i, random.choice(list(Kind)), "broken", since=LATER, silent=False)
        elif step == 2:
            store.probed(i, random.random() < 0.8, "no answer", left_at=clock.monotonic())
        else:
            clock.advance(random.choice([0.01, 0.3, 2.0, 70.0]))
        for shared in classes:
            kept = store.route(shared)
            new = store.decide(shared.request)
            assert (kept.outcome, kept.index, kept.refusal) == (new.outcome, new.index, new.refusal)


def test_refusals_and_choices_by_load_are_not_remembered() -> None:
    """They may change without a new snapshot."""
    store, _ = ready()
    store.observe(0, told(REPLICA, H1, 50, at=2000.0))
    assert store.route(RequestClass(Request(kind=Kind.WRITE))).valid_until == 0.0
    shared = RequestClass(Request(consistency=EVENTUAL, latency_window=9.0))
    twins, _, _ = store_of("PRR", local="nowhere")
    first = twins.route(shared).index  # of equals any: each process begins at another one
    twins.began(first)
    assert twins.route(shared).index != first
    twins.ended(first)
    assert twins.route(shared).index == first


def test_forget_proves_nothing_until_a_later_answer() -> None:
    """An answer to a question sent before the connections died is not taken."""
    store, clock = ready()
    request = Request(entries=(Entry("h1", 1, 40),))
    assert store.decide(request).index == 1
    asked_at = clock.monotonic()
    clock.advance(1.0)
    store.forget(1)
    assert store.decide(request).index == 0
    store.observe(1, told(REPLICA, H1, 50, at=asked_at))
    assert store.decide(request).index == 0
    store.observe(1, told(REPLICA, H1, 50, at=clock.monotonic()))
    assert store.decide(request).index == 1


def test_forget_counts_before_the_first_answer_and_each_time() -> None:
    """The first question is on its way when a connection dies: its answer may be of a run that is gone. So it may be of the
    second question, when another one dies.
    """
    store, clock, _ = store_of("PRR", local="r1")
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic()))
    request = Request(entries=(Entry("h1", 1, 40),))
    for _ in range(3):
        asked_at = clock.monotonic()
        clock.advance(1.0)
        store.forget(1)
        store.observe(1, told(REPLICA, H1, 50, at=asked_at))
        assert store.decide(request).index == 0
    store.observe(1, told(REPLICA, H1, 50, at=clock.monotonic()))
    assert store.decide(request).index == 1


def test_weights_count_the_calls_that_had_a_choice() -> None:
    """Writes, and reads of other weights or none, change no share; what was away goes on from where the others stand."""
    store, clock, _ = store_of("PRR")
    for i in range(3):
        store.observe(i, told(PRIMARY if i == 0 else REPLICA, H1, 50, at=clock.monotonic()))
    weighted = RequestClass(Request(consistency=EVENTUAL, weights=(("r0", 8.0), ("r1", 1.0), ("r2", 1.0))))
    others = [
        RequestClass(Request(kind=Kind.WRITE)),
        RequestClass(Request(consistency=EVENTUAL)),
        RequestClass(Request(consistency=EVENTUAL, weights=(("r0", 1.0),))),
    ]

    def call(request_class: RequestClass) -> int:
        decision = store.route(request_class)
        store.began(decision.index, decision)
        store.ended(decision.index)
        return decision.index

    def shares(calls: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        for _ in range(calls):
            for other in others:
                call(other)
            seen[call(weighted)] += 1
        return seen

    for index, expected in shares(100).items():
        assert abs(expected - (80, 10, 10)[index]) <= 1
    for _ in range(2):
        store.probed(2, ok=False, reason="no answer", left_at=clock.monotonic())
    assert shares(1000)[2] == 0
    clock.advance(30.0)
    store.probed(2, ok=True, left_at=clock.monotonic())
    assert shares(1000)[2] == 0, "held down"
    clock.advance(300.0)
    store.observe(2, told(REPLICA, H1, 50, at=clock.monotonic()))
    back = shares(100)
    for index in range(3):
        assert abs(back[index] - (80, 10, 10)[index]) <= 2


def test_computed_weights_are_not_kept_for_ever() -> None:
    """A mistake of the application's costs it its shares, not the process its memory."""
    store, _ = ready()
    for number in range(3 * MOST_SHARES):
        decision = store.route(RequestClass(Request(consistency=EVENTUAL, weights=(("r0", 1.0 + number), ("r1", 1.0)))))
        store.began(decision.index, decision)
    assert len(store._shares) <= MOST_SHARES


def test_a_commit_is_known_on_its_run_only() -> None:
    """The owner need not be asked for what it just acknowledged; another run must be."""
    store, _ = ready("r0")
    entry = Request(entries=(Entry("h1", 1, 70),))
    store.reached(0, "another run", 70)
    assert store.decide(entry).outcome is Outcome.WAIT
    store.reached(0, "run 1", 70)
    store.reached(0, "run 1", None)
    assert store.decide(entry).outcome is Outcome.USE


def test_a_commit_leaves_decisions_that_compare_no_positions() -> None:
    """Else each write would cost a decision more. Any other news, and what asks for a position, is decided anew."""
    store, _ = ready("r0")
    writes, reads = RequestClass(Request(kind=Kind.WRITE)), RequestClass(Request(entries=(Entry("h1", 1, 70),)))
    written, waits = store.route(writes), store.route(reads)
    compare = [RequestClass(Request(entries=(Entry("h1", 1, 1),))), RequestClass(Request(consistency=BOUNDED(5.0)))]
    compared = [store.route(one) for one in compare]
    assert [one.outcome for one in compared] == [Outcome.USE, Outcome.USE]
    store.reached(0, "run 1", 70)
    store.reached(0, "run 1", 80)
    assert store.route(writes) is written
    assert not any(store.route(one) is before for one, before in zip(compare, compared, strict=True))
    assert (waits.outcome, store.route(reads).outcome) == (Outcome.WAIT, Outcome.USE)
    store.probed(0, ok=False, reason="silent", left_at=0.0)
    anew = store.route(writes)
    assert anew is not written
    store.reached(0, "run 1", 90)
    assert store.route(writes) is anew


def test_the_first_answer_of_a_new_owner_is_a_sample() -> None:
    """And a copy that follows the old one gets no bound from it."""
    store, clock = ready()
    clock.advance(1.0)
    store.observe(2, told(PRIMARY, H12, 150, at=clock.monotonic()))
    assert store.snapshot.owner == 2 and store.snapshot.endpoints[1].fresh_at is None
    store.observe(1, told(REPLICA, H1, 90, at=clock.monotonic()))
    assert store.snapshot.endpoints[1].fresh_at is None
    store.observe(1, told(REPLICA, H12, 150, at=clock.monotonic(), run="run 2"))
    assert store.snapshot.endpoints[1].fresh_at == clock.monotonic()


def test_no_sample_speaks_of_a_copy_that_follows_an_unseen_promotion() -> None:
    """Its origin is in no history row: beyond the owner's position, yet not on its line."""
    store, clock = ready()
    store.observe(1, told(REPLICA, H1, 90, origin="at elsewhere", run="run 2", at=clock.monotonic()))
    assert store.snapshot.endpoints[1].fresh_at is None
    assert store.route(RequestClass(Request(consistency=BOUNDED(5)))).index != 1


def test_an_unrecorded_promotion_stops_sampling() -> None:
    """Until its history row is there, no staleness is measured at all."""
    store, clock = ready()
    store.observe(2, told(PRIMARY, H1, 60, origin="at elsewhere", at=clock.monotonic()))
    clock.advance(0.1)
    store.observe(0, told(PRIMARY, H1, 60, at=clock.monotonic()))
    store.observe(1, told(REPLICA, H1, 60, at=clock.monotonic()))
    assert store.snapshot.unrecorded == "r2" and store.snapshot.endpoints[1].fresh_at is None


def test_failures_are_weighed_against_calls_of_the_same_window() -> None:
    """A new window of one use does not shrink the calls against which another use's failures are counted."""
    profile = replaced(PROFILES["balanced"], trip_errors=1000)
    store, clock, _ = store_of("P", spec=profile)

    def calls(count: int) -> None:
        for _ in range(count):
            store.began(0)
            store.ended(0)

    calls(1)
    store.failed(0, Kind.READ, "x", since=LATER, silent=False)  # the window of reads begins
    clock.advance(3.0)
    for _ in range(4):  # the window of writes begins: 4 of 40 fail
        calls(10)
        store.failed(0, Kind.WRITE, "x", since=LATER, silent=False)
    clock.advance(2.1)
    store.failed(0, Kind.READ, "x", since=LATER, silent=False)  # a new window of reads
    calls(9)
    store.failed(0, Kind.WRITE, "x", since=LATER, silent=False)  # 5 of 49 failed, by no means half
    assert store.breaker(0, Kind.WRITE).state is BreakerState.CLOSED
    for _ in range(50):
        store.failed(0, Kind.WRITE, "x", since=LATER, silent=False)
    assert store.breaker(0, Kind.WRITE).state is BreakerState.OPEN


def test_breakers_follow_probes_and_open_endpoints_are_not_used() -> None:
    """Two failed probes open both uses; after its time a good one closes, and readers are held down."""
    store, clock = ready()
    shared = RequestClass(Request(consistency=EVENTUAL))
    assert store.route(shared).index == 1
    for _ in range(2):
        store.probed(1, False, "no answer", left_at=clock.monotonic())
    assert store.route(shared).index != 1
    assert "no answer" in store.snapshot.endpoints[1].read_open and store.snapshot.endpoints[1].write_open
    clock.advance(6.0)
    store.probed(1, True, left_at=clock.monotonic())
    assert store.snapshot.endpoints[1].held_until == clock.monotonic() + 60.0
    assert store.route(shared).index != 1
    clock.advance(60.0)
    assert store.route(shared).index == 1


def away(how: str) -> None:
    """The owner comes back in another way: as another run, or as the same after a failed question."""
    store, clock = ready()
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic()))
    for i in (1, 2):
        store.probed(i, True, left_at=clock.monotonic())
    assert store.met(0)
    store.forget(0)  # a connection died: that alone says nothing
    clock.advance(0.1)
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic()))
    assert store.met(0)
    clock.advance(0.1)
    before = clock.monotonic()
    if how == "silence":
        store.probed(0, False, "silent", left_at=before)
    clock.advance(0.1)
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic(), run="run 2" if how == "restart" else "run 1"))
    assert not store.met(0)
    store.asking(1)
    store.probed(1, True, left_at=before)  # an answer to an older question
    store.probed(2, False, "silent", left_at=clock.monotonic())
    assert not store.met(0)
    store.probed(1, True, left_at=clock.monotonic())
    assert store.met(0)


@pytest.mark.parametrize("how", ["restart", "silence"])
def test_an_owner_that_was_away_means_that_nobody_was_met_since(how: str) -> None:
    """Meanwhile another one may have been made primary: each has to answer a question that left since then."""
    away(how)


def test_a_new_owner_that_restarts_was_away_too() -> None:
    """Whoever told first that it is the owner."""
    store, clock = ready()
    store.observe(1, told(PRIMARY, H12, 150, at=clock.monotonic(), run="run 1"))
    store.observe(0, told(REPLICA, H12, 150, at=clock.monotonic(), run="run 9"))
    assert store.snapshot.owner == 1
    for i in (0, 2):
        store.probed(i, True, left_at=clock.monotonic())
    assert store.met(1)
    clock.advance(0.1)
    store.observe(1, told(PRIMARY, H12, 150, at=clock.monotonic(), run="run 2"))
    assert not store.met(1)


def test_a_failure_long_ago_disturbs_no_peace() -> None:
    """An endpoint that nobody reads has no success to wipe it out."""
    store, clock = ready()
    for i in range(3):
        store.observe(i, told(PRIMARY if i == 0 else REPLICA, H1, 50, at=clock.monotonic()))
    assert store.at_peace(1)
    store.failed(1, Kind.READ, "x", since=LATER, silent=False)
    assert not store.at_peace(1)
    clock.advance(store.profile.trip_window + 1.0)
    assert store.at_peace(1)


def test_a_child_of_a_fork_draws_its_own_chances_and_holds_no_block() -> None:
    """Else all children would begin with the same of equal copies."""
    store, _ = ready()
    store.began(1)
    before = list(store._starts)
    store.renew()
    assert store._starts != before and store.loads == [0, 0, 0]
    store.ended(1)  # the parent's block, closed in the child
    assert store.loads == [0, 0, 0]


def test_events_come_outside_of_the_lock() -> None:
    """A hook may ask and tell the store; one that raises disturbs nobody."""
    store, clock, hooks = store_of("PR")
    heard: list[Event] = []

    def hook(event: Event) -> None:
        heard.append(event)
        assert not store._lock.locked()
        store.observe(1, told(REPLICA, H1, 60, at=clock.monotonic()))
        raise RuntimeError("a hook's own fault")

    hooks.add(hook)
    store.observe(0, told(PRIMARY, H1, 50, at=clock.monotonic()))
    store.observe(0, told(REPLICA, H1, 50, at=clock.monotonic()))
    store.observe(0, told(REPLICA, H12, 150, at=clock.monotonic(), run="run 2"))
    for _ in range(2):
        store.probed(0, False, "gone", left_at=clock.monotonic())
    assert [type(event) for event in heard] == [RoleChanged, RoleChanged, BreakerChanged, BreakerChanged]
    assert isinstance(heard[1], RoleChanged) and "h2" in heard[1].role and "h1" in heard[1].was


def test_threads() -> None:
    """Many writers and readers: no lost breaker, no broken snapshot, no exception."""
    store, _ = ready()
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        random = Random(seed)
        shared = RequestClass(Request(consistency=EVENTUAL))
        try:
            for n in range(300):
                i = random.randrange(3)
                store.observe(i, told(PRIMARY if i == 0 else REPLICA, H1, n, at=2000.0 + n))
                store.probed(i, True, left_at=2000.0 + n)
                store.failed(i, Kind.READ, "x", since=LATER, silent=False)
                store.succeeded(i, Kind.READ)
                assert store.route(shared).snapshot.store == "orders"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [e.id for e in store.snapshot.endpoints] == ["r0", "r1", "r2"] and store.snapshot.owner == 0


def test_renew_after_a_fork() -> None:
    """The child's lock is free even if a thread of the parent held it."""
    store, clock = ready()
    store._lock.acquire()
    store.renew()
    store.observe(1, told(REPLICA, H1, 60, at=clock.monotonic()))


def test_adopt_forgets_samples() -> None:
    """From the named history on, staleness is measured anew."""
    store, clock = ready()
    store.adopt(H12)
    clock.advance(0.1)
    store.observe(1, told(REPLICA, H1, 50, at=clock.monotonic()))
    assert store.snapshot.lineage == H12 and store.snapshot.endpoints[1].fresh_at is None


def test_one_reset_that_many_calls_felt_is_one_failure() -> None:
    """Their connections were older than the failure that counted; a new connection that breaks counts again."""
    store, clock, _ = store_of()
    before = clock.monotonic() - 1.0
    for _ in range(8):
        store.failed(0, Kind.READ, "reset", since=before, silent=False)
    assert store.breaker(0, Kind.READ).errors == 1
    for _ in range(PROFILES["balanced"].trip_errors):
        store.failed(0, Kind.READ, "reset", since=LATER, silent=False)
    assert store.breaker(0, Kind.READ).state is BreakerState.OPEN
