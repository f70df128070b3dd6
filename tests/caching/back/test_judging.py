"""What a sink makes of a change that it did not write."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regionkit.caching.back.rules import EPOCH, Change, Verdict, version_of
from regionkit.caching.back.sinks.judging import in_order, judge, mark_of

EPOCHS = st.integers(1, 50)
NUMBERS = st.integers(1, 1000)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EPOCHS, NUMBERS, st.integers(0, 60), NUMBERS, EPOCHS, st.booleans())
def test_only_what_this_cache_can_have_issued_supersedes(
    epoch: int, number: int, found_epoch: int, found_number: int, known: int, deleted: bool
) -> None:
    """The table of the module."""
    change = Change("a", version_of(epoch, number), deleted=deleted)
    found = version_of(found_epoch, found_number)
    expected = Verdict.CONFLICT
    if found == change.version:
        expected = Verdict.APPLIED
    elif found > change.version and found_epoch <= known:
        expected = Verdict.SUPERSEDED
    assert judge(change, found, known) is expected


def test_nothing_that_stands_there() -> None:
    """A delete is done then; a put was hindered."""
    assert judge(Change("a", EPOCH, deleted=True), None, 1) is Verdict.APPLIED
    assert judge(Change("a", EPOCH), None, 1) is Verdict.CONFLICT


@given(st.lists(st.one_of(st.integers(), st.text(), st.binary(), st.tuples(st.text(), st.integers())), unique=True))
def test_every_flusher_has_the_same_order(keys: list[object]) -> None:
    """Whatever order the changes come in; of keys of any types."""
    changes = [Change(key, n + 1) for n, key in enumerate(keys)]
    assert in_order(changes) == in_order(reversed(changes))


def test_marks_keep_the_types_of_keys() -> None:
    """42 is not "42"; a long key has a mark like any other."""
    marks = {mark_of(key) for key in (42, "42", b"42", ("42",), "x" * 10_000)}
    assert len(marks) == 5
    assert {len(mark) for mark in marks} == {32}
