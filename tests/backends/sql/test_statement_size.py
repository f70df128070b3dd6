"""Bounds of a statement's size: never above what is sent, never below it."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest
from pymysql.converters import escape_bytes, escape_string

from regionkit.backends.sql.statement_size import least_size, most_size

BIG = 10_000


@pytest.mark.parametrize(
    "value",
    ["x" * BIG, "é" * BIG, "'" * BIG, "\\\0\n" * BIG, b"x" * BIG, b"\0'" * BIG, 7, None],
)
@pytest.mark.parametrize("names", [True, False])
def test_what_pymysql_sends_is_between_the_bounds(value: Any, names: bool) -> None:
    """Also of few values in a long text."""
    long = "SELECT /* " + "-" * BIG + " */ "
    statement, parameters = (
        (long + "%(a)s, %(b)s", {"a": value, "b": "tea"}) if names else (long + "%s, %s", (value, "tea"))
    )
    if isinstance(value, str):
        written = f"'{escape_string(value)}'"
    elif isinstance(value, bytes):
        written = escape_bytes(value)
    else:
        written = pymysql.converters.escape_item(value, "utf8mb4")
    size = len(
        (statement % ({"a": written, "b": "'tea'"} if names else (written, "'tea'"))).encode("utf8", "surrogateescape")
    )
    assert least_size(statement, parameters) <= size <= most_size(statement, parameters) + 100
    assert size - least_size(statement, parameters) < 500 or isinstance(value, str | bytes)


def test_several_sets_come_alone_or_together() -> None:
    """executemany sends one set at least, all of them at most."""
    rows = [("a" * BIG,), ("b" * 3 * BIG,), ("c" * BIG,)]
    assert 3 * BIG - 100 < least_size("INSERT", rows) < 4 * BIG
    assert 5 * BIG <= most_size("INSERT", rows) < 6 * BIG
    assert abs(least_size("INSERT", [{"a": value} for (value,) in rows]) - least_size("INSERT", rows)) == 1
    assert least_size("INSERT", None) == most_size("INSERT", ()) == len("INSERT")
