"""Calls that fail leave nothing behind: what an error's traceback leads to is collected as garbage."""

from __future__ import annotations

import gc

import pytest

from regionkit import AsyncRegionKit, RegionUnavailable, RoutingError
from regionkit.embedded import AsyncMemoryRegions
from regionkit.routing.blocks_async import AsyncBlock
from regionkit.testing import VirtualClock


async def test_failed_blocks_are_collected() -> None:
    """Their endpoint is lost on the way, or refused."""
    clock = VirtualClock()
    others = {id(one) for one in gc.get_objects() if issubclass(type(one), AsyncBlock)}  # of other tests
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"], lag=0.0, clock=clock) as regions:
        async with AsyncRegionKit(regions.topology, local="us", clock=clock) as kit:
            await kit.create_tables()
            await regions.kill("us")
            await regions.kill("kr")
            for _ in range(50):
                s = kit.session()
                with pytest.raises((RegionUnavailable, RoutingError)):
                    async with s.write("orders"):
                        pass
            del s
            gc.collect()
            left = [one for one in gc.get_objects() if issubclass(type(one), AsyncBlock) and id(one) not in others]
            assert len(left) <= 2
