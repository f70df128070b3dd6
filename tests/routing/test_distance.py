"""Times that follow the distance, by the table of the module."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.routing.distance import MOST_PATIENCE, answering, connecting, longer, probing

SECONDS = st.floats(0.001, 10.0)


@given(timeout=SECONDS, rtt=SECONDS, count=st.floats(1.0, 12.0))
def test_what_is_far_gets_its_round_trips(timeout: float, rtt: float, count: float) -> None:
    """On top of the profile's time-out; a healthy server gets little more than them."""
    assert answering(timeout, rtt, count) > count * rtt
    assert probing(timeout, rtt) - timeout >= rtt
    assert connecting(timeout, rtt, 1.0) - timeout >= 11.0 * rtt


@given(timeout=SECONDS)
def test_an_unknown_distance_is_no_distance_of_nothing(timeout: float) -> None:
    """Before the first answer an answer gets the time-out, and a connection several."""
    assert answering(timeout, None, 1.0) == probing(timeout, None) == timeout
    assert connecting(timeout, None, 1.0) > connecting(timeout, 0.0, 1.0)


def test_patience_doubles_up_to_its_bound() -> None:
    """Each failed question gives the next connection twice the time, but no more than four times."""
    patience, seen = 1.0, []
    for _ in range(4):
        seen.append(connecting(0.5, 0.1, patience) / connecting(0.5, 0.1, 1.0))
        patience = longer(patience)
    assert seen == [1.0, 2.0, MOST_PATIENCE, MOST_PATIENCE]
