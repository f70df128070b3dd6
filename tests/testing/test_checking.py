"""The checkers: each finds its broken promise, by name; none finds fault with a store that keeps them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import Level
from regionkit.testing import (
    Guarantee,
    History,
    Operation,
    Recorder,
    Violation,
    VirtualClock,
    check,
    check_outcomes,
    check_sessions,
    check_staleness,
    check_survival,
)
from regionkit.testing.checking import MOST_FINDINGS, SESSION_GUARANTEES
from regionkit.testing.history import Mark

RYW, MR, MW, WFR = SESSION_GUARANTEES
Named = set[tuple[Guarantee, tuple[str, int]]]


def made(*lines: str, parents: dict[str, list[Mark]] | None = None) -> History:
    """A history in the order of time, a line an operation: session, w or r, key and version, then an outcome or a level."""
    indexes: dict[str, int] = {}
    operations = []
    for at, line in enumerate(lines):
        session, kind, target, *rest = line.split()
        indexes[session] = indexes.get(session, 0) + 1
        key, version = target.split("=")
        options: dict[str, Any] = {}
        for word in rest:
            options |= {"level": Level(word)} if word in list(Level) else {"outcome": word}
        name = {"w": "write", "r": "read"}[kind]
        operations.append(Operation(session, indexes[session], "p", name, key, int(version), at, at + 0.5, **options))
    return History(operations, parents)


def named(violations: list[Violation]) -> Named:
    """Which guarantee was broken at which operation."""
    return {(v.guarantee, (v.operations[-1].session, v.operations[-1].index)) for v in violations}


BROKEN = {
    "a write not read": (["a w x=1", "a r x=0"], RYW, ["a1", "a2"]),
    "a read that goes back": (["b w x=1", "a r x=1", "a r x=0"], MR, ["a1", "a2"]),
    "a newer write under an older version": (["a w x=2", "a w x=1"], MW, ["a1", "a2"]),
    "a write under what was read": (["b w x=3", "a r x=3", "a w x=2"], WFR, ["a1", "a2"]),
    "the second write without the first": (
        ["a w x=1", "a w y=1", "b r y=1", "b r x=0"],
        MW,
        ["a1", "a2", "b1", "b2"],
    ),
    "an answer without its question": (
        ["c w x=1", "a r x=1", "a w y=1", "b r y=1", "b r x=0"],
        WFR,
        ["a1", "a2", "b1", "b2"],
    ),
    "an answer's answer without the question": (
        ["a w x=1", "a w y=1", "c r y=1", "c w z=1", "b r z=1", "b r x=0"],
        MW,
        ["a1", "a2", "c1", "c2", "b1", "b2"],
    ),
    "what was there before the history began": (
        ["a r x=7", "a w y=1", "b r y=1", "b r x=0"],
        WFR,
        ["a1", "a2", "b1", "b2"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_guarantee_is_named_with_its_operations(case: str) -> None:
    """The smallest history of each kind: one finding, the right name, the operations in the order that proves it."""
    lines, guarantee, operations = BROKEN[case]
    (found,) = check_sessions(made(*lines))
    assert found.guarantee is guarantee
    assert [f"{o.session}{o.index}" for o in found.operations] == operations
    assert check_sessions(made(*lines), [guarantee]) == [found]
    assert check_sessions(made(*lines), set(SESSION_GUARANTEES) - {guarantee}) == []


FINE = {
    "absent is version 0": ["a r x=0", "b w x=1", "a r x=1"],
    "an unknown write need not be there": ["a w x=1 unknown", "a r x=0"],
    "an unknown write may be there": ["a w x=1 unknown", "a r x=1"],
    "an unknown write may come late": ["a w x=1 unknown", "a w y=1", "b r y=1", "b r x=0", "b r x=1"],
    "a failed write is not waited for": ["a w x=1 failed", "a w y=1", "b r y=1", "b r x=0"],
    "a failed read saw nothing": ["b w x=1", "a r x=1", "a r x=0 failed"],
    "an eventual read may go back": ["a w x=1", "a r x=0 eventual", "a r x=0 bounded"],
    "who saw nothing may miss all": ["a w x=1", "a w y=1", "b r x=0", "b r y=0"],
    "a later write of another session obliges to nothing": ["a w x=1", "a w y=1", "c w y=2", "b r y=2", "b r x=0"],
    "the write after the one that was seen": ["a w y=1", "a w x=1", "b r y=1", "b r x=0"],
    "of two attempts either may have been it": [
        *("a w y=1 unknown", "c w x=1", "c w y=1 unknown", "b r y=1", "b r x=0"),
    ],
    "a repeated write was perhaps made at first": ["a w y=1 unknown", "a w x=1", "a w y=1", "b r y=1", "b r x=0"],
}


@pytest.mark.parametrize("case", FINE)
def test_what_proves_nothing_is_no_finding(case: str) -> None:
    """Open outcomes and weak levels are not blamed."""
    history = made(*FINE[case])
    assert check_sessions(history) == check_outcomes(history) == []


def test_a_failed_write_that_was_seen_leads_no_further() -> None:
    """Either its outcome is a lie or another wrote that version: the finding is of outcomes, not of order."""
    history = made("a w x=1", "a w y=1 failed", "b r y=1", "b r x=0")
    assert check_sessions(history) == []
    assert named(check(history)) == {(Guarantee.HONEST_OUTCOMES, ("b", 1))}


def test_an_eventual_read_counts_as_seen() -> None:
    """What a session saw at any level, its SESSION reads must not miss."""
    history = made("b w x=1", "a r x=1 eventual", "a r x=0")
    assert named(check_sessions(history)) == {(MR, ("a", 2))}


def test_a_session_goes_on_from_a_mark() -> None:
    """It may miss what came after the mark, not what came before."""
    lines = ["a w x=1", "a w x=2", "b r x=1", "c r x=0", "d r x=1"]
    parents = {"b": [Mark("a", 1)], "c": [Mark("a", 1)], "d": [Mark("a", 2)]}
    found = check_sessions(made(*lines, parents=parents))
    assert named(found) == {(RYW, ("c", 1)), (RYW, ("d", 1))}


def test_two_that_go_on_from_one_know_nothing_of_each_other() -> None:
    """A fork: what one writes, the other may miss."""
    parents = {"b": [Mark("a", 1)], "c": [Mark("a", 1)]}
    for lines in (["a w x=1", "b w x=2", "c r x=1"], ["a w x=1", "c w x=2", "b r x=1"]):
        assert check_sessions(made(*lines, parents=parents)) == []


def test_several_bookmarks_are_all_kept() -> None:
    """A session that began with two must miss nothing of either, and hands both on."""
    lines = ["a w x=1", "b w y=1", "d r x=0", "d r y=0"]
    parents = {"c": [Mark("a", 1), Mark("b", 1)], "d": [Mark("c", 0)]}
    assert named(check_sessions(made(*lines, parents=parents))) == {(RYW, ("d", 1)), (RYW, ("d", 2))}


def test_dependencies_go_through_bookmarks() -> None:
    """The writer of what was seen had gone on from the session that wrote the other; the reader, from the one that saw."""
    lines = ["a w x=1", "b w y=1", "c r y=1", "d r x=0"]
    history = made(*lines, parents={"b": [Mark("a", 1)], "d": [Mark("c", 1)]})
    (found,) = check_sessions(history)
    assert found.guarantee is MW
    assert [o.session for o in found.operations] == ["a", "b", "c", "d"]


def bounded(version: int, began: float, bound: float, level: Level = Level.BOUNDED) -> Operation:
    return Operation("r", 1, "p", "read", "x", version, began, began + 0.1, level=level, bound=bound)


@pytest.mark.parametrize(
    ("read", "is_fine"),
    [
        (bounded(1, 12.0, 1.0), True),
        (bounded(1, 12.2, 1.0), False),
        (bounded(2, 12.2, 1.0), True),
        (bounded(0, 12.2, 10.0), True),
        (bounded(1, 11.2, 0.0, Level.STRONG), False),
        (bounded(1, 11.0, 0.0, Level.STRONG), True),
        (bounded(0, 99.0, 0.0, Level.SESSION), True),
    ],
)
def test_staleness_is_counted_from_the_acknowledgement(read: Operation, is_fine: bool) -> None:
    """What was acknowledged more than the bound before the read began has to be there."""
    writes = [Operation("w", n, "p", "write", "x", n, 9.0 + n, 9.1 + n) for n in (1, 2)]
    unknown = Operation("w", 3, "p", "write", "x", 3, 11.0, 11.1, "unknown")
    found = check_staleness(History([*writes, unknown, read]))
    assert found == [] if is_fine else [v.operations for v in found] == [(writes[1], read)]
    assert is_fine or "acknowledged 0.1" in str(found[0]) or "acknowledged 1.1" in str(found[0])


def test_an_acknowledged_write_that_is_gone_is_named() -> None:
    """Of each key the newest; unknown and failed writes may be there or not."""
    history = made("a w x=1", "a w x=2", "a w y=1", "b w y=2 unknown", "b w z=1 failed")
    assert check_survival(history, {"x": 2, "y": 1}) == []
    assert check_survival(history, {"x": 3, "y": 2, "z": None}) == []
    lost = check_survival(history, {"x": 1})
    assert {str(v.operations[0]).split(" (")[0] for v in lost} == {
        "a wrote version 2 of 'x'",
        "a wrote version 1 of 'y'",
    }
    assert "in the end there is version 1" in str(lost[0])
    assert named(check(history, {"y": 1})) == {(Guarantee.NO_LOST_WRITES, ("a", 2))}


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (["a w x=1 failed", "b r x=1"], ["a1", "b1"]),
        (["a w x=1", "b w x=1"], ["a1", "b1"]),
        (["a w x=1 unknown", "b w x=1", "c w x=1"], ["b1", "c1"]),
        (["b r x=1", "a w x=1"], ["a1", "b1"]),
        (["b w x=2", "a w x=1"], ["b1", "a1"]),
        (["b r x=2", "a w x=1"], ["b1", "a1"]),
        (["b w x=2", "a w x=1 unknown", "c r x=1"], ["b1", "a1", "c1"]),
        (["a w x=1 unknown", "b w x=2", "a w x=1", "c r x=1"], None),
        (["b w x=2", "a w x=1 unknown", "c r x=2"], None),
        (["b r x=2", "a w x=1 failed", "c r x=2"], None),
        (["a w x=1 failed", "a w x=1", "b r x=1"], None),
        (["a w x=1 unknown", "b w x=1", "b r x=1"], None),
        (["b r x=1"], None),
    ],
)
def test_outcomes_are_held_to_what_was_seen(lines: list[str], finding: list[str] | None) -> None:
    """A failed write that is read, one version acknowledged twice or made under a newer one, a read before the write; what was
    there before is fine, and so is a second attempt of what may have been made at first.
    """
    found = check_outcomes(made(*lines))
    assert [[f"{o.session}{o.index}" for o in v.operations] for v in found] == ([finding] if finding else [])
    assert all(v.guarantee is Guarantee.HONEST_OUTCOMES for v in found)


def test_a_finding_reads_as_a_sentence() -> None:
    """Who, what, which operation, when: enough to find it in a log."""
    (found,) = check_sessions(made("a w x=2", "a r x=1 strong"))
    assert str(found) == (
        "read your writes: a wrote version 2 of 'x' (operation 1, process p, 0.000000 to 0.500000 s); "
        "then a read version 1 of 'x' (operation 2, process p, 1.000000 to 1.500000 s, STRONG)"
    )


def test_findings_are_bounded() -> None:
    """A store that breaks a promise at every read is told of a hundred times; other promises are still looked at."""
    history = made("b w x=1", "a r x=1", *["a r x=0"] * 150, "c w y=1", "c r y=0")
    found = check_sessions(history)
    assert len(found) == MOST_FINDINGS + 1
    assert (RYW, ("c", 2)) in named(found)


def test_times_of_two_machines_are_not_compared() -> None:
    """What needs one clock refuses two; what does not, checks."""
    lines = made("a w x=1", "a r x=0")
    history = History(lines, clocks=["one", "two"])
    for refusing in (check_sessions, check_staleness, check):
        with pytest.raises(ConfigurationError, match="2 clocks"):
            refusing(history)
    assert named(check_sessions(history, [RYW, MR])) == {(RYW, ("a", 2))}
    assert check_outcomes(history) == check_survival(history, {"x": 1}) == []


@pytest.mark.parametrize(
    "history",
    [
        History([Operation("a", n, "p", "read", "x", 0, 5.0 - n, 5.5 - n) for n in (1, 2)]),
        History(
            [Operation("a", 1, "p", "write", "x", 1, 5.0, 6.0), Operation("b", 1, "p", "read", "x", 1, 3.0, 4.0)],
            {"b": [Mark("a", 1)]},
        ),
    ],
)
def test_overlapping_operations_of_a_session_are_refused(history: History) -> None:
    """Its order would say nothing."""
    with pytest.raises(ConfigurationError, match="overlaps"):
        check_sessions(history)


# A store with one order of writes, copies that trail it, and sessions routed over them.


class Simulated:
    """One owner, copies at positions of its log. `routed`: a session reads only where all is that it saw."""

    def __init__(self, chance: random.Random, routed: bool) -> None:
        self.chance, self.routed = chance, routed
        self.clock = VirtualClock()
        self.recorder = Recorder("p", clock=self.clock)
        self.log: list[tuple[str, int]] = []
        self.times: list[float] = []
        self.copies = [0, 0, 0]
        self.open: list[Iterator[None]] = []

    def run(self, steps: int) -> History:
        sessions = [self.session((), 0) for _ in range(4)]
        for _ in range(steps):
            self.clock.advance(self.chance.choice([0.0, 0.01, 0.1]))
            at = self.chance.randrange(len(sessions))
            if next(sessions[at], None) is None:
                sessions[at] = self.session((), 0)
            if self.chance.random() < 0.2:
                copy = self.chance.randrange(len(self.copies))
                self.copies[copy] = self.chance.randint(self.copies[copy], len(self.log))
        for session in sessions:
            session.close()  # what it had under way is not recorded, as if its file were lost
        return self.recorder.history()

    def session(self, after: tuple[str, ...], position: int) -> Iterator[Any]:
        """Two steps an operation, so that those of several sessions overlap; now and then it goes on as another."""
        session = self.recorder.session(after=after)
        while True:
            if self.chance.random() < 0.1:
                child = self.session((session.mark(),), position)
                for _ in range(self.chance.randrange(8)):
                    yield next(child)
                child.close()
            key = self.chance.choice("xyz")
            began = self.clock.monotonic()
            if self.chance.random() < 0.4:
                outcome = self.chance.choice(["ok", "ok", "ok", "unknown", "failed"])
                early = self.chance.random() < 0.5
                if not early:
                    yield True
                version = self.seen(key, len(self.log)) + 1
                if outcome == "ok" or (outcome == "unknown" and self.chance.random() < 0.5):
                    self.log.append((key, version))
                    self.times.append(self.clock.monotonic())
                    position = len(self.log) if outcome == "ok" else position
                if early:
                    yield True
                # a counter goes on after what it was not told of: the version is in doubt, and never used twice as ok
                session.record("write", key, version, began, self.clock.monotonic(), outcome)
            else:
                yield True
                reached = self.chance.choice(
                    [c for c in [*self.copies, len(self.log)] if c >= position or not self.routed]
                )
                position = max(position, reached)
                session.record("read", key, self.seen(key, reached), began, self.clock.monotonic())
            yield True

    def seen(self, key: str, position: int) -> int:
        return max((v for k, v in self.log[:position] if k == key), default=0)


def simulated(seed: int, *, routed: bool = True, steps: int = 120) -> History:
    return Simulated(random.Random(seed), routed).run(steps)


def expected(history: History) -> Named:
    """The four guarantees straight from their definitions: for each read, all that its session must have, one by one."""
    writers: dict[tuple[Any, int], list[Operation]] = {}
    for o in history:
        if o.kind == "write" and o.outcome != "failed":
            writers.setdefault((o.key, o.version), []).append(o)

    def before(session: str, index: int) -> Iterator[Operation]:
        yield from (o for o in history.sessions[session] if o.index < index)
        for mark in history.parents.get(session, ()):
            yield from before(mark.session, mark.index + 1)

    def writer(read: Operation) -> Operation | None:
        found = writers.get((read.key, read.version), [])
        early = (o for o in history if (o.kind, o.key, o.version, o.outcome) == ("read", read.key, read.version, "ok"))
        is_open = len({o.session for o in found}) != 1 or any(o.ended < found[0].began for o in early)
        return None if is_open else found[0]

    def known_to_others(reader: list[Operation]) -> list[Operation]:
        known, waiting, done = [], [o for o in reader if o.kind == "read" and o.outcome == "ok"], set()
        while waiting:
            source = writer(waiting.pop())
            if source is None or source in done:
                continue
            done.add(source)
            for o in before(source.session, source.index):
                if o.outcome == "ok":
                    known.append(o)
                    if o.kind == "read":
                        waiting.append(o)
        return [o for o in known if o not in reader]

    found: Named = set()
    for o in history:
        if o.outcome != "ok" or (o.kind == "read" and o.level not in (Level.SESSION, Level.STRONG)):
            continue
        own = [p for p in before(o.session, o.index) if p.outcome == "ok"]
        names = {"write": MW, "read": WFR} if o.kind == "write" else {"write": RYW, "read": MR}
        for p in own:
            if p.key == o.key and p.version > o.version:
                found.add((names[p.kind], (o.session, o.index)))
        for p in known_to_others(own) if o.kind == "read" else ():
            if p.key == o.key and p.version > o.version:
                found.add((MW if p.kind == "write" else WFR, (o.session, o.index)))
    return found


seeds = st.integers(0, 2**32)
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@often
@given(seeds)
def test_a_correct_store_passes(seed: int) -> None:
    """Lagging copies, overlapping operations, forks, unknown outcomes: with right routing nothing is found."""
    history = simulated(seed)
    assert check_sessions(history) == []
    assert expected(history) == set()
    # of a version that failed at one writer, the other one's file may be lost: the rest tells no lie
    assert check_outcomes(History((o for o in history if o.outcome != "failed"), history.parents)) == []


@often
@given(seeds, st.sampled_from([40, 120]))
def test_wrong_routing_is_found_exactly(seed: int, steps: int) -> None:
    """A store that forgets the bookmark: every read that breaks a guarantee is found, and no other."""
    history = simulated(seed, routed=False, steps=steps)
    assert named(check_sessions(history)) == expected(history)


def test_wrong_routing_breaks_each_guarantee() -> None:
    """The test above sees all that it is about."""
    broken = [guarantee for seed in range(40) for guarantee, _ in named(check_sessions(simulated(seed, routed=False)))]
    assert {g for g in SESSION_GUARANTEES if broken.count(g) >= 5} == set(SESSION_GUARANTEES)


@st.composite
def arbitrary(draw: st.DrawFn) -> History:
    """Anything in the order of time: unknown versions, low writes, repeated versions, every outcome and level."""
    clock, operations, indexes = 0.0, [], {}
    parents: dict[str, list[Mark]] = {}
    written: dict[str, int] = {}
    for _ in range(draw(st.integers(1, 24))):
        session = draw(st.sampled_from("abcd"))
        if session not in indexes and indexes and draw(st.booleans()):
            other = draw(st.sampled_from(sorted(indexes)))
            parents[session] = [Mark(other, draw(st.integers(0, indexes[other])))]
        index = indexes[session] = indexes.get(session, 0) + 1
        kind, key = draw(st.sampled_from(["read", "write"])), draw(st.sampled_from("xy"))
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "unknown", "failed"]))
        if kind == "write":
            version = written[key] = written.get(key, 0) + draw(st.integers(0, 1)) or 1
        else:
            version = draw(st.integers(0, written.get(key, 0) + 1))
        clock += draw(st.sampled_from([0.0, 1.0]))  # clocks are coarse
        level = draw(st.sampled_from([Level.SESSION, Level.SESSION, Level.EVENTUAL]))
        operations.append(Operation(session, index, "p", kind, key, version, clock, clock, outcome, level))
    return History(operations, parents)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(arbitrary())
def test_the_fast_checker_agrees_with_the_definitions(history: History) -> None:
    """Whatever the history, exactly what the definitions give."""
    assert named(check_sessions(history)) == expected(history)


TICKS = 6


@st.composite
def of_one_key(draw: st.DrawFn) -> History:
    """Some operations on one key, each of a session of its own, at any time: also what no store can have answered."""
    operations = []
    for number in range(draw(st.integers(2, 6))):
        began = draw(st.integers(0, TICKS))
        ended = draw(st.integers(began, TICKS))
        kind, outcome = (
            draw(st.sampled_from(["read", "write", "write"])),
            draw(st.sampled_from(["ok", "ok", "unknown", "failed"])),
        )
        version = draw(st.integers(1, 3))
        operations.append(Operation(f"s{number}", 1, "p", kind, "x", version, began, ended, outcome))
    return History(operations)


def has_an_explanation(history: History) -> bool:
    """Whether a register whose versions only grow can have given these answers: every way to have made them is tried."""
    told = [o for o in history if o.outcome == "ok"]
    versions = sorted({o.version for o in told})
    if any(sum(o.kind == "write" and o.version == version for o in told) > 1 for version in versions):
        return False
    for moments in itertools.combinations_with_replacement(
        range(-1, TICKS + 1), len(versions)
    ):  # in the order of versions
        at = dict(zip(versions, moments, strict=True))
        by_whom = {v: [o for o in history if o.kind == "write" and o.version == v] for v in versions}
        made = all(not by or any(o.outcome != "failed" and o.began <= at[v] for o in by) for v, by in by_whom.items())
        if made and all(at[o.version] <= o.ended for o in told):
            return True
    return False


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(of_one_key())
def test_outcomes_are_found_exactly(history: History) -> None:
    """A finding where nothing explains the answers, an attempt of unknown outcome made or not; none where something does."""
    assert (check_outcomes(history) == []) is has_an_explanation(history)


Break = Callable[[History, random.Random], "tuple[Operation, Operation] | None"]


def _pairs(history: History, first: str, second: str) -> Iterator[tuple[Operation, Operation]]:
    for session in history.sessions.values():
        done = [o for o in session if o.outcome == "ok"]
        for at, o in enumerate(done):
            yield from ((o, p) for p in done[at + 1 :] if (o.kind, p.kind) == (first, second) and o.version > 0)


def line(history: History, session: str) -> set[str]:
    """A session and all that it goes on from: what these did is its own past."""
    return {session}.union(*(line(history, mark.session) for mark in history.parents.get(session, ())))


def break_own(kind: str) -> Break:
    """A later read of the session loses what it wrote (or read) of the key."""

    def found(history: History, chance: random.Random) -> tuple[Operation, Operation] | None:
        pairs = [(o, p) for o, p in _pairs(history, kind, "read") if o.key == p.key]
        return chance.choice(pairs) if pairs else None

    return found


def break_across(kind: str) -> Break:
    """A reader that saw a write of the session loses what the session wrote (or read) before."""

    def found(history: History, chance: random.Random) -> tuple[Operation, Operation] | None:
        seen = [(q, r) for q, r in _pairs(history, "read", "read") if q.key != r.key]
        writers: dict[Any, list[Operation]] = {}
        for o in history:
            if o.kind == "write" and o.outcome != "failed":
                writers.setdefault((o.key, o.version), []).append(o)
        pairs = [
            (o, r)
            for q, r in seen
            if len(ws := writers.get((q.key, q.version), [])) == 1 and ws[0].session not in line(history, q.session)
            for o in history.sessions[ws[0].session]
            if o.index < ws[0].index and o.kind == kind and o.outcome == "ok" and o.key == r.key and o.version > 0
        ]
        return chance.choice(pairs) if pairs else None

    return found


@pytest.mark.parametrize(
    ("guarantee", "choose"),
    [(RYW, break_own("write")), (MR, break_own("read")), (MW, break_across("write")), (WFR, break_across("read"))],
    ids=lambda value: value.name if isinstance(value, Guarantee) else "",
)
@often
@given(seed=seeds)
def test_one_broken_promise_is_named(guarantee: Guarantee, choose: Break, seed: int) -> None:
    """A correct history, one read of it set back: the checker names that promise at that read."""
    history = simulated(seed)
    chosen = choose(history, random.Random(seed))
    assume(chosen is not None)
    missed, read = chosen
    broken = msgspec.structs.replace(read, version=missed.version - 1)
    told = History((broken if o is read else o for o in history), history.parents)
    assert (guarantee, (read.session, read.index)) in named(check_sessions(told, [guarantee]))


@often
@given(seeds, st.floats(0.0, 2.0))
def test_staleness_and_loss_agree_with_the_definitions(seed: int, bound: float) -> None:
    """Reads of lagging copies against a bound that some keep and some do not; and what a final look may lack."""
    history = simulated(seed, routed=False, steps=60)
    history = History(
        (msgspec.structs.replace(o, level=Level.BOUNDED, bound=bound) if o.kind == "read" else o for o in history),
        history.parents,
    )
    writes = [o for o in history if o.kind == "write" and o.outcome == "ok"]
    stale = {
        (r.session, r.index)
        for r in history
        if r.kind == "read"
        and any(w.key == r.key and w.version > r.version and w.ended < r.began - bound for w in writes)
    }
    assert named(check_staleness(history)) == {(Guarantee.BOUNDED_STALENESS, at) for at in stale}
    newest = {key: max((w.version for w in writes if w.key == key), default=0) for key in "xyz"}
    assert check_survival(history, newest) == []
    for key in (k for k in newest if newest[k]):
        (lost,) = check_survival(history, newest | {key: newest[key] - 1})
        assert (lost.operations[0].key, lost.operations[0].version) == (key, newest[key])
