"""How many changes a flusher claims next: many where that is quick, and never more than the sink takes, or does in time."""

from __future__ import annotations

from regionkit.caching.back.flush_rules import GROWS_WITHIN, changes_next
from regionkit.caching.steps import BATCH

TIME, MOST = 8.0, 4 * BATCH
QUICK, SLOW, LATE = TIME / GROWS_WITHIN, 2 * TIME / GROWS_WITHIN, 5 * TIME / GROWS_WITHIN


def after(now: int, claimed: int, took: float, most: int = MOST) -> int:
    """Of a sink with time `TIME`."""
    return changes_next(now, claimed, took, most=most, time=TIME)


def test_a_long_queue_is_written_by_ever_larger_flushes() -> None:
    """Up to what the sink takes."""
    sizes = [BATCH]
    for _ in range(4):
        sizes.append(after(sizes[-1], sizes[-1], QUICK))
    assert sizes == [BATCH, 2 * BATCH, MOST, MOST, MOST]
    assert after(BATCH, BATCH, 0.0, most=BATCH) == BATCH
    assert after(BATCH, BATCH, 0.0, most=1) == BATCH, "a claim of more is the sink's to refuse"


def test_a_claim_that_is_not_full_ends_it() -> None:
    """The queue is short, or its values are large."""
    assert after(MOST, MOST - 1, 0.0) == BATCH


def test_a_slow_sink_gets_no_more_than_it_can_do_in_time() -> None:
    """What takes a part of its time stays as it is; what comes near its end is halved."""
    assert after(2 * BATCH, 2 * BATCH, SLOW) == 2 * BATCH
    assert after(MOST, MOST, LATE) == MOST // 2
    assert after(BATCH, BATCH, LATE) == BATCH
    assert changes_next(BATCH, BATCH, 0.001, most=MOST, time=0.0) == BATCH, "of a sink that tells no time"
