"""Descent and survival against a tree of histories that is known in full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from routing.worlds import chain

from regionkit.facts.history import LONGEST_LINEAGE, Descent, HistoryRow, Lineage, Survival, adoption_id, lineage_of


@st.composite
def trees(draw: st.DrawFn) -> dict[str, HistoryRow]:
    """Every history has a parent among the earlier ones, and a fork past its parent's own beginning."""
    rows = {"h0": HistoryRow("h0", None, None, 1, "o0")}
    for i in range(1, draw(st.integers(1, 8))):
        parent = rows[f"h{draw(st.integers(0, i - 1))}"]
        start = parent.fork if isinstance(parent.fork, int) else 0
        fork = start + draw(st.integers(1, 20))
        rows[f"h{i}"] = HistoryRow(f"h{i}", parent.history, fork, parent.epoch + 1, f"o{i}")
    return rows


def path(rows: dict[str, HistoryRow], name: str) -> list[HistoryRow]:
    found = [rows[name]]
    while found[0].parent is not None:
        found.insert(0, rows[found[0].parent])
    return found


@given(trees(), st.data())
def test_descent_is_the_tree_order(rows: dict[str, HistoryRow], data: st.DataObject) -> None:
    """SAME, NEWER and OLDER as in the tree; APART for every other pair."""
    names = st.sampled_from(sorted(rows))
    a, b = data.draw(names), data.draw(names)
    above_a, above_b = [r.history for r in path(rows, a)], [r.history for r in path(rows, b)]
    got = Lineage(tuple(path(rows, a))).descent(Lineage(tuple(path(rows, b))))
    expected = (
        Descent.SAME if a == b else Descent.NEWER if b in above_a else Descent.OLDER if a in above_b else Descent.APART
    )
    assert got is expected


@given(trees(), st.data())
def test_a_position_survives_iff_every_fork_on_the_way_lies_after_it(
    rows: dict[str, HistoryRow], data: st.DataObject
) -> None:
    """Model: a write of a history is in a descendant iff it was made before the lineage left that history."""
    name = data.draw(st.sampled_from(sorted(rows)))
    history = data.draw(st.sampled_from([*sorted(rows), "unheard of"]))
    position = data.draw(st.integers(0, 60))
    line = path(rows, name)
    got = Lineage(tuple(line)).survival(history, position)
    names = [row.history for row in line]
    if history not in names:
        assert got is Survival.UNKNOWN
    elif history == name:
        assert got is Survival.CURRENT
    else:
        child = line[names.index(history) + 1]
        assert got is (Survival.SURVIVED if position <= child.fork else Survival.LOST)  # type: ignore[operator]


@st.composite
def forests(draw: st.DrawFn) -> dict[str, HistoryRow]:
    """Several roots, as after a loss of all data; some rows are adoptions. Later rows have greater ids."""
    rows: dict[str, HistoryRow] = {}
    for i in range(draw(st.integers(1, 8))):
        name = adoption_id(f"{i}") if draw(st.booleans()) else f"h{i}"
        parent = draw(st.sampled_from([None, *rows]))
        epoch = 1 if parent is None else rows[parent].epoch + 1
        rows[name] = HistoryRow(name, parent, None, epoch, "o")
    return rows


@given(forests(), st.data())
def test_of_two_lineages_apart_the_later_adoption_counts(rows: dict[str, HistoryRow], data: st.DataObject) -> None:
    """Both see it the same way round; without an adoption, or with the same one above both, nobody decides."""
    names = st.sampled_from(sorted(rows))
    of_a, of_b = path(rows, data.draw(names)), path(rows, data.draw(names))
    a, b = Lineage(tuple(of_a)), Lineage(tuple(of_b))
    got = a.descent(b)
    there = {Descent.NEWER: Descent.OLDER, Descent.OLDER: Descent.NEWER}
    assert b.descent(a) is there.get(got, got)
    if of_a[-1] in of_b or of_b[-1] in of_a:
        return  # descent, as above
    last_a = max((row.history for row in of_a if row.history.startswith("op-")), default="")
    last_b = max((row.history for row in of_b if row.history.startswith("op-")), default="")
    if last_a == last_b:
        assert got is Descent.APART
    else:
        assert got is (Descent.NEWER if last_a > last_b else Descent.OLDER)


@given(trees(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_rows_makes_no_difference(
    rows: dict[str, HistoryRow], random: object, data: st.DataObject
) -> None:
    """A table gives its rows in any order."""
    line = path(rows, data.draw(st.sampled_from(sorted(rows))))
    shuffled = list(line)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert lineage_of(shuffled) == Lineage(tuple(line))


def test_an_end_of_history_and_a_fork_that_nobody_knows_do_not_survive() -> None:
    """Without a position, or without a fork, nothing proves survival."""
    assert chain("h1", "h2").survival("h1", None) is Survival.LOST
    assert chain("h1", "h2").survival("h2", None) is Survival.CURRENT
    assert chain("h1", "h2", forks=(None,)).survival("h1", 1) is Survival.LOST


def test_a_long_lineage_forgets_its_oldest() -> None:
    """Cut to 64 rows; a bookmark of what was cut names an unknown history."""
    names = [f"h{i}" for i in range(80)]
    cut = lineage_of(list(chain(*names).rows))
    assert cut is not None and len(cut.rows) == LONGEST_LINEAGE and cut.current.history == "h79"
    assert cut.survival("h3", 1) is Survival.UNKNOWN
    assert lineage_of([]) is None
