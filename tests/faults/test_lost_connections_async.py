"""A block whose connection was lost under it stays without one, and says so, whatever the user does next."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, wait_until
from sqlalchemy import text

from regionkit import (
    AsyncRegionKit,
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.testing import FaultProxy, crash_points

INSERT = "INSERT INTO orders (id, item) VALUES (1, 'tea')"


def kit_of(proxy: FaultProxy) -> AsyncRegionKit:
    """A kit that reaches its only endpoint through the proxy."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, proxy.url)])
    quick = {"base": "aggressive", "open_first": 0.1, "open_longest": 0.2, "hold_down": 0.1}
    topology = Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])
    return AsyncRegionKit(topology, local="us-east-1", profile=quick)


async def lose(connection: Any, proxy: FaultProxy) -> None:
    """Cut the network under an open block, notice it, and heal it."""
    proxy.cut()
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        await connection.execute(text("SELECT 1"))
    proxy.heal()


def reachable(kit: AsyncRegionKit) -> bool:
    """Whether the monitor found the endpoint again."""
    return all(e.read_breaker == e.write_breaker == "closed" for e in kit.status().endpoints)


async def test_a_lost_connection_of_a_core_read_is_not_replaced(proxy: FaultProxy) -> None:
    """A new one would have no deadline and no proof: the next use is refused, before and after a rollback."""
    async with kit_of(proxy) as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(RegionUnavailable, match="does not change it"):
            async with s.read("orders", core=True) as connection:
                await connection.execute(text("SELECT 1"))
                await lose(connection, proxy)
                with pytest.raises(RegionUnavailable, match="does not change it"):
                    await connection.execute(text("SELECT 1"))
                await connection.rollback()
                with pytest.raises(RegionUnavailable, match="does not change it"):
                    await connection.exec_driver_sql("SELECT 1")
                await connection.execute(text("SELECT 1"))


async def test_a_lost_connection_of_a_core_write_is_not_replaced(proxy: FaultProxy) -> None:
    """On a new one the write would commit, and no bookmark would know of it."""
    async with kit_of(proxy) as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders", core=True) as connection:
                await connection.execute(text("SELECT 1"))
                await lose(connection, proxy)
                await connection.rollback()
                await connection.execute(text(INSERT))
        assert caught.value.committed == "no"
        wait_until(lambda: reachable(kit))
        async with s.read("orders", core=True) as connection:
            assert (await connection.execute(text("SELECT count(*) FROM orders"))).scalar() == 0


async def test_a_connection_held_from_a_session_is_not_replaced(proxy: FaultProxy) -> None:
    """What session.connection() gave is the block's own, too."""
    async with kit_of(proxy) as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(RegionUnavailable, match="does not change it"):
            async with s.write("orders") as db:
                connection = await db.connection()
                await lose(connection, proxy)
                await db.rollback()
                await connection.execute(text(INSERT))


@pytest.mark.parametrize("core", [False, True])
async def test_after_an_unanswered_commit_the_outcome_stays_unknown(proxy: FaultProxy, core: bool) -> None:
    """Not "nothing was committed": a caller would run it again, and the row would be there twice."""
    async with kit_of(proxy) as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(OutcomeUnknown):
            async with s.write("orders", core=core) as db:
                await db.execute(text(INSERT))
                with crash_points({"write.before_commit": proxy.drop_replies}), pytest.raises(OutcomeUnknown):
                    await db.commit()
                proxy.heal()
                with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                    await db.rollback()
                await db.execute(text(INSERT))


@pytest.mark.parametrize("core", [False, True])
async def test_a_snapshot_whose_server_died_is_one_of_ours(proxy: FaultProxy, core: bool) -> None:
    """The end of the block is told by our error, not the driver's; and the application's own error goes before it."""
    async with kit_of(proxy) as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(RegionUnavailable):
            async with s.read("orders", snapshot=True, core=core) as db:
                await db.execute(text("SELECT count(*) FROM orders"))
                proxy.cut()
        proxy.heal()
        wait_until(lambda: reachable(kit))
        with pytest.raises(LookupError):
            async with s.read("orders", snapshot=True, core=core) as db:
                await db.execute(text("SELECT count(*) FROM orders"))
                proxy.cut()
                raise LookupError
