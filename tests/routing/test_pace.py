"""How often an endpoint is asked, by its table: rounds as the monitor makes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.routing.pace import LATELY, PROOFS, REST, Pace, answered, begun, paced
from regionkit.topology import profile

BALANCED = profile("balanced")
PROBE, SAMPLE = BALANCED.probe_every, BALANCED.sample_every


def rounds(
    pace: Pace, seconds: float, *, used: bool = False, needed: bool = False, troubled: bool = False
) -> tuple[Pace, int]:
    """The rounds of so many seconds, each answered at once where it asks: the last one's pace, and how many asked."""
    asked = 0
    while seconds > 1e-6:
        pace = paced(pace, BALANCED, used=used, needed=needed, troubled=troubled)
        assert pace.pause == SAMPLE, "a need is noticed as soon as the next sample would be"
        if pace.asks:
            pace, asked = answered(pace, 0.0), asked + 1
        seconds -= pace.pause
    return pace, asked


def test_a_process_that_starts_asks_at_once_and_rests_later() -> None:
    """It counts as used for a while; at rest it asks less than once in five intervals."""
    pace, asked = rounds(Pace(), LATELY * PROBE)
    assert asked == LATELY and not pace.rests
    pace, asked = rounds(pace, 60.0 * PROBE)
    assert asked <= 60 / 5.5 and pace.rests and pace.interval == REST * PROBE


def test_a_start_and_the_end_of_a_trouble_are_sampled() -> None:
    """A copy is proved by two answers: soon after a start, and soon after it is back."""
    pace, asked = rounds(begun(BALANCED), PROOFS * PROBE)
    assert asked == PROOFS * PROBE / SAMPLE
    pace, asked = rounds(pace, 4.0 * PROBE)
    assert asked == 4
    pace, _ = rounds(pace, 4.0 * PROBE, troubled=True)
    pace, asked = rounds(pace, PROOFS * PROBE, used=True)
    assert asked >= PROOFS * PROBE / SAMPLE - 1
    assert rounds(pace, 4.0 * PROBE, used=True)[1] == 4


def test_what_is_used_is_asked_at_probe_every() -> None:
    """Blocks that need no positions cost one question an interval."""
    assert rounds(Pace(), 30.0, used=True)[1] == 30.0 / PROBE


def test_what_needs_positions_is_asked_at_sample_every_and_some_time_longer() -> None:
    """Bounded reads come in rows: samples go on until nobody needed them for a while."""
    pace, asked = rounds(Pace(), 5.0, needed=True)
    assert asked == 5.0 / SAMPLE
    pace, asked = rounds(pace, LATELY * PROBE - SAMPLE)
    assert asked == LATELY * PROBE / SAMPLE - 1
    assert rounds(pace, 5.0)[1] <= 5.0 / PROBE


def test_a_use_ends_the_rest_at_once() -> None:
    """The very next round asks, if the last answer is an interval old; with a need it is a shorter one."""
    resting, _ = rounds(Pace(), 25.0 * PROBE)
    resting = answered(resting, PROBE)
    assert resting.rests and not resting.asks
    assert paced(resting, BALANCED, used=True, needed=False, troubled=False).asks
    fresh = answered(resting, 0.0)
    assert not paced(fresh, BALANCED, used=True, needed=False, troubled=False).asks
    assert paced(fresh, BALANCED, used=False, needed=True, troubled=False).asks


def test_trouble_is_looked_at_at_probe_every() -> None:
    """Also of a store that nobody uses, and no faster where positions are needed: there is nobody to ask in a hurry."""
    for needed in (False, True):
        assert rounds(Pace(unused=1e6), 30.0, needed=needed, troubled=True)[1] == 30.0 / PROBE


def test_an_answer_that_came_on_another_way_counts_from_when_it_was_asked_for() -> None:
    """The next question follows an interval after that."""
    pace = answered(rounds(Pace(), 1.0, used=True)[0], 0.5)
    asked = []
    for _ in range(4):
        pace = paced(pace, BALANCED, used=True, needed=False, troubled=False)
        asked.append(pace.asks)
        pace = answered(pace, 0.0) if pace.asks else pace
    assert asked == [False, True, False, False]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_no_two_questions_are_further_apart_than_a_rest(steps: list[tuple[bool, bool, bool]]) -> None:
    """Whatever happens, an endpoint is asked within `REST` probe intervals."""
    pace, since = Pace(), 0.0
    for used, needed, troubled in steps:
        pace = paced(pace, BALANCED, used=used, needed=needed, troubled=troubled)
        if pace.asks:
            pace, since = answered(pace, 0.0), 0.0
        since += pace.pause
        assert since <= REST * PROBE + SAMPLE
