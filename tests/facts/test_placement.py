"""A placement is kept as a record, and comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.facts.placement import HASHED_TABLE, Placement, placement_in, placement_kind, placement_record

words = st.text(min_size=1, max_size=40)


@given(words, words | st.just(HASHED_TABLE), words, st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_a_placement_comes_back(store: str, key: str, home: str, epoch: int, version: int) -> None:
    """Home and epoch in the value, the rest in the record itself."""
    row = Placement(store, key, home, epoch, version)
    record = placement_record(row)
    assert (record.kind, record.key, record.version) == (placement_kind(store), key, version)
    assert placement_in(store, record) == row


@given(words, words)
def test_two_stores_share_no_record(a: str, b: str) -> None:
    """The kind names the store."""
    assert (placement_kind(a) == placement_kind(b)) == (a == b)
