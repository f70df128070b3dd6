"""Rows as one parameter of JSON: what is said exactly, and what goes as parameters instead."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)
from sqlalchemy.types import TypeDecorator

from regionkit.caching.back.sinks.json_sql import JsonRows

NAIVE = datetime(2026, 1, 2, 3, 4, 5)  # of a column without a zone


def said(kind: Any, value: Any) -> Any:
    """What one column says of a value; None: parameters are used."""
    text = JsonRows([Column("named", kind, key="x")]).said([{"x": value}])
    return None if text is None else json.loads(text)[0]["named"]


class Own(TypeDecorator[str]):
    """Of the application."""

    impl = String
    cache_ok = True


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (BigInteger(), 2**63 - 1, 2**63 - 1),
        (Boolean(), False, False),
        (Double(), 0.1, 0.1),
        (Numeric(20, 4), Decimal("12.3400"), "12.3400"),
        (Numeric(), Decimal("NaN"), "NaN"),
        (String(), 'it\'s "ü" \\ 😀', 'it\'s "ü" \\ 😀'),
        (Uuid(), UUID(int=7), str(UUID(int=7))),
        (Date(), date(2026, 1, 2), "2026-01-02"),
        (DateTime(), NAIVE, "2026-01-02T03:04:05"),
        (DateTime(timezone=True), NAIVE.replace(tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (Time(), time(1, 2, 3), "01:02:03"),
        (LargeBinary(), b"\0\xff", "\\x00ff"),
        (JSON(), {"a": [1, None]}, {"a": [1, None]}),
    ],
    ids=str,
)
def test_what_json_says_exactly(kind: Any, value: Any, expected: Any) -> None:
    """By the column's name, whatever its key is."""
    assert said(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Double(), float("nan")),
        (Double(), float("-inf")),
        (String(), "a\0b"),
        (String(), "\ud800"),
        (String(), 5),
        (BigInteger(), True),
        (DateTime(), NAIVE.replace(tzinfo=UTC)),
        (Date(), NAIVE),
        (Interval(), timedelta(1)),
        (Enum("a", "b"), "a"),
        (Own(), "a"),
        (JSON(), None),
        (JSON(), {"a": float("nan")}),
        (JSON(), {"a": "\0"}),
        (LargeBinary(), "text"),
    ],
    ids=str,
)
def test_what_goes_as_a_parameter(kind: Any, value: Any) -> None:
    """The server or the driver says what it thinks of it."""
    assert said(kind, value) is None


def test_nothing_is_said_as_null() -> None:
    """But in a document, where it may be a null of JSON's."""
    rows = JsonRows([Column("a", String()), Column("b", Double()), Column("c", DateTime()), Column("d", LargeBinary())])
    text = rows.said([dict.fromkeys("abcd")])
    assert text is not None
    assert json.loads(text) == [dict.fromkeys("abcd")]
