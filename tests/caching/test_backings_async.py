"""A cache over a store that cannot do what it needs says so when it is made, not at its first get, put or invalidation."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import AsyncRegionKit, CassandraStore, ConfigurationError, Region, Topology
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


async def test_a_store_without_positions_is_refused_at_once() -> None:
    """Nobody is asked for that."""
    store = CassandraStore("carts", url="cassandra://127.0.0.1:1/shop", datacenters={"us": "us"})
    async with AsyncRegionKit(Topology("shop", regions=[Region("us")], stores=[store]), local="us") as kit:
        with pytest.raises(ConfigurationError, match="cannot load from 'carts'"):
            kit.cache("c", int, store="carts", strategy=Lazy(load=nothing, ttl=60))
