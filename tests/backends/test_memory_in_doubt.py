"""A mapping can not wait in asyncio: what a block does where the kit has to ask anew who owns the store."""

from __future__ import annotations

import pytest

from regionkit import AsyncRegionKit, RegionUnavailable
from regionkit.core.concurrency_async import asleep
from regionkit.embedded import AsyncMemoryRegions
from regionkit.testing import VirtualClock


async def test_a_plain_block_says_run_it_again_and_then_it_works() -> None:
    """Nothing was done by the first one; the regions are asked as soon as others may run."""
    clock = VirtualClock()
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"], clock=clock) as regions:
        async with AsyncRegionKit(regions.topology, local="us", clock=clock) as kit:
            await kit.create_tables()
            await regions.tell(kit)
            await regions.promote("kr")
            async with kit.session() as s:
                with pytest.raises(RegionUnavailable, match="run the block again") as caught:
                    async with s.write("orders") as db:
                        db["a"] = 1
                assert (caught.value.committed, caught.value.retryable) == ("no", True)
                await asleep(0.0)
                async with s.write("orders") as db:
                    db["a"] = 2
                assert s.last_route is not None
                assert s.last_route.region == "kr"
    assert regions.contents("kr") == {"a": 2}
