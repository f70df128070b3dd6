"""A mapping cannot wait: a block takes its connection when it opens, also where the kit has to ask anew who owns the store."""

from __future__ import annotations

from regionkit import AsyncRegionKit
from regionkit.embedded import AsyncMemoryRegions
from regionkit.testing import VirtualClock


async def test_a_block_finds_the_new_owner_by_itself() -> None:
    """After a promotion that the kit has not heard of."""
    clock = VirtualClock()
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"], clock=clock) as regions:
        async with AsyncRegionKit(regions.topology, local="us", clock=clock) as kit:
            await kit.create_tables()
            await regions.tell(kit)
            await regions.promote("kr")
            async with kit.session() as s:
                async with s.write("orders") as db:
                    db["a"] = 2
                assert s.last_route is not None
                assert s.last_route.region == "kr"
    assert regions.contents("kr") == {"a": 2}
