"""Numbers that come in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from regionkit.core.given import check_count, check_seconds
from regionkit.errors import ConfigurationError, UsageError

NONE: tuple[Any, ...] = (True, "1", b"1", None, [], math.nan, math.inf, -1, 10**30, 1 + 2j)


@pytest.mark.parametrize("given", NONE)
def test_what_is_no_number_is_refused(given: Any) -> None:
    for check in (check_seconds, check_count):
        with pytest.raises(ConfigurationError, match=r"wait="):
            check("wait", given, 0, 100)
        with pytest.raises(UsageError):
            check("wait", given, 0, 100, UsageError)


def test_bounds_may_be_given() -> None:
    for seconds in (0, 0.0, 0.5, 100):
        check_seconds("wait", seconds, 0.0, 100.0)
    for count in (0, 100):
        check_count("most", count, 0, 100)
    with pytest.raises(ConfigurationError, match="whole number from 0 to 100"):
        check_count("most", 0.5, 0, 100)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_count("most", "\ud800" * 10_000, 1)
    assert len(str(refused.value)) < 1000
    str(refused.value).encode()
