# Generated from test_replace_async.py by scripts/twins.py. Do not edit.
"""`kit.replace` while the kit is in use: several at once, a region forbidden under open blocks, a call that is cancelled."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_store_rigs import StoreRig
from waiting import PATIENCE, seen

from regionkit import (
    EVENTUAL,
    Endpoint,
    Region,
    RegionKit,
    RegionSession,
    RegionUnavailable,
    Residency,
    Role,
    Topology,
    UsageError,
)
from regionkit.core.concurrency import gather, sleep
from regionkit.testing import FaultProxy

HERE, OWNER = "ap-northeast-2", "us-east-1"
ONLY_THERE = Residency(allow=[OWNER])


class Behind:
    """The rig's store with both endpoints behind proxies, so that each connection is counted."""

    def __init__(self, rig: StoreRig) -> None:
        self.rig = rig
        plain = rig.topology().stores[0]
        self.kind: Any = type(plain)
        self.proxies = [FaultProxy(str(e.url)) for e in plain.endpoints[:2]]

    def topology(self, size: int = 5, **options: Any) -> Topology:
        """The store; keyword arguments go to it."""
        roles = zip((OWNER, HERE), (Role.PRIMARY, Role.REPLICA), self.proxies, strict=True)
        endpoints = [Endpoint(region, role, proxy.url) for region, role, proxy in roles]
        if "residency" in options:
            del endpoints[1]
        store = self.kind("orders", endpoints=endpoints, options={"pool_size": size}, **options)
        return Topology(namespace="shop", regions=[Region(OWNER), Region(HERE)], stores=[store])

    def moved(self) -> Topology:
        """The store without proxies: its owner has another address."""
        return self.rig.topology()

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(proxy.connections for proxy in self.proxies)


@pytest.fixture(params=["postgresql", "mariadb", "mysql", "redis"])
def behind(request: pytest.FixtureRequest) -> Iterator[Behind]:
    """Each backend whose blocks have connections of their own."""
    behind = Behind(request.getfixturevalue(f"{request.param}_store_rig"))
    yield behind
    for proxy in behind.proxies:
        proxy.close()


def none_left(there: Behind | FaultProxy) -> None:
    """Wait until no connection is open. A socket is closed when its loop comes to it."""
    end = time.monotonic() + PATIENCE
    while there.connections:
        assert time.monotonic() < end, f"{there.connections} connections stay"
        sleep(0.01)


@contextlib.contextmanager
def nobody_at(proxy: FaultProxy) -> Iterator[None]:
    """What stands at the proxy's port instead sees no connection, up to the end of the block."""
    proxy.close()
    with socket.create_server(("127.0.0.1", proxy.port)) as listening:
        yield
        listening.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_several_at_once_leave_nothing_behind(behind: Behind) -> None:
    """One topology stays; its monitor and connections end with the kit, and all others did before."""
    kit = RegionKit(behind.topology(1), local=HERE)
    kit.create_tables()

    def swap(number: int) -> None:
        for step in range(4):
            kit.replace(behind.topology(2 + (number + step) % 5))
            with contextlib.suppress(RegionUnavailable):  # another call replaced it after the block was opened
                with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                    behind.rig.Actions.get(db, "a")

    assert gather([lambda number=number: swap(number) for number in range(3)]) == [None] * 3  # type: ignore[misc]
    assert kit._gone == []
    kit.close()
    none_left(behind)


def test_a_forbidden_region_sees_no_connection(behind: Behind) -> None:
    """Neither of a block that was open already, which reads elsewhere, nor of a monitor; what is allowed still goes on."""
    do = behind.rig.Actions
    with RegionKit(behind.topology(), local=HERE) as kit:
        seen(kit)
        s, other = kit.session(), kit.session()
        with contextlib.ExitStack() as after:
            with s.read("orders", consistency=EVENTUAL) as db, other.write("orders") as owner:
                kit.replace(behind.topology(residency=ONLY_THERE))
                none_left(behind.proxies[1])
                after.enter_context(nobody_at(behind.proxies[1]))
                do.put(owner, "a", "tea")
                assert do.get(db, "a") in (None, "tea")  # whether that write stands yet is the backend's
            assert went(s) == OWNER
            with other.read("orders") as db:
                assert do.get(db, "a") == "tea"
            s.bookmark()
        assert went(other) == OWNER


def test_an_open_block_of_an_owner_that_moved(behind: Behind) -> None:
    """It has nowhere to go, and says that nothing was done; the old address sees no connection."""
    with RegionKit(behind.topology(), local=HERE) as kit:
        seen(kit)
        with contextlib.ExitStack() as after, pytest.raises(RegionUnavailable, match="closed") as caught:
            with kit.session() as s, s.write("orders") as db:
                kit.replace(behind.moved())
                none_left(behind.proxies[0])
                after.enter_context(nobody_at(behind.proxies[0]))
                behind.rig.Actions.put(db, "a", "tea")
        assert caught.value.retryable
        assert caught.value.committed == "no"
        assert behind.rig.value("a") is None


def test_a_unit_of_work_follows_the_topology(behind: Behind) -> None:
    """The run that found its store closed is followed by another one, at the address of now."""
    do, runs = behind.rig.Actions, []
    with RegionKit(behind.topology(), local=HERE) as kit:
        seen(kit)

        def work(db: Any) -> None:
            runs.append(1)
            if len(runs) == 1:
                kit.replace(behind.moved())
            do.put(db, "a", "tea")

        with kit.session() as s:
            s.execute_write("orders", work)
        assert len(runs) == 2
        assert behind.rig.value("a") == "tea"


def test_a_block_of_any_backend_keeps_out_of_a_forbidden_region(store_rig: StoreRig) -> None:
    """Also where blocks share connections. One that takes its connection when it opens has had it before: it ends on it."""
    do = store_rig.Actions
    with RegionKit(store_rig.topology(), local=HERE) as kit:
        seen(kit)
        with kit.session() as s:
            with contextlib.suppress(RegionUnavailable):
                with s.read("orders", consistency=EVENTUAL) as db:
                    kit.replace(without_here(store_rig))
                    do.get(db, "a")
                assert went(s) != HERE or store_rig.server == "memory"
            with s.read("orders", consistency=EVENTUAL) as db:
                do.get(db, "a")
            assert went(s) != HERE


def went(s: RegionSession) -> str:
    """Where the session's newest block went."""
    assert s.last_route is not None
    return s.last_route.region


def without_here(rig: StoreRig) -> Topology:
    """The rig's topology, its data not allowed where the kit runs."""
    return rig.topology(residency=Residency(deny=[HERE]))


def test_a_closed_kit_replaces_nothing(behind: Behind) -> None:
    """A call that comes as the kit closes is done before, or finds it closed: nothing runs after it."""
    kit = RegionKit(behind.topology(1), local=HERE)
    kit.create_tables()

    def swap() -> None:
        for size in range(2, 200):
            kit.replace(behind.topology(size))

    def end() -> None:
        sleep(0.01)
        kit.close()

    refused, closed = gather([swap, end])
    assert closed is None
    assert isinstance(refused, UsageError)
    none_left(behind)
