"""Bytes for values: what goes in comes out, of the type asked for, or it is an error."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.core.codec import LARGEST, PLAIN, Codec, is_plain

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


class Point(msgspec.Struct):
    x: int
    y: str = ""


@given(plain)
def test_plain_data_comes_back_equal(value: Any) -> None:
    """And is_plain says so with the very bytes."""
    assert PLAIN.decode(PLAIN.encode(value)) == value
    assert is_plain(value, largest=LARGEST) == PLAIN.encode(value)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_value_error(data: bytes) -> None:
    """No other error, whatever the bytes."""
    for kind in (Point, int, str, list):
        try:
            assert isinstance(Codec(kind).decode(data), kind)
        except ValueError:
            pass


def test_another_type_too_large_and_too_deep_are_value_errors() -> None:
    """A poisoned row is refused before it costs anything."""
    assert Codec(Point).decode(Codec(Point).encode(Point(1, "a"))) == Point(1, "a")
    for data, kind in ((PLAIN.encode("text"), Point), (PLAIN.encode({"x": "1"}), Point), (b"\xc1", Point), (b"", int)):
        with pytest.raises(ValueError):
            Codec(kind).decode(data)
    with pytest.raises(ValueError, match="at most 3"):
        Codec(str, largest=3).decode(PLAIN.encode("long"))
    with pytest.raises(ValueError, match="deep"):
        PLAIN.decode(b"\x91" * 100_000)


def test_what_is_not_plain_or_does_not_fit() -> None:
    """Values that would come back as something else, or not at all, are not kept."""
    loop: list[Any] = []
    loop.append(loop)
    strange = [object(), (1, 2), {1, 2}, Point(1), float("nan"), 2**70, loop, dt.timedelta(1), "\ud800", lambda: 1]
    for value in strange:
        assert is_plain(value, largest=LARGEST) is None, value
    assert is_plain("x" * 10, largest=10) is None
    assert is_plain("x" * 9, largest=10) == PLAIN.encode("x" * 9)
    with pytest.raises(TypeError):
        PLAIN.encode(object())
