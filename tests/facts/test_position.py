"""Positions: a join that demands both, and reached only where the log knows the writer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.facts.position import (
    GtidsReached,
    Uuids,
    UuidsReached,
    as_position,
    extended,
    later,
    reaches,
    refutes,
    within,
)

numbers = st.integers(0, 50)
small = st.integers(0, 2)
gtids = st.dictionaries(st.tuples(small, small), numbers, max_size=6).map(
    lambda found: tuple(sorted((d, s, n) for (d, s), n in found.items()))
)
haves = st.builds(GtidsReached, gtids, gtids)
positions = st.one_of(numbers, gtids)
pairs = st.dictionaries(st.sampled_from("abc"), st.integers(1, 50), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
uuids = st.builds(Uuids, pairs)
uuids_had = st.builds(UuidsReached, pairs)


@given(haves, gtids, gtids)
def test_joined_gtids_demand_exactly_both(have: GtidsReached, a: tuple, b: tuple) -> None:
    """A copy reaches the join iff it reaches each part: nothing is lost, nothing is added."""
    assert reaches(have, later(a, b)) == (reaches(have, a) and reaches(have, b))


@given(numbers, numbers, numbers)
def test_joined_numbers_demand_exactly_both(have: int, a: int, b: int) -> None:
    """The same for addresses and counters."""
    assert reaches(have, later(a, b)) == (reaches(have, a) and reaches(have, b))


@given(gtids, gtids, gtids)
def test_joining_is_a_semilattice(a: tuple, b: tuple, c: tuple) -> None:
    """Order, grouping and repetition make no difference."""
    assert later(a, b) == later(b, a)
    assert later(later(a, b), c) == later(a, later(b, c))
    assert later(a, a) == a


def test_the_losing_side_of_a_fork_is_not_reached() -> None:
    """The domain's sequence is past it, yet the log lacks that server's transaction (rules of routing, 8)."""
    survivor = GtidsReached(((0, 2, 105),), ((0, 1, 100), (0, 2, 105)))
    assert not reaches(survivor, ((0, 1, 101),))
    assert not reaches(survivor, later(((0, 1, 101),), ((0, 2, 105),))), (
        "a later one of another server does not prove it"
    )
    assert reaches(survivor, ((0, 1, 100),))


def test_kinds_do_not_mix() -> None:
    """A number never satisfies GTIDs nor the reverse, and they cannot be joined."""
    assert not reaches(5, ((0, 1, 1),)) and not reaches(GtidsReached((), ()), 0) and not reaches(None, 0)
    assert not within(5, ((0, 1, 9),)) and not within(((0, 1, 1),), 9)
    with pytest.raises(ValueError, match="two kinds"):
        later(5, ((0, 1, 1),))


@given(haves)
def test_what_a_copy_shows_is_in_its_position(have: GtidsReached) -> None:
    """The newest of each domain and no more: a copy made from a backup knows no earlier writers."""
    position = as_position(have)
    assert isinstance(position, tuple)
    newest = {d: max(n for e, _, n in have.applied if e == d) for d, _, _ in have.applied}
    assert {d: n for d, _, n in position} == newest


@given(haves, gtids)
def test_extended_has_both(have: GtidsReached, position: tuple) -> None:
    """What a commit's answer adds is reached, and what was reached stays so."""
    more = extended(have, position)
    assert reaches(more, position)
    assert isinstance(more, GtidsReached)
    for gtid in have.applied:
        assert reaches(more, (gtid,)) or not reaches(have, (gtid,))


@given(haves, gtids)
def test_refuted_is_never_reached(have: GtidsReached, want: tuple) -> None:
    """Only a known writer that stopped earlier refutes; numbers and unknown writers never do."""
    if refutes(have, want):
        assert not reaches(have, want)
    assert not refutes(GtidsReached((), ()), want) and not refutes(7, 9) and not refutes(None, want)


@given(positions, positions)
def test_within_a_fork_stays_within_a_later_fork(want: object, fork: object) -> None:
    """Survival is monotone in the fork."""
    if type(want) is type(fork) and within(want, fork):  # type: ignore[arg-type]
        assert within(want, later(fork, want))  # type: ignore[arg-type]


@given(uuids_had, uuids, uuids, uuids)
def test_joined_uuids_demand_exactly_both(have: UuidsReached, a: Uuids, b: Uuids, c: Uuids) -> None:
    """As with numbers, and joining is a semilattice."""
    assert reaches(have, later(a, b)) == (reaches(have, a) and reaches(have, b))
    assert later(a, b) == later(b, a) and later(later(a, b), c) == later(a, later(b, c)) and later(a, a) == a


@given(uuids_had, uuids)
def test_uuids_are_had_by_the_set_of_all_before(have: UuidsReached, want: Uuids) -> None:
    """A position asks for every transaction from 1 on of each server that it names."""

    def members(upto: tuple[tuple[str, int], ...]) -> set[tuple[str, int]]:
        return {(uuid, n) for uuid, number in upto for n in range(1, number + 1)}

    assert reaches(have, want) == (members(want.upto) <= members(have.upto))
    assert within(want, as_position(have)) == reaches(have, want)
    assert not (refutes(have, want) and reaches(have, want))
    assert reaches(extended(have, want), want) and reaches(extended(have, want), as_position(have))


def test_a_server_that_is_not_known_refutes_nothing() -> None:
    """What a copy lacks of a server that it knows never came to it; of another it may have been cut off."""
    have = UuidsReached((("a", 95),))
    assert refutes(have, Uuids((("a", 96),))) and not refutes(have, Uuids((("b", 1),)))


def test_uuids_do_not_mix_with_other_kinds() -> None:
    """Nor with MariaDB's."""
    for other in (5, ((0, 1, 1),)):
        assert not reaches(UuidsReached(()), other) and not reaches(GtidsReached((), ()), Uuids())
        assert not within(Uuids(), other) and not within(other, Uuids())
        with pytest.raises(ValueError, match="two kinds"):
            later(other, Uuids())
        assert extended(UuidsReached((("a", 1),)), other) == UuidsReached((("a", 1),))
