"""What a unit tells of itself: of its own transaction alone, once, to everybody, whatever its user did inside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit import (
    BOUNDED,
    EVENTUAL,
    AlreadyApplied,
    AsyncRegionKit,
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionKitError,
    Role,
    SqlStore,
    Topology,
    UsageError,
)
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record
from regionkit.routing.backing_async import AsyncStoreBacking

HERE = "eu-west-1"
INSERT = text("INSERT INTO orders (id) VALUES (1)")


def soon() -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, 5)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[AsyncRegionKit]:
    """Two stores, a file each."""
    stores = [
        SqlStore(name, endpoints=[Endpoint(HERE, Role.PRIMARY, f"sqlite:///{tmp_path}/{name}.db")])
        for name in ("orders", "carts")
    ]
    async with AsyncRegionKit(Topology(namespace="shop", regions=[Region(HERE)], stores=stores), local=HERE) as kit:
        await kit.create_tables()
        async with kit.session() as s, s.write("orders") as db:
            await db.execute(text("CREATE TABLE orders (id INTEGER)"))
        yield kit


@pytest.fixture
async def backing(kit: AsyncRegionKit) -> AsyncStoreBacking:
    """Over one of them."""
    return kit.backing("orders")


async def count(kit: AsyncRegionKit) -> int:
    """Rows."""
    async with kit.session() as s, s.read("orders") as db:
        return int((await db.execute(text("SELECT count(*) FROM orders"))).scalar() or 0)


@pytest.mark.parametrize("error", [AlreadyApplied("elsewhere"), OutcomeUnknown("elsewhere"), ValueError("no")])
async def test_an_error_of_something_else_says_nothing_of_the_unit(
    backing: AsyncStoreBacking, kit: AsyncRegionKit, error: Exception
) -> None:
    """It was rolled back for sure, whatever another store's error says of its own write."""
    heard: list[str] = []
    with pytest.raises(type(error)):
        async with backing.write(deadline=soon()) as u:
            u.on_outcome(heard.append)
            await u.native.execute(INSERT)
            raise error
    assert heard == ["no"] and await count(kit) == 0


async def test_a_unit_that_was_rolled_back_inside_is_a_no(backing: AsyncStoreBacking, kit: AsyncRegionKit) -> None:
    """Its COMMIT did nothing; there is nothing to cover."""
    heard: list[str] = []
    async with backing.write(deadline=soon()) as u:
        u.on_outcome(heard.append)
        await u.native.execute(INSERT)
        await u.native.rollback()
    assert (heard, u.stamp, await count(kit)) == (["no"], None, 0)


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("ends", ["ROLLBACK", "COMMIT"])
async def test_a_held_unit_that_a_text_ended_raises(
    backing: AsyncStoreBacking, kit: AsyncRegionKit, ends: str, core: bool
) -> None:
    """The books do not see it, the driver does."""
    heard: list[str] = []
    with pytest.raises(RegionKitError):
        async with backing.write(deadline=soon(), core=core) as u:
            u.on_outcome(heard.append)
            u.hold("a marker stands in it.")
            await u.native.execute(INSERT)
            await u.native.execute(text(ends))
    assert heard == ["unknown" if ends == "COMMIT" else "no"] and await count(kit) == (ends == "COMMIT")


async def test_a_held_unit_that_was_rolled_back_in_an_except_raises(backing: AsyncStoreBacking) -> None:
    """The error on its way was swallowed after all."""
    heard: list[str] = []
    with pytest.raises(UsageError):
        async with backing.write(deadline=soon(), core=True) as u:
            u.on_outcome(heard.append)
            u.hold("a marker stands in it.")
            await u.native.execute(INSERT)
            try:
                raise ValueError
            except ValueError:
                await u.native.rollback()
    assert heard == ["no"]


async def test_whoever_listens_late_or_beside_an_exit_is_told(backing: AsyncStoreBacking) -> None:
    """Each once."""
    heard: list[str] = []

    def leave(outcome: str) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        async with backing.write(deadline=soon()) as u:
            u.on_outcome(leave)
            u.on_outcome(heard.append)
            await u.native.execute(INSERT)
    u.on_outcome(heard.append)
    assert heard == ["yes", "yes"]


async def test_a_unit_that_does_not_open_is_a_no(kit: AsyncRegionKit, backing: AsyncStoreBacking) -> None:
    """Nothing of it was sent; nothing of it stays open."""
    heard: list[str] = []
    unit = backing.write(deadline=Deadline(SYSTEM_CLOCK, 1e-9))
    unit.on_outcome(heard.append)
    with pytest.raises(RegionKitError):
        async with unit:
            pytest.fail("it opened")
    assert heard == ["no"]


async def test_a_record_goes_into_a_unit_of_its_own_backing(kit: AsyncRegionKit, backing: AsyncStoreBacking) -> None:
    """In another store's transaction it would be another database's row, and told as done."""
    record = Record("job", "a", b"x", 1)
    async with kit.backing("carts").write(deadline=soon()) as u:
        with pytest.raises(UsageError, match="within a unit of"):
            await backing.records().put(soon(), record, expected=0, within=u)
    async with backing.write(deadline=soon()) as u:
        assert await backing.records().put(soon(), record, expected=0, within=u) == record
    assert await backing.records().get(soon(), "job", "a") == record


async def test_a_stamp_is_covered_at_every_level(backing: AsyncStoreBacking) -> None:
    """Or refused: a bound is another proof."""
    async with backing.write(deadline=soon()) as u:
        await u.native.execute(INSERT)
    assert u.stamp is not None
    read: Any = backing.read(covers=u.stamp, consistency=EVENTUAL, deadline=soon())
    async with read as r:
        assert (await r.native.execute(text("SELECT count(*) FROM orders"))).scalar() == 1
    assert read._session.entries(read._opened().store), "nothing was asked to be covered"
    assert read._options.mode.consistency is not EVENTUAL
    with pytest.raises(UsageError, match="both a stamp and a bound"):
        backing.read(covers=u.stamp, consistency=BOUNDED(1), deadline=soon())
