"""How often an endpoint is asked, by its table: rounds as the monitor makes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.routing.pace import LATELY, REST, Pace, paced
from regionkit.topology import profile

BALANCED = profile("balanced")
PROBE, SAMPLE = BALANCED.probe_every, BALANCED.sample_every


def rounds(
    pace: Pace, seconds: float, *, used: bool = False, needed: bool = False, troubled: bool = False
) -> list[Pace]:
    """The rounds of so many seconds."""
    made: list[Pace] = []
    while seconds > 0.0:
        pace = paced(pace, BALANCED, used=used, needed=needed, troubled=troubled)
        made.append(pace)
        seconds -= pace.pause
    return made


def test_a_process_that_starts_asks_at_probe_every_and_then_rests() -> None:
    """It counts as used for a while; at rest it asks less than once in five intervals."""
    made = rounds(Pace(), LATELY * PROBE)
    assert all(pace.asks and pace.pause == PROBE for pace in made)
    resting = rounds(made[-1], 60.0 * PROBE)
    assert sum(pace.asks for pace in resting) == 60 // REST <= 60 / 5.5
    assert all(pace.rests and pace.interval == REST * PROBE for pace in resting)


def test_what_is_used_is_asked_at_probe_every() -> None:
    """Blocks that need no positions cost one question an interval."""
    made = rounds(Pace(), 30.0, used=True)
    assert all(pace.asks and pace.pause == PROBE for pace in made)


def test_what_needs_positions_is_asked_at_sample_every_and_some_time_longer() -> None:
    """Bounded reads come in rows: samples go on until nobody needed them for a while."""
    made = rounds(Pace(), 5.0, needed=True)
    assert all(pace.asks and pace.pause == SAMPLE for pace in made)
    after = rounds(made[-1], 2.0 * LATELY * PROBE)
    sampled = [pace for pace in after if pace.pause == SAMPLE]
    assert LATELY * PROBE - 1.0 <= sum(pace.pause for pace in sampled) <= LATELY * PROBE + 1.0


def test_a_use_ends_the_rest_at_once() -> None:
    """The very next round asks."""
    resting = rounds(Pace(), 30.0 * PROBE)[-1]
    assert resting.rests
    assert paced(resting, BALANCED, used=True, needed=False, troubled=False).asks
    assert paced(resting, BALANCED, used=False, needed=True, troubled=False).pause == SAMPLE


def test_trouble_is_looked_at_in_each_round() -> None:
    """Also of a store that nobody uses, and no faster where positions are needed: there is nobody to ask in a hurry."""
    for needed in (False, True):
        made = rounds(Pace(unused=1e6), 30.0, needed=needed, troubled=True)
        assert all(pace.asks and pace.pause == PROBE for pace in made)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_no_two_questions_are_further_apart_than_a_rest(steps: list[tuple[bool, bool, bool]]) -> None:
    """Whatever happens, an endpoint is asked within `REST` probe intervals."""
    pace, since = Pace(), 0.0
    for used, needed, troubled in steps:
        pace = paced(pace, BALANCED, used=used, needed=needed, troubled=troubled)
        since = 0.0 if pace.asks else since + pace.pause
        assert since <= REST * PROBE
