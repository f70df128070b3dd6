"""Placements: what one process remembers of a directory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.facts.placement import Placement
from regionkit.routing.placements import Placements


def row(key: str, home: str = "us", version: int = 1) -> Placement:
    return Placement("carts", key, home, 1, version)


def test_a_row_is_fresh_for_its_age() -> None:
    """Then it is asked for again, and still known."""
    rows = Placements(60.0, 10)
    assert rows.put(row("a"), 100.0)
    assert rows.fresh("a", 160.0) == row("a")
    assert rows.fresh("a", 160.1) is None
    assert rows.known("a") == row("a")
    assert not rows.put(row("a"), 170.0)
    assert rows.fresh("a", 230.0) == row("a")


def test_an_older_version_never_replaces_a_newer_one() -> None:
    """Answers of copies come in any order."""
    rows = Placements(60.0, 10)
    rows.put(row("a", "eu", 2), 100.0)
    assert not rows.put(row("a", "us", 1), 101.0)
    assert rows.known("a") == row("a", "eu", 2)


def test_a_version_that_a_bookmark_saw_is_a_floor() -> None:
    """Rows of older versions are asked for once more, each; then they serve again, whatever their version."""
    rows = Placements(60.0, 10)
    rows.put(row("a"), 100.0)
    rows.put(row("b", "eu", 3), 100.0)
    assert rows.raise_floor(3, 101.0)
    assert not rows.raise_floor(3, 150.0)
    assert not rows.raise_floor(2, 150.0)
    assert rows.fresh("a", 101.0) is None
    assert rows.below_floor("a")
    assert rows.fresh("b", 101.0) == row("b", "eu", 3)
    rows.put(row("a"), 102.0)
    assert rows.fresh("a", 103.0) == row("a")
    assert rows.fresh_until("a") == 162.0
    assert not rows.below_floor("a")


def test_a_forgotten_row_is_asked_for_again() -> None:
    """But serves when nobody answers."""
    rows = Placements(60.0, 10)
    rows.put(row("a"), 100.0)
    rows.forget("a")
    rows.forget("b")
    assert rows.fresh("a", 100.0) is None
    assert rows.known("a") == row("a")


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 8))
def test_the_number_of_rows_is_bounded(keys: list[int], most: int) -> None:
    """The least recently put go first."""
    rows = Placements(60.0, most)
    for key in keys:
        rows.put(row(str(key)), 1.0)
    last = list(dict.fromkeys(str(key) for key in reversed(keys)))[:most]
    assert [r.key for r in reversed(rows.all())] == last
