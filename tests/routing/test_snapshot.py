"""Who owns a store: a reference model of descent, and the observations that must change nothing or everything."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from regionkit.facts.history import Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import decide
from regionkit.routing.snapshot import Snapshot, adopted, unproved
from regionkit.routing.verdict import Refusal

from .worlds import PRIMARY, REPLICA, after, chain, fresh, told

H1, H12, H13, H123 = chain("h1"), chain("h1", "h2"), chain("h1", "h3"), chain("h1", "h2", "h3b")
LINEAGES = (H1, H12, H13, H123, None)


def goes_on_from(a: Lineage, b: Lineage) -> bool:
    return any(row.history == b.current.history for row in a.rows[:-1])


def apart(a: Lineage, b: Lineage) -> bool:
    return a.current.history != b.current.history and not goes_on_from(a, b) and not goes_on_from(b, a)


def top_of(pool: list[Lineage]) -> Lineage | None:
    tops = [x for x in pool if not any(apart(x, y) or goes_on_from(y, x) for y in pool)]
    return tops[0] if tops else None


def owner_by_descent(seen: list[Observation], known: Lineage | None, settled: bool) -> tuple[int, Lineage | None, bool]:
    """The rule, written anew: (owner, newest known lineage, whether a primary was seen in it or before it), when every
    endpoint was asked and 0 was the first primary.
    """
    told_of = [o.lineage if o.recorded else None for o in seen]
    found = [x for x in told_of if x is not None]
    of_primaries = [x for x, o in zip(told_of, seen, strict=True) if x is not None and o.role is PRIMARY]
    if not settled and of_primaries:
        known = top_of(of_primaries)
        settled = known is not None
    elif known is None:
        known = top_of(found)
    if known is not None:
        known = top_of([x for x in found if goes_on_from(x, known)]) or known
    claims = []
    for i, o in enumerate(seen):
        mine = told_of[i]
        if o.role is not PRIMARY:
            continue
        if o.lineage is None:
            if known is None and i == 0:
                claims.append(i)
            continue
        if mine is None or known is None or apart(mine, known) or any(goes_on_from(x, mine) for x in [*found, known]):
            continue
        if any(j != i and p.role is PRIMARY and told_of[j] and apart(told_of[j], mine) for j, p in enumerate(seen)):  # type: ignore[arg-type]
            continue
        claims.append(i)
    return (claims[0] if len(claims) == 1 else -1), known, settled


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 2**32))
def test_the_owner_is_who_the_model_says(seed: int) -> None:
    """Random answers in random order; after each the owner and the known lineage are the model's."""
    random = Random(seed)
    snapshot = fresh("PRR")
    seen: dict[int, Observation] = {}
    known: Lineage | None = None
    settled = False
    for at in range(random.randint(3, 12)):
        i = at if at < 3 else random.randrange(3)
        lineage = random.choice(LINEAGES)
        origin = None if random.random() < 0.8 else "at elsewhere"
        answer = told(random.choice((PRIMARY, REPLICA)), lineage, random.choice((40, 90)), origin=origin, at=10.0 + at)
        seen[i] = answer
        snapshot = after(snapshot, (i, answer))
        if len(seen) < 3:
            known, settled = snapshot.lineage, snapshot.settled
            continue
        owner, known, settled = owner_by_descent([seen[j] for j in range(3)], known, settled)
        assert (snapshot.lineage, snapshot.settled) == (known, settled)
        assert snapshot.owner == owner
        unrecorded = [o for o in seen.values() if o.role is PRIMARY and o.lineage is not None and not o.recorded]
        assert bool(snapshot.unrecorded) == bool(unrecorded)


def writes(snapshot: Snapshot) -> int:
    return decide(snapshot, Request(kind=Kind.WRITE), 20.0, [0] * len(snapshot.endpoints)).index


def test_configured_primary_before_anything_is_seen() -> None:
    """Role is where to begin; what a server reports wins."""
    assert writes(fresh("PR")) == 0
    assert writes(after(fresh("PR"), (0, told(REPLICA, H1)))) == -1
    assert writes(after(fresh("PR"), (1, told(PRIMARY, None)))) == 0, "against the configuration and without rows"


def test_a_recorded_promotion_moves_the_owner_and_the_old_one_stays_out() -> None:
    """Also when the old primary still says that it is one, in whatever order the answers come."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H12, at=11.0)))
    assert writes(snapshot) == 1
    assert writes(after(snapshot, (0, told(PRIMARY, H1, at=12.0)))) == 1
    assert "replaced" in snapshot.endpoints[0].barred


def test_two_promoted_apart_fence_their_ancestor_too() -> None:
    """Whichever of them will count, the primary that both were promoted from was replaced."""
    snapshot = after(fresh("PRR"), (0, told(PRIMARY, H1)), (1, told(REPLICA, H1)), (2, told(REPLICA, H1)))
    snapshot = after(snapshot, (1, told(PRIMARY, H12, at=11.0)), (2, told(PRIMARY, H13, at=11.0)))
    snapshot = after(snapshot, (0, told(PRIMARY, H1, 60, at=12.0)))
    assert writes(snapshot) == writes(after(fresh("PRR"), (1, told(PRIMARY, H12)), (2, told(PRIMARY, H13)))) == -1
    assert decide(snapshot, Request(kind=Kind.WRITE), 20.0, (0, 0, 0)).refusal is Refusal.FENCED


def test_both_of_one_history_are_fenced() -> None:
    """Two servers that claim the same history cannot be told apart."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H1, at=11.0)))
    assert snapshot.owner == -1 and all(e.barred for e in snapshot.endpoints)


def test_an_owner_that_lost_its_tables_is_no_owner() -> None:
    """It is not a copy of what was known here; without history rows from the start there is nothing to lose."""
    assert writes(after(fresh("PR"), (0, told(PRIMARY, H1)), (0, told(PRIMARY, None, at=11.0)))) == -1
    assert writes(after(fresh("PR"), (0, told(PRIMARY, None)))) == 0


def test_a_late_answer_changes_nothing() -> None:
    """Neither of the same run nor of an earlier one: a dead primary's last words do not make it the owner again."""
    snapshot = after(
        fresh("PR"), (0, told(REPLICA, H12, 150, run="run 2", at=20.0)), (1, told(PRIMARY, H12, 150, at=20.0))
    )
    for late in (told(PRIMARY, H1, 99, run="run 1", at=19.0), told(REPLICA, H12, 200, run="run 2", at=19.0)):
        assert after(snapshot, (0, late)) is snapshot


def test_another_run_proves_nothing_of_the_first() -> None:
    """Its position and its staleness are as it says now."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, H1)))
    snapshot = after(snapshot, (1, told(REPLICA, H1, 90)), fresh_at=9.0)
    same = after(snapshot, (1, told(REPLICA, H1, 80, at=11.0)), fresh_at=8.0)
    other = after(snapshot, (1, told(REPLICA, H1, 80, run="run 2", at=11.0)), fresh_at=8.0)
    assert same.endpoints[1].fresh_at == 9.0
    assert other.endpoints[1].fresh_at == 8.0 and other.endpoints[1].observation.reached == 80  # type: ignore[union-attr]


def test_a_switch_forgets_measured_staleness() -> None:
    """A sample of the old owner may be younger than the promotion: it says nothing of the new owner's commits."""
    snapshot = after(fresh("PRR"), (0, told(PRIMARY, H1)))
    snapshot = after(snapshot, (2, told(REPLICA, H1, 60)), fresh_at=9.9)
    assert snapshot.endpoints[2].fresh_at == 9.9
    assert after(snapshot, (1, told(PRIMARY, H12, 150, at=11.0))).endpoints[2].fresh_at is None
    assert after(snapshot, (1, told(PRIMARY, H1, origin="at elsewhere", at=11.0))).endpoints[2].fresh_at is None


def test_a_replica_past_the_fork_is_barred() -> None:
    """It went on with the replaced primary; one that stopped before the fork may still follow the new one."""
    snapshot = after(fresh("PRRR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H12, 150, at=11.0)))
    snapshot = after(snapshot, (2, told(REPLICA, H1, 101)), (3, told(REPLICA, H1, 99)))
    assert "past the fork" in snapshot.endpoints[2].barred and not snapshot.endpoints[3].barred
    later = after(snapshot, (3, told(REPLICA, H1, 120, at=12.0)))
    assert "past the fork" in later.endpoints[3].barred
    assert not after(later, (3, told(REPLICA, H12, 150, run="run 2", at=13.0))).endpoints[3].barred


def test_a_standby_that_lost_its_sender_still_stands_where_it_stood() -> None:
    """It followed an unrecorded promotion; with its receiver down it cannot say so, and must not look recorded."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, H1)), (1, told(REPLICA, H1, 90, origin="at elsewhere")))
    snapshot = after(snapshot, (1, told(REPLICA, H1, 95, origin="", at=12.0)))
    assert snapshot.endpoints[1].lineage is None
    assert after(snapshot, (1, told(REPLICA, H1, 95, origin="", run="run 2", at=13.0))).endpoints[1].lineage is not None


def test_adoption_is_not_held_up_by_the_dead() -> None:
    """What other primaries said before is forgotten; one that is alive says it again, and both are fenced."""
    snapshot = after(fresh("PRR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H12)), (2, told(PRIMARY, H13)))
    assert snapshot.owner == -1
    done = adopted(snapshot, H12)
    assert writes(done) == 1
    assert writes(after(done, (2, told(PRIMARY, H13, at=12.0)))) == -1
    rogue = after(fresh("PR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H1, origin="at elsewhere")))
    assert rogue.unrecorded == "r1" and adopted(rogue, H1).unrecorded == ""


def test_why_a_promotion_was_not_recorded_is_told_until_it_is() -> None:
    """In the reason for which it is fenced, with both ways out; a row that tells of it, or another role, ends that."""
    rogue = after(fresh("PR"), (0, told(PRIMARY, H1)), (1, told(PRIMARY, H1, origin="at elsewhere")))
    assert rogue.endpoints[1].barred.endswith("the monitor writes one if the server proves it; otherwise adopt it")
    tried = unproved(rogue, 1, "the account lacks it", "grant it.")
    assert tried.endpoints[1].barred.endswith(": the account lacks it; correct that, or adopt it")
    assert tried.endpoints[1].remedy == "grant it."
    assert unproved(tried, 1, "the account lacks it", "grant it.") is tried
    assert unproved(tried, 1, "", "").endpoints[1].barred == rogue.endpoints[1].barred
    for answer in (told(PRIMARY, H12, at=12.0), told(REPLICA, H1, at=12.0)):
        assert (after(tried, (1, answer)).endpoints[1].unproved, after(tried, (1, answer)).endpoints[1].remedy) == (
            "",
            "",
        )
    again = after(tried, (1, told(PRIMARY, H1, origin="at elsewhere", at=12.0)))
    assert again.endpoints[1].barred == tried.endpoints[1].barred


def test_replicas_promoted_apart_are_barred_and_older_ones_are_not() -> None:
    """An older copy is merely behind."""
    snapshot = after(
        fresh("PRR"), (0, told(PRIMARY, H12, 150)), (1, told(REPLICA, H13, 150)), (2, told(REPLICA, H1, 60))
    )
    assert "separately" in snapshot.endpoints[1].barred and not snapshot.endpoints[2].barred


def test_a_replica_of_another_store_decides_nothing() -> None:
    """Whichever answers first: the primary's history is the store's, and the copy of another one is barred."""
    mine, foreign = (0, told(PRIMARY, H1)), (1, told(REPLICA, chain("z1")))
    for snapshot in (after(fresh("PR"), mine, foreign), after(fresh("PR"), foreign, mine)):
        assert writes(snapshot) == 0
        assert "separately" in snapshot.endpoints[1].barred


def test_what_replicas_say_counts_until_a_primary_is_seen() -> None:
    """An old primary that comes back is told from the newer history of its copies; then no foreign primary is believed."""
    snapshot = after(fresh("PRR"), (1, told(REPLICA, H12, 90)), (0, told(PRIMARY, H1)))
    assert "replaced" in snapshot.endpoints[0].barred and snapshot.owner == -1
    settled = after(fresh("PR"), (0, told(PRIMARY, H1)), (0, told(PRIMARY, chain("z1"), at=11.0)))
    assert settled.owner == -1 and settled.lineage == H1


def test_round_trips_are_smoothed_and_never_above_the_newest() -> None:
    """A good round trip counts at once, a bad one by a fifth."""
    snapshot = after(fresh("P"), (0, told(PRIMARY, H1, rtt=0.1)))
    slow = after(snapshot, (0, told(PRIMARY, H1, rtt=0.6, at=11.0)))
    assert slow.endpoints[0].rtt is not None and abs(slow.endpoints[0].rtt - 0.2) < 1e-9
    assert after(slow, (0, told(PRIMARY, H1, rtt=0.01, at=12.0))).endpoints[0].rtt == 0.01
    assert replace(snapshot).index("r0") == 0


def test_an_adoption_counts_wherever_it_is_seen() -> None:
    """A process that knew another history takes it, and bars what follows the old one."""
    old, new = chain("h1", "h2"), chain("h7", "op-1")
    snapshot = after(fresh("PRP"), (0, told(PRIMARY, old)), (1, told(REPLICA, old)), (2, told(PRIMARY, new)))
    assert (snapshot.owner, snapshot.lineage) == (2, new)
    assert snapshot.endpoints[0].barred == "an operator adopted another history instead"
    assert snapshot.endpoints[1].barred == "it follows a history that an operator replaced by another one"
    later = chain("h9", "op-2")
    assert after(snapshot, (0, told(PRIMARY, later, at=11.0))).owner == 0
    same = chain("h9", "op-1")  # which cannot be: nobody counts
    assert after(snapshot, (0, told(PRIMARY, same, at=11.0))).owner == -1
