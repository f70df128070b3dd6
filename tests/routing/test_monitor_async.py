"""The monitor: when each endpoint is asked again, what a round does besides, and what it never connects to."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from regionkit import BOUNDED, AsyncRegionKit, RegionUnavailable, Residency, Role, Topology
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event
from regionkit.facts.observation import Observation
from regionkit.routing import host_answers
from regionkit.routing.events import MonitorFailed
from regionkit.routing.host_answers import OWN_LOOK, TURNS, EndpointAnswers, HostAnswers
from regionkit.routing.monitor_async import MARKERS_KEPT, SWEEP_EVERY, AsyncMonitor, _Watch
from regionkit.routing.pace import LATELY, PROOFS, REST
from regionkit.topology import MemoryStore

from .near_async import FAR, LAG, NEAR, OWNER, AsyncNear


def watch(near: AsyncNear, region: str) -> _Watch:
    """The job of a region's endpoint."""
    index = near.index(region)
    return _Watch(near.store, index, near.store.backend(index))


def questions(near: AsyncNear, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indexes of the endpoints that are asked from now on."""
    asked: list[int] = []
    probe = near.store.probe

    async def counted(index: int, *args: Any) -> Any:
        asked.append(index)
        return await probe(index, *args)

    monkeypatch.setattr(near.store, "probe", counted)
    return asked


NAMES = ["a" * 32, "b" * 32, "c" * 32]


def sharing(near: AsyncNear, folder: Path) -> HostAnswers:
    """Let the store share answers in a folder."""
    shared = HostAnswers(folder, near.clock)
    near.store.answers = EndpointAnswers(shared, NAMES)
    return shared


def tell(shared: HostAnswers, index: int, said: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another process of this host would."""
    with monkeypatch.context() as patched:
        patched.setattr(host_answers, "PROCESS", host_answers._Process())
        shared.tell(NAMES[index], said)


async def seconds_of(job: _Watch, near: AsyncNear, seconds: float) -> None:
    """The rounds of so many seconds."""
    while seconds > 1e-6:
        pause = await job.round()
        assert pause is not None
        near.clock.advance(pause)
        seconds -= pause


async def test_who_needs_positions_gets_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """`probe_every`, and `sample_every` while a bounded read or a wait asks for it."""
    async with AsyncNear() as near:
        asked, job = questions(near, monkeypatch), watch(near, NEAR)
        await seconds_of(job, near, PROOFS)
        asked.clear()
        await seconds_of(job, near, 4.0)
        assert len(asked) == 4
        async with near.kit.session() as s, s.read("orders", consistency=BOUNDED(60.0)) as db:
            db.get("a")
        asked.clear()
        await seconds_of(job, near, 2.0)
        assert len(asked) == 8


async def test_failed_questions_alone_count_against_an_endpoint() -> None:
    """Two in a row open its breaker, and no other one's."""
    async with AsyncNear(trip_probes=2) as near:
        job = watch(near, NEAR)
        await near.regions.kill(NEAR)
        await seconds_of(job, near, 2.0)
        assert near.store.state.snapshot.endpoints[near.index(NEAR)].read_open
        assert not near.store.state.snapshot.endpoints[near.index(FAR)].read_open


async def test_a_process_that_rests_asks_less_than_once_in_five_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a block is opened: then the next round asks."""
    async with AsyncNear() as near:
        asked, job = questions(near, monkeypatch), watch(near, NEAR)
        await seconds_of(job, near, PROOFS)
        asked.clear()
        await seconds_of(job, near, LATELY - PROOFS)
        assert len(asked) == LATELY - PROOFS
        await seconds_of(job, near, REST)
        asked.clear()
        await seconds_of(job, near, 5.0 * REST)
        assert len(asked) == 5
        await seconds_of(job, near, 2.0)
        asked.clear()
        async with near.kit.session() as s, s.read("orders") as db:
            db.get("a")
        await job.round()
        assert len(asked) == 1


async def test_what_a_call_was_answered_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is as good; the next question follows an interval after it."""
    async with AsyncNear() as near:
        asked, job = questions(near, monkeypatch), watch(near, NEAR)
        await seconds_of(job, near, PROOFS + 0.75)
        await near.store.probe(job._index)  # somebody waited for it
        asked.clear()
        await seconds_of(job, near, 1.0)
        assert asked == []
        await seconds_of(job, near, 0.25)
        assert asked == [job._index]


async def test_one_process_of_a_host_asks_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What another one was told counts; who finds it asking looks again soon, and asks in the end whatever happens."""
    async with AsyncNear() as near:
        index, shared = near.index(NEAR), sharing(near, tmp_path)
        asked, job = questions(near, monkeypatch), watch(near, NEAR)
        await seconds_of(job, near, PROOFS + 0.75)
        assert asked[0] == index  # at first each asks itself
        asked[:] = [index]
        said = await near.store.backend(index).probe(1.0, 1.0)
        tell(shared, index, said, monkeypatch)
        await seconds_of(job, near, 1.0)
        assert asked == [index] and near.store.state.snapshot.endpoints[index].observation == said
        claim = near.store.answers.claim(index)
        assert claim is not None
        for _ in range(TURNS):
            assert await job.round() == near.store.profile.probe_every / TURNS and asked == [index]
        await job.round()
        assert asked == [index, index]
        claim.release()


async def test_what_tells_of_another_run_is_each_processs_own_to_see(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A restart is found out by asking: connections of the old run have to go."""
    async with AsyncNear() as near:
        index, asked = near.index(NEAR), questions(near, monkeypatch)
        job = watch(near, NEAR)
        shared = sharing(near, tmp_path)
        await seconds_of(job, near, PROOFS + 0.75)
        said = await near.store.backend(index).probe(1.0, 1.0)
        tell(shared, index, replace(said, incarnation="another run"), monkeypatch)
        asked.clear()
        await seconds_of(job, near, 0.5)
        assert asked == [index]
        known = near.store.state.snapshot.endpoints[index].observation
        assert known is not None
        assert known.incarnation == said.incarnation


async def test_now_and_then_each_process_asks_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own way to the server stays known, and its connection open, however much others tell."""
    async with AsyncNear() as near:
        index, asked = near.index(NEAR), questions(near, monkeypatch)
        job = watch(near, NEAR)
        shared = sharing(near, tmp_path)
        await seconds_of(job, near, PROOFS)
        asked.clear()
        passed = 0.0
        while passed < 2.0 * OWN_LOOK + 10.0:
            near.store.state.touches += 1
            said = await near.store.backend(index).probe(1.0, 1.0)
            tell(shared, index, said, monkeypatch)
            pause = await job.round()
            assert pause is not None
            near.clock.advance(pause)
            passed += pause
        assert len(asked) == 2


async def test_what_was_told_while_the_turn_was_taken_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one before has just been answered."""
    async with AsyncNear() as near:
        index, asked = near.index(NEAR), questions(near, monkeypatch)
        job = watch(near, NEAR)
        shared = sharing(near, tmp_path)
        await seconds_of(job, near, PROOFS + 1.0)
        asked.clear()
        claim, said = shared.claim, await near.store.backend(index).probe(1.0, 1.0)
        said = replace(said, sent_at=said.sent_at + 2.0)
        taken = []

        def late(name: str) -> Any:
            taken.append(name)
            tell(shared, index, said, monkeypatch)
            return claim(name)

        monkeypatch.setattr(shared, "claim", late)
        near.clock.advance(2.0)
        await seconds_of(job, near, 1.0)
        assert taken == [NAMES[index]]
        assert asked == []
        turn = claim(NAMES[index])
        assert turn is not None, "the turn was given back"
        turn.release()


async def test_other_uses_than_blocks_end_the_rest() -> None:
    """Who renews a record or looks at the status wants what is so now."""
    async with AsyncNear() as near:
        job = watch(near, NEAR)

        async def owner() -> None:
            await near.kit.backing("orders").owner(deadline=Deadline(near.clock, 5.0))

        async def status() -> None:
            near.kit.status()

        for use in (owner, status):
            await seconds_of(job, near, 3.0 * LATELY)
            assert job._pace.rests
            await use()
            await job.round()
            assert not job._pace.rests


async def test_waits_and_statements_of_bounded_blocks_need_positions() -> None:
    """Each asks for samples while it goes on."""
    async with AsyncNear() as near, near.kit.session() as s:
        state = near.store.state
        async with s.read("orders", consistency=BOUNDED(1.0), timeout=20.0) as db:
            db.get("a")
            before = state.needs
            near.clock.advance(1.5)
            await near.regions.tell(near.kit)
            db.get("a")
            assert state.needs > before
        before = state.needs
        async with s.write("orders") as db:
            db["a"] = 1
        assert state.needs == before
        near.clock.advance(LAG - 0.1)
        async with s.read("orders", on_stale="wait", timeout=5.0) as db:
            db.get("a")
        assert state.needs > before


async def test_in_trouble_each_process_asks_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That another process reaches a server says nothing of this one's way there."""
    async with AsyncNear() as near:
        index, shared = near.index(NEAR), sharing(near, tmp_path)
        job = watch(near, NEAR)
        said = await near.store.backend(index).probe(1.0, 1.0)
        await near.regions.kill(NEAR)
        await seconds_of(job, near, 1.0)
        asked = questions(near, monkeypatch)
        tell(shared, index, replace(said, sent_at=near.clock.monotonic()), monkeypatch)
        await job.round()
        assert asked == [index] and near.store.state.snapshot.endpoints[index].trouble


async def test_a_round_takes_in_what_the_endpoint_says() -> None:
    """The copy has arrived: after one round the kit knows."""
    async with AsyncNear() as near, near.kit.session() as s:
        async with s.write("orders") as db:
            db["a"] = 1
        near.clock.advance(10.0)
        assert (await s.explain("orders")).decision.outcome == "wait"
        await watch(near, OWNER).round()
        await watch(near, NEAR).round()
        decision = (await s.explain("orders")).decision
        assert (decision.outcome, decision.index) == ("use", near.index(NEAR))


async def test_old_markers_are_swept_by_the_owners_job_alone_and_not_each_round() -> None:
    """A key is known for a day; after that its write is done anew."""
    async with AsyncNear() as near, near.kit.session() as s:
        runs = 0

        async def work(db: dict[str, int]) -> int:
            nonlocal runs
            runs += 1
            return runs

        async def again() -> int:
            return await s.execute_write("orders", work, idempotency_key="k")

        assert await again() == 1
        jobs = {region: watch(near, region) for region in (OWNER, NEAR)}
        near.clock.advance(MARKERS_KEPT + 1.0)
        await near.regions.tell(near.kit)
        await jobs[NEAR].round()
        assert await again() == 1
        await jobs[OWNER].round()
        assert await again() == 2
        near.clock.advance(SWEEP_EVERY / 4.0)
        swept = jobs[OWNER]._sweep_at
        await jobs[OWNER].round()
        assert jobs[OWNER]._sweep_at == swept


async def test_a_promotion_that_cannot_be_recorded_says_why() -> None:
    """An error that names its cause is told in the snapshot until the next try; one that does not is the round's own."""
    async with AsyncNear() as near:
        job = watch(near, FAR)
        await job.round()
        seen = near.store.state.snapshot.endpoints[near.index(FAR)].observation
        assert seen is not None
        promoted = msgspec.structs.replace(seen, role=Role.PRIMARY, origin="elsewhere", sent_at=seen.sent_at + 1.0)
        near.store.state.observe(near.index(FAR), promoted)
        told: list[RegionUnavailable | None] = [RegionUnavailable("no", cause="it lacks a right", fix="grant it.")]
        told += [None, RegionUnavailable("lost")]

        async def prove(*_: Any) -> None:
            error = told.pop(0)
            if error is not None:
                raise error

        job._backend = SimpleNamespace(prove_promotion=prove)  # type: ignore[assignment]  # what the job asks it for
        for reason in ("it lacks a right", ""):
            await job._record_promotion(promoted)
            e = near.store.state.snapshot.endpoints[near.index(FAR)]
            assert (e.unproved, e.remedy) == (reason, "grant it." if reason else "")
            near.clock.advance(60.0)
        with pytest.raises(RegionUnavailable):
            await job._record_promotion(promoted)


async def test_an_error_of_its_own_is_told_with_the_region() -> None:
    """And the supervisor goes on: the job itself raises nothing for it."""
    async with AsyncNear() as near:
        heard: list[Event] = []
        near.kit.subscribe(heard.append)
        watch(near, FAR).failed(ZeroDivisionError("why"))
        assert heard == [MonitorFailed("orders", FAR, FAR, "ZeroDivisionError: why")]


async def test_each_endpoint_has_a_job_and_one_that_residency_refuses_has_none() -> None:
    """It is never connected to, so there is nothing to ask."""
    async with AsyncNear() as near:
        topology = near.regions.topology
        (store,) = topology.stores
        narrowed = MemoryStore("orders", endpoints=store.endpoints, residency=Residency(deny=[FAR]))
        allowed = Topology(namespace=topology.namespace, regions=topology.regions, stores=[narrowed])
        async with AsyncRegionKit(allowed, local=NEAR, clock=near.clock) as kit:
            monitor = AsyncMonitor(list(kit._store("orders").shards))
            monitor.start()
            monitor.start()  # twice is once
            assert monitor._jobs.running == {f"{near.store.source} {near.index(region)}" for region in (OWNER, NEAR)}
            await monitor.stop()
            assert monitor._jobs.running == frozenset()


async def test_each_endpoint_that_is_well_has_a_connection_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the first moment, not at rest; one that cannot be made is tried again later and later."""
    async with AsyncNear() as near:
        profile, job = near.store.profile, watch(near, NEAR)
        asked: list[float] = []
        fails = False

        async def keep_warm(timeout: float) -> None:
            asked.append(near.clock.monotonic())
            if fails:
                raise RegionUnavailable("too many connections")

        monkeypatch.setattr(job._backend, "keep_warm", keep_warm)
        began = near.clock.monotonic()
        await seconds_of(job, near, 3.0)
        assert asked[0] - began >= profile.probe_every
        fails = True
        asked.clear()
        await seconds_of(job, near, 6.0)
        pauses = [round(b - a, 3) for a, b in pairwise(asked)]
        assert pauses == sorted(pauses)
        assert len(asked) <= 4
        await seconds_of(job, near, 60.0)
        asked.clear()
        await seconds_of(job, near, 30.0)
        assert asked == [], "at rest nothing is made"


async def test_the_owners_answer_is_marked_in_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no copy's."""
    async with AsyncNear() as near:
        marked: list[str] = []
        for region in (OWNER, NEAR):
            job = watch(near, region)

            async def mark(timeout: float, observation: Observation, region: str = region) -> None:
                marked.append(region)

            monkeypatch.setattr(job._backend, "mark", mark)
            await job.round()
        assert marked == [OWNER]
