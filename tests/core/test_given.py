"""Numbers that come in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from regionkit.core.given import (
    can,
    check_call,
    check_count,
    check_flag,
    check_path,
    check_seconds,
    check_text,
    require_call,
)
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


def test_what_is_no_text_flag_or_function_is_refused() -> None:
    for wrong in (None, 5, b"x", "", "x" * 11, "\x00", "\ud800", []):
        with pytest.raises(UsageError):
            check_text("name", wrong, 10, UsageError)
    check_text("name", "é" * 5, 10)
    for wrong in (None, 0, 1, "no", "yes"):
        with pytest.raises(ConfigurationError):
            check_flag("secure", wrong)
    with pytest.raises(ConfigurationError):
        check_call("load", "x")
    check_call("load", None)
    with pytest.raises(UsageError):
        require_call("call", None)
    with pytest.raises(ConfigurationError):
        check_path("folder", "")


def test_what_makes_up_its_attributes_can_nothing() -> None:
    class Any_:
        def __getattr__(self, name: str) -> Any:
            return print

    class One:
        def flush(self) -> None: ...

    own = Any_()
    own.flush = print
    assert not can(Any_(), "flush") and can(own, "flush") and can(One(), "flush") and not can(One, "flush")
    assert not can(One(), "flush", "load")


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_count("most", "postgresql://app:hunter2@db/shop", 1)
    assert "hunter2" not in str(refused.value)
