# Generated from test_memory_regions_async.py by scripts/twins.py. Do not edit.
"""Regions in memory, with real kits on them, on a clock that moves when it is told: nothing here depends on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    ConfigurationError,
    Fenced,
    NoEligibleEndpoint,
    RegionKit,
    RegionUnavailable,
    StaleRead,
)
from regionkit.embedded import MemoryRegions
from regionkit.testing import VirtualClock

KEY = "a key of more than sixteen characters"
CAST: dict[str, Any] = {"primary": "us", "replicas": ["kr", "jp"]}


@pytest.fixture
def clock() -> VirtualClock:
    """Moves when a test moves it, or waits on it."""
    return VirtualClock()


@pytest.fixture
def regions(clock: VirtualClock) -> Iterator[MemoryRegions]:
    """Three regions with a lag of 0.8 s, the owner's far from the others."""
    far = {"us": 0.5, "jp": 0.03}
    with MemoryRegions(store="orders", lag=0.8, clock=clock, rtt=far, **CAST) as regions:
        yield regions


@pytest.fixture
def kit(regions: MemoryRegions, clock: VirtualClock) -> Iterator[RegionKit]:
    """A kit in kr; its tables have arrived everywhere, and it knows."""
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY], clock=clock) as kit:
        kit.create_tables()
        clock.advance(0.8)
        regions.tell(kit)
        yield kit


def put(kit: RegionKit, key: str, value: Any = 1) -> str:
    """Write a value; the bookmark."""

    def work(db: Any) -> None:
        db[key] = value

    with kit.session() as s:
        s.execute_write("orders", work)
        return s.bookmark()


def seen(kit: RegionKit, bookmark: str = "", **options: Any) -> tuple[set[str], str]:
    """The keys that a read shows, and where it went."""

    def look(db: Any) -> set[str]:
        return set(db)

    with kit.session(bookmark=bookmark) as s:
        keys = s.execute_read("orders", look, **options)
        assert s.last_route is not None
        return keys, s.last_route.region


def local(kit: RegionKit) -> set[str]:
    """The keys in the local region, however old."""
    keys, region = seen(kit, consistency=EVENTUAL)
    assert region == "kr"
    return keys


def test_a_commit_arrives_the_lag_later_to_the_instant(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """Not before, and without anybody having asked meanwhile; in order, each at its own instant."""
    for key in ("a", "b", "c"):
        put(kit, key)
        clock.advance(0.25)
    clock.advance(0.04)  # 0.79 s after the first
    assert local(kit) == set()
    clock.advance(0.01)
    assert local(kit) == {"a"}
    for _ in range(10):
        clock.advance(0.025)  # ten steps of a quarter
    assert local(kit) == {"a", "b"}
    clock.advance(100.0)
    assert local(kit) == {"a", "b", "c"}


def test_a_lag_set_later_holds_for_what_is_under_way(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """Lowered, it lets it arrive; raised, it takes nothing back."""
    put(kit, "a")
    clock.advance(0.5)
    regions.lag = 0.5
    assert local(kit) == {"a"}
    put(kit, "b")
    clock.advance(0.5)
    regions.lag = 600.0
    assert regions.lag == 600.0
    assert local(kit) == {"a", "b"}
    put(kit, "c")
    clock.advance(599.0)
    assert local(kit) == {"a", "b"}


def test_a_session_reads_its_write_whatever_the_lag(kit: RegionKit, clock: VirtualClock) -> None:
    """It goes to the owner meanwhile, comes home once the copy has it, and no clock moves for it."""
    bookmark = put(kit, "a")
    began = clock.monotonic()
    assert seen(kit, bookmark, on_stale="primary") == ({"a"}, "us")
    assert seen(kit) == (set(), "kr")
    assert clock.monotonic() == began
    clock.advance(0.8)
    assert seen(kit, bookmark, on_stale=("wait", "raise")) == ({"a"}, "kr")


def test_a_read_that_waits_moves_the_clock_to_the_arrival(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """As long as the wait is worth it; else it is refused at the end of the wait. Nobody sleeps."""
    regions.lag = 0.2
    bookmark = put(kit, "a")
    began = clock.monotonic()
    assert seen(kit, bookmark, on_stale="wait") == ({"a"}, "kr")
    assert clock.monotonic() - began == pytest.approx(0.2, abs=0.02)
    regions.lag = 0.8
    bookmark = put(kit, "b")
    began = clock.monotonic()
    with pytest.raises(StaleRead) as caught:
        seen(kit, bookmark, on_stale="wait")
    assert not caught.value.lost
    assert clock.monotonic() - began == pytest.approx(0.3)  # the profile's longest wait


def test_a_paused_region_is_not_waited_for_in_vain(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """It shows the old state until resume, whatever the clock says."""
    regions.pause("kr")
    bookmark = put(kit, "a")
    clock.advance(60.0)
    assert local(kit) == set()
    for steps in ("wait", "raise"):
        with pytest.raises(StaleRead):
            seen(kit, bookmark, on_stale=steps)
    assert seen(kit, bookmark, on_stale="serve") == (set(), "kr")
    regions.resume("kr")
    assert local(kit) == {"a"}


def test_what_was_due_before_a_pause_has_arrived(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """Though nobody looked at the region in between."""
    put(kit, "a")
    clock.advance(1.0)
    put(kit, "b")
    regions.pause("kr")
    clock.advance(1.0)
    assert local(kit) == {"a"}


def test_bounded_reads_go_by_what_is_measured(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """A copy that was at the owner's position a moment ago serves the bound; left alone, it does not."""
    assert (seen(kit, consistency=BOUNDED(5.0)))[1] == "kr"
    regions.pause("kr")
    put(kit, "a")
    clock.advance(6.0)
    regions.tell(kit)
    assert seen(kit, consistency=BOUNDED(5.0)) == ({"a"}, "jp")
    with pytest.raises(StaleRead):
        seen(kit, consistency=BOUNDED(5.0), on_stale="raise")
    regions.resume("kr")
    regions.tell(kit)
    assert seen(kit, consistency=BOUNDED(5.0)) == ({"a"}, "kr")


def test_nothing_arrives_from_an_owner_that_is_down(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """What was under way comes after its revival."""
    put(kit, "a")
    regions.kill("us")
    clock.advance(60.0)
    assert local(kit) == set()
    regions.revive("us")
    assert local(kit) == {"a"}


def test_a_killed_owner_is_refused_and_comes_back(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """The breaker opens when the kit has found out, and closes when its time is over."""
    regions.kill("us")
    regions.tell(kit)
    with pytest.raises(NoEligibleEndpoint):
        put(kit, "a")
    assert local(kit) == set()
    regions.revive("us")
    clock.advance(10.0)
    regions.tell(kit)
    put(kit, "a")


def test_a_promotion_moves_writes_and_copies(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """The next write finds the new owner, as its history row goes on from the last one; nothing was lost."""
    bookmark = put(kit, "a")
    clock.advance(0.8)
    regions.promote("jp")
    assert regions.owner == "jp"
    assert [e.region for e in regions.topology.store("orders").endpoints if e.role == "primary"] == ["jp"]
    later = put(kit, "b")
    assert seen(kit, later, on_stale="primary") == ({"a", "b"}, "jp")
    assert (seen(kit, bookmark))[0] >= {"a"}
    clock.advance(0.8)
    regions.tell(kit)
    assert {e.endpoint: (e.role, e.epoch) for e in kit.status().endpoints} == {
        "us": ("replica", 2),
        "kr": ("replica", 2),
        "jp": ("owner", 2),
    }
    assert seen(kit, later) == ({"a", "b"}, "kr")
    regions.promote("jp")  # the owner already: nothing changes
    put(kit, "c")
    assert regions.contents("jp").keys() == {"a", "b", "c"}


def test_writes_that_did_not_arrive_are_lost_and_said_to_be(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """A bookmark of one raises StaleRead(lost); an earlier one holds; the old owner comes back as a copy."""
    kept = put(kit, "kept")
    clock.advance(0.8)
    lost = put(kit, "lost")
    regions.kill("us")
    regions.promote("jp")
    regions.tell(kit)
    later = put(kit, "later")
    for _ in range(2):
        with pytest.raises(StaleRead) as caught:
            seen(kit, lost)
        assert caught.value.lost
        assert (seen(kit, kept))[0] >= {"kept"}
        assert seen(kit, later) == ({"kept", "later"}, "jp")
        regions.revive("us")
        clock.advance(1.0)
        regions.tell(kit)
        later = put(kit, "later")
    clock.advance(1.0)
    assert regions.contents("us") == regions.contents("jp") == regions.contents("kr") == {"kept": 1, "later": 1}
    with kit.session(bookmark=lost) as s:
        s.accept_loss()
        with s.read("orders", consistency=STRONG) as db:
            assert set(db) == {"kept", "later"}


def test_a_live_owner_that_is_replaced_becomes_a_copy_at_once(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """A block that was open on it and its late commit fail, and the next write finds the new owner by itself."""
    with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            with s.write("orders") as db:
                db["late"] = 1
                regions.promote("kr")
        assert caught.value.committed == "no"
    put(kit, "a")
    assert regions.contents("kr") == {"a": 1}
    assert regions.contents("us") == {}
    clock.advance(0.8)
    assert regions.contents("us") == {"a": 1}


def test_a_keyed_write_finds_the_new_owner(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """Also one that was decided for the former owner: marker and effect go where its connection goes."""

    runs = []

    def add(db: Any) -> int:
        runs.append(1)
        db["n"] = db.get("n", 0) + 1
        return int(db["n"])

    regions.promote("jp")
    with kit.session() as s:
        for _ in range(2):
            assert s.execute_write("orders", add, idempotency_key="k") == 1
    assert regions.contents("jp") == {"n": 1}
    assert len(runs) == 1


def test_a_block_does_not_outlive_a_change_of_owner_and_back(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """What was written elsewhere meanwhile is not overwritten unseen."""
    put(kit, "n", 1)
    clock.advance(0.8)
    with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            with s.write("orders", timeout=60.0) as db:
                db["n"] += 10
                regions.promote("jp")
                regions.tell(kit)
                put(kit, "n", 2)
                clock.advance(0.8)
                regions.promote("us")
                regions.tell(kit)
        assert caught.value.committed == "no"
    assert regions.contents("us") == {"n": 2}


def test_a_strong_read_over_a_promotion_is_fenced(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """What it showed may be old by its end."""
    put(kit, "a")
    clock.advance(0.8)
    with kit.session() as s:
        with pytest.raises(Fenced):
            with s.read("orders", consistency=STRONG) as db:
                assert db["a"] == 1
                regions.promote("kr")


def test_a_copy_that_went_past_the_fork_starts_again(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """It had more than the region that was promoted: a kit that knows bars it until it has the new owner's state."""
    regions.pause("jp")
    put(kit, "a")
    clock.advance(0.8)
    regions.kill("us")
    regions.promote("jp")
    regions.tell(kit)
    assert regions.contents("kr") == {"a": 1}
    assert {e.endpoint: e.state for e in kit.status().endpoints}["kr"] != "up"
    put(kit, "b")
    assert seen(kit, consistency=EVENTUAL) == ({"b"}, "jp")
    clock.advance(0.8)
    regions.tell(kit)
    assert local(kit) == {"b"}


def test_an_old_owner_alone_takes_no_writes(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """It is back while the new one is down: a kit that knows of the promotion bars it; later it becomes a copy."""
    regions.kill("us")
    regions.promote("jp")
    regions.tell(kit)
    put(kit, "a")
    regions.kill("jp")
    regions.revive("us")
    regions.tell(kit)
    with pytest.raises((NoEligibleEndpoint, Fenced, RegionUnavailable)):
        put(kit, "b")
    assert regions.contents("us") == {}
    with RegionKit(regions.topology, local="us", clock=clock) as unaware, unaware.session() as s:
        with pytest.raises(RegionUnavailable):
            with s.read("orders", consistency=EVENTUAL) as db:
                put(unaware, "lost")
                assert set(db) == {"lost"}
                regions.revive("jp")
                set(db)  # a state of before it would be
    assert regions.contents("us") == {"a": 1}


def test_two_regions_promoted_apart_are_fenced(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """Neither descends from the other, so nobody may be written."""
    regions.fork("kr")
    regions.fork("jp")
    regions.tell(kit)
    with pytest.raises(Fenced):
        put(kit, "a")
    for region in ("kr", "jp"):
        regions.revive(region)
    regions.tell(kit)
    kit.adopt("orders", "us")
    put(kit, "a")
    assert regions.contents("us") == {"a": 1}


def test_a_forked_region_is_the_owner_to_who_knows_it(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """What others write to the old one meanwhile is on the other side."""
    with RegionKit(regions.topology, local="us", bookmark_keys=[KEY], clock=clock) as other:
        regions.fork("jp")
        regions.tell(kit)
        bookmark = put(kit, "a")
        assert (regions.contents("jp"), regions.contents("us"), regions.owner) == ({"a": 1}, {}, "us")
        regions.revive("jp")
        clock.advance(1.0)
        put(other, "b")
        assert regions.contents("us") == {"b": 1}
        clock.advance(1.0)
        assert regions.contents("jp") == {"b": 1}
        with pytest.raises((Fenced, StaleRead, NoEligibleEndpoint)):
            seen(kit, bookmark)


def test_a_forked_region_may_become_the_owner(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """Its own history counts then: the former owner and the copies start again from it."""
    regions.fork("jp")
    regions.tell(kit)
    put(kit, "a")
    regions.promote("jp")
    assert regions.contents("us") == {"a": 1}
    assert regions.contents("kr") == {}
    clock.advance(0.8)
    assert regions.contents("kr") == {"a": 1}
    regions.tell(kit)
    assert {e.epoch for e in kit.status().endpoints} == {2}


def test_a_copy_that_was_down_at_a_promotion_catches_up(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """It gets what it missed from the former owner's log, and what the new one wrote."""
    regions.kill("kr")
    put(kit, "a")
    clock.advance(0.8)
    regions.promote("jp")
    regions.tell(kit)
    put(kit, "b")
    clock.advance(0.8)
    assert regions.contents("kr") == {}
    regions.revive("kr")
    assert regions.contents("kr") == {"a": 1, "b": 1}


def test_a_replaced_owner_that_was_frozen_learns_of_it_when_thawed(kit: RegionKit, regions: MemoryRegions) -> None:
    """And becomes a copy."""
    regions.freeze("us")
    regions.promote("jp")
    regions.tell(kit)
    put(kit, "a")
    assert regions.contents("us") == {}
    regions.thaw("us")
    assert regions.contents("us") == {"a": 1}


def test_promotions_that_can_not_be_are_refused(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """A region that is down or frozen; and one without the rows that would tell of it."""
    regions.kill("jp")
    with pytest.raises(RegionUnavailable, match="down"):
        regions.promote("jp")
    regions.freeze("kr")
    with pytest.raises(RegionUnavailable, match="frozen"):
        regions.fork("kr")
    with MemoryRegions(store="orders", clock=clock, **CAST) as bare:
        with pytest.raises(ConfigurationError, match=r"kit\.create_tables\(\)"):
            bare.promote("kr")
        assert bare.owner == "us"


def test_a_history_of_promotions_keeps_its_order(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """There and back ten times without loss: every bookmark on the way holds, epochs rise by one."""
    bookmarks = []
    for number in range(10):
        bookmarks.append(put(kit, f"k{number}"))
        clock.advance(1.0)
        regions.promote(("jp", "us", "kr")[number % 3])
        regions.tell(kit)
        clock.advance(1.0)
    regions.tell(kit)
    assert {e.epoch for e in kit.status().endpoints} == {11}
    for number, bookmark in enumerate(bookmarks):
        assert f"k{number}" in (seen(kit, bookmark))[0]


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
def test_what_can_not_work_is_refused(changed: dict[str, Any], message: str) -> None:
    """A ConfigurationError that says what is wrong."""
    with pytest.raises(ConfigurationError, match=message):
        MemoryRegions(**({"store": "orders", **CAST} | changed))


def test_unknown_regions_are_refused_with_a_near_match(regions: MemoryRegions) -> None:
    """By every method that takes one."""
    for method in ("kill", "revive", "freeze", "thaw", "pause", "resume", "promote", "fork"):
        with pytest.raises(ConfigurationError, match="did you mean 'kr'"):
            getattr(regions, method)("krr")
    with pytest.raises(ConfigurationError, match="did you mean 'kr'"):
        regions.contents("krr")


def test_a_closed_world_is_forgotten(regions: MemoryRegions, clock: VirtualClock) -> None:
    """A kit made later begins with nothing; jurisdictions and namespace are the topology's."""
    with MemoryRegions(store="orders", clock=clock, namespace="shop", jurisdictions={"kr": "KR"}, **CAST) as own:
        topology = own.topology
        with RegionKit(topology, local="kr", clock=clock) as kit:
            put(kit, "a")
    assert (topology.namespace, topology.region("kr").jurisdiction) == ("shop", "KR")
    own.close()
    with RegionKit(topology, local="us", clock=clock) as kit:
        assert seen(kit) == (set(), "us")
