"""MySQL's sets of transactions: what a server surely has, and what it may have shown. Against a model of sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.backends.sql.gtid_sets import (
    before_history,
    highest,
    own_number,
    reached_of,
    sets_of,
    shown_of,
    unbroken,
)
from regionkit.backends.sql.observation import mysql_observation
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.position import Uuids, UuidsReached, reaches
from regionkit.topology import Role

A, B, C = (f"{letter * 8}-ec87-11f1-8ac4-02fc00000001" for letter in "abc")
members = st.dictionaries(st.sampled_from([A, B, C]), st.sets(st.integers(1, 12), min_size=1), max_size=3)


def text_of(sets: dict[str, set[int]]) -> str:
    """As the server writes it, one interval a number at worst."""
    parts = []
    for uuid, numbers in sorted(sets.items()):
        intervals, rest = [], sorted(numbers)
        while rest:
            end = rest[0]
            while end + 1 in rest:
                end += 1
            intervals.append(f"{rest[0]}-{end}" if end > rest[0] else str(end))
            rest = [n for n in rest if n > end]
        parts.append(":".join([uuid, *intervals]))
    return ",\n".join(parts)


def history(fork: Uuids | None, writer: str, parent: str | None = "h1") -> Lineage:
    """One whose newest row is so."""
    return Lineage((HistoryRow("h2", parent, fork, 2, writer),))


@given(members)
def test_what_is_sure_is_a_subset_and_what_is_highest_a_bound(sets: dict[str, set[int]]) -> None:
    """All of 1 to n are there, and n + 1 is not; no number is above the highest."""
    parsed = sets_of(text_of(sets))
    sure, most = dict(unbroken(parsed).upto), dict(highest(parsed).upto)
    for uuid, numbers in sets.items():
        n = sure.get(uuid, 0)
        assert set(range(1, n + 1)) <= numbers and n + 1 not in numbers
        assert most[uuid] == max(numbers)


@given(
    members,
    members,
    st.sampled_from([A, B]),
    st.none() | st.dictionaries(st.sampled_from([A, B, C]), st.integers(1, 12)),
)
def test_a_position_in_a_history_is_sound(
    one: dict[str, set[int]], other: dict[str, set[int]], writer: str, before: dict[str, int] | None
) -> None:
    """What a copy showed is reached elsewhere only by a copy that has all of it, of every server; in any history."""
    lineage = None if before is None else history(Uuids(tuple(sorted(before.items()))), writer)
    shown = shown_of(Uuids(), sets_of(text_of(one)), lineage)
    if shown is None:
        assert any(1 not in numbers for numbers in one.values())
        return
    have = reached_of(sets_of(text_of(other)), Uuids(), lineage, "")
    if reaches(have, shown):
        for uuid, numbers in one.items():
            assert numbers <= other.get(uuid, set())


def test_texts_of_the_server() -> None:
    """Line breaks, capitals, single numbers, tags of 8.3, threads behind owned numbers."""
    assert sets_of(f"{A.upper()}:1-5:7,\n{B}:3") == {A: [(1, 5), (7, 7)], B: [(3, 3)]}
    assert sets_of(f"{A}:1-5:blue:1-3:red:9") == {A: [(1, 5)], f"{A}:blue": [(1, 3)], f"{A}:red": [(9, 9)]}
    assert highest(sets_of(f"{A}:8#12:9#13,{B}:2#7")) == Uuids(((A, 9), (B, 2)))
    assert sets_of("") == sets_of(None) == {} and own_number(f"{A}:17") == Uuids(((A, 17),))
    with pytest.raises(ValueError, match="invalid literal"):
        sets_of(f"{A}:1-x")


def test_a_set_that_begins_in_its_midst_proves_nothing() -> None:
    """It was cloned, or its log was reset: what it showed of that source is read from the owner."""
    sets = sets_of(f"{A}:1-9,{B}:5-9")
    assert reached_of(sets, Uuids(), None, "") == UuidsReached(((A, 9),))
    assert shown_of(Uuids(), sets, None) is None


def test_a_copy_that_lacks_what_was_before_the_history_counts_to_its_fork() -> None:
    """Parallel appliers may commit the new primary's first transactions before the old one's last."""
    lineage = history(Uuids(((A, 10), (B, 3))), B)
    late = sets_of(f"{A}:1-9,{B}:1-7")
    assert reached_of(late, Uuids(), lineage, "") == UuidsReached(((A, 9), (B, 3)))
    assert reached_of(sets_of(f"{A}:1-10,{B}:1-7"), Uuids(), lineage, "") == UuidsReached(((A, 10), (B, 7)))
    assert shown_of(Uuids(), late, lineage) == Uuids(((B, 7),)), "a position names the one that writes, and no others"


def test_the_owner_counts_what_is_being_committed() -> None:
    """An acknowledged commit may be ahead of one that is not: the highest is the bound, of its own alone."""
    sets = sets_of(f"{A}:1-4:6,{B}:1-3:5")
    assert reached_of(sets, Uuids(((A, 7),)), None, A) == UuidsReached(((A, 7), (B, 3)))
    assert before_history(reached_of(sets, Uuids(), None, A), A) == Uuids(((B, 3),))
    assert reached_of({}, Uuids(), None, A) == UuidsReached(())


@pytest.mark.parametrize(("read_only", "role", "origin"), [(1, Role.REPLICA, ""), (0, Role.PRIMARY, A)])
def test_an_answer(read_only: int, role: Role, origin: str) -> None:
    """Both numbers, the role, the origin; without gtid_mode no position at all."""
    answer = [f"{A}:8#3", f"{A}:1-7", 0, 9, read_only, A.upper(), "ON", None, None, None, "8.0.36-28", 2**26]
    seen = mysql_observation(answer, "run", 1.0, 0.1)
    assert (seen.role, seen.origin, seen.shown, seen.server) == (role, origin, Uuids(((A, 8),)), "MySQL 8.0.36")
    assert seen.reached == UuidsReached(((A, 7 if read_only else 8),))
    answer[6] = "OFF_PERMISSIVE"
    seen = mysql_observation(answer, "run", 1.0, 0.1)
    assert seen.reached is None and seen.shown is None
