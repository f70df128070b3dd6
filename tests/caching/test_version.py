"""Versions compare as texts as what they stand for compares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit import ConfigurationError
from regionkit.caching.version import NOTHING, OWNER_ONLY, WIDTH, of_position, of_row, of_stamp, position_of

EPOCHS, NUMBERS = st.integers(0, 10**6 - 1), st.integers(0, 10**20 - 1)


@given(EPOCHS, NUMBERS, EPOCHS, NUMBERS)
def test_positions_compare_by_epoch_then_by_number(epoch: int, number: int, other: int, behind: int) -> None:
    """Also above 2^53, where a Lua number would not."""
    one, two = of_position(epoch, number), of_position(other, behind)
    assert (one < two) is ((epoch, number) < (other, behind))
    assert (len(one), one.isdigit(), position_of(one)) == (WIDTH, True, (epoch, number))
    assert NOTHING < one < OWNER_ONLY


@given(NUMBERS, NUMBERS)
def test_rows_compare_by_number(one: int, two: int) -> None:
    """And are of another kind than positions."""
    assert (of_row(one) < of_row(two)) is (one < two)
    assert of_row(one)[0] != of_position(0, two)[0]
    assert (len(of_row(one)), position_of(of_row(one))) == (WIDTH, None)


@pytest.mark.parametrize("position", [None, -1, 10**20, (), ((0, 1, 5), (1, 1, 6)), "5"])
def test_what_is_no_single_number_is_no_version(position: Any) -> None:
    """MariaDB with two domains, Cassandra's levels, a backend without positions."""
    assert of_position(1, position) == NOTHING


def test_one_replication_domain_is_a_number() -> None:
    """Of MariaDB: its sequence number. No stamp is no version."""
    assert of_position(3, ((0, 1, 5),)) == of_position(3, 5)
    assert of_position(10**6, 5) == of_position(-1, 5) == NOTHING
    assert of_stamp(None) == NOTHING


@pytest.mark.parametrize("number", [-1, 10**20, 1.0, True, "5", None])
def test_what_is_no_version_of_a_row_is_refused(number: Any) -> None:
    """With what to give."""
    with pytest.raises(ConfigurationError, match="version="):
        of_row(number)
    for text in ("", "1" * (WIDTH - 1), of_row(1)):
        assert position_of(text) is None
