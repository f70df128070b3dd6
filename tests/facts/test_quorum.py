"""Level arithmetic against every set of replicas that could have answered, and the positions that rest on it."""

from __future__ import annotations

import itertools
from functools import lru_cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.facts.bookmark import LARGEST_BOOKMARK, OWNER_ONLY, Bookmark, Entry, Signer
from regionkit.facts.consistency import EVENTUAL
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.position import (
    Levels,
    LevelsReached,
    as_position,
    extended,
    later,
    reaches,
    reaches_everything,
    read_level,
    refutes,
)
from regionkit.facts.quorum import LEVELS, RAISED, Replication, covers, overlaps, overlaps_everywhere, raised
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import decide
from regionkit.routing.proof import session_proof
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.routing.verdict import Outcome, Refusal, Standing
from regionkit.topology import Role

NAMES = ("a", "b", "c")
THREE = (("a", 3), ("b", 3))


def answered(level: str, here: int, counts: tuple[int, ...], factors: tuple[int, ...]) -> bool:
    """Whether replicas, so many in each data centre, satisfy a level asked for in data centre `here`."""
    majority = [factor // 2 + 1 for factor in factors]
    match level:
        case "ONE" | "TWO" | "THREE":
            return sum(counts) >= ("ONE", "TWO", "THREE").index(level) + 1
        case "QUORUM":
            return sum(counts) > sum(factors) / 2
        case "ALL":
            return counts == factors
        case "LOCAL_ONE":
            return counts[here] >= 1
        case "LOCAL_QUORUM":
            return counts[here] > factors[here] / 2
    assert level == "EACH_QUORUM"
    return all(count >= least for count, least in zip(counts, majority, strict=True))


@lru_cache(None)
def acknowledged(level: str, here: int, factors: tuple[int, ...]) -> int:
    """All sets of replicas that satisfy a level, as bits: replicas of one data centre are alike, so a set is its counts."""
    sets = itertools.product(*(range(factor + 1) for factor in factors))
    return sum(1 << number for number, counts in enumerate(sets) if answered(level, here, counts, factors))


def may_miss(write: tuple[str, int], read: tuple[str, int], factors: tuple[int, ...]) -> bool:
    """Whether some set acknowledges the write while one among all other replicas satisfies the read.

    More replicas never satisfy a level less, so "all others" is the set to try; it stands mirrored in the order of sets.
    """
    size = 1
    for factor in factors:
        size *= factor + 1
    mirrored = int(format(acknowledged(*read, factors), f"0{size}b")[::-1], 2)
    return bool(acknowledged(*write, factors) & mirrored)


def every_factors() -> list[tuple[int, ...]]:
    """Replication factors 1 to 5 over one to three data centres."""
    return [factors for count in (1, 2, 3) for factors in itertools.product(range(1, 6), repeat=count)]


def test_a_pair_is_called_sound_iff_no_sets_of_replicas_can_miss_each_other() -> None:
    """Every RF 1 to 5, one to three data centres, every pair of levels from everywhere: sound and unsound ones, all of them."""
    found = {True: 0, False: 0}
    for factors in every_factors():
        replication: Replication = tuple(zip(NAMES, factors, strict=False))
        for w_level, r_level in itertools.product(LEVELS, repeat=2):
            for w, r in itertools.product(range(len(factors)), repeat=2):
                sound = not may_miss((w_level, w), (r_level, r), factors)
                said = overlaps((NAMES[w], w_level), (NAMES[r], r_level), replication)
                assert said is sound, (factors, w_level, NAMES[w], r_level, NAMES[r])
                found[sound] += 1
    assert found[True] > 10_000
    assert found[False] > 10_000


@pytest.mark.parametrize("factors", [(1,), (3,), (1, 1), (2, 1), (2, 2), (3, 2), (1, 1, 1), (2, 1, 1)])
def test_counts_stand_for_sets_of_single_replicas(factors: tuple[int, ...]) -> None:
    """The same over sets of named replicas, where each set and each other one is looked at."""
    replicas = [(here, number) for here, factor in enumerate(factors) for number in range(factor)]
    subsets = [set(s) for n in range(len(replicas) + 1) for s in itertools.combinations(replicas, n)]

    def satisfied(level: str, here: int) -> list[set[tuple[int, int]]]:
        counted = [(s, tuple(sum(1 for w, _ in s if w == x) for x in range(len(factors)))) for s in subsets]
        return [s for s, counts in counted if answered(level, here, counts, factors)]

    replication: Replication = tuple(zip(NAMES, factors, strict=False))
    for w_level, r_level in itertools.product(LEVELS, repeat=2):
        for w, r in itertools.product(range(len(factors)), repeat=2):
            sound = all(a & b for a in satisfied(w_level, w) for b in satisfied(r_level, r))
            assert overlaps((NAMES[w], w_level), (NAMES[r], r_level), replication) is sound


@pytest.mark.parametrize(
    ("write", "read", "sound"),
    [
        (("a", "LOCAL_QUORUM"), ("a", "LOCAL_QUORUM"), True),
        (("a", "LOCAL_QUORUM"), ("b", "LOCAL_QUORUM"), False),
        (("a", "LOCAL_QUORUM"), ("b", "QUORUM"), False),  # four of six can leave out the two
        (("a", "LOCAL_QUORUM"), ("b", "EACH_QUORUM"), True),
        (("a", "EACH_QUORUM"), ("b", "LOCAL_QUORUM"), True),
        (("a", "QUORUM"), ("b", "QUORUM"), True),
        (("a", "ALL"), ("b", "LOCAL_ONE"), True),
        (("a", "ONE"), ("a", "ONE"), False),
        (("a", "ANY"), ("a", "ALL"), False),  # a hint is no replica
        (("z", "LOCAL_QUORUM"), ("a", "ALL"), False),  # a data centre that holds nothing
    ],
)
def test_known_pairs_over_three_and_three(write: tuple[str, str], read: tuple[str, str], sound: bool) -> None:
    """The pairs that people write down, and one that many take for sound."""
    assert overlaps(write, read, THREE) is sound


def test_a_level_that_covers_another_overlaps_with_all_that_it_does() -> None:
    """So a statement may ask for more than its block, and the bookmark still says the truth."""
    for factors in every_factors():
        replication: Replication = tuple(zip(NAMES, factors, strict=False))
        for more, less in itertools.product(LEVELS, repeat=2):
            if covers(more, less, "a", replication):
                for other in LEVELS:
                    for name, _ in replication:
                        assert not overlaps(("a", less), (name, other), replication) or overlaps(
                            ("a", more), (name, other), replication
                        )
    assert covers("QUORUM", "ONE", "a", THREE)
    assert not covers("QUORUM", "LOCAL_QUORUM", "a", THREE)


def test_a_raised_read_sees_every_write_and_asks_for_no_more_than_it_must() -> None:
    """It asks for all that its own level asks for, so that what it showed is seen by a later read at that level."""
    for factors in every_factors():
        replication: Replication = tuple(zip(NAMES, factors, strict=False))
        for own, level in itertools.product(LEVELS, repeat=2):
            writes = frozenset((name, level) for name, _ in replication)
            found = raised(("a", own), writes, replication)
            fit = [
                x
                for x in RAISED
                if covers(x, own, "a", replication) and all(overlaps(w, ("a", x), replication) for w in writes)
            ]
            assert found == (fit[0] if fit else "")
            assert (
                found
                or not covers("ALL", own, "a", replication)
                or not overlaps(("a", level), ("a", "ALL"), replication)
            )
    both = frozenset({("a", "LOCAL_QUORUM"), ("b", "LOCAL_QUORUM")})
    assert raised(("a", "LOCAL_QUORUM"), both, THREE) == "EACH_QUORUM"
    assert raised(("a", "LOCAL_ONE"), frozenset({("b", "ONE")}), THREE) == "ALL"


def here(
    datacenter: str, read: str = "LOCAL_QUORUM", write: str = "LOCAL_QUORUM", replication: Replication = THREE
) -> LevelsReached:
    return LevelsReached(datacenter, read, write, replication)


def wrote(datacenter: str, level: str = "LOCAL_QUORUM", stamp: int = 1) -> Levels:
    return Levels(writes=((datacenter, level),), stamp=stamp)


def test_joined_positions_ask_for_each_of_both() -> None:
    """A data centre reaches the join iff it reaches each; the newest time stamp stays; joining twice changes nothing."""
    positions = [
        Levels(
            writes=((name, level),) if kind == "writes" else (),
            reads=((name, level),) if kind == "reads" else (),
            stamp=n,
        )
        for n, (name, level, kind) in enumerate(
            itertools.product("ab", ("LOCAL_QUORUM", "EACH_QUORUM", "ONE"), ("writes", "reads"))
        )
    ]
    places = [here(name, level) for name in "ab" for level in ("LOCAL_QUORUM", "QUORUM", "ONE", "EACH_QUORUM")]
    for a, b in itertools.product(positions, repeat=2):
        join = later(a, b)
        assert isinstance(join, Levels)
        assert join.stamp == max(a.stamp, b.stamp)
        assert later(join, a) == join == later(b, a)
        for place in places:
            assert reaches(place, join) is (reaches(place, a) and reaches(place, b))


def test_what_was_read_is_asked_for_where_it_was_read() -> None:
    """Seen at LOCAL_QUORUM in one data centre it may be nowhere else yet, whatever level it was written at."""
    for write_level in LEVELS:
        read = as_position(here("a", write=write_level))
        assert reaches(here("a", write=write_level), read)
        assert not reaches(here("b", write=write_level), read)
        assert reaches(here("b", "EACH_QUORUM", write_level), read)
    assert reaches(here("b", "QUORUM"), as_position(here("a", "QUORUM")))
    assert not reaches(here("a", "ONE"), as_position(here("a")))  # the same place at a lower level


def test_a_read_level_that_does_not_meet_itself_stays_where_it_is() -> None:
    """ALL and ONE see every acknowledged write; what was read at ONE is asked of that data centre at ONE again."""
    assert reaches(here("a", "ONE", "ALL"), as_position(here("a", "ONE", "ALL")))
    assert not reaches(here("b", "ONE", "ALL"), as_position(here("a", "ONE", "ALL")))


def test_without_a_position_every_place_that_may_have_written_counts() -> None:
    """The bookmark says that something was written, and not where."""
    assert not reaches_everything(here("a"))
    assert reaches_everything(here("a", replication=(("a", 3),)))
    assert reaches_everything(here("a", "LOCAL_QUORUM", "EACH_QUORUM"))
    assert reaches_everything(here("a", "QUORUM", "QUORUM"))
    assert not reaches_everything(None)
    assert not reaches_everything(7)
    assert overlaps_everywhere("ALL", ("a", "LOCAL_ONE"), THREE)


def test_changed_replicas_prove_nothing() -> None:
    """Until somebody confirms the repair."""
    changed = LevelsReached("a", "ALL", "ALL", THREE, "the replicas changed")
    assert not reaches(changed, wrote("a", "ALL"))
    assert not reaches_everything(changed)


def test_kinds_do_not_mix() -> None:
    """A number says nothing of levels, nor do levels of a number."""
    assert not reaches(5, wrote("a"))
    assert not reaches(here("a"), 5)
    assert not reaches(here("a"), ((0, 1, 1),))
    assert not refutes(here("a"), wrote("b"))
    assert extended(here("a"), wrote("b")) == here("a")
    with pytest.raises(ValueError, match="two kinds"):
        later(wrote("a"), 5)


def test_a_bookmark_carries_levels_within_its_bound() -> None:
    """Eight data centres written and read, with long names, in a signed text that comes back as it was."""
    names = [f"datacenter-with-a-long-name-{n}" for n in range(8)]
    position = Levels(tuple((n, "LOCAL_QUORUM") for n in names), tuple((n, "EACH_QUORUM") for n in names), 1 << 52)
    bookmark = Bookmark().add("events", Entry("0" * 32, 1, position, True))
    signer = Signer("shop", ["a key of more than sixteen characters"])
    text = signer.encode(bookmark)
    assert len(text) <= LARGEST_BOOKMARK
    assert signer.decode(text) == bookmark


HISTORY = HistoryRow("h1", "cluster/shop", Levels(), 1, "")
LINEAGE = Lineage((HistoryRow("cluster/shop", None, None, 0, ""), HISTORY))


def snapshot(*places: LevelsReached | None) -> Snapshot:
    def state(place: LevelsReached | None, name: str) -> EndpointState:
        seen = None if place is None else Observation(Role.PRIMARY, name, LINEAGE, "", place, 0.0, 0.001)
        return EndpointState(name, name, Role.PRIMARY, Role.PRIMARY, True, seen)

    endpoints = tuple(state(place, name) for place, name in zip(places, NAMES, strict=False))
    return Snapshot("events", "a", endpoints, leaderless=True, lineage=LINEAGE)


@pytest.mark.parametrize(
    ("entry", "standing"),
    [
        (Entry("h1", 1, wrote("a")), Standing.PROVED),
        (Entry("h1", 1, wrote("b")), Standing.RAISED),
        (Entry("h1", 1, wrote("b", "ANY")), Standing.NEVER),  # no replica may have it yet
        (Entry("cluster/shop", 0, wrote("a")), Standing.PROVED),  # written before the tables were made
        (Entry("another", 1, wrote("a")), Standing.UNSETTLED),
        (OWNER_ONLY, Standing.RAISED),
    ],
)
def test_a_data_centre_stands_to_an_entry_as_its_levels_say(entry: Entry, standing: Standing) -> None:
    """There is no owner to fall back on, and waiting makes no levels overlap."""
    assert session_proof(snapshot(here("a"), here("b")), Request(entries=(entry,)), 0).standing is standing


def test_a_read_is_raised_while_every_data_centre_is_up() -> None:
    """Where one proves it at its own level, that one serves; where one that must be asked is away, it is named."""
    both = snapshot(here("a"), here("b"))
    travelled = Request(entries=(Entry("h1", 1, later(wrote("a"), wrote("b"))),), wait_until=20.0)
    assert decide(both, travelled, 10.0, [0, 0]).index == 0
    assert decide(both, travelled, 10.0, [0, 0]).outcome is Outcome.USE
    elsewhere = Request(entries=(Entry("h1", 1, wrote("b")),), wait_until=20.0)
    assert decide(both, elsewhere, 10.0, [0, 0]).index == 1
    down = msgspec.structs.replace(
        both, endpoints=(both.endpoints[0], msgspec.structs.replace(both.endpoints[1], read_open="down"))
    )
    for asked in (travelled, elsewhere):
        refused = decide(down, asked, 10.0, [0, 0])
        assert refused.refusal is Refusal.STALE
        assert "data centre b does not answer" in refused.verdicts[0].reason
    told = snapshot(here("a"), LevelsReached("b", "ALL", "ALL", THREE, "the replicas changed"))
    assert decide(told, travelled, 10.0, [0, 0]).refusal is Refusal.STALE


@given(
    st.lists(st.sampled_from([*NAMES[:2], None]), max_size=3), st.sampled_from(["LOCAL_ONE", "LOCAL_QUORUM", "QUORUM"])
)
def test_the_level_of_a_read_shows_all_that_is_asked(places: list[str | None], own: str) -> None:
    """Its own level iff that does; never a lower one."""
    wants = [None if place is None else wrote(place) for place in places]
    have = here("a", own)
    level = read_level(have, wants)
    assert (level == own) is all(reaches_everything(have) if w is None else reaches(have, w) for w in wants)
    assert covers(level, own, "a", THREE)
    shown = LevelsReached("a", level, "LOCAL_QUORUM", THREE)
    assert all(reaches_everything(shown) if w is None else reaches(shown, w) for w in wants)
    assert read_level(LevelsReached("a", own, own, THREE, "changed"), wants) == ""


def test_an_unknown_history_is_invalid_once_asked_afresh_and_an_unseen_place_is_waited_for() -> None:
    """And changed replicas say why in their own words."""
    entry = Entry("another", 1, wrote("a"))
    asked = Request(entries=(entry,), fresh=frozenset({0}))
    assert session_proof(snapshot(here("a")), asked, 0).standing is Standing.INVALID
    assert session_proof(snapshot(None), Request(entries=(entry,)), 0).standing is Standing.BEHIND
    changed = LevelsReached("a", "ALL", "ALL", THREE, "the replicas changed")
    verdict = session_proof(snapshot(changed), Request(entries=(Entry("h1", 1, wrote("a")),)), 0)
    assert (verdict.standing, verdict.reason) == (Standing.NEVER, "the replicas changed")


def test_a_history_that_no_data_centre_knows_is_invalid() -> None:
    """Once each was asked in this very call; until then the first of them is asked."""
    both = snapshot(here("a"), here("b"))
    asked = Request(entries=(Entry("another", 1, wrote("a")),), wait_until=20.0)
    assert decide(both, asked, 10.0, [0, 0]).outcome is Outcome.WAIT
    knows = msgspec.structs.replace(asked, fresh=frozenset({0, 1}))
    assert decide(both, knows, 10.0, [0, 0]).refusal is Refusal.INVALID


def test_without_a_position_sound_levels_suffice_where_there_is_no_owner() -> None:
    """QUORUM meets QUORUM whoever wrote."""
    both = snapshot(here("a", "QUORUM", "QUORUM"), here("b", "QUORUM", "QUORUM"))
    assert session_proof(both, Request(entries=(OWNER_ONLY,)), 1).standing is Standing.PROVED


@given(st.sampled_from(["a", "b"]), st.sampled_from(["", "a", "b", "c"]), st.sets(st.integers(0, 1)))
def test_a_write_goes_to_its_keys_home_and_nowhere_else(local: str, home: str, failed: set[int]) -> None:
    """Without a home any data centre takes it; a home that failed, or that is none, leaves none. Reads are not bound."""
    both = msgspec.structs.replace(snapshot(here("a"), here("b")), local=local)
    for kind in Kind:
        request = Request(kind=kind, home=home, consistency=EVENTUAL, excluded=frozenset(failed))
        decision = decide(both, request, 10.0, [0, 0])
        able = {e.region for i, e in enumerate(both.endpoints) if i not in failed}
        if kind is Kind.WRITE and home:
            able &= {home}
        if able:
            assert both.endpoints[decision.index].region in able
        else:
            assert decision.refusal is Refusal.NO_ENDPOINT
