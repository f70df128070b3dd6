"""Waits that several suites need: until all is proved, until a copy shows a value."""

from __future__ import annotations

import time
from typing import Any

from regionkit import EVENTUAL, AsyncRegionKit
from regionkit.core.concurrency_async import asleep

PATIENCE = 20.0
"""Seconds: copies catch up in a tenth of one where the machine is not busy."""


async def seen(kit: AsyncRegionKit) -> AsyncRegionKit:
    """The kit once its tables are made and every endpoint is proved. It asks them: nothing waits for the monitor."""
    await kit.create_tables()
    end = time.monotonic() + PATIENCE
    shards = [shard for store in kit._all.by_name.values() for shard in store.shards]
    while not all(e.state == "up" and (e.lag is not None or e.role == "any") for e in kit.status().endpoints):
        assert time.monotonic() < end, f"copies do not catch up:\n{kit.status()}"
        for shard in shards:
            for index in range(len(shard.backends)):
                await shard.probe(index)
        await asleep(0.01)
    return kit


async def arrived(kit: AsyncRegionKit, rig: Any, value: str) -> None:
    """Wait until the local copy of "orders" shows a value."""
    end = time.monotonic() + PATIENCE
    async with kit.session() as s:
        while True:
            async with s.read("orders", consistency=EVENTUAL) as db:
                if await rig.AsyncActions.get(db, "a") == value:
                    return
            assert time.monotonic() < end, "the write never arrived"
            await asleep(0.01)
