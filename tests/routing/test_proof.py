"""Proofs: what must be known of an endpoint before it serves a SESSION or BOUNDED read, case by case."""

from __future__ import annotations

import msgspec
import pytest

from regionkit.facts.bookmark import OWNER_ONLY, Entry
from regionkit.facts.observation import Observation
from regionkit.facts.request import Request
from regionkit.routing.proof import PROVED, bounded_proof, session_proof
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.verdict import Filter, Standing

from .worlds import PRIMARY, REPLICA, after, chain, fresh, told

H1, H12 = chain("h1"), chain("h1", "h2")  # h2 forked at 100
OWNER, COPY = 0, 1


def world(copy: Observation | None = None, owner: Observation | None = None) -> Snapshot:
    """An owner at 150 of h2, and a copy."""
    snapshot = after(fresh("PR"), (OWNER, owner or told(PRIMARY, H12, 150)))
    return snapshot if copy is None else after(snapshot, (COPY, copy))


def standing(snapshot: Snapshot, index: int, *entries: Entry, **more: object) -> Standing:
    """How an endpoint stands to entries."""
    return session_proof(snapshot, Request(entries=entries, **more), index).standing  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize(
    ("copy", "entry", "expected"),
    [
        (told(REPLICA, H12, 120), Entry("h2", 2, 120), Standing.PROVED),
        (told(REPLICA, H12, 119), Entry("h2", 2, 120), Standing.BEHIND),
        (told(REPLICA, H12, 120), Entry("h1", 1, 100), Standing.PROVED),
        (told(REPLICA, H12, 120), Entry("h1", 1, 101), Standing.NEVER),
        (told(REPLICA, H12, 120), Entry("h9", 9, 1), Standing.BEHIND),
        (told(REPLICA, H12, None), Entry("h2", 2, 1), Standing.BEHIND),
        (told(REPLICA, None, 120), Entry("h2", 2, 1), Standing.NEVER),
        (told(REPLICA, H12, 120), OWNER_ONLY, Standing.NEVER),
        (None, Entry("h2", 2, 1), Standing.BEHIND),
    ],
)
def test_a_copy_is_proved_by_what_it_has_reached(copy: Observation | None, entry: Entry, expected: Standing) -> None:
    """At its position, behind it, past a fork, of a history that it has not heard of, of which nothing is known."""
    assert standing(world(copy), COPY, entry) is expected


def test_a_copy_has_to_satisfy_every_entry() -> None:
    """One that it lacks decides, wherever it stands among them."""
    snapshot = world(told(REPLICA, H12, 120))
    has, lacks = Entry("h2", 2, 110), Entry("h2", 2, 130)
    assert standing(snapshot, COPY, has, has) is Standing.PROVED
    assert standing(snapshot, COPY, has, lacks) is Standing.BEHIND
    assert standing(snapshot, COPY, lacks, has) is Standing.BEHIND


def test_the_owner_is_asked_afresh_before_anything_is_called_lost() -> None:
    """Then it is lost where we signed it, and invalid where nobody did."""
    ahead, asked = Entry("h2", 2, 151), frozenset({OWNER})
    assert standing(world(), OWNER, Entry("h2", 2, 150)) is Standing.PROVED
    assert standing(world(), OWNER, ahead) is Standing.UNSETTLED
    assert standing(world(), OWNER, ahead, fresh=asked) is Standing.LOST
    assert standing(world(), OWNER, ahead, fresh=asked, signed=False) is Standing.INVALID
    assert standing(world(), OWNER, Entry("h1", 1, 101)) is Standing.LOST
    assert standing(world(), OWNER, Entry("h9", 9, 1)) is Standing.UNSETTLED
    assert standing(world(), OWNER, Entry("h9", 9, 1), fresh=asked) is Standing.LOST
    assert standing(world(), OWNER, Entry("h9", 9, 1), fresh=asked, signed=False) is Standing.INVALID
    assert standing(world(), OWNER, OWNER_ONLY) is Standing.PROVED


def test_what_stood_before_an_adoption_is_lost() -> None:
    """Signed or not: an operator gave it up."""
    adopted = chain("h5", "op-1")
    entry, asked = Entry("h2", 2, 40), frozenset({OWNER})
    for signed in (True, False):
        snapshot = world(owner=told(PRIMARY, adopted, 10))
        assert standing(snapshot, OWNER, entry, fresh=asked, signed=signed) is Standing.LOST


def test_what_a_copy_showed_may_still_wait_on_a_synchronous_owner() -> None:
    """Until the owner says that no commit waits."""
    seen, asked = Entry("h2", 2, 40, from_read=True), frozenset({OWNER})
    waits = world(owner=told(PRIMARY, H12, 150, synchronous=True, waiting=True))
    assert standing(waits, OWNER, seen, fresh=asked) is Standing.UNSETTLED
    done = world(owner=told(PRIMARY, H12, 150, synchronous=True))
    assert standing(done, OWNER, seen) is Standing.UNSETTLED
    assert standing(done, OWNER, seen, fresh=asked) is Standing.PROVED
    assert standing(waits, OWNER, msgspec.structs.replace(seen, from_read=False)) is Standing.PROVED


def test_a_bound_is_kept_up_to_its_instant_and_not_past_it() -> None:
    """Measured from the sample that proves the copy's freshness; the owner needs none."""
    snapshot = after(world(), (COPY, told(REPLICA, H12, 120)), fresh_at=100.0)
    assert bounded_proof(snapshot, 2.0, COPY, 102.0) is PROVED
    late = bounded_proof(snapshot, 2.0, COPY, 102.5)
    assert (late.refused_by, late.standing) == (Filter.STALENESS, Standing.BEHIND)
    assert late.reason == "it may be 2.500 s behind, 2 s are allowed"
    assert bounded_proof(snapshot, 2.0, OWNER, 1e9) is PROVED


def test_a_bound_without_a_sample_or_without_history_is_not_proved() -> None:
    """The first may come, the second never does."""
    assert bounded_proof(world(told(REPLICA, H12, 120)), 60.0, COPY, 10.0).standing is Standing.BEHIND
    assert bounded_proof(world(told(REPLICA, None, 120)), 60.0, COPY, 10.0).standing is Standing.NEVER


def test_an_unrecorded_promotion_closes_every_copy() -> None:
    """Nobody knows what they follow."""
    snapshot = after(fresh("PRR"), (0, told(PRIMARY, H1)), (1, told(REPLICA, H1)))
    snapshot = after(snapshot, (2, told(PRIMARY, H1, origin="at elsewhere")))
    assert standing(snapshot, 1, Entry("h1", 1, 10)) is Standing.NEVER
    assert bounded_proof(snapshot, 60.0, 1, 10.0).standing is Standing.NEVER
