"""Regions in memory, with real kits on them, on a clock that moves when it is told: nothing here depends on the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    AsyncRegionKit,
    ConfigurationError,
    Fenced,
    NoEligibleEndpoint,
    RegionUnavailable,
    StaleRead,
)
from regionkit.embedded import AsyncMemoryRegions
from regionkit.testing import VirtualClock

KEY = "a key of more than sixteen characters"
CAST: dict[str, Any] = {"primary": "us", "replicas": ["kr", "jp"]}


@pytest.fixture
def clock() -> VirtualClock:
    """Moves when a test moves it, or waits on it."""
    return VirtualClock()


@pytest.fixture
async def regions(clock: VirtualClock) -> AsyncIterator[AsyncMemoryRegions]:
    """Three regions with a lag of 0.8 s, the owner's far from the others."""
    far = {"us": 0.5, "jp": 0.03}
    async with AsyncMemoryRegions(store="orders", lag=0.8, clock=clock, rtt=far, **CAST) as regions:
        yield regions


@pytest.fixture
async def kit(regions: AsyncMemoryRegions, clock: VirtualClock) -> AsyncIterator[AsyncRegionKit]:
    """A kit in kr; its tables have arrived everywhere, and it knows."""
    async with AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY], clock=clock) as kit:
        await kit.create_tables()
        clock.advance(0.8)
        await regions.tell(kit)
        yield kit


async def put(kit: AsyncRegionKit, key: str, value: Any = 1) -> str:
    """Write a value; the bookmark."""

    async def work(db: Any) -> None:
        db[key] = value

    async with kit.session() as s:
        await s.execute_write("orders", work)
        return await s.bookmark()


async def seen(kit: AsyncRegionKit, bookmark: str = "", **options: Any) -> tuple[set[str], str]:
    """The keys that a read shows, and where it went."""

    async def look(db: Any) -> set[str]:
        return set(db)

    async with kit.session(bookmark=bookmark) as s:
        keys = await s.execute_read("orders", look, **options)
        assert s.last_route is not None
        return keys, s.last_route.region


async def local(kit: AsyncRegionKit) -> set[str]:
    """The keys in the local region, however old."""
    keys, region = await seen(kit, consistency=EVENTUAL)
    assert region == "kr"
    return keys


async def test_a_commit_arrives_the_lag_later_to_the_instant(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Not before, and without anybody having asked meanwhile; in order, each at its own instant."""
    for key in ("a", "b", "c"):
        await put(kit, key)
        clock.advance(0.25)
    clock.advance(0.04)  # 0.79 s after the first
    assert await local(kit) == set()
    clock.advance(0.01)
    assert await local(kit) == {"a"}
    for _ in range(10):
        clock.advance(0.025)  # ten steps of a quarter
    assert await local(kit) == {"a", "b"}
    clock.advance(100.0)
    assert await local(kit) == {"a", "b", "c"}


async def test_a_lag_set_later_holds_for_what_is_under_way(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Lowered, it lets it arrive; raised, it takes nothing back."""
    await put(kit, "a")
    clock.advance(0.5)
    regions.lag = 0.5
    assert await local(kit) == {"a"}
    await put(kit, "b")
    clock.advance(0.5)
    regions.lag = 600.0
    assert regions.lag == 600.0
    assert await local(kit) == {"a", "b"}
    await put(kit, "c")
    clock.advance(599.0)
    assert await local(kit) == {"a", "b"}


async def test_a_session_reads_its_write_whatever_the_lag(kit: AsyncRegionKit, clock: VirtualClock) -> None:
    """It goes to the owner meanwhile, comes home once the copy has it, and no clock moves for it."""
    bookmark = await put(kit, "a")
    began = clock.monotonic()
    assert await seen(kit, bookmark, on_stale="primary") == ({"a"}, "us")
    assert await seen(kit) == (set(), "kr")
    assert clock.monotonic() == began
    clock.advance(0.8)
    assert await seen(kit, bookmark, on_stale=("wait", "raise")) == ({"a"}, "kr")


async def test_a_read_that_waits_moves_the_clock_to_the_arrival(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """As long as the wait is worth it; else it is refused at the end of the wait. Nobody sleeps."""
    regions.lag = 0.2
    bookmark = await put(kit, "a")
    began = clock.monotonic()
    assert await seen(kit, bookmark, on_stale="wait") == ({"a"}, "kr")
    assert clock.monotonic() - began == pytest.approx(0.2, abs=0.02)
    regions.lag = 0.8
    bookmark = await put(kit, "b")
    began = clock.monotonic()
    with pytest.raises(StaleRead) as caught:
        await seen(kit, bookmark, on_stale="wait")
    assert not caught.value.lost
    assert clock.monotonic() - began == pytest.approx(0.3)  # the profile's longest wait


async def test_a_paused_region_is_not_waited_for_in_vain(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """It shows the old state until resume, whatever the clock says."""
    await regions.pause("kr")
    bookmark = await put(kit, "a")
    clock.advance(60.0)
    assert await local(kit) == set()
    for steps in ("wait", "raise"):
        with pytest.raises(StaleRead):
            await seen(kit, bookmark, on_stale=steps)
    assert await seen(kit, bookmark, on_stale="serve") == (set(), "kr")
    await regions.resume("kr")
    assert await local(kit) == {"a"}


async def test_what_was_due_before_a_pause_has_arrived(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Though nobody looked at the region in between."""
    await put(kit, "a")
    clock.advance(1.0)
    await put(kit, "b")
    await regions.pause("kr")
    clock.advance(1.0)
    assert await local(kit) == {"a"}


async def test_bounded_reads_go_by_what_is_measured(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """A copy that was at the owner's position a moment ago serves the bound; left alone, it does not."""
    assert (await seen(kit, consistency=BOUNDED(5.0)))[1] == "kr"
    await regions.pause("kr")
    await put(kit, "a")
    clock.advance(6.0)
    await regions.tell(kit)
    assert await seen(kit, consistency=BOUNDED(5.0)) == ({"a"}, "jp")
    with pytest.raises(StaleRead):
        await seen(kit, consistency=BOUNDED(5.0), on_stale="raise")
    await regions.resume("kr")
    await regions.tell(kit)
    assert await seen(kit, consistency=BOUNDED(5.0)) == ({"a"}, "kr")


async def test_nothing_arrives_from_an_owner_that_is_down(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """What was under way comes after its revival."""
    await put(kit, "a")
    await regions.kill("us")
    clock.advance(60.0)
    assert await local(kit) == set()
    await regions.revive("us")
    assert await local(kit) == {"a"}


async def test_a_killed_owner_is_refused_and_comes_back(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """The breaker opens when the kit has found out, and closes when its time is over."""
    await regions.kill("us")
    await regions.tell(kit)
    with pytest.raises(NoEligibleEndpoint):
        await put(kit, "a")
    assert await local(kit) == set()
    await regions.revive("us")
    clock.advance(10.0)
    await regions.tell(kit)
    await put(kit, "a")


async def test_a_promotion_moves_writes_and_copies(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """The next write finds the new owner, as its history row goes on from the last one; nothing was lost."""
    bookmark = await put(kit, "a")
    clock.advance(0.8)
    await regions.promote("jp")
    assert regions.owner == "jp"
    assert [e.region for e in regions.topology.store("orders").endpoints if e.role == "primary"] == ["jp"]
    later = await put(kit, "b")
    assert await seen(kit, later, on_stale="primary") == ({"a", "b"}, "jp")
    assert (await seen(kit, bookmark))[0] >= {"a"}
    clock.advance(0.8)
    await regions.tell(kit)
    assert {e.endpoint: (e.role, e.epoch) for e in kit.status().endpoints} == {
        "us": ("replica", 2),
        "kr": ("replica", 2),
        "jp": ("owner", 2),
    }
    assert await seen(kit, later) == ({"a", "b"}, "kr")
    await regions.promote("jp")  # the owner already: nothing changes
    await put(kit, "c")
    assert regions.contents("jp").keys() == {"a", "b", "c"}


async def test_writes_that_did_not_arrive_are_lost_and_said_to_be(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """A bookmark of one raises StaleRead(lost); an earlier one holds; the old owner comes back as a copy."""
    kept = await put(kit, "kept")
    clock.advance(0.8)
    lost = await put(kit, "lost")
    await regions.kill("us")
    await regions.promote("jp")
    await regions.tell(kit)
    later = await put(kit, "later")
    for _ in range(2):
        with pytest.raises(StaleRead) as caught:
            await seen(kit, lost)
        assert caught.value.lost
        assert (await seen(kit, kept))[0] >= {"kept"}
        assert await seen(kit, later) == ({"kept", "later"}, "jp")
        await regions.revive("us")
        clock.advance(1.0)
        await regions.tell(kit)
        later = await put(kit, "later")
    clock.advance(1.0)
    assert regions.contents("us") == regions.contents("jp") == regions.contents("kr") == {"kept": 1, "later": 1}
    async with kit.session(bookmark=lost) as s:
        await s.accept_loss()
        async with s.read("orders", consistency=STRONG) as db:
            assert set(db) == {"kept", "later"}


async def test_a_live_owner_that_is_replaced_becomes_a_copy_at_once(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """A block that was open on it and its late commit fail, and the next write finds the new owner by itself."""
    async with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders") as db:
                db["late"] = 1
                await regions.promote("kr")
        assert caught.value.committed == "no"
    await put(kit, "a")
    assert regions.contents("kr") == {"a": 1}
    assert regions.contents("us") == {}
    clock.advance(0.8)
    assert regions.contents("us") == {"a": 1}


async def test_a_keyed_write_finds_the_new_owner(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Also one that was decided for the former owner: marker and effect go where its connection goes."""

    runs = []

    async def add(db: Any) -> int:
        runs.append(1)
        db["n"] = db.get("n", 0) + 1
        return int(db["n"])

    await regions.promote("jp")
    async with kit.session() as s:
        for _ in range(2):
            assert await s.execute_write("orders", add, idempotency_key="k") == 1
    assert regions.contents("jp") == {"n": 1}
    assert len(runs) == 1


async def test_a_block_does_not_outlive_a_change_of_owner_and_back(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """What was written elsewhere meanwhile is not overwritten unseen."""
    await put(kit, "n", 1)
    clock.advance(0.8)
    async with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders", timeout=60.0) as db:
                db["n"] += 10
                await regions.promote("jp")
                await regions.tell(kit)
                await put(kit, "n", 2)
                clock.advance(0.8)
                await regions.promote("us")
                await regions.tell(kit)
        assert caught.value.committed == "no"
    assert regions.contents("us") == {"n": 2}


async def test_a_strong_read_over_a_promotion_is_fenced(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """What it showed may be old by its end."""
    await put(kit, "a")
    clock.advance(0.8)
    async with kit.session() as s:
        with pytest.raises(Fenced):
            async with s.read("orders", consistency=STRONG) as db:
                assert db["a"] == 1
                await regions.promote("kr")


async def test_a_copy_that_went_past_the_fork_starts_again(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """It had more than the region that was promoted: a kit that knows bars it until it has the new owner's state."""
    await regions.pause("jp")
    await put(kit, "a")
    clock.advance(0.8)
    await regions.kill("us")
    await regions.promote("jp")
    await regions.tell(kit)
    assert regions.contents("kr") == {"a": 1}
    assert {e.endpoint: e.state for e in kit.status().endpoints}["kr"] != "up"
    await put(kit, "b")
    assert await seen(kit, consistency=EVENTUAL) == ({"b"}, "jp")
    clock.advance(0.8)
    await regions.tell(kit)
    assert await local(kit) == {"b"}


async def test_an_old_owner_alone_takes_no_writes(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """It is back while the new one is down: a kit that knows of the promotion bars it; later it becomes a copy."""
    await regions.kill("us")
    await regions.promote("jp")
    await regions.tell(kit)
    await put(kit, "a")
    await regions.kill("jp")
    await regions.revive("us")
    await regions.tell(kit)
    with pytest.raises((NoEligibleEndpoint, Fenced, RegionUnavailable)):
        await put(kit, "b")
    assert regions.contents("us") == {}
    async with AsyncRegionKit(regions.topology, local="us", clock=clock) as unaware, unaware.session() as s:
        with pytest.raises(RegionUnavailable):
            async with s.read("orders", consistency=EVENTUAL) as db:
                await put(unaware, "lost")
                assert set(db) == {"lost"}
                await regions.revive("jp")
                set(db)  # a state of before it would be
    assert regions.contents("us") == {"a": 1}


async def test_two_regions_promoted_apart_are_fenced(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Neither descends from the other, so nobody may be written."""
    await regions.fork("kr")
    await regions.fork("jp")
    await regions.tell(kit)
    with pytest.raises(Fenced):
        await put(kit, "a")
    for region in ("kr", "jp"):
        await regions.revive(region)
    await regions.tell(kit)
    await kit.adopt("orders", "us")
    await put(kit, "a")
    assert regions.contents("us") == {"a": 1}


async def test_a_forked_region_is_the_owner_to_who_knows_it(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """What others write to the old one meanwhile is on the other side."""
    async with AsyncRegionKit(regions.topology, local="us", bookmark_keys=[KEY], clock=clock) as other:
        await regions.fork("jp")
        await regions.tell(kit)
        bookmark = await put(kit, "a")
        assert (regions.contents("jp"), regions.contents("us"), regions.owner) == ({"a": 1}, {}, "us")
        await regions.revive("jp")
        clock.advance(1.0)
        await put(other, "b")
        assert regions.contents("us") == {"b": 1}
        clock.advance(1.0)
        assert regions.contents("jp") == {"b": 1}
        with pytest.raises((Fenced, StaleRead, NoEligibleEndpoint)):
            await seen(kit, bookmark)


async def test_a_forked_region_may_become_the_owner(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Its own history counts then: the former owner and the copies start again from it."""
    await regions.fork("jp")
    await regions.tell(kit)
    await put(kit, "a")
    await regions.promote("jp")
    assert regions.contents("us") == {"a": 1}
    assert regions.contents("kr") == {}
    clock.advance(0.8)
    assert regions.contents("kr") == {"a": 1}
    await regions.tell(kit)
    assert {e.epoch for e in kit.status().endpoints} == {2}


async def test_a_copy_that_was_down_at_a_promotion_catches_up(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """It gets what it missed from the former owner's log, and what the new one wrote."""
    await regions.kill("kr")
    await put(kit, "a")
    clock.advance(0.8)
    await regions.promote("jp")
    await regions.tell(kit)
    await put(kit, "b")
    clock.advance(0.8)
    assert regions.contents("kr") == {}
    await regions.revive("kr")
    assert regions.contents("kr") == {"a": 1, "b": 1}


async def test_a_replaced_owner_that_was_frozen_learns_of_it_when_thawed(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions
) -> None:
    """And becomes a copy."""
    await regions.freeze("us")
    await regions.promote("jp")
    await regions.tell(kit)
    await put(kit, "a")
    assert regions.contents("us") == {}
    await regions.thaw("us")
    assert regions.contents("us") == {"a": 1}


async def test_promotions_that_can_not_be_are_refused(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """A region that is down or frozen; and one without the rows that would tell of it."""
    await regions.kill("jp")
    with pytest.raises(RegionUnavailable, match="down"):
        await regions.promote("jp")
    await regions.freeze("kr")
    with pytest.raises(RegionUnavailable, match="frozen"):
        await regions.fork("kr")
    async with AsyncMemoryRegions(store="orders", clock=clock, **CAST) as bare:
        with pytest.raises(ConfigurationError, match=r"kit\.create_tables\(\)"):
            await bare.promote("kr")
        assert bare.owner == "us"


async def test_a_history_of_promotions_keeps_its_order(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """There and back ten times without loss: every bookmark on the way holds, epochs rise by one."""
    bookmarks = []
    for number in range(10):
        bookmarks.append(await put(kit, f"k{number}"))
        clock.advance(1.0)
        await regions.promote(("jp", "us", "kr")[number % 3])
        await regions.tell(kit)
        clock.advance(1.0)
    await regions.tell(kit)
    assert {e.epoch for e in kit.status().endpoints} == {11}
    for number, bookmark in enumerate(bookmarks):
        assert f"k{number}" in (await seen(kit, bookmark))[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"store": "Not a name"}, "usable store name"),
        ({"primary": "../us"}, "endpoint's region"),
        ({"replicas": ["us"]}, "twice"),
        ({"lag": -1.0}, "lag"),
        ({"lag": float("nan")}, "lag"),
        ({"rtt": {"kp": 0.1}}, "no region 'kp'"),
        ({"rtt": {"kr": -0.1}}, "rtt"),
        ({"namespace": "no-dash"}, "namespace"),
        ({"jurisdictions": {"kp": "KP"}}, "no region 'kp'"),
    ],
)
async def test_what_can_not_work_is_refused(changed: dict[str, Any], message: str) -> None:
    """A ConfigurationError that says what is wrong."""
    with pytest.raises(ConfigurationError, match=message):
        AsyncMemoryRegions(**({"store": "orders", **CAST} | changed))


async def test_unknown_regions_are_refused_with_a_near_match(regions: AsyncMemoryRegions) -> None:
    """By every method that takes one."""
    for method in ("kill", "revive", "freeze", "thaw", "pause", "resume", "promote", "fork"):
        with pytest.raises(ConfigurationError, match="did you mean 'kr'"):
            await getattr(regions, method)("krr")
    with pytest.raises(ConfigurationError, match="did you mean 'kr'"):
        regions.contents("krr")


async def test_a_closed_world_is_forgotten(regions: AsyncMemoryRegions, clock: VirtualClock) -> None:
    """A kit made later begins with nothing; jurisdictions and namespace are the topology's."""
    async with AsyncMemoryRegions(
        store="orders", clock=clock, namespace="shop", jurisdictions={"kr": "KR"}, **CAST
    ) as own:
        topology = own.topology
        async with AsyncRegionKit(topology, local="kr", clock=clock) as kit:
            await put(kit, "a")
    assert (topology.namespace, topology.region("kr").jurisdiction) == ("shop", "KR")
    await own.close()
    async with AsyncRegionKit(topology, local="us", clock=clock) as kit:
        assert await seen(kit) == (set(), "us")
