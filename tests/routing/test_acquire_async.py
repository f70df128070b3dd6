"""How a block gets its connection: what is tried, in which order, and how much of the deadline each try may cost."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import BOUNDED, EVENTUAL, AsyncRegionKit, DeadlineExceeded, RegionUnavailable, StaleRead
from regionkit.core.concurrency_async import agather, asleep
from regionkit.embedded import AsyncMemoryRegions
from regionkit.routing.monitor_async import AsyncMonitor
from regionkit.routing.walk import GiveUp, Walk

from .near_async import FAR, LAG, NEAR, OWNER, AsyncNear


async def test_the_nearest_is_the_only_one_tried_where_all_is_well() -> None:
    """One attempt, the first; nothing is waited for."""
    async with AsyncNear() as near, near.kit.session() as s:
        began = near.clock.monotonic()
        async with s.read("orders", consistency=EVENTUAL) as db:
            assert set(db) == set()
        assert s.last_route is not None
        assert [(a.region, a.kind, a.outcome) for a in s.last_route.attempts] == [(NEAR, "initial", "ok")]
        assert near.clock.monotonic() == began


async def test_an_endpoint_without_a_connection_is_passed_over_before_anything_was_sent() -> None:
    """The next nearest serves the same block, and the route tells of both."""
    async with AsyncNear() as near, near.kit.session() as s:
        await near.regions.kill(NEAR)
        async with s.read("orders", consistency=EVENTUAL) as db:
            assert set(db) == set()
        assert s.last_route is not None
        assert s.last_route.region == FAR
        assert [a.region for a in s.last_route.attempts] == [NEAR, FAR]
        assert [a.outcome == "ok" for a in s.last_route.attempts] == [False, True]


async def test_a_frozen_endpoint_costs_what_its_distance_asks_for_where_another_can_serve() -> None:
    """It is here: half a second. A second endpoint needs time too."""
    async with AsyncNear() as near, near.kit.session() as s:
        await near.regions.freeze(NEAR)
        began = near.clock.monotonic()
        async with s.read("orders", consistency=EVENTUAL, timeout=2.0) as db:
            assert set(db) == set()
        assert s.last_route is not None
        assert s.last_route.region == FAR
        assert near.clock.monotonic() - began == pytest.approx(0.5)


async def test_the_only_endpoint_may_cost_all_of_it() -> None:
    """A write has one owner: its silence lasts to the deadline, and no longer."""
    async with AsyncNear() as near, near.kit.session() as s:
        await near.regions.freeze(OWNER)
        began = near.clock.monotonic()
        with pytest.raises((DeadlineExceeded, RegionUnavailable)) as caught:
            async with s.write("orders", timeout=2.0) as db:
                db["a"] = 1
        assert caught.value.committed == "no"
        assert near.clock.monotonic() - began == pytest.approx(2.0)


async def test_a_read_that_waits_takes_the_copy_at_the_instant_of_the_arrival() -> None:
    """Not a poll later, and the route says that it waited."""
    async with AsyncNear(longest_wait=2.0) as near, near.kit.session() as s:
        async with s.write("orders") as db:
            db["a"] = 1
        began = near.clock.monotonic()
        async with s.read("orders", on_stale="wait") as db:
            assert db["a"] == 1
        assert s.last_route is not None
        assert s.last_route.role == "replica"
        assert "wait" in [a.kind for a in s.last_route.attempts]
        assert near.clock.monotonic() - began == pytest.approx(LAG, abs=0.05)


async def test_each_endpoint_is_asked_for_a_connection_once_in_a_walk() -> None:
    """Whatever else was tried meanwhile: a walk that came back to the first would go to and fro until the deadline."""
    async with AsyncNear() as near, near.kit.session() as s:
        for region in (OWNER, NEAR, FAR):
            await near.regions.kill(region)
        asked: list[int] = []
        for index, backend in enumerate(near.store.backends):
            given: Any = backend

            async def counted(*arguments: Any, i: int = index, give: Any = given.check_out) -> Any:
                asked.append(i)
                return await give(*arguments)

            given.check_out = counted
        with pytest.raises(RegionUnavailable):
            async with s.read("orders", consistency=EVENTUAL) as db:
                set(db)
        assert sorted(asked) == [0, 1, 2]


async def test_every_endpoint_down_is_told_and_not_waited_for() -> None:
    """Refused connections are answers: no deadline has to pass."""
    async with AsyncNear() as near, near.kit.session() as s:
        for region in (OWNER, NEAR, FAR):
            await near.regions.kill(region)
        began = near.clock.monotonic()
        with pytest.raises(RegionUnavailable):
            async with s.read("orders", consistency=EVENTUAL) as db:
                set(db)
        assert near.clock.monotonic() == began


async def test_a_bounded_read_looks_again_when_its_proof_has_run_out() -> None:
    """Before a statement: a copy that stood still meanwhile is not read any more."""
    async with AsyncNear() as near, near.kit.session() as s:
        with pytest.raises(StaleRead):
            async with s.read("orders", consistency=BOUNDED(2.0), on_stale="raise", timeout=60.0) as db:
                assert set(db) == set()
                await near.regions.pause(NEAR)
                await near.regions.kill(OWNER)
                near.clock.advance(10.0)
                set(db)


async def test_those_who_wait_for_one_copy_share_its_answers() -> None:
    """Thirty wait as one would, and hold no connection meanwhile; each is told for itself."""
    async with AsyncMemoryRegions(store="orders", primary=OWNER, replicas=[NEAR], lag=0.0) as regions:
        async with AsyncRegionKit(
            regions.topology, local=NEAR, profile={"base": "balanced", "sample_every": 60.0}
        ) as kit:
            await kit.create_tables()
            await regions.tell(kit)
            store: Any = kit._store("orders").shards[0]
            near = next(i for i, e in enumerate(store.state.snapshot.endpoints) if e.region == NEAR)
            await regions.pause(NEAR)
            async with kit.session() as s:
                async with s.write("orders") as db:
                    db["a"] = 1
                bookmark = await s.bookmark()
            questions, loads, backend = [], [], store.backends[near]

            async def counted(*arguments: Any, probe: Any = backend.probe) -> Any:
                questions.append(arguments)
                loads.append(store.state.loads[near])
                return await probe(*arguments)

            backend.probe = counted

            async def wait() -> str:
                try:
                    async with kit.session(bookmark=bookmark) as s, s.read("orders", on_stale="wait"):
                        return "read"
                except StaleRead:
                    return "stale"

            assert await agather([wait] * 30) == ["stale"] * 30
            assert 10 <= len(questions) < 100, "one waiter alone asks some twenty times"
            assert set(loads) == {0}


async def test_an_owner_that_is_asked_afresh_gets_its_time() -> None:
    """Its answer decides the read: a wait that is worth little does not cut it short."""
    async with AsyncMemoryRegions(store="orders", primary=OWNER, replicas=[NEAR], lag=0.0) as regions:
        async with AsyncRegionKit(
            regions.topology, local=OWNER, profile={"base": "balanced", "longest_wait": 0.0}
        ) as kit:
            await kit.create_tables()
            await kit._monitor.stop()
            store: Any = kit._store("orders").shards[0]
            async with AsyncRegionKit(regions.topology, local=OWNER) as other, other.session() as s:
                async with s.write("orders") as db:
                    db["a"] = 1
                bookmark = await s.bookmark()
            owner = store.state.snapshot.owner

            async def late(timeout: float, connecting: float, owner: Any = store.backends[owner]) -> Any:
                await asleep(min(timeout, 0.2))
                if timeout < 0.2:
                    raise owner.late()
                return owner.look()

            store.backends[owner].probe = late
            async with kit.session(bookmark=bookmark) as s, s.read("orders", on_stale="primary") as db:
                assert db["a"] == 1


async def test_giving_up_lets_go_of_the_connection_in_hand() -> None:
    """Else its endpoint would be blamed for what happened elsewhere."""
    async with AsyncNear() as near, near.kit.session() as s:
        block: Any = s.read("orders", consistency=EVENTUAL)
        async with block as db:
            set(db)
            error = RegionUnavailable("another one gave no connection")
            walk = Walk(block._request or block.decision.request, block.decision)
            with pytest.raises(RegionUnavailable, match="another one"):
                await block._carry_out(walk, GiveUp(error))
            assert block._checkout is None


async def test_an_endpoint_that_was_never_reached_gets_its_time_too() -> None:
    """A process that starts with a bookmark does not leave a far copy for want of patience."""
    async with AsyncMemoryRegions(store="orders", primary=OWNER, replicas=[NEAR], lag=0.0) as regions:
        async with AsyncRegionKit(regions.topology, local=OWNER) as other, other.session() as s:
            await other.create_tables()
            async with s.write("orders") as db:
                db["a"] = 1
            bookmark = await s.bookmark()
        async with AsyncRegionKit(
            regions.topology, local=NEAR, profile={"base": "balanced", "probe_timeout": 0.1}
        ) as kit:
            kit._monitor = AsyncMonitor([])  # which would ask beside it
            store: Any = kit._store("orders").shards[0]
            near: Any = store.backends[
                next(i for i, e in enumerate(store.state.snapshot.endpoints) if e.region == NEAR)
            ]

            async def far(timeout: float, connecting: float) -> Any:
                await asleep(min(connecting, 0.5))
                if connecting < 0.5:
                    raise near.late()
                return near.look()

            near.probe = far
            async with kit.session(bookmark=bookmark) as s:
                async with s.read("orders", on_stale="wait", timeout=3.0) as db:
                    assert db["a"] == 1
                assert s.last_route is not None and s.last_route.region == NEAR
