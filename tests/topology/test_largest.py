"""The largest topology that is accepted opens in time that grows with its size, not with its square."""

from __future__ import annotations

import pytest

from regionkit import Endpoint, Hashed, MemoryStore, Region, RegionKit, Role, Topology, WritePartitioning
from regionkit.topology.residency import Residency

COUNT = 300


def test_a_shard_in_each_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each region is judged once a store, and shards are found once."""
    regions = [f"r{number}" for number in range(COUNT)]
    store = MemoryStore(
        "o",
        strategy=WritePartitioning(Hashed(regions)),
        residency=Residency(deny=["elsewhere"]),
        endpoints=[Endpoint(region, Role.PRIMARY, f"memory://largest-{region}") for region in regions],
    )
    topology = Topology(
        namespace="shop", regions=[Region(region) for region in (*regions, "elsewhere")], stores=[store]
    )
    found, judged = [0], [0]
    shards, allows = WritePartitioning.shards, Residency.allows

    def counted_shards(self: WritePartitioning, endpoints: tuple[Endpoint, ...]) -> object:
        found[0] += 1
        return shards(self, endpoints)

    def counted_allows(self: Residency, region: Region) -> bool:
        judged[0] += 1
        return allows(self, region)

    monkeypatch.setattr(WritePartitioning, "shards", counted_shards)
    monkeypatch.setattr(Residency, "allows", counted_allows)
    with RegionKit(topology, local="r0"):
        assert found[0] <= 3 and judged[0] <= 4 * COUNT
