"""What a count of rows proves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.caching.back.sinks.counted_sql import info_of, surely_written

NEW, CHANGED, LEFT = "new", "changed", "left"
ROWS = st.lists(st.sampled_from((NEW, CHANGED, LEFT)), min_size=1, max_size=8)


@given(ROWS, st.booleans(), st.booleans())
def test_mariadb_proves_what_was_written_and_nothing_else(rows: list[str], finds: bool, told: bool) -> None:
    """All rows where all were written and it says how many it found; without its word only changed rows are sure."""
    counts = {NEW: 1, CHANGED: 2, LEFT: 1 if finds else 0}
    found = sum(row == CHANGED or (row == LEFT and finds) for row in rows)
    info = b"'Records: %d  Duplicates: %d  Warnings: 0" % (len(rows), found) if told else b""
    given = surely_written("mysql", len(rows), sum(counts[row] for row in rows), info)
    if told:
        assert given == len([row for row in rows if row != LEFT])
    else:
        assert given == (len(rows) if set(rows) == {CHANGED} else 0)


@given(ROWS)
def test_the_others_count_what_was_written(rows: list[str]) -> None:
    """The guard's refusals are not counted; a driver without a count says less than nothing."""
    written = len([row for row in rows if row != LEFT])
    assert surely_written("sqlite", len(rows), written, b"") == written
    assert surely_written("postgresql", len(rows), -1, b"") == 0


def test_a_batch_that_went_as_several_statements_proves_nothing() -> None:
    """What is told is of the last one. The same of a text that is not understood, and of a driver that keeps none."""
    assert surely_written("mariadb", 4, 4, b"'Records: 3  Duplicates: 0  Warnings: 0") == 0
    assert surely_written("mariadb", 4, 4, b"Enregistrements: 4 Doublons: 0") == 0
    assert info_of(object()) == b""
