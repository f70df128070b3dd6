"""Consistency levels and the steps of on_stale: bounds that make sense, words that are known."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import BOUNDED, EVENTUAL, SESSION, STRONG, ConfigurationError
from regionkit.core.deadline import LONGEST_TIMEOUT
from regionkit.facts.consistency import ON_STALE, Consistency, Level, on_stale_steps


def test_levels_are_values() -> None:
    """Equal ones are one key of a memo; their text is what the caller writes."""
    assert BOUNDED(2) == BOUNDED(2.0) == Consistency(Level.BOUNDED, 2.0)
    assert len({BOUNDED(2), BOUNDED(2.0), BOUNDED(3), SESSION}) == 3
    assert [str(level) for level in (EVENTUAL, SESSION, STRONG, BOUNDED(0.5))] == [
        "EVENTUAL",
        "SESSION",
        "STRONG",
        "BOUNDED(0.5)",
    ]
    with pytest.raises(AttributeError):
        SESSION.max_staleness = 1.0  # type: ignore[misc]  # the point


@pytest.mark.parametrize("bound", [0, 0.0, -1.0, float("nan"), float("inf"), LONGEST_TIMEOUT * 1.01, "2", None])
def test_a_bound_that_no_copy_can_be_measured_by_is_refused(bound: Any) -> None:
    """With the two levels that may have been meant."""
    with pytest.raises(ConfigurationError, match="BOUNDED") as caught:
        BOUNDED(bound)
    assert "STRONG" in caught.value.fix
    assert "EVENTUAL" in caught.value.fix


def test_steps_are_one_word_or_several_in_order() -> None:
    """None is the default walk."""
    assert on_stale_steps(None) == ON_STALE
    assert on_stale_steps("serve") == ("serve",)
    assert on_stale_steps(["next", "raise"]) == ("next", "raise")


@pytest.mark.parametrize("steps", ["wiat", "", [], ["wait", "late"], 5])
def test_an_unknown_step_or_none_at_all_is_refused(steps: Any) -> None:
    """It would be ignored, and the read would be served otherwise than asked."""
    with pytest.raises(ConfigurationError, match="on_stale="):
        on_stale_steps(steps)
