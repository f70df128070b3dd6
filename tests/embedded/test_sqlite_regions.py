# Generated from test_sqlite_regions_async.py by scripts/twins.py. Do not edit.
"""Regions as SQLite files, with real kits on them: lag, kill, revive, promote, and what is lost with an owner."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from regionkit import (
    EVENTUAL,
    ConfigurationError,
    NoEligibleEndpoint,
    RegionKit,
    RegionUnavailable,
    RoutingError,
    StaleRead,
)
from regionkit.core.concurrency import sleep
from regionkit.embedded import SqliteRegions

KEY = "a key of more than sixteen characters"
PATIENCE = 20.0
"""Seconds until what has to come about has: it takes a tenth of one where neither machine nor disk is busy."""
QUICK = {
    **{"base": "aggressive", "open_first": 0.2, "hold_down": 0.0, "sample_every": 0.05, "probe_every": 0.05},
    **{
        "read_deadline": 20.0,
        "write_deadline": 20.0,
    },  # nothing here is about deadlines: a disk that is busy may take its time
}
CAST = {"primary": "us", "replicas": ["kr", "jp"]}


@pytest.fixture
def regions(tmp_path: Path) -> Iterator[SqliteRegions]:
    """Three regions without lag."""
    with SqliteRegions(tmp_path, store="orders", namespace="shop", lag=0.0, **CAST) as regions:
        yield regions


@pytest.fixture
def kit(regions: SqliteRegions) -> Iterator[RegionKit]:
    """A kit in kr, its tables made and copied everywhere."""
    with RegionKit(regions.topology, local="kr", profile=QUICK, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db.execute(text("CREATE TABLE item (id INTEGER PRIMARY KEY)"))
        copied(regions)
        settled(kit)
        yield kit


def copied(regions: SqliteRegions) -> None:
    """Until every region that is up is where the owner is."""
    end = time.monotonic() + PATIENCE
    while len({position(regions, name) for name in regions.topology._regions if not regions._folder.is_down(name)}) > 1:
        assert time.monotonic() < end
        sleep(0.01)


def position(regions: SqliteRegions, name: str) -> int:
    with closing(sqlite3.connect(regions._folder.path(name))) as file:
        try:
            found: int = file.execute("SELECT value FROM shop_rk_position").fetchone()[0]
        except sqlite3.OperationalError:
            return -1
        return found


def put(kit: RegionKit, number: int, within: float = PATIENCE) -> str:
    """Write a row, trying until there is an owner; the bookmark."""
    end = time.monotonic() + within
    while True:
        try:
            with kit.session() as s:
                with s.write("orders") as db:
                    db.execute(text("INSERT INTO item VALUES (:n)"), {"n": number})
                return s.bookmark()
        except (RegionUnavailable, RoutingError):
            assert time.monotonic() < end, f"nobody takes writes:\n{kit.status()}"
            sleep(0.01)


def items(kit: RegionKit, bookmark: str = "") -> list[int]:
    """The rows as the nearest good copy shows them."""
    with kit.session(bookmark=bookmark) as s, s.read("orders") as db:
        return list((db.execute(text("SELECT id FROM item ORDER BY id"))).scalars())


def local(kit: RegionKit, region: str = "kr") -> list[int]:
    """The rows in the local region, however old."""
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            found = list((db.execute(text("SELECT id FROM item ORDER BY id"))).scalars())
        assert s.last_route is not None
        assert s.last_route.region == region
        return found


def settled(kit: RegionKit) -> None:
    """Until every endpoint is up, and every copy has a position."""
    end = time.monotonic() + PATIENCE
    while any(e.state != "up" or e.lag is None for e in kit.status().endpoints):
        assert time.monotonic() < end, f"not settled:\n{kit.status()}"
        sleep(0.01)


def until_local(kit: RegionKit, wanted: list[int], within: float = 3.0) -> float:
    """Until the local region shows these rows; the seconds that it took."""
    began = time.monotonic()
    while local(kit) != wanted:
        assert time.monotonic() - began < within, f"kr shows {local(kit)}"
        sleep(0.005)
    return time.monotonic() - began


def test_a_change_arrives_the_lag_later_and_not_before(regions: SqliteRegions, kit: RegionKit) -> None:
    """The copy is taken when the owner changes, and lands `lag` seconds after it was taken."""
    regions.lag = 0.4
    put(kit, 1)
    assert until_local(kit, [1], within=5.0) > 0.3


def test_a_lag_set_later_holds_for_copies_under_way(regions: SqliteRegions, kit: RegionKit) -> None:
    """Lowering the lag lets what was held back arrive."""
    regions.lag = 600.0
    put(kit, 1)
    sleep(0.2)
    assert local(kit) == []
    regions.lag = 0.0
    assert regions.lag == 0.0
    until_local(kit, [1])


def test_a_session_reads_its_write_whatever_the_lag(regions: SqliteRegions, kit: RegionKit) -> None:
    """The local copy misses it, so the session moves; nobody else has to."""
    regions.lag = 600.0
    bookmark = put(kit, 1)
    assert items(kit, bookmark) == [1]
    assert local(kit) == []


def test_a_killed_region_fails_open_and_new_connections(regions: SqliteRegions, kit: RegionKit) -> None:
    """A statement in an open block fails, a new write fails, reads go on elsewhere; revive ends it."""
    put(kit, 1)
    until_local(kit, [1])
    with pytest.raises(RegionUnavailable) as caught:
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("INSERT INTO item VALUES (2)"))
            regions.kill("us")
            db.execute(text("INSERT INTO item VALUES (3)"))
    assert caught.value.committed == "no"
    with pytest.raises((RegionUnavailable, NoEligibleEndpoint)):
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("INSERT INTO item VALUES (4)"))
    assert local(kit) == [1]
    regions.revive("us")
    put(kit, 5)
    until_local(kit, [1, 5])


def test_a_commit_in_a_killed_region_is_refused(regions: SqliteRegions, kit: RegionKit) -> None:
    """The region died between the last statement and COMMIT: nothing was committed, and the error says so."""
    with pytest.raises(RegionUnavailable) as caught:
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("INSERT INTO item VALUES (2)"))
            regions.kill("us")
    assert caught.value.committed == "no"
    regions.revive("us")
    put(kit, 3)
    assert items(kit, put(kit, 4)) == [3, 4]


def test_a_killed_replica_receives_nothing_and_catches_up(regions: SqliteRegions, kit: RegionKit) -> None:
    """What was written meanwhile arrives once it is back, though nobody writes any more."""
    regions.kill("kr")
    put(kit, 1)
    sleep(0.1)
    regions.revive("kr")
    end = time.monotonic() + PATIENCE
    while items(kit) != [1] or any(e.read_breaker != "closed" for e in kit.status().endpoints):
        assert time.monotonic() < end
        sleep(0.01)
    until_local(kit, [1])


def test_promote_before_create_tables_says_what_to_do(regions: SqliteRegions) -> None:
    """Without a history table nobody could say what survived."""
    with pytest.raises(ConfigurationError, match=r"kit\.create_tables\(\)"):
        regions.promote("kr")
    assert regions.owner == "us"


def test_promote_moves_writes_and_copies(regions: SqliteRegions, kit: RegionKit) -> None:
    """The kit finds the new owner by its history row; what is written there arrives in the others."""
    put(kit, 1)
    copied(regions)
    regions.kill("us")
    regions.promote("jp")
    put(kit, 2)
    until_local(kit, [1, 2])
    assert regions.owner == "jp"
    assert [e.region for e in regions.topology.store("orders").endpoints if e.role == "primary"] == ["jp"]
    epochs = {e.endpoint: e.epoch for e in kit.status().endpoints}
    assert epochs["jp"] == 2


def test_promoting_the_owner_changes_nothing(regions: SqliteRegions, kit: RegionKit) -> None:
    """Its epoch stays."""
    regions.promote("us")
    put(kit, 1)
    assert [e.epoch for e in kit.status().endpoints if e.endpoint == "us"] == [1]


def test_a_killed_region_can_not_be_promoted(regions: SqliteRegions, kit: RegionKit) -> None:
    """It is down."""
    regions.kill("jp")
    with pytest.raises(RegionUnavailable, match="down"):
        regions.promote("jp")


def test_lost_writes_are_told_and_gone(regions: SqliteRegions, kit: RegionKit) -> None:
    """A bookmark of an unshipped write raises StaleRead(lost) for good, and the old owner comes back as a copy."""
    shipped = put(kit, 1)
    copied(regions)
    regions.lag = 600.0
    lost = put(kit, 2)
    regions.kill("us")
    regions.promote("jp")
    regions.lag = 0.0
    later = put(kit, 3)
    for _ in range(2):
        with pytest.raises(StaleRead) as caught:
            items(kit, lost)
        assert caught.value.lost
        assert (items(kit, shipped))[:1] == [1]
        regions.revive("us")
        settled(kit)
    with RegionKit(regions.topology, local="us", profile=QUICK, bookmark_keys=[KEY]) as there:
        end = time.monotonic() + PATIENCE
        while local(there, "us") != [1, 3]:
            assert time.monotonic() < end
            sleep(0.01)
        assert items(there, later) == [1, 3]
        with pytest.raises(StaleRead):
            items(there, lost)


def test_a_session_with_a_lost_write_goes_on(regions: SqliteRegions, kit: RegionKit) -> None:
    """accept_loss rebases it on what survived."""
    regions.lag = 600.0
    lost = put(kit, 1)
    regions.kill("us")
    regions.promote("kr")
    put(kit, 2)
    with kit.session(bookmark=lost) as s:
        s.accept_loss()
        with s.read("orders") as db:
            assert list((db.execute(text("SELECT id FROM item"))).scalars()) == [2]


def test_an_owner_that_was_replaced_alive_becomes_a_copy(
    regions: SqliteRegions, kit: RegionKit, tmp_path: Path
) -> None:
    """Its file is a new one, so connections that know it as owner break; plain copies keep theirs."""
    put(kit, 1)
    copied(regions)
    before = {name: (tmp_path / f"orders.{name}.db").stat().st_ino for name in ("us", "kr", "jp")}
    regions.promote("jp")
    bookmark = ""
    for number in range(2, 12):
        bookmark = put(kit, number)
        sleep(0.02)
    end = time.monotonic() + PATIENCE
    while {e.endpoint: e.role for e in kit.status().endpoints} != {"us": "replica", "kr": "replica", "jp": "owner"}:
        assert time.monotonic() < end, kit.status()
        sleep(0.01)
    after = {name: (tmp_path / f"orders.{name}.db").stat().st_ino for name in ("us", "kr", "jp")}
    assert {name for name in before if before[name] != after[name]} == {"us"}
    assert (items(kit, bookmark))[-1] == 11


def test_an_owner_replaced_alive_and_revived_goes_on_as_a_copy(regions: SqliteRegions, kit: RegionKit) -> None:
    """revive puts a new file in its place before any copy made it one: later copies land in the new one."""
    regions.lag = 600.0
    regions.promote("jp")
    sleep(0.1)
    regions.kill("us")
    regions.revive("us")
    regions.lag = 0.0
    put(kit, 2)
    copied(regions)


def test_an_owner_that_comes_back_while_the_new_one_is_down_takes_no_writes(
    regions: SqliteRegions, kit: RegionKit
) -> None:
    """A kit that knows of the promotion fences it; once the new owner is there, it becomes a copy."""
    put(kit, 1)
    copied(regions)
    regions.kill("us")
    regions.promote("jp")
    put(kit, 2)
    regions.kill("jp")
    regions.revive("us")
    sleep(0.3)
    with pytest.raises((RegionUnavailable, RoutingError)):
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("INSERT INTO item VALUES (3)"))
    regions.revive("jp")
    put(kit, 4)
    settled(kit)
    assert {e.endpoint: e.role for e in kit.status().endpoints} == {"us": "replica", "kr": "replica", "jp": "owner"}


def test_opening_the_folder_again_goes_on(tmp_path: Path) -> None:
    """Regions, owner, lag, jurisdictions and faults are what the folder says."""
    with SqliteRegions(
        tmp_path, store="orders", namespace="shop", lag=0.1, jurisdictions={"kr": "KR"}, **CAST
    ) as regions:
        with RegionKit(regions.topology, local="kr", profile=QUICK) as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                db.execute(text("CREATE TABLE item (id INTEGER PRIMARY KEY)"))
            settled(kit)
            copied(regions)
        regions.promote("kr")
        regions.kill("jp")
    with SqliteRegions(tmp_path, store="orders") as again:
        assert (again.owner, again.lag) == ("kr", 0.1)
        assert again.topology.namespace == "shop"
        assert again.topology.region("kr").jurisdiction == "KR"
        assert [e.region for e in again.topology.store("orders").endpoints] == ["us", "kr", "jp"]
        with RegionKit(again.topology, local="kr", profile=QUICK) as kit:
            put(kit, 1)
            sleep(0.3)
            states = {e.endpoint: e.state for e in kit.status().endpoints}
        assert states["kr"] == "up"
        assert states["jp"] != "up"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"primary": None, "replicas": []}, "no store"),
        ({"store": "Not a name"}, "usable store name"),
        ({"primary": "../us"}, "endpoint's region"),
        ({"replicas": ["us"]}, "twice"),
        ({"lag": -1.0}, "lag"),
        ({"lag": float("nan")}, "lag"),
        ({"namespace": "no-dash"}, "namespace"),
        ({"jurisdictions": {"kp": "KP"}}, "no region 'kp'"),
    ],
)
def test_what_can_not_work_is_refused_before_any_file(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    """A ConfigurationError that says what is wrong, and an empty folder."""
    with pytest.raises(ConfigurationError, match=message):
        SqliteRegions(tmp_path, **({"store": "orders", **CAST} | changed))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_unknown_regions_and_other_casts_are_refused(regions: SqliteRegions, tmp_path: Path) -> None:
    """A near match is named; a folder keeps its regions."""
    with pytest.raises(ConfigurationError, match="did you mean 'kr'"):
        regions.kill("krr")
    with pytest.raises(ConfigurationError, match="the folder has the regions us, kr, jp"):
        SqliteRegions(tmp_path, store="orders", primary="us", replicas=["eu"])
    with pytest.raises(ConfigurationError, match="the folder has the namespace"):
        SqliteRegions(tmp_path, store="orders", namespace="other")
