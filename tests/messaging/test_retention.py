"""How long claims are kept, against how long copies may come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError
from regionkit.messaging.delivery import ACCEPT_FOR, SKEW
from regionkit.messaging.retention import (
    FAILOVER,
    FOR_EVER,
    Retention,
    RetentionTooShort,
    check_retention,
    horizon,
    shortest,
)


@given(st.floats(1.0, 1e8))
def test_the_default_always_fits(accept_for: float) -> None:
    """However long messages are accepted."""
    check_retention(Retention(), accept_for, "billing")
    assert Retention().keeps(accept_for) >= accept_for + SKEW + FAILOVER


def test_a_second_less_is_too_short() -> None:
    """The bound itself is enough."""
    needed = shortest(ACCEPT_FOR)
    check_retention(Retention(needed), ACCEPT_FOR, "billing")
    with pytest.raises(RetentionTooShort, match=r"billing.*608699 s.*608700 s"):
        check_retention(Retention(needed - 1.0), ACCEPT_FOR, "billing")


def test_an_infinite_source_has_a_horizon_here() -> None:
    """What is older than is accepted takes no effect; what a source forgets sooner does not come."""
    assert horizon(FOR_EVER, 60.0) == 60.0 + SKEW
    assert horizon(10.0, 60.0) == 10.0


ODD: Any = ("x", True, b"1", [])


@pytest.mark.parametrize(
    "given_", [Retention(0.0), Retention(-1.0), Retention(foreign=0.5), Retention(1e12), *map(Retention, ODD)]
)
def test_a_time_that_cannot_be_kept_is_refused(given_: Retention) -> None:
    """Before anything is claimed."""
    with pytest.raises(ConfigurationError, match="not usable"):
        given_.checked()
    assert Retention(3600.0, 86_400.0).checked() == Retention(3600.0, 86_400.0)
    assert Retention().checked().foreign == FOR_EVER
