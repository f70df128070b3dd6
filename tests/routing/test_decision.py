"""The choke point, by properties over random topologies and by the cases that once went wrong."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from regionkit.core.deadline import FOREVER
from regionkit.facts.bookmark import OWNER_ONLY, Entry
from regionkit.facts.consistency import BOUNDED, EVENTUAL, SESSION, STRONG, Level, OnStale
from regionkit.facts.history import Survival
from regionkit.facts.position import GtidsReached
from regionkit.facts.request import Kind, Request
from regionkit.routing import decision as module
from regionkit.routing.decision import Decision, decide
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.routing.verdict import Filter, Outcome, Refusal

from .worlds import PRIMARY, REPLICA, after, chain, fresh, told

NOW = 100.0
H1, H12, H123 = chain("h1"), chain("h1", "h2"), chain("h1", "h2", "h3")
LEVELS = (EVENTUAL, BOUNDED(1.0), SESSION, STRONG)


def random_snapshot(random: Random, count: int) -> Snapshot:
    """A store with history h1 -> h2, its owner in h2, its copies anywhere on the way."""
    owner = random.randrange(count)
    endpoints = []
    for i in range(count):
        role = PRIMARY if i == owner else REPLICA
        lineage = H12 if i == owner else random.choice((H1, H12, H12, None))
        reached = random.choice((None, 150, 200) if lineage is H12 else (None, 50, 100))
        seen = told(role, lineage, reached, at=NOW - random.choice((0.1, 5.0)))
        endpoints.append(
            EndpointState(
                id=f"r{i}",
                region=f"r{i % 3}",
                configured=role,
                role=role,
                allowed=random.random() < 0.7,
                observation=random.choice((seen, seen, seen, None)),
                fresh_at=random.choice((None, NOW - 0.5, NOW - 5.0)),
                rtt=random.choice((None, 0.001, 0.002, 0.1)),
                barred=random.choice(("", "", "", "fenced")),
                read_open=random.choice(("", "", "", "open")),
                write_open=random.choice(("", "", "open")),
                held_until=random.choice((0.0, 0.0, NOW + 9.0)),
            )
        )
    return Snapshot("orders", "r0", tuple(endpoints), owner, H12, random.choice(("", "", "", "r9")))


def random_request(random: Random, count: int) -> Request:
    entries = [Entry("h1", 1, 80), Entry("h1", 1, 150), Entry("h2", 2, 120), Entry("h9", 9, 1), OWNER_ONLY]
    steps = ["wait", "next", "primary", "raise", "serve"]
    return Request(
        kind=random.choice((Kind.READ, Kind.READ, Kind.READ, Kind.WRITE)),
        consistency=random.choice(LEVELS),
        entries=tuple(random.sample(entries, random.randint(0, 2))),
        signed=random.random() < 0.5,
        on_stale=tuple(random.sample(steps, random.randint(1, 4))),
        pin=random.randint(-1, count - 1),
        excluded=frozenset(random.sample(range(count), random.randint(0, 1))),
        waited=frozenset(random.sample(range(count), random.randint(0, 1))),
        fresh=frozenset(random.sample(range(count), random.randint(0, 1))),
        wait_until=random.choice((0.0, NOW + 0.3)),
    )


def proved(snapshot: Snapshot, request: Request, i: int) -> bool:
    """What the rules ask of a copy, written anew: the oracle."""
    e, level = snapshot.endpoints[i], request.consistency.level
    if level is Level.EVENTUAL or (level is Level.SESSION and not request.entries) or i == snapshot.owner:
        return True
    if snapshot.unrecorded or e.lineage is None or e.observation is None:
        return False
    if level is Level.BOUNDED:
        return e.fresh_at is not None and NOW - e.fresh_at <= request.consistency.max_staleness
    return e.observation.reached is not None and all(
        entry.position is not None
        and e.lineage.survival(entry.history, entry.position) in (Survival.CURRENT, Survival.SURVIVED)
        and e.observation.reached >= entry.position
        for entry in request.entries
    )


cases = st.tuples(st.integers(0, 2**32), st.integers(1, 6))


def drawn(case: tuple[int, int]) -> tuple[Snapshot, Request, list[int]]:
    random = Random(case[0])
    return (
        random_snapshot(random, case[1]),
        random_request(random, case[1]),
        [random.randint(0, 3) for _ in range(case[1])],
    )


@settings(max_examples=1500, deadline=None)
@given(cases)
def test_only_allowed_and_proved_endpoints_serve(case: tuple[int, int]) -> None:
    """Allowed, not barred, healthy, the owner where the owner is needed, and proved unless `serve` says otherwise."""
    snapshot, request, loads = drawn(case)
    made = decide(snapshot, request, NOW, loads)
    if made.outcome is Outcome.REFUSE:
        assert made.index == -1 and made.refusal is not Refusal.NONE and made.endpoint is None
        return
    e = snapshot.endpoints[made.index]
    assert e.allowed and not e.barred and made.index not in request.excluded
    assert not (e.write_open if request.kind is Kind.WRITE else e.read_open)
    if request.kind is Kind.WRITE or request.consistency.level is Level.STRONG:
        assert made.index == snapshot.owner and made.outcome is Outcome.USE
    elif made.outcome is Outcome.USE and "serve" not in request.on_stale:
        assert proved(snapshot, request, made.index)


@settings(max_examples=500, deadline=None)
@given(cases)
def test_the_same_question_has_the_same_answer(case: tuple[int, int]) -> None:
    """No clock, no randomness: equal in, equal out, with every endpoint named once, taken at most once."""
    snapshot, request, loads = drawn(case)
    first, second = decide(snapshot, request, NOW, loads), decide(snapshot, request, NOW, list(loads))
    assert first == second
    assert [c.endpoint for c in first.candidates] == [e.id for e in snapshot.endpoints]
    assert [c.refused_by is None for c in first.candidates].count(True) == (first.outcome is not Outcome.REFUSE)
    assert all(c.reason for c in first.candidates if c.refused_by is not None)


def test_a_decision_holds_until_its_validity_ends() -> None:
    """Whatever it rests on: with the same snapshot it is taken again just before."""
    held = 0
    for seed in range(6000):
        snapshot, request, loads = drawn((seed, 3 + seed % 4))
        on_stale: tuple[OnStale, ...] = ("wait", *(step for step in request.on_stale if step != "wait"))
        request = Request(consistency=BOUNDED(1.0), on_stale=on_stale, wait_until=FOREVER)
        clean = (replace(e, allowed=True, barred="", read_open="") for e in snapshot.endpoints)
        snapshot = replace(snapshot, endpoints=tuple(clean), unrecorded="")
        made = decide(snapshot, request, NOW, loads)
        if made.outcome is Outcome.USE and made.valid_until > NOW:
            again = decide(snapshot, request, min(made.valid_until, NOW + 20.0) - 1e-6, loads)
            assert (again.outcome, again.index) == (Outcome.USE, made.index)
            held += 1
    assert held > 2000


@pytest.mark.parametrize(
    ("on_stale", "outcome", "until"),
    [
        (("wait", "primary"), Outcome.WAIT, NOW + 0.1),  # the copy that is proved may not be taken
        (("wait", "primary", "next"), Outcome.WAIT, NOW + 0.1),
        (("wait", "next", "primary"), Outcome.USE, 0.0),  # it is as near: no wait is worth anything
        (("wait", "next"), Outcome.USE, 0.0),
        (("wait", "raise"), Outcome.WAIT, NOW + 9.0),  # nothing else serves
        (("wait", "serve"), Outcome.WAIT, NOW + 9.0),
        (("wait",), Outcome.WAIT, NOW + 9.0),
    ],
)
def test_a_wait_is_worth_what_the_later_steps_would_cost(
    on_stale: tuple[OnStale, ...], outcome: Outcome, until: float
) -> None:
    """The local copy lags, another region's is proved, the owner is far. Whose step does not come does not count: its proof
    would end before a choice that rests on it does.
    """
    snapshot = fresh("PRR", "r1")
    for index, rtt in ((0, 0.11), (1, 0.01), (2, 0.01)):
        role = PRIMARY if index == 0 else REPLICA
        snapshot = after(snapshot, (index, told(role, H1, 50, rtt=rtt)), fresh_at=NOW - (0.5 if index == 2 else 5.0))
    made = read(snapshot, consistency=BOUNDED(1.0), on_stale=on_stale, wait_until=NOW + 9.0)
    assert (made.outcome, made.until) == (outcome, pytest.approx(until))
    assert made.index == (1 if outcome is Outcome.WAIT else 2)


@settings(max_examples=800, deadline=None)
@given(cases)
def test_one_more_healthy_copy_never_turns_success_into_failure(case: tuple[int, int]) -> None:
    """Monotone where the walk goes on to other copies; `raise` before that is the caller's own wish."""
    snapshot, request, loads = drawn(case)
    request = replace(request, on_stale=("wait", "next", "primary"))
    before = decide(snapshot, request, NOW, loads)
    more = EndpointState("new", "r0", REPLICA, REPLICA, True, told(REPLICA, H12, 1), rtt=0.0001)
    larger = replace(snapshot, endpoints=(*snapshot.endpoints, more))
    for position in range(3):  # whether the newcomer was waited for or failed makes no difference
        asked = replace(
            request,
            waited=request.waited | ({len(loads)} if position == 1 else set()),
            excluded=request.excluded | ({len(loads)} if position == 2 else set()),
        )
        after_it = decide(larger, asked, NOW, [*loads, 0])
        if before.outcome is not Outcome.REFUSE:
            assert after_it.outcome is not Outcome.REFUSE, (before, after_it)


@settings(max_examples=400, deadline=None)
@given(cases)
def test_walks_end(case: tuple[int, int]) -> None:
    """A caller that does what each Wait says comes to Use or Refuse within two steps per endpoint."""
    snapshot, request, loads = drawn(case)
    made = decide(snapshot, request, NOW, loads)
    for _ in range(2 * len(loads) + 1):
        if made.outcome is not Outcome.WAIT:
            return
        assert made.until <= max(NOW, request.wait_until)
        i = made.index
        waited = request.waited | {i} if i in request.fresh or i != snapshot.owner else request.waited
        request = replace(request, fresh=request.fresh | {i}, waited=waited)
        made = decide(snapshot, request, NOW, loads)
    pytest.fail("waits without an end")


def residency_cases(count: int) -> tuple[int, int]:
    """How many of `count` generated cases had a forbidden best endpoint, and in how many it was picked."""
    random = Random(7)
    forbidden_best = violations = 0
    levels = [Request(consistency=level, wait_until=NOW + 1) for level in LEVELS] + [Request(kind=Kind.WRITE)]
    pool = []
    for rtt in (0.0001, 0.01, 0.05, 0.1, 0.2):
        for role in (PRIMARY, REPLICA):
            for allowed in (True, False):
                for region in ("r0", "r1"):
                    seen = told(role, H1, 50)
                    pool.append(EndpointState("x", region, role, role, allowed, seen, NOW - 0.1, rtt))
    for _ in range(count):
        endpoints = tuple(random.choices(pool, k=3))
        best = min(range(3), key=lambda i: (endpoints[i].region != "r0", endpoints[i].rtt))
        if random.random() < 0.5 and endpoints[best].allowed:
            endpoints = tuple(replace(e, allowed=False) if i == best else e for i, e in enumerate(endpoints))
        forbidden_best += not endpoints[best].allowed
        owner = next((i for i, e in enumerate(endpoints) if e.role is PRIMARY), -1)
        snapshot = Snapshot("orders", "r0", endpoints, owner, H1)
        made = decide(snapshot, random.choice(levels), NOW, (0, 0, 0))
        violations += made.index >= 0 and not endpoints[made.index].allowed
    return forbidden_best, violations


def test_residency_holds_in_100_000_cases() -> None:
    """The best endpoint is forbidden in at least half of them, and no forbidden one is ever named."""
    forbidden_best, violations = residency_cases(100_000)
    assert forbidden_best >= 50_000
    assert violations == 0


def test_the_residency_cases_find_a_missing_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant without the first filter fails the same cases: the test has teeth."""
    original = module._filter

    def mutant(snapshot: Snapshot, request: Request, index: int, now: float) -> Any:
        everywhere = tuple(replace(e, allowed=True) for e in snapshot.endpoints)
        return original(replace(snapshot, endpoints=everywhere), request, index, now)

    monkeypatch.setattr(module, "_filter", mutant)
    _, violations = residency_cases(2_000)
    assert violations > 500


def test_residency_comes_before_everything_else() -> None:
    """A forbidden endpoint says so, whatever else is wrong with it; and when all are, the refusal is of that kind."""
    bad = EndpointState("r0", "r0", PRIMARY, PRIMARY, False, barred="fenced", read_open="open")
    made = decide(Snapshot("orders", "r0", (bad,), 0), Request(), NOW, (0,))
    assert made.candidates[0].refused_by is Filter.RESIDENCY
    assert made.refusal is Refusal.RESIDENCY


def read(snapshot: Snapshot, *entries: Entry, **more: Any) -> Decision:
    return decide(snapshot, Request(entries=entries, **more), NOW, [0] * len(snapshot.endpoints))


def test_an_ancestor_entry_needs_a_known_position() -> None:
    """After `forget` or a restart nothing is proved, not even what the lineage of the earlier run says survived."""
    snapshot = after(fresh("RP", "r0"), (0, told(REPLICA, H12, None)), (1, told(PRIMARY, H12, 150)))
    assert read(snapshot, Entry("h1", 1, 80)).index == 1
    snapshot = after(snapshot, (0, told(REPLICA, H12, 140)))
    assert read(snapshot, Entry("h1", 1, 80)).index == 0


def test_a_gtid_of_the_losing_side_is_lost_on_the_owner() -> None:
    """It lies before the fork by its sequence, but the owner's log knows its server only up to an earlier one."""
    lineage = chain("h1", "h2", forks=(((0, 2, 150),),))
    reached = GtidsReached(((0, 2, 160),), ((0, 1, 100), (0, 2, 160)))
    snapshot = after(fresh("P"), (0, told(PRIMARY, lineage, reached)))
    assert read(snapshot, Entry("h1", 1, ((0, 1, 101),))).refusal is Refusal.LOST
    assert read(snapshot, Entry("h1", 1, ((0, 1, 100),))).index == 0
    assert read(snapshot, Entry("h1", 1, ((0, 7, 50),))).index == 0, "an unknown pair proves nothing"


def test_an_unrecorded_promotion_closes_replicas_and_not_the_owner() -> None:
    """SESSION with entries and BOUNDED; a session that saw nothing may still read anywhere."""
    snapshot = after(fresh("RPR", "r0"), (0, told(REPLICA, H1)), (1, told(PRIMARY, H1)))
    snapshot = after(snapshot, (2, told(PRIMARY, H1, origin="at elsewhere")))
    assert snapshot.unrecorded == "r2"
    assert read(snapshot, Entry("h1", 1, 10)).index == 1
    assert read(snapshot, consistency=BOUNDED(5)).index == 1
    assert read(snapshot).index == 0
    assert decide(snapshot, Request(kind=Kind.WRITE), NOW, (0, 0, 0)).index == 1


def test_bounded_is_not_served_by_a_copy_that_stands_nowhere_known() -> None:
    """A replica whose origin no history row tells of may follow an unseen promotion: no sample speaks of it."""
    snapshot = after(fresh("RP", "r0"), (1, told(PRIMARY, H1)))
    snapshot = after(snapshot, (0, told(REPLICA, H1, 90, origin="at elsewhere")), fresh_at=NOW - 0.1)
    assert snapshot.endpoints[0].fresh_at is None
    assert read(snapshot, consistency=BOUNDED(5)).index == 1


def test_lost_and_invalid_are_told_at_once() -> None:
    """Past the fork: lost, no waiting. Ahead of the owner: asked afresh, then lost if signed, else invalid."""
    snapshot = after(fresh("RP", "r0"), (0, told(REPLICA, H12, 150)), (1, told(PRIMARY, H12, 150)))
    assert read(snapshot, Entry("h1", 1, 101), wait_until=NOW + 1).refusal is Refusal.LOST
    ahead = Entry("h2", 2, 999)
    asked = read(snapshot, ahead, wait_until=0.0)
    assert (asked.outcome, asked.index) == (Outcome.WAIT, 1)
    fresh_owner = frozenset({1})
    assert read(snapshot, ahead, fresh=fresh_owner, signed=True).refusal is Refusal.LOST
    assert read(snapshot, ahead, fresh=fresh_owner, signed=False).refusal is Refusal.INVALID
    assert read(snapshot, Entry("h9", 9, 1), fresh=fresh_owner, signed=True).refusal is Refusal.LOST
    assert read(snapshot, Entry("h9", 9, 1), fresh=fresh_owner, signed=False).refusal is Refusal.INVALID
    assert read(snapshot, Entry("h1", 1, 101), on_stale=("serve",)).outcome is Outcome.USE


def test_an_owner_with_a_waiting_commit_does_not_serve_what_a_replica_showed() -> None:
    """Under synchronous replication a replica may be ahead of what the owner shows (rules of routing, 12)."""
    entry = Entry("h1", 1, 40, from_read=True)
    for waiting, outcome in ((True, Outcome.WAIT), (False, Outcome.USE)):
        snapshot = after(fresh("P"), (0, told(PRIMARY, H1, 50, synchronous=True, waiting=waiting)))
        assert read(snapshot, entry, wait_until=NOW + 1).outcome is Outcome.WAIT, "not asked afresh yet"
        assert read(snapshot, entry, fresh=frozenset({0}), wait_until=NOW + 1).outcome is outcome
    done = read(snapshot, replace(entry, from_read=False))
    assert done.outcome is Outcome.USE


def test_a_forgotten_answer_is_no_loss() -> None:
    """The owner answered in this call, then another thread's connection died: ask again, do not say lost."""
    snapshot = after(fresh("P"), (0, told(PRIMARY, H1, None)))
    made = read(snapshot, Entry("h1", 1, 10), fresh=frozenset({0}), wait_until=NOW + 1)
    assert made.outcome is Outcome.WAIT and made.index == 0


def test_every_copy_is_asked_before_a_refusal() -> None:
    """With the owner gone a further copy may have what the nearest one lacks; each is asked once, then it is stale."""
    base = after(fresh("RRP", "r0"), (0, told(REPLICA, H1, 5)), (1, told(REPLICA, H1, 5)), (2, told(PRIMARY, H1, 9)))
    down = replace(base.endpoints[2], read_open="down")
    snapshot = replace(base, endpoints=(*base.endpoints[:2], down))
    waited: frozenset[int] = frozenset()
    for expected in (0, 1):
        made = read(snapshot, Entry("h1", 1, 9), waited=waited, wait_until=NOW - 1)
        assert (made.outcome, made.index, made.until) == (Outcome.WAIT, expected, NOW)
        waited |= {expected}
    assert read(snapshot, Entry("h1", 1, 9), waited=waited).refusal is Refusal.STALE
    assert read(snapshot, Entry("h1", 1, 9), on_stale=("next", "primary")).refusal is Refusal.STALE


def test_owner_only_never_waits_for_a_replica() -> None:
    """The position could not be had: no replica can ever prove it."""
    snapshot = after(fresh("RP", "r0"), (0, told(REPLICA, H1, 50)), (1, told(PRIMARY, H1, 50)))
    assert read(snapshot, OWNER_ONLY, wait_until=NOW + 1).index == 1
    assert read(snapshot, OWNER_ONLY, Entry("h1", 1, 1), on_stale=("wait", "next"), wait_until=NOW + 1).index == 1


def test_a_wait_is_worth_the_extra_round_trip() -> None:
    """Until now plus what the best proved copy costs more, and never past wait_until; then the next step."""
    snapshot = after(fresh("RP", "r0"), (0, told(REPLICA, H1, 50, rtt=0.01)), (1, told(PRIMARY, H1, 90, rtt=0.11)))
    made = read(snapshot, Entry("h1", 1, 80), wait_until=NOW + 1)
    assert made.outcome is Outcome.WAIT and made.index == 0 and made.until == pytest.approx(NOW + 0.1)
    assert read(snapshot, Entry("h1", 1, 80), wait_until=NOW + 0.05).until == NOW + 0.05
    assert read(snapshot, Entry("h1", 1, 80), wait_until=NOW + 1, waited=frozenset({0})).index == 1


def test_preference_order() -> None:
    """The local region first; in it the pinned one, else load among equals; recovered ones last until their time."""
    base = fresh("PRRR", "r1")
    endpoints = [replace(e, region="r1" if i in (1, 2) else e.region, rtt=0.01) for i, e in enumerate(base.endpoints)]
    snapshot = replace(base, endpoints=tuple(endpoints))

    def ask(
        loads: tuple[int, ...] = (0, 0, 0, 0), now: float = NOW, snap: Snapshot = snapshot, **more: Any
    ) -> Decision:
        return decide(snap, Request(consistency=EVENTUAL, **more), now, loads)

    assert ask().index == 1 and ask((0, 5, 1, 0)).index == 2
    assert ask().valid_until == NOW, "load chose, so the answer holds for this moment only"
    assert ask((0, 0, 5, 0), pin=2).index == 2 and ask(pin=3).index == 1
    held = replace(
        snapshot, endpoints=tuple(replace(e, held_until=NOW + 9) if e.region == "r1" else e for e in endpoints)
    )
    assert ask(snap=held, latency_window=0.0).index == 0
    assert ask(snap=held, pin=0).valid_until == NOW + 9
    assert ask(snap=held, now=NOW + 9).index == 1
    assert "held down" in ask(snap=held).candidates[1].reason


def test_kinds_of_refusal() -> None:
    """Fenced when every remaining claim failed on epoch, else no endpoint; a role alone is no claim."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, H1)), (0, told(PRIMARY, None)))
    write = Request(kind=Kind.WRITE)
    assert decide(snapshot, write, NOW, (0, 0)).refusal is Refusal.FENCED
    down = replace(fresh("PR"), endpoints=tuple(replace(e, write_open="down") for e in fresh("PR").endpoints))
    assert decide(down, write, NOW, (0, 0)).refusal is Refusal.NO_ENDPOINT
    stale = read(after(fresh("R"), (0, told(REPLICA, H1, 5))), Entry("h1", 1, 9), waited=frozenset({0}))
    assert stale.refusal is Refusal.STALE


def test_validity_of_bounded_ends_with_its_proof() -> None:
    """The decision holds until the measured staleness leaves the bound; others hold until the snapshot changes."""
    snapshot = after(fresh("RP", "r0"), (1, told(PRIMARY, H1)))
    snapshot = after(snapshot, (0, told(REPLICA, H1)), fresh_at=NOW - 0.5)
    assert read(snapshot, consistency=BOUNDED(2)).valid_until == NOW + 1.5
    assert read(snapshot).valid_until == FOREVER
    assert read(snapshot, consistency=BOUNDED(0.1), on_stale=("serve",)).valid_until <= NOW


def test_among_equals_the_choice_ends_at_once_and_the_proof_does_not() -> None:
    """Load decides anew for the next call; what was proved of the one that was taken holds for its whole time."""
    snapshot = after(around((0.001, 50), (0.001, 50)), fresh_at=NOW - 0.5)
    copies = tuple(replace(e, fresh_at=NOW - 0.5) if i else e for i, e in enumerate(snapshot.endpoints))
    made = read(replace(snapshot, endpoints=copies), consistency=BOUNDED(2.0), latency_window=0.015)
    assert (made.valid_until, made.proved_until) == (NOW, NOW + 1.5)
    assert read(snapshot, consistency=EVENTUAL).proved_until == FOREVER


def around(*copies: tuple[float, int]) -> Snapshot:
    """An owner far away, and copies in the local region: (round trip, position)."""
    snapshot = fresh("P" + "R" * len(copies), "r1")
    here = [replace(e, region="r1") if i else e for i, e in enumerate(snapshot.endpoints)]
    snapshot = replace(snapshot, endpoints=tuple(here))
    snapshot = after(snapshot, (0, told(PRIMARY, H1, 50, rtt=0.2)))
    for index, (rtt, reached) in enumerate(copies, 1):
        snapshot = after(snapshot, (index, told(REPLICA, H1, reached, rtt=rtt)))
    return snapshot


def test_the_latency_window_is_laid_around_what_is_proved() -> None:
    """The nearest copy lags: the others of its region are chosen among by load, as if it were not there."""
    snapshot = around((0.001, 10), (0.010, 50), (0.020, 50), (0.040, 50))
    request = Request(kind=Kind.READ, entries=(Entry("h1", 1, 40),), latency_window=0.015, wait_until=NOW + 9)
    for loads, chosen in (((0, 0, 2, 1, 0), 3), ((0, 0, 1, 2, 0), 2), ((0, 0, 9, 9, 0), 2)):
        found = decide(snapshot, request, NOW, loads)
        assert (found.outcome, found.index) == (Outcome.USE, chosen)
    assert decide(around((0.001, 10), (0.010, 10)), request, NOW, (0, 0, 0)).outcome is Outcome.WAIT


def test_many_processes_with_one_call_each_spread() -> None:
    """Among equals evenly, among weights with the heavier first as a rule, from the first call on."""
    random = Random(7)
    snapshot = around((0.001, 50), (0.001, 50), (0.001, 50))
    equal, weighted = [0] * 4, [0] * 4
    for _ in range(3000):
        starts = [1.0 - random.random() for _ in range(4)]
        equal[decide(snapshot, Request(latency_window=0.015), NOW, (0,) * 4, (0,) * 4, starts).index] += 1
        weights = (("r0", 1.0), ("r1", 3.0))
        weighted[decide(around((0.001, 50)), Request(weights=weights), NOW, (0, 0), (0, 0), starts).index] += 1
    assert equal[0] == 0 and min(equal[1:]) > 800
    assert 350 < weighted[0] < 650  # of a quarter of all calls; later ones make up for it
