"""The walk to a connection: its table, and a model that plays servers which die, lag, restart and lose their role."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from regionkit.errors import RegionUnavailable
from regionkit.facts.bookmark import Entry
from regionkit.facts.consistency import EVENTUAL, SESSION, STRONG
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision, decide
from regionkit.routing.snapshot import EndpointState, Snapshot, observe
from regionkit.routing.verdict import Outcome
from regionkit.routing.walk import (
    Ask,
    Asked,
    Begun,
    Connect,
    Connected,
    Event,
    GiveUp,
    Look,
    Lost,
    Pause,
    Refresh,
    Refuse,
    Step,
    TakeIn,
    Taken,
    TakePositions,
    Use,
    Walk,
    begun,
    next_step,
    settled,
)
from regionkit.topology import Role

ROOT = Lineage((HistoryRow("h1", None, None, 1, "us"),))
REGIONS = ("us", "kr", "eu")


def told(role: Role, run: str, reached: int, at: float) -> Observation:
    origin = "us" if role is Role.PRIMARY else ""
    return Observation(role, run, ROOT, origin, reached, at, 0.001)


class Servers:
    """Three servers as a walk may find them, and what the process knows of them: a walk's `Known`."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.at = 100.0
        self.runs = [1, 1, 1]
        self.reached = [50, chance.choice((10, 50)), chance.choice((10, 50))]
        self.dead = [chance.random() < 0.3 for _ in REGIONS]
        roles = (Role.PRIMARY, Role.REPLICA, Role.REPLICA)
        self.snapshot = Snapshot(
            "orders",
            "kr",
            tuple(
                EndpointState(r, r, role, role, True, rtt=0.01 * i) for i, (r, role) in enumerate(zip(REGIONS, roles))
            ),
            owner=0,
        )
        self.wanted: tuple[Entry, ...] = chance.choice(((), (Entry("h1", 1, 40),), (Entry("h1", 1, 90),)))
        self.elsewhere = chance.random() < 0.3
        self.asked: set[int] = set()
        self.before: dict[int, Observation] = {}
        for index in range(3):
            if chance.random() < 0.7:
                self.take_in(index, self.answer(index))
                self.asked |= {index} if chance.random() < 0.8 else set()  # or long ago: the process slept since

    def met(self, index: int) -> bool:
        return self.asked | {index} == {0, 1, 2}

    def answer(self, index: int) -> Observation:
        self.at += 0.001
        role = Role.PRIMARY if index == 0 else Role.REPLICA
        answer = told(role, f"run {self.runs[index]}", self.reached[index], self.at)
        self.before.setdefault(index, answer)
        return answer

    def take_in(self, index: int, answer: Observation) -> None:
        self.snapshot = observe(self.snapshot, index, answer, None)

    def disturb(self) -> None:
        """Something happens between two steps."""
        index = self.chance.randrange(3)
        match self.chance.randrange(8):
            case 0:
                self.dead[index] = not self.dead[index]
            case 1:
                self.runs[index] += 1
            case 2:
                self.reached[index] = 50
            case 3 if not self.dead[index]:
                self.take_in(index, self.answer(index))

    def now(self) -> float:
        return self.at

    def decide(self, request: Request) -> Decision:
        return decide(self.snapshot, request, self.at, (0, 0, 0))

    def own(self, request: Request) -> Request:
        return msgspec.structs.replace(request, entries=self.wanted, wait_until=max(request.wait_until, 101.0))

    def with_entries(self, request: Request) -> Request:
        return msgspec.structs.replace(request, entries=self.wanted)


def play(seed: int, request: Request) -> list[tuple[Walk, Step]]:
    """One walk to its end, carried out on the servers; every rule of the module is looked at on the way."""
    servers = Servers(random.Random(seed))
    first = servers.own(request)
    walk, step = next_step(Walk(first, servers.decide(first)), Begun(), servers)
    told_by: Observation | None = None
    path, lost, refreshes = [(walk, step)], set[int](), 0
    for _ in range(200):
        servers.disturb()
        event: Event
        match step:
            case Connect(index):
                assert index not in lost, "rule 1: a lost endpoint is not asked again"
                old = servers.before.get(index) if servers.chance.random() < 0.3 else None  # a connection of the pool
                told_by = None if servers.dead[index] else old or servers.answer(index)
                event = Lost(RegionUnavailable("gone"), False) if told_by is None else Connected(told_by)
            case Refresh():
                refreshes += 1
                for index in range(3):
                    servers.asked.add(index)  # it answers, or it fails
                    if not servers.dead[index]:
                        servers.take_in(index, servers.answer(index))
                event = Asked()
            case TakePositions():
                event, servers.elsewhere = Taken(servers.elsewhere), False
            case TakeIn(observation):
                servers.take_in(walk.held, observation)
                event = Asked()
            case Look() | Pause():
                servers.at += step.seconds if isinstance(step, Pause) else 0.0
                look, told_by = step.look if isinstance(step, Pause) else step, None
                assert look.index == walk.held and not walk.connected, "rule 2"
                known = servers.snapshot.endpoints[look.index].observation
                if known is not None and known.sent_at > look.since:
                    event = Asked()  # another one has asked
                elif servers.dead[look.index]:
                    event = Lost(RegionUnavailable("gone"), False)
                else:
                    servers.take_in(look.index, servers.answer(look.index))
                    event = Asked()
            case Ask():
                assert walk.connected
                if servers.dead[walk.held]:
                    event = Lost(RegionUnavailable("gone"), False)
                else:
                    told_by = servers.answer(walk.held)
                    servers.take_in(walk.held, told_by)
                    event = Asked()
            case Use():
                assert told_by is not None and refreshes <= 1
                assert walk.decision.outcome is Outcome.USE and walk.decision.index == walk.held, "rule 4"
                if request.kind is Kind.WRITE or request.consistency is STRONG:
                    assert servers.met(walk.held), "rule 3"
                if request.consistency is SESSION and walk.held and walk.request.kind is Kind.READ:
                    known = servers.snapshot.endpoints[walk.held].observation
                    assert known is not None
                    assert all(e.position is None or known.reached >= e.position for e in walk.request.entries)  # type: ignore[operator]
                return path
            case Refuse() | GiveUp():
                assert refreshes <= 1
                return path
        if isinstance(event, Lost):
            lost.add(walk.held)
        walk, step = next_step(walk, event, servers)
        path.append((walk, step))
    pytest.fail(f"seed {seed}: a walk without an end: {[type(s).__name__ for _, s in path[-12:]]}")


@pytest.mark.parametrize(
    "request_", [Request(), Request(consistency=EVENTUAL), Request(consistency=STRONG), Request(kind=Kind.WRITE)]
)
def test_every_walk_ends_and_uses_what_it_proved(request_: Request) -> None:
    """Three thousand walks among servers that die, restart and catch up in between: the rules of the module hold."""
    ends: dict[str, int] = {}
    for seed in range(3000):
        end = type(play(seed, request_)[-1][1]).__name__
        ends[end] = ends.get(end, 0) + 1
    assert ends["Use"] > 500 and ends["GiveUp"] > 50, ends


def test_each_step_of_the_table_is_taken() -> None:
    """A model that never waits or never asks would prove little."""
    taken = {type(step) for seed in range(3000) for _, step in play(seed, Request())}
    assert taken == {Connect, Refresh, TakeIn, Ask, Look, Pause, TakePositions, Use, Refuse, GiveUp}


def known(**changes: Any) -> Servers:
    servers = Servers(random.Random(0))
    servers.dead, servers.wanted, servers.elsewhere, servers.asked = [False] * 3, (), False, {0, 1, 2}
    for index in range(3):
        servers.take_in(index, servers.answer(index))
    for name, value in changes.items():
        setattr(servers, name, value)
    return servers


def first_step(servers: Servers, request: Request) -> tuple[Walk, Step]:
    return next_step(Walk(request, servers.decide(request)), Begun(), servers)


def test_the_common_walk_is_three_steps() -> None:
    """Connect, look that nothing was read elsewhere, use: no question to any server."""
    servers = known()
    walk, step = first_step(servers, Request())
    assert step == Connect(1)
    walk, step = next_step(walk, Connected(servers.answer(1)), servers)
    assert step == TakePositions()
    walk, step = next_step(walk, Taken(False), servers)
    assert step == Use()


def test_another_run_is_asked_on_the_very_connection() -> None:
    """Its first answer may be older than what is known: then it proves nothing."""
    servers = known()
    old = servers.answer(1)
    servers.runs[1] = 2
    servers.take_in(1, servers.answer(1))
    walk, _ = first_step(servers, Request())
    assert next_step(walk, Connected(old), servers)[1] == Ask()
    servers.runs[1] = 3
    newer = servers.answer(1)
    assert next_step(walk, Connected(newer), servers)[1] == TakeIn(newer)


def test_positions_taken_elsewhere_change_the_decision() -> None:
    """The copy in hand lacks what was read elsewhere: the walk goes on to one that has it."""
    servers = known(reached=[50, 10, 10])
    for index in range(3):
        servers.take_in(index, servers.answer(index))
    request = Request(on_stale=("primary",))
    walk, step = first_step(servers, request)
    walk, step = next_step(walk, Connected(servers.answer(1)), servers)
    servers.wanted = (Entry("h1", 1, 50),)
    walk, step = next_step(walk, Taken(True), servers)
    assert step == Connect(0)


def test_a_lost_endpoint_is_left_out_and_late_is_given_up() -> None:
    """With time left another endpoint is tried; without, the error is the answer."""
    servers, error = known(), RegionUnavailable("gone")
    walk, step = first_step(servers, Request())
    walk, step = next_step(walk, Lost(error, False), servers)
    assert isinstance(step, Connect) and step.index != 1 and walk.request.excluded == {1}
    assert next_step(walk, Lost(error, True), servers)[1] == GiveUp(error)


def test_who_waits_holds_no_connection_and_shares_answers() -> None:
    """Of a copy that is behind a recent answer will do; the owner is asked afresh. The wait ends with its worth."""
    servers = known(reached=[50, 10, 10], wanted=(Entry("h1", 1, 50),))
    for index in range(3):
        servers.take_in(index, servers.answer(index))
    others = frozenset({0, 2})  # with them a wait would be worth a round trip only
    request = Request(entries=servers.wanted, on_stale=("wait",), wait_until=servers.at + 0.004, excluded=others)
    walk, step = first_step(servers, request)
    assert step == Look(1, servers.at - 0.001) and not walk.connected
    walk, step = next_step(walk, Asked(), servers)
    assert step == Pause(0.001, Look(1, servers.at))
    servers.at += 0.001
    walk, step = next_step(walk, Asked(), servers)
    assert step == Pause(0.002, Look(1, servers.at))
    servers.at += 0.002
    walk, step = next_step(walk, Asked(), servers)
    assert isinstance(step, Pause) and step.seconds == pytest.approx(0.001)
    servers.at += 0.0011
    assert next_step(walk, Asked(), servers)[1] == Refuse()
    owner = known(wanted=(Entry("h1", 1, 90),))
    walk, step = first_step(
        owner, Request(entries=owner.wanted, on_stale=("primary",), signed=True, wait_until=owner.at + 1)
    )
    assert step == Look(0, owner.at)


@pytest.mark.parametrize(("sent_at", "step"), [(50.0, Ask), (150.0, TakeIn)])
def test_what_was_said_before_a_connection_died_is_asked_anew(sent_at: float, step: type[Step]) -> None:
    """Also where nothing else is known of the endpoint: that answer may be of a run that is gone."""
    servers = Servers(random.Random(1))
    forgotten = msgspec.structs.replace(servers.snapshot.endpoints[0], observation=None, forgotten_at=100.0)
    endpoints = (forgotten, *servers.snapshot.endpoints[1:])
    servers.snapshot = msgspec.structs.replace(servers.snapshot, endpoints=endpoints)
    request = Request(consistency=EVENTUAL)
    walk = Walk(request, servers.decide(request), held=0)
    assert isinstance(next_step(walk, Connected(told(Role.PRIMARY, "run 1", 50, sent_at)), servers)[1], step)


@pytest.mark.parametrize(
    "request_of", [Request(consistency=EVENTUAL), Request(consistency=SESSION), Request(kind=Kind.WRITE)]
)
def test_the_common_walk_says_at_once_what_its_steps_would_have_said(request_of: Request) -> None:
    """Over worlds of all kinds, `begun` and `settled` agree with the table, step by step."""
    seen = set()
    for seed in range(600):
        servers = Servers(random.Random(seed))
        request = servers.own(request_of)
        decision = servers.decide(request)
        walk, step = next_step(Walk(request, decision), Begun(), servers)
        short = begun(request, decision, servers)
        assert (short is not None) == isinstance(step, Connect)
        if short is None:
            continue
        assert short == walk
        servers.disturb()
        told_by = servers.before.get(walk.held) if seed % 3 else servers.answer(walk.held)
        if told_by is None:
            continue
        at_once = settled(short, told_by, servers)
        walk, step = next_step(walk, Connected(told_by), servers)
        if isinstance(step, TakePositions):
            walk, step = next_step(walk, Taken(False), servers)
        assert at_once == (isinstance(step, Use) and walk.decision is decision), (seed, step)
        seen.add(at_once)
    assert seen == {True, False}
