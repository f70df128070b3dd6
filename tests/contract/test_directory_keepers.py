"""A directory is kept in SQL, MongoDB or Cassandra, whatever kind of store the keys themselves are in."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fix_store_rigs import StoreRig

from regionkit import (
    ConfigurationError,
    Directory,
    Endpoint,
    MemoryStore,
    RegionKit,
    Role,
    Topology,
    UnknownHome,
    UsageError,
    WritePartitioning,
)
from regionkit.embedded import MemoryRegions


@pytest.fixture(params=["postgresql", "mongo", "cassandra"])
def keeper(request: pytest.FixtureRequest) -> StoreRig:
    """A store that can keep a directory."""
    found: StoreRig = request.getfixturevalue(f"{request.param}_store_rig")
    return found


@pytest.fixture
def topology(keeper: StoreRig) -> Iterator[Topology]:
    """Carts in memory, two homes; their directory in the keeper."""
    whole = keeper.topology()
    homes = [region.name for region in whole.regions][-2:]
    with (
        MemoryRegions(store="first", primary=homes[0]) as first,
        MemoryRegions(store="second", primary=homes[1]) as second,
    ):
        endpoints = [
            Endpoint(home, Role.PRIMARY, w.topology.stores[0].endpoints[0].url)
            for home, w in zip(homes, (first, second))
        ]
        carts = MemoryStore("carts", strategy=WritePartitioning(Directory("orders", max_age=0.05)), endpoints=endpoints)
        yield Topology(namespace=whole.namespace, regions=whole.regions, stores=[carts, *whole.stores])


def test_a_key_is_placed_found_and_kept(keeper: StoreRig, topology: Topology) -> None:
    """By compare-and-set on absence, in another process too, and after its age."""
    homes = [e.region for e in topology.store("carts").endpoints]
    with RegionKit(topology, local=homes[0]) as kit, RegionKit(topology, local=homes[1]) as other:
        kit.create_tables()
        with kit.session(key="c9") as s:
            with pytest.raises(UnknownHome, match="has no home yet"), s.write("carts"):
                pass
            assert kit.place("carts", key="c9", home=homes[1]).version == 1
            with pytest.raises(UsageError, match="already"):
                other.place("carts", key="c9", home=homes[0])
            with s.write("carts") as carts:
                carts["c9"] = "tea"
        time.sleep(0.1)
        with other.session(key="c9") as s, s.read("carts") as carts:
            assert carts["c9"] == "tea"
        assert s.last_route is not None
        assert s.last_route.region == homes[1]


def test_a_store_that_may_lose_a_row_keeps_no_directory(redis_store_rig: StoreRig) -> None:
    """Redis acknowledges before it has copied."""
    whole = redis_store_rig.topology()
    carts = MemoryStore(
        "carts",
        strategy=WritePartitioning(Directory("orders")),
        endpoints=[Endpoint(whole.regions[0].name, Role.PRIMARY, "memory://carts")],
    )
    with pytest.raises(ConfigurationError, match="may lose an acknowledged row"):
        Topology(namespace=whole.namespace, regions=whole.regions, stores=[carts, *whole.stores])
