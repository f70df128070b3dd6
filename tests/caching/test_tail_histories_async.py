"""After a promotion that lost rows of intents their numbers are given out again, and the tail is not led astray by that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit import AsyncRegionKit, RegionKitError
from regionkit.caching import Lazy
from regionkit.core.concurrency_async import asleep
from regionkit.embedded import AsyncSqliteRegions

pytestmark = pytest.mark.slow

PATIENCE = 20.0
"""Seconds; it takes two or three where the machine is not busy."""
LOST = 30.0
"""Seconds of lag: what is written then never arrives."""


async def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < end
        await asleep(0.02)


async def load(key: int, store: Any) -> Any:
    async with store.read(core=True) as db:
        return (await db.execute(text("SELECT n FROM item"))).scalar()


async def written(kit: AsyncRegionKit, statement: str) -> None:
    async with kit.session() as s, s.write("orders", core=True) as db:
        await db.execute(text(statement))


async def test_what_was_cached_before_a_promotion_is_not_kept_for_good(tmp_path: Path) -> None:
    """Three rows are lost with their owner; the first one of the new owner has the number of the first that was lost."""
    strategy = Lazy(load=load, ttl=3600)
    async with AsyncSqliteRegions(tmp_path, store="orders", primary="us", replicas=["jp"]) as regions:
        async with (
            AsyncRegionKit(regions.topology, local="us") as us,
            AsyncRegionKit(regions.topology, local="jp") as jp,
        ):
            here = us.cache("items", int, store="orders", strategy=strategy)
            there = jp.cache("items", int, store="orders", strategy=strategy)
            await us.create_tables()
            await written(us, "CREATE TABLE item (n INTEGER)")
            await written(us, "INSERT INTO item VALUES (1)")

            async def arrived() -> bool:
                try:
                    return await there.get(1) == 1
                except RegionKitError:
                    return False

            await until(arrived)
            assert await here.get(1) == 1
            await asleep(1.0)  # the tail of us has begun
            regions.lag = LOST
            for _ in range(3):
                await written(us, "UPDATE item SET n = n + 1")
                await here.invalidate(1, session=False)
            await asleep(1.0)  # it has come to the last of the three, and tells nothing any more
            assert await here.get(1) == 4
            await regions.kill("us")
            await regions.promote("jp")
            regions.lag = 0.05

            async def told() -> bool:
                try:
                    await written(jp, "UPDATE item SET n = 100")
                except RegionKitError:
                    return False
                await there.invalidate(1, session=False)
                return True

            await until(told)

            async def seen() -> bool:
                try:
                    return await here.get(1) == 100
                except RegionKitError:  # the kit is about to find out that us is gone
                    return False

            await until(seen)
