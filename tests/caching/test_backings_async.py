"""A cache that needs rows of intents says so when it is made, not at its first put or invalidation."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import AsyncRegionKit, ConfigurationError
from regionkit.caching import Lazy, WriteThrough
from regionkit.embedded import AsyncMemoryRegions


def nothing(*arguments: Any) -> None:
    """A loader, and a store function."""


@pytest.mark.parametrize("strategy", [Lazy(load=nothing, ttl=60), WriteThrough(load=nothing, store=nothing, ttl=60)])
async def test_a_store_without_tables_is_refused_at_once(strategy: Any) -> None:
    """Here one with transactions, in two regions."""
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
        async with AsyncRegionKit(regions.topology, local="us") as kit:
            with pytest.raises(ConfigurationError, match="rows of intents in 'orders'"):
                kit.cache("c", int, store="orders", strategy=strategy)
