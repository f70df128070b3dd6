"""Closing a kit closes every connection, without a word in the log, whatever became of them."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest
from fix_rigs import NAMESPACE
from sqlalchemy import text

from regionkit import EVENTUAL, AsyncRegionKit, Endpoint, Region, RegionKitError, Role, SqlStore, Topology
from regionkit.core.concurrency_async import asleep
from regionkit.facts.request import Kind
from regionkit.testing import FaultProxy


def kit_of(proxy: FaultProxy) -> AsyncRegionKit:
    """A kit that reaches its only endpoint through the proxy."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, proxy.url)])
    topology = Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])
    return AsyncRegionKit(topology, local="us-east-1")


async def gone(proxy: FaultProxy) -> None:
    """Wait until no connection is open."""
    for _ in range(1000):
        if not proxy.connections:
            return
        await asleep(0.01)
    pytest.fail(f"{proxy.connections} connections are still open")


async def work(kit: AsyncRegionKit) -> None:
    """A write and a read: each leaves a connection behind for the next."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.execute(text("UPDATE orders SET item = 'tea' WHERE id = 1"))
        async with s.read("orders", consistency=EVENTUAL) as db:
            await db.execute(text("SELECT 1"))


async def test_connections_that_were_reset_are_closed_in_silence(
    proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The other side is gone: closing raises nothing, logs nothing, and leaves nothing to a finalizer."""
    kit = kit_of(proxy)
    await kit.create_tables()
    await work(kit)
    proxy.cut()
    await kit.close()
    del kit
    gc.collect()  # an error in a finalizer fails the test
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_connections_are_closed_with_the_kit(proxy: FaultProxy) -> None:
    """None is left at the server."""
    kit = kit_of(proxy)
    await kit.create_tables()
    await work(kit)
    await kit.close()
    await gone(proxy)


@pytest.mark.parametrize("core", [False, True])
async def test_a_block_that_ends_after_the_close_leaves_no_connection(proxy: FaultProxy, core: bool) -> None:
    """It had one in use while the pools were closed."""
    kit = kit_of(proxy)
    await kit.create_tables()
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL, core=core) as db:
        await db.execute(text("SELECT 1"))
        await kit.close()
    await gone(proxy)


class _ClosedJustThen(list[Any]):
    """A list of kept connections that was emptied the moment before one is put into it."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def append(self, connection: Any) -> None:
        """The pool is closed and empty; then this one comes."""
        assert not self
        self.endpoint.closed = True
        super().append(connection)


async def test_a_connection_kept_during_the_close_is_closed(proxy: FaultProxy) -> None:
    """Between the look at the pool and its return the pool is closed: what came too late is not left in it."""
    kit = kit_of(proxy)
    await kit.create_tables()
    endpoint: Any = kit._store("orders").backends[0]
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        await db.execute(text("SELECT 1"))
        endpoint.kept = _ClosedJustThen(endpoint)
    assert endpoint.kept == []
    endpoint.kept = []
    await kit.close()
    await gone(proxy)


async def test_a_connection_is_ready_before_a_read_needs_it(proxy: FaultProxy) -> None:
    """Made once; not while all permits are out; anew when it is too old, or when another connection was lost."""
    async with kit_of(proxy) as kit:
        await kit.create_tables()
        await kit._monitor.stop()
        backend: Any = kit._store("orders").shards[0].backend(0)
        await backend.keep_warm(10.0)
        [ready] = backend.kept
        before = proxy.connections
        await backend.keep_warm(10.0)
        assert backend.kept == [ready]
        assert proxy.connections == before
        async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            await db.execute(text("SELECT 1"))
            assert proxy.connections == before, "the read made one of its own"
        [ready] = backend.kept
        ready.connection.info["recycle_at"] = 0.0
        await backend.keep_warm(10.0)
        [younger] = backend.kept
        assert younger is not ready
        backend._lost_at = backend.clock.monotonic()
        await backend.keep_warm(10.0)
        [newer] = backend.kept
        assert newer is not younger
        while backend.slots[Kind.READ].try_acquire():
            pass
        left = backend.kept.copy()
        backend.kept.clear()
        await backend.keep_warm(10.0)
        assert backend.kept == []
        backend.kept.extend(left)  # it is closed with the kit


async def test_idle_connections_are_not_trusted_when_another_one_was_lost(proxy: FaultProxy) -> None:
    """A cut takes them all, and not every driver notices; the next read makes a new one, and is served."""
    async with kit_of(proxy) as kit:
        await kit.create_tables()
        await work(kit)
        await kit._monitor.stop()
        backend: Any = kit._store("orders").shards[0].backend(0)
        [idle] = backend.kept
        with pytest.raises(RegionKitError):
            async with kit.session() as s, s.write("orders") as db:
                await db.execute(text("SELECT 1"))
                proxy.cut()
                await db.execute(text("SELECT 1"))
        assert not backend._is_fit(idle.connection)
