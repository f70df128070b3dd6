# Generated from test_session_seen_async.py by scripts/twins.py. Do not edit.
"""What a session shares: how it stands, and what something beside regionkit wrote for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regionkit import RegionKit, StaleRead
from regionkit.embedded import MemoryRegions, SqliteRegions
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.routing.verdict import Outcome

KEY = "a key of more than sixteen characters"
LAG = 3600.0


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    """A replica that shows nothing before the test says so."""
    with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as made:
        yield made


@pytest.fixture
def kit(regions: MemoryRegions) -> Iterator[RegionKit]:
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        made.create_tables()
        yield made


def put(kit: RegionKit, value: int) -> None:
    """A write of somebody else."""
    with kit.session() as other, other.write("orders") as db:
        db["a"] = value


def test_what_was_written_beside_it_is_covered_once_it_is_asked_for(kit: RegionKit, regions: MemoryRegions) -> None:
    """By the session's own reads, by its bookmark, and by what caches are told; said before the write."""
    regions.lag = LAG
    put(kit, 1)
    with kit.session() as s, s.read("orders") as db:
        assert db.get("a") is None  # the rig can fail
    s = kit.session()
    s.wrote_elsewhere("orders")
    put(kit, 2)
    with s.read("orders") as db:
        assert db["a"] == 2
    s.wrote_elsewhere("orders")
    put(kit, 3)
    with kit.session(bookmark=s.bookmark()).read("orders") as db:
        assert db["a"] == 3
    s = kit.session()
    s.wrote_elsewhere("orders")
    assert [e.position is not None for e in s.seen_of("orders")] == [True]


def test_where_the_position_does_not_move_the_owner_is_read(tmp_path: object) -> None:
    """On SQLite commits that no kit made do not move it."""
    with SqliteRegions(str(tmp_path), store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
            kit.create_tables()
            s = kit.session()
            s.wrote_elsewhere("orders")
            assert s.seen_of("orders") == (OWNER_ONLY,)
            with kit.session() as beside, beside.write("orders", core=True) as db:
                db.exec_driver_sql("CREATE TABLE t (a INTEGER)")
            regions.lag = LAG
            s = kit.session()
            s.wrote_elsewhere("orders")
            with s.read("orders", core=True) as db:
                db.exec_driver_sql("SELECT a FROM t")
            assert s.last_route is not None and s.last_route.region == "us"


def test_how_it_stands(kit: RegionKit) -> None:
    """Fresh, after a read, a write, inside one, given its own bookmark again, told of another's write."""
    s = kit.session()
    now = s.standing()
    assert (now.used, now.moved, now.writes, now.settled, now.writing) == (False, False, 0, True, ())
    with s.read("orders") as db:
        db.get("a")
    now = s.standing()
    assert (now.used, now.moved, now.writes, now.settled) == (True, True, 0, False)
    with s.write("orders") as db:
        db["a"] = 1
        assert s.standing().writing == (("orders", ""),)
    assert s.standing().writes == 1
    mark = s.bookmark()
    assert s.standing().settled
    again = kit.session(bookmark=mark)
    assert not again.standing().used
    with again.read("orders") as db:
        db.get("a")
    again.bookmark()
    assert again.standing().used
    s.wrote_elsewhere("orders")
    assert (s.standing().writes, s.standing().settled) == (2, False)
    child = s.fork()
    with child.write("orders") as db:
        db["a"] = 2
    s.merge(child)
    assert s.standing().writes == 3


def test_a_loss_is_remembered_until_it_is_accepted(kit: RegionKit, regions: MemoryRegions) -> None:
    """Also where the block's error was swallowed."""
    regions.lag = LAG
    with kit.session() as s:
        with s.write("orders") as db:
            db["a"] = 1
        assert not s.standing().lost
        regions.promote("kr")
        with pytest.raises(StaleRead):
            with s.read("orders") as db:
                db.get("a")
        assert (s.standing().lost, s.standing().dropped) == (True, False)
        s.accept_loss()
        assert (s.standing().lost, s.standing().dropped) == (False, True)


def test_what_is_read_beside_it_stays_where_it_was_and_is_covered(kit: RegionKit, regions: MemoryRegions) -> None:
    """On the copy while it has what the session wrote; its position is asked for once, when the bookmark is given out."""
    with kit.session() as s, s.read("orders") as db:
        db.get("a")
    s = kit.session()
    first = s.read_elsewhere("orders")
    assert first.outcome is Outcome.USE and first.endpoint is not None and first.endpoint.region == "kr"
    assert not s.standing().settled and s.standing().used and s.standing().writes == 0
    again = s.read_elsewhere("orders")
    assert again.index == first.index
    regions.lag = LAG
    s.wrote_elsewhere("orders")
    put(kit, 1)
    owner = s.read_elsewhere("orders")
    assert owner.endpoint is not None and owner.endpoint.region == "us"
    with kit.session(bookmark=s.bookmark()).read("orders") as db:
        assert db["a"] == 1
