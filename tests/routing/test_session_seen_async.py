"""What a session shares: how it stands, and what something beside regionkit wrote for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from regionkit import AsyncRegionKit, StaleRead
from regionkit.embedded import AsyncMemoryRegions, AsyncSqliteRegions
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.routing.verdict import Outcome

KEY = "a key of more than sixteen characters"
LAG = 3600.0


@pytest.fixture
async def regions() -> AsyncIterator[AsyncMemoryRegions]:
    """A replica that shows nothing before the test says so."""
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"]) as made:
        yield made


@pytest.fixture
async def kit(regions: AsyncMemoryRegions) -> AsyncIterator[AsyncRegionKit]:
    async with AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        await made.create_tables()
        yield made


async def put(kit: AsyncRegionKit, value: int) -> None:
    """A write of somebody else."""
    async with kit.session() as other, other.write("orders") as db:
        db["a"] = value


async def test_what_was_written_beside_it_is_covered_once_it_is_asked_for(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions
) -> None:
    """By the session's own reads, by its bookmark, and by what caches are told; said before the write."""
    regions.lag = LAG
    await put(kit, 1)
    async with kit.session() as s, s.read("orders") as db:
        assert db.get("a") is None  # the rig can fail
    s = kit.session()
    s.wrote_elsewhere("orders")
    await put(kit, 2)
    async with s.read("orders") as db:
        assert db["a"] == 2
    s.wrote_elsewhere("orders")
    await put(kit, 3)
    async with kit.session(bookmark=await s.bookmark()).read("orders") as db:
        assert db["a"] == 3
    s = kit.session()
    s.wrote_elsewhere("orders")
    assert [e.position is not None for e in await s.seen_of("orders")] == [True]


async def test_where_the_position_does_not_move_the_owner_is_read(tmp_path: object) -> None:
    """On SQLite commits that no kit made do not move it."""
    async with AsyncSqliteRegions(str(tmp_path), store="orders", primary="us", replicas=["kr"]) as regions:
        async with AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
            await kit.create_tables()
            s = kit.session()
            s.wrote_elsewhere("orders")
            assert await s.seen_of("orders") == (OWNER_ONLY,)
            async with kit.session() as beside, beside.write("orders", core=True) as db:
                await db.exec_driver_sql("CREATE TABLE t (a INTEGER)")
            regions.lag = LAG
            s = kit.session()
            s.wrote_elsewhere("orders")
            async with s.read("orders", core=True) as db:
                await db.exec_driver_sql("SELECT a FROM t")
            assert s.last_route is not None and s.last_route.region == "us"


async def test_how_it_stands(kit: AsyncRegionKit) -> None:
    """Fresh, after a read, a write, inside one, given its own bookmark again, told of another's write."""
    s = kit.session()
    now = s.standing()
    assert (now.used, now.moved, now.writes, now.settled, now.writing) == (False, False, 0, True, ())
    async with s.read("orders") as db:
        db.get("a")
    now = s.standing()
    assert (now.used, now.moved, now.writes, now.settled) == (True, True, 0, False)
    async with s.write("orders") as db:
        db["a"] = 1
        assert s.standing().writing == (("orders", ""),)
    assert s.standing().writes == 1
    mark = await s.bookmark()
    assert s.standing().settled
    again = kit.session(bookmark=mark)
    assert not again.standing().used
    async with again.read("orders") as db:
        db.get("a")
    await again.bookmark()
    assert again.standing().used
    s.wrote_elsewhere("orders")
    assert (s.standing().writes, s.standing().settled) == (2, False)
    child = await s.fork()
    async with child.write("orders") as db:
        db["a"] = 2
    await s.merge(child)
    assert s.standing().writes == 3


async def test_a_loss_is_remembered_until_it_is_accepted(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Also where the block's error was swallowed."""
    regions.lag = LAG
    async with kit.session() as s:
        async with s.write("orders") as db:
            db["a"] = 1
        assert not s.standing().lost
        await regions.promote("kr")
        with pytest.raises(StaleRead):
            async with s.read("orders") as db:
                db.get("a")
        assert (s.standing().lost, s.standing().dropped) == (True, False)
        await s.accept_loss()
        assert (s.standing().lost, s.standing().dropped) == (False, True)


async def test_what_is_read_beside_it_stays_where_it_was_and_is_covered(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions
) -> None:
    """On the copy while it has what the session wrote; its position is asked for once, when the bookmark is given out."""
    async with kit.session() as s, s.read("orders") as db:
        db.get("a")
    s = kit.session()
    first = await s.read_elsewhere("orders")
    assert first.outcome is Outcome.USE and first.endpoint is not None and first.endpoint.region == "kr"
    assert not s.standing().settled and s.standing().used and s.standing().writes == 0
    again = await s.read_elsewhere("orders")
    assert again.index == first.index
    regions.lag = LAG
    s.wrote_elsewhere("orders")
    await put(kit, 1)
    owner = await s.read_elsewhere("orders")
    assert owner.endpoint is not None and owner.endpoint.region == "us"
    async with kit.session(bookmark=await s.bookmark()).read("orders") as db:
        assert db["a"] == 1
