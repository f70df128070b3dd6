"""Rows of intents that nobody needs any more are taken away by who tails, and the others stay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from regionkit import AsyncRegionKit
from regionkit.caching import Lazy
from regionkit.caching.intents_sql_async import AsyncIntents
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.embedded import AsyncSqliteRegions

pytestmark = pytest.mark.slow

PATIENCE = 20.0


OLD, NEW = 100_000.0, 0.0
"""Seconds ago."""


@pytest.mark.parametrize("last", [NEW, OLD])
async def test_old_rows_go_and_the_newest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: float) -> None:
    """More than go at once, so that it has to begin again. The newest stays, however old, so that no number comes twice."""
    monkeypatch.setitem(AsyncIntents.sweep.__globals__, "SWEPT", 5)
    made_at = [time.time() - ago for ago in [OLD] * 7 + [last]]
    async with AsyncSqliteRegions(tmp_path, store="orders", primary="us", replicas=["jp"]) as regions:
        async with AsyncRegionKit(regions.topology, local="us") as kit:
            cache = kit.cache("c", int, store="orders", strategy=Lazy(load=lambda key, store: 1, ttl=60))
            await kit.create_tables()
            intents = AsyncIntents(kit.backing("orders"), "c", SYSTEM_CLOCK)
            async with kit.session() as s, s.write("orders", core=True) as db:
                for number, made in enumerate(made_at):
                    await db.execute(intents.statement(b"%016d" % number, "x", ()).values(made=made))
            await cache.get(1)
            end = time.monotonic() + PATIENCE
            while True:
                async with kit.session() as s, s.read("orders", core=True) as db:
                    left = (await db.execute(text("SELECT id FROM regionkit_rk_cache_intent"))).scalars().all()
                if left == [f"{7:016d}"]:
                    break
                assert time.monotonic() < end, left
                await asleep(0.05)
