"""`kit.replace` while the kit is in use: several at once, a region forbidden under open blocks, a call that is cancelled."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_store_rigs import StoreRig
from waiting_async import PATIENCE, seen

from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    AsyncRegionSession,
    Endpoint,
    Region,
    RegionUnavailable,
    Residency,
    Role,
    Topology,
    UsageError,
)
from regionkit.core.concurrency_async import agather, asleep
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


async def none_left(there: Behind | FaultProxy) -> None:
    """Wait until no connection is open. A socket is closed when its loop comes to it."""
    end = time.monotonic() + PATIENCE
    while there.connections:
        assert time.monotonic() < end, f"{there.connections} connections stay"
        await asleep(0.01)


@contextlib.contextmanager
def nobody_at(proxy: FaultProxy) -> Iterator[None]:
    """What stands at the proxy's port instead sees no connection, up to the end of the block."""
    proxy.close()
    with socket.create_server(("127.0.0.1", proxy.port)) as listening:
        yield
        listening.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_several_at_once_leave_nothing_behind(behind: Behind) -> None:
    """One topology stays; its monitor and connections end with the kit, and all others did before."""
    kit = AsyncRegionKit(behind.topology(1), local=HERE)
    await kit.create_tables()

    async def swap(number: int) -> None:
        for step in range(4):
            await kit.replace(behind.topology(2 + (number + step) % 5))
            with contextlib.suppress(RegionUnavailable):  # another call replaced it after the block was opened
                async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                    await behind.rig.AsyncActions.get(db, "a")

    assert await agather([lambda number=number: swap(number) for number in range(3)]) == [None] * 3  # type: ignore[misc]
    assert kit._gone == []
    await kit.close()
    await none_left(behind)


async def test_a_forbidden_region_sees_no_connection(behind: Behind) -> None:
    """Neither of a block that was open already, which reads elsewhere, nor of a monitor; what is allowed still goes on."""
    do = behind.rig.AsyncActions
    async with AsyncRegionKit(behind.topology(), local=HERE) as kit:
        await seen(kit)
        s, other = kit.session(), kit.session()
        with contextlib.ExitStack() as after:
            async with s.read("orders", consistency=EVENTUAL) as db, other.write("orders") as owner:
                await kit.replace(behind.topology(residency=ONLY_THERE))
                await none_left(behind.proxies[1])
                after.enter_context(nobody_at(behind.proxies[1]))
                await do.put(owner, "a", "tea")
                assert await do.get(db, "a") in (None, "tea")  # whether that write stands yet is the backend's
            assert went(s) == OWNER
            async with other.read("orders") as db:
                assert await do.get(db, "a") == "tea"
            await s.bookmark()
        assert went(other) == OWNER


async def test_an_open_block_of_an_owner_that_moved(behind: Behind) -> None:
    """It has nowhere to go, and says that nothing was done; the old address sees no connection."""
    async with AsyncRegionKit(behind.topology(), local=HERE) as kit:
        await seen(kit)
        with contextlib.ExitStack() as after, pytest.raises(RegionUnavailable, match="closed") as caught:
            async with kit.session() as s, s.write("orders") as db:
                await kit.replace(behind.moved())
                await none_left(behind.proxies[0])
                after.enter_context(nobody_at(behind.proxies[0]))
                await behind.rig.AsyncActions.put(db, "a", "tea")
        assert caught.value.retryable
        assert caught.value.committed == "no"
        assert behind.rig.value("a") is None


async def test_a_unit_of_work_follows_the_topology(behind: Behind) -> None:
    """The run that found its store closed is followed by another one, at the address of now."""
    do, runs = behind.rig.AsyncActions, []
    async with AsyncRegionKit(behind.topology(), local=HERE) as kit:
        await seen(kit)

        async def work(db: Any) -> None:
            runs.append(1)
            if len(runs) == 1:
                await kit.replace(behind.moved())
            await do.put(db, "a", "tea")

        async with kit.session() as s:
            await s.execute_write("orders", work)
        assert len(runs) == 2
        assert behind.rig.value("a") == "tea"


async def test_a_block_of_any_backend_keeps_out_of_a_forbidden_region(store_rig: StoreRig) -> None:
    """Also where blocks share connections. One that takes its connection when it opens has had it before: it ends on it."""
    do = store_rig.AsyncActions
    async with AsyncRegionKit(store_rig.topology(), local=HERE) as kit:
        await seen(kit)
        async with kit.session() as s:
            with contextlib.suppress(RegionUnavailable):
                async with s.read("orders", consistency=EVENTUAL) as db:
                    await kit.replace(without_here(store_rig))
                    await do.get(db, "a")
                assert went(s) != HERE or store_rig.server == "memory"
            async with s.read("orders", consistency=EVENTUAL) as db:
                await do.get(db, "a")
            assert went(s) != HERE


def went(s: AsyncRegionSession) -> str:
    """Where the session's newest block went."""
    assert s.last_route is not None
    return s.last_route.region


def without_here(rig: StoreRig) -> Topology:
    """The rig's topology, its data not allowed where the kit runs."""
    return rig.topology(residency=Residency(deny=[HERE]))


async def test_a_closed_kit_replaces_nothing(behind: Behind) -> None:
    """A call that comes as the kit closes is done before, or finds it closed: nothing runs after it."""
    kit = AsyncRegionKit(behind.topology(1), local=HERE)
    await kit.create_tables()

    async def swap() -> None:
        for size in range(2, 200):
            await kit.replace(behind.topology(size))

    async def end() -> None:
        await asleep(0.01)
        await kit.close()

    refused, closed = await agather([swap, end])
    assert closed is None
    assert isinstance(refused, UsageError)
    await none_left(behind)
