"""A block that is entered in one thread or task, used in another and left in a third: one at a time, or it is refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fix_rigs import Rig
from fix_store_rigs import StoreRig
from sqlalchemy import text

from regionkit import AsyncRegionKit, RegionKit, RegionKitError, UsageError
from regionkit.embedded import MemoryRegions
from regionkit.testing import VirtualClock, crash_points

HERE = "ap-northeast-2"
SLEEP = {"postgresql": "SELECT pg_sleep(0.6)", "mariadb": "SELECT SLEEP(0.6)"}
SPINS = "local n = 0 for i = 1, 20000000 do n = n + i end return n"


def elsewhere(call: Callable[[], Any]) -> Any:
    """What a call gives in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "redis", "mongo", "cassandra"])
def test_threads_one_after_the_other_may_have_it(request: pytest.FixtureRequest, server: str) -> None:
    """As frameworks run a generator: its beginning, its user and its end in whatever thread is free. It takes effect."""
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    do = rig.Actions
    with RegionKit(rig.topology(), local=HERE) as kit:
        kit.create_tables()

        def dependency() -> Iterator[Any]:
            with kit.session() as s, s.write("orders") as db:
                yield db

        made = dependency()
        db = elsewhere(lambda: next(made))
        elsewhere(lambda: do.put(db, "handed", "over"))
        with pytest.raises(StopIteration):
            elsewhere(lambda: next(made))
        assert rig.value("handed") == "over"


def test_a_block_left_while_another_thread_runs_a_statement_is_rolled_back(rig: Rig) -> None:
    """Its end is waited for, nothing is committed in the midst of its work, and who leaves hears it."""
    if rig.server not in SLEEP:
        pytest.skip("its statements do not wait")
    with RegionKit(rig.topology(), local=HERE) as kit, kit.session() as s:
        kit.create_tables()
        block = s.write("orders", core=True)
        db = block.__enter__()
        db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(lambda: db.execute(text(SLEEP[rig.server])))
            wait_until(lambda: block.handle.speaker is not None)
            with pytest.raises(UsageError, match="two places"):
                db.execute(text("SELECT 1"))
            with pytest.raises(UsageError, match="left while") as told:
                block.__exit__(None, None, None)
            assert slow.exception() is None
        assert told.value.committed == "no"
        with s.write("orders", core=True) as db:
            assert db.execute(text("SELECT count(*) FROM orders")).scalar() == 0


def test_on_redis_what_was_acknowledged_stands(redis_store_rig: StoreRig) -> None:
    """There is nothing to roll back, and the error does not say that there was."""
    with RegionKit(redis_store_rig.topology(), local=HERE) as kit, kit.session() as s:
        kit.create_tables()
        block = s.write("orders")
        client = block.__enter__()
        client.set("kept", "1")
        worker = threading.Thread(target=lambda: client.eval(SPINS, 0))
        worker.start()
        wait_until(lambda: block.handle.speaker is not None)
        with pytest.raises(UsageError, match="left while") as told:
            block.__exit__(None, None, None)
        worker.join()
        assert told.value.committed == "unknown"
        with s.read("orders") as client:
            assert client.get("kept") == b"1"


async def test_tasks_one_after_the_other_may_have_it_and_not_at_once(rig: Rig) -> None:
    """The same of tasks of one loop."""
    async with AsyncRegionKit(rig.topology(), local=HERE) as kit:
        await kit.create_tables()
        s = kit.session()
        block = s.write("orders", core=True)
        db = await asyncio.create_task(block.__aenter__())
        await asyncio.create_task(db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')")))
        await asyncio.create_task(block.__aexit__(None, None, None))
        async with s.write("orders", core=True) as db:
            assert (await db.execute(text("SELECT count(*) FROM orders"))).scalar() == 1
        if rig.server not in SLEEP:
            return
        block = s.write("orders", core=True)
        db = await block.__aenter__()
        await db.execute(text("INSERT INTO orders (id, item) VALUES (2, 'rice')"))
        slow = asyncio.create_task(db.execute(text(SLEEP[rig.server])))
        while block.handle.speaker is None:
            await asyncio.sleep(0.01)
        with pytest.raises(UsageError, match="left while") as told:
            await block.__aexit__(None, None, None)
        assert told.value.committed == "no"
        with contextlib.suppress(RegionKitError):
            await slow
        async with s.write("orders", core=True) as db:
            assert (await db.execute(text("SELECT count(*) FROM orders"))).scalar() == 1


async def test_another_loop_may_not_leave_it(rig: Rig) -> None:
    """It is rolled back in its own loop, and the other one hears so."""
    async with AsyncRegionKit(rig.topology(), local=HERE) as kit:
        await kit.create_tables()
        s = kit.session()
        block = s.write("orders", core=True)
        db = await block.__aenter__()
        await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))

        def leave() -> None:
            asyncio.run(block.__aexit__(None, None, None))

        with pytest.raises(UsageError, match="another event loop") as told:
            await asyncio.to_thread(leave)
        assert told.value.committed == "no"
        async with s.write("orders", core=True) as db:
            assert (await db.execute(text("SELECT count(*) FROM orders"))).scalar() == 0


def wait_until(true: Callable[[], bool]) -> None:
    """Something else is about to happen."""
    until = time.monotonic() + 20.0
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize("point", ["write.before_commit", "write.commit_sent"])
def test_in_memory_what_another_thread_sets_as_the_block_ends_is_refused(point: str) -> None:
    """It would be in neither the owner's data nor an error, but in the copies, which apply the same changes later."""
    clock = VirtualClock()
    with (
        MemoryRegions(store="orders", primary="us", replicas=["kr"], lag=1.0, clock=clock) as regions,
        RegionKit(regions.topology, local="us", clock=clock) as kit,
        kit.session() as s,
    ):
        kit.create_tables()
        refused = []

        def late() -> None:
            try:
                db["late"] = 1
            except UsageError as error:
                refused.append(error)

        with crash_points({point: lambda: elsewhere(late)}), s.write("orders") as db:
            db["early"] = 1
        clock.advance(2.0)
        assert len(refused) == 1
        assert regions.contents("us") == regions.contents("kr") == {"early": 1}
