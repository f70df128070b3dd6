# Generated from test_lost_connections_async.py by scripts/twins.py. Do not edit.
"""A block whose connection was lost under it stays without one, and says so, whatever the user does next."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, wait_until
from sqlalchemy import text

from regionkit import (
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.testing import FaultProxy, crash_points

INSERT = "INSERT INTO orders (id, item) VALUES (1, 'tea')"


def kit_of(proxy: FaultProxy) -> RegionKit:
    """A kit that reaches its only endpoint through the proxy."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, proxy.url)])
    quick = {"base": "aggressive", "open_first": 0.1, "open_longest": 0.2, "hold_down": 0.1}
    topology = Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])
    return RegionKit(topology, local="us-east-1", profile=quick)


def lose(connection: Any, proxy: FaultProxy) -> None:
    """Cut the network under an open block, notice it, and heal it."""
    proxy.cut()
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        connection.execute(text("SELECT 1"))
    proxy.heal()


def reachable(kit: RegionKit) -> bool:
    """Whether the monitor found the endpoint again."""
    return all(e.read_breaker == e.write_breaker == "closed" for e in kit.status().endpoints)


def test_a_lost_connection_of_a_core_read_is_not_replaced(proxy: FaultProxy) -> None:
    """A new one would have no deadline and no proof: the next use is refused, before and after a rollback."""
    with kit_of(proxy) as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(RegionUnavailable, match="does not change it"):
            with s.read("orders", core=True) as connection:
                connection.execute(text("SELECT 1"))
                lose(connection, proxy)
                with pytest.raises(RegionUnavailable, match="does not change it"):
                    connection.execute(text("SELECT 1"))
                connection.rollback()
                with pytest.raises(RegionUnavailable, match="does not change it"):
                    connection.exec_driver_sql("SELECT 1")
                connection.execute(text("SELECT 1"))


def test_a_lost_connection_of_a_core_write_is_not_replaced(proxy: FaultProxy) -> None:
    """On a new one the write would commit, and no bookmark would know of it."""
    with kit_of(proxy) as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(RegionUnavailable) as caught:
            with s.write("orders", core=True) as connection:
                connection.execute(text("SELECT 1"))
                lose(connection, proxy)
                connection.rollback()
                connection.execute(text(INSERT))
        assert caught.value.committed == "no"
        wait_until(lambda: reachable(kit))
        with s.read("orders", core=True) as connection:
            assert (connection.execute(text("SELECT count(*) FROM orders"))).scalar() == 0


def test_a_connection_held_from_a_session_is_not_replaced(proxy: FaultProxy) -> None:
    """What session.connection() gave is the block's own, too."""
    with kit_of(proxy) as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(RegionUnavailable, match="does not change it"):
            with s.write("orders") as db:
                connection = db.connection()
                lose(connection, proxy)
                db.rollback()
                connection.execute(text(INSERT))


@pytest.mark.parametrize("core", [False, True])
def test_after_an_unanswered_commit_the_outcome_stays_unknown(proxy: FaultProxy, core: bool) -> None:
    """Not "nothing was committed": a caller would run it again, and the row would be there twice."""
    with kit_of(proxy) as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(OutcomeUnknown):
            with s.write("orders", core=core) as db:
                db.execute(text(INSERT))
                with crash_points({"write.before_commit": proxy.drop_replies}), pytest.raises(OutcomeUnknown):
                    db.commit()
                proxy.heal()
                with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                    db.rollback()
                db.execute(text(INSERT))


@pytest.mark.parametrize("core", [False, True])
def test_a_snapshot_whose_server_died_is_one_of_ours(proxy: FaultProxy, core: bool) -> None:
    """The end of the block is told by our error, not the driver's; and the application's own error goes before it."""
    with kit_of(proxy) as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(RegionUnavailable):
            with s.read("orders", snapshot=True, core=core) as db:
                db.execute(text("SELECT count(*) FROM orders"))
                proxy.cut()
        proxy.heal()
        wait_until(lambda: reachable(kit))
        with pytest.raises(LookupError):
            with s.read("orders", snapshot=True, core=core) as db:
                db.execute(text("SELECT count(*) FROM orders"))
                proxy.cut()
                raise LookupError
