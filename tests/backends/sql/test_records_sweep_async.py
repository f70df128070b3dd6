"""Records that have ended are taken away with the old markers; one that stands, stays."""

from __future__ import annotations

from typing import Any

from fix_rigs import Rig

from regionkit import AsyncRegionKit
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record

DAY = 86_400.0


async def test_those_that_ended_go(rig: Rig) -> None:
    """At most so many at once."""

    def soon() -> Deadline:
        return Deadline(SYSTEM_CLOCK, 20)

    async with AsyncRegionKit(rig.topology(), local="us-east-1") as kit:
        await kit.create_tables()
        store: Any = kit._store("orders")
        backend: Any = store.backend(0)
        for number in range(5):
            record = Record("lease", str(number), b"x", 1)
            assert await backend.records.put(soon(), record, expected=0, lasts=0.01 if number else None) == record
        await asleep(0.1)
        assert await backend.sweep(soon(), DAY, 3) == 3
        assert await backend.sweep(soon(), DAY, 3) == 1
        assert await backend.sweep(soon(), DAY, 3) == 0
        assert await backend.records.get(soon(), "lease", "0") is not None
