"""The bound against a real commit log: what the ring proves is true of every commit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from regionkit.facts.position import GtidsReached
from regionkit.routing.staleness import RING, Ring, Sample

delays = st.floats(0.0, 0.4)


@settings(max_examples=300)
@given(st.lists(st.tuples(delays, st.booleans(), delays, st.integers(0, 30)), min_size=1, max_size=60))
def test_the_bound_holds_for_every_commit(steps: list[tuple[float, bool, float, int]]) -> None:
    """Everything acknowledged before `fresh_at` is in the copy, however the answers were delayed."""
    ring, now, committed = Ring(), 0.0, []
    for pause, commits, delay, behind in steps:
        now += pause
        if commits:
            committed.append(now)
        else:
            sent_at = now
            now += delay
            ring.add("o", "h", Sample(sent_at, sum(at < sent_at for at in committed)))
        have = max(0, len(committed) - behind)
        fresh_at = ring.fresh_at("h", have)
        if fresh_at is not None:
            assert all(at >= fresh_at for at in committed[have:])


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 9)), max_size=40), st.integers(0, 9))
def test_the_newest_reached_sample_wins(samples: list[tuple[float, int]], have: int) -> None:
    """Samples that came late do not move the ring back."""
    ring, kept = Ring(), []
    for sent_at, position in samples:
        ring.add("o", "h", Sample(sent_at, position))
        if not kept or sent_at > kept[-1][0]:
            kept.append((sent_at, position))
    assert ring.fresh_at("h", have) == max((at for at, position in kept if position <= have), default=None)


def test_another_owner_or_history_empties_the_ring() -> None:
    """A sample counts for the history and owner of its time only."""
    ring = Ring()
    ring.add("a", "h1", Sample(1.0, 5))
    assert ring.fresh_at("h1", 5) == 1.0 and ring.fresh_at("h2", 5) is None and ring.fresh_at("h1", None) is None
    ring.add("b", "h1", Sample(2.0, 9))
    assert ring.fresh_at("h1", 5) is None
    ring.add("b", "h2", Sample(3.0, 1))
    assert ring.fresh_at("h1", 9) is None and ring.fresh_at("h2", 9) == 3.0
    ring.clear()
    assert ring.fresh_at("h2", 9) is None and ring.fresh_at("", 9) is None


def test_the_ring_is_bounded() -> None:
    """A copy further behind than the ring is long has no bound, and says so."""
    ring = Ring()
    for i in range(RING + 10):
        ring.add("o", "h", Sample(float(i), i))
    assert ring.fresh_at("h", 9) is None
    assert ring.fresh_at("h", 10) == 10.0


def test_gtids_are_judged_by_pair() -> None:
    """A copy on the losing side of a fork does not reach the owner's sample."""
    ring = Ring()
    ring.add("o", "h", Sample(1.0, ((0, 2, 7),)))
    assert ring.fresh_at("h", GtidsReached(((0, 1, 9),), ((0, 1, 9),))) is None
    assert ring.fresh_at("h", GtidsReached(((0, 2, 7),), ((0, 1, 6), (0, 2, 7)))) == 1.0
