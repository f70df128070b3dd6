"""One absolute deadline: what remains only falls, and an end is told with what was being done."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.core.deadline import LONGEST_TIMEOUT, Deadline
from regionkit.errors import ConfigurationError, DeadlineExceeded
from regionkit.testing.clock import VirtualClock


@given(st.floats(0.001, LONGEST_TIMEOUT), st.lists(st.floats(0, 100), max_size=10))
def test_what_remains_is_the_timeout_less_what_passed(timeout: float, steps: list[float]) -> None:
    """However often it is asked."""
    clock = VirtualClock()
    deadline = Deadline(clock, timeout)
    for step in steps:
        clock.advance(step)
    left = timeout - math.fsum(steps)
    assert deadline.remaining() == pytest.approx(left, abs=1e-6)
    assert deadline.timeout == timeout
    if left > 1e-6:
        assert deadline.require("x") == deadline.remaining()


def test_its_end_names_what_was_done() -> None:
    """At the very instant and after it; store and region travel along."""
    clock = VirtualClock()
    deadline = Deadline(clock, 2.0)
    clock.advance(2.0)
    with pytest.raises(DeadlineExceeded, match=r"connecting did not end within 2 s") as caught:
        deadline.require("connecting", store="orders", region="kr")
    assert (caught.value.store, caught.value.region) == ("orders", "kr")
    assert isinstance(caught.value, TimeoutError) and caught.value.retryable and caught.value.committed == "no"
    clock.set_wall(0.0)
    assert deadline.remaining() == 0.0, "the wall clock means nothing here"


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan, math.inf, LONGEST_TIMEOUT + 1])
def test_unusable_timeouts_are_refused(timeout: float) -> None:
    """Zero, negative, not a number, or longer than an hour."""
    with pytest.raises(ConfigurationError):
        Deadline(VirtualClock(), timeout)
