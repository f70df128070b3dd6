# Generated from test_garbage_async.py by scripts/twins.py. Do not edit.
"""Calls that fail leave nothing behind: what an error's traceback leads to is collected as garbage."""

from __future__ import annotations

import gc

import pytest

from regionkit import RegionKit, RegionUnavailable, RoutingError
from regionkit.embedded import MemoryRegions
from regionkit.routing.blocks import Block
from regionkit.testing import VirtualClock


def test_failed_blocks_are_collected() -> None:
    """Their endpoint is lost on the way, or refused."""
    clock = VirtualClock()
    others = {id(one) for one in gc.get_objects() if issubclass(type(one), Block)}  # of other tests
    with MemoryRegions(store="orders", primary="us", replicas=["kr"], lag=0.0, clock=clock) as regions:
        with RegionKit(regions.topology, local="us", clock=clock) as kit:
            kit.create_tables()
            regions.kill("us")
            regions.kill("kr")
            for _ in range(50):
                s = kit.session()
                with pytest.raises((RegionUnavailable, RoutingError)):
                    with s.write("orders"):
                        pass
            del s
            gc.collect()
            left = [one for one in gc.get_objects() if issubclass(type(one), Block) and id(one) not in others]
            assert len(left) <= 2
