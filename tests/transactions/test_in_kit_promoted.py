"""A kit's transaction whose store gets another owner between a branch's begin and its PREPARE; and a child of a fork."""

from __future__ import annotations

import os
from typing import Any

import pytest
from fix_rigs import wait_until
from sqlalchemy import text

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.errors import TransactionAborted
from regionkit.transactions.logs.memory import MemoryDecisionLog

from .test_in_kit import ADD, KR, US, manager

QUICK = {"base": "aggressive", "open_first": 0.2, "open_longest": 0.4, "hold_down": 0.1}


@pytest.fixture
def servers(own_pg: Any) -> Any:
    """A primary and a replica of one's own, with two databases."""
    made = own_pg(replicas=1)
    for name in ("orders", "payments"):
        made.database(name)
        made.primary.sql("CREATE TABLE bank (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)", database=name)
        made.primary.sql("ALTER TABLE bank OWNER TO app", database=name)
    made.wait_for_replicas()
    return made


def kit_of(servers: Any, *, privileged: bool = True) -> RegionKit:
    """Both stores at one primary."""

    def url(node: Any, name: str) -> str:
        return node.url.rsplit("/", 1)[0] + f"/{name}"  # of the superuser, who may read how timelines followed

    stores = [
        SqlStore(
            name,
            endpoints=[
                Endpoint(US, Role.PRIMARY, url(servers.primary, name)),
                Endpoint(KR, Role.REPLICA, url(servers.replicas[0], name)),
            ],
        )
        for name in ("orders", "payments")
    ]
    topology = Topology(namespace="shop", regions=[Region(US), Region(KR)], stores=stores)
    return RegionKit(topology, local=US, profile=QUICK)


def owners(kit: RegionKit) -> set[str]:
    """Where writes of both stores go."""
    return {
        kit.explain(name, "write").decision.snapshot.endpoints[index].region
        for name in ("orders", "payments")
        if (index := kit.explain(name, "write").decision.index) >= 0
    }


def test_a_promotion_before_prepare_aborts(servers: Any) -> None:
    """The old primary is alive and would prepare: its commits are nobody's any more. The next transaction goes to the new one."""
    with kit_of(servers) as kit:
        manager(kit, "orders", "payments")
        kit.create_tables()
        servers.wait_for_replicas()
        with kit.session() as s:
            with (
                pytest.raises(TransactionAborted, match="own"),
                s.transaction(stores=["orders", "payments"], timeout=60) as tx,
            ):
                tx.session("orders").execute(text(ADD.format(1)))
                tx.session("payments").execute(text(ADD.format(1)))
                servers.replicas[0].promote()
                wait_until(lambda: owners(kit) == {KR}, 30)
            with s.transaction(stores=["orders", "payments"], timeout=60) as tx:
                tx.session("orders").execute(text(ADD.format(2)))
                tx.session("payments").execute(text(ADD.format(2)))
            assert tx.pending == ()
    for name in ("orders", "payments"):
        found = {
            node: node.sql("SELECT id FROM bank", database=name) for node in (servers.primary, servers.replicas[0])
        }
        assert found[servers.primary] == []
        assert len(found[servers.replicas[0]]) == 1
    assert servers.primary.sql("SELECT 1 FROM pg_prepared_xacts") == []


def test_a_child_goes_on_with_connections_of_its_own(servers: Any) -> None:
    """The parent's transaction goes on beside it."""
    with kit_of(servers) as kit:
        manager(kit, "orders", "payments", log=MemoryDecisionLog())
        kit.create_tables()

        def both(number: int) -> None:
            with kit.session() as s, s.transaction(stores=["orders", "payments"], timeout=60) as tx:
                for name in ("orders", "payments"):
                    tx.session(name).execute(text(ADD.format(number)))

        both(1)
        child = os.fork()
        if not child:
            try:
                both(2)
            except BaseException:
                os._exit(1)
            os._exit(0)
        both(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for name in ("orders", "payments"):
        found = servers.primary.sql("SELECT id FROM bank ORDER BY id", database=name)
        assert [int(row[0]) if isinstance(row, tuple | list) else int(row) for row in found] == [1, 2, 3]
