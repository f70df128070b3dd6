"""Waits that several suites need: until all is proved, until a copy shows a value."""

from __future__ import annotations

import time
from typing import Any

from regionkit import EVENTUAL, AsyncRegionKit
from regionkit.core.concurrency_async import asleep

PATIENCE = 20.0
"""Seconds: copies catch up in a tenth of one where the machine is not busy."""


def told(shards: list[Any]) -> str:
    """What each endpoint last said: a copy without a lag is of another origin than its history, or behind every sample."""
    return "\n".join(f"{e.id} {e.observation}" for shard in shards for e in shard.state.snapshot.endpoints)


async def seen(kit: AsyncRegionKit) -> AsyncRegionKit:
    """The kit once its tables are made and every endpoint is proved. It asks them: nothing waits for the monitor."""
    await kit.create_tables()
    end = time.monotonic() + PATIENCE
    shards = [shard for store in kit._all.by_name.values() for shard in store.shards]
    while not all(e.state == "up" and (e.lag is not None or e.role == "any") for e in kit.status().endpoints):
        assert time.monotonic() < end, f"copies do not catch up:\n{kit.status()}\n{told(shards)}"
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
