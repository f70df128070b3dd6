"""A preference decides where calls really go: of the store or of the call, with the attributes of the session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    ByGeography,
    ByProfile,
    ConfigurationError,
    Hashed,
    MemoryStore,
    Nearest,
    Region,
    Residency,
    Topology,
    Weighted,
    WritePartitioning,
)
from regionkit.embedded import MemoryRegions
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.topology import Preference

REGIONS = US, KR, EU = ("us-east-1", "ap-northeast-2", "eu-west-1")
READS = 8
CASES = [
    pytest.param(Weighted({US: 3, EU: 1}), {}, {US: 6, EU: 2}, id="weighted"),
    pytest.param(ByGeography({"EU": [EU, US]}), {"geography": "EU"}, {EU: READS}, id="by-geography"),
    pytest.param(ByGeography({"EU": [EU, US]}), {"geography": "KR"}, {KR: READS}, id="another geography"),
    pytest.param(ByProfile("nationality", {"US": US}), {"nationality": "US"}, {US: READS}, id="by-profile"),
    pytest.param(ByProfile("nationality", {"US": US}), {}, {KR: READS}, id="no attribute"),
    pytest.param(Nearest(), {"nationality": "US", "geography": "EU"}, {KR: READS}, id="nearest"),
]


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    """An owner in us-east-1, two copies."""
    with MemoryRegions(store="orders", primary=US, replicas=[KR, EU]) as regions:
        yield regions


def topology(regions: MemoryRegions, **options: Any) -> Topology:
    endpoints = regions.topology.store("orders").endpoints
    return Topology(
        regions=[Region(name) for name in REGIONS], stores=[MemoryStore("orders", endpoints=endpoints, **options)]
    )


async def look(db: Any) -> Any:
    """What a read does; nothing is there."""
    return db.get("a")


async def reads(kit: AsyncRegionKit, attributes: dict[str, str], **options: Any) -> dict[str, int]:
    """Where the reads of new sessions went: blocks and functions by turns."""
    went: Counter[str] = Counter()
    for number in range(READS):
        async with kit.session(attributes=attributes) as s:
            if number % 2:
                await s.execute_read("orders", look, consistency=EVENTUAL, **options)
            else:
                async with s.read("orders", consistency=EVENTUAL, **options) as db:
                    await look(db)
            assert s.last_route is not None
            went[s.last_route.region] += 1
    return dict(went)


@pytest.mark.parametrize(("prefer", "attributes", "expected"), CASES)
async def test_the_preference_of_a_store(
    regions: MemoryRegions, prefer: Preference, attributes: dict[str, str], expected: dict[str, int]
) -> None:
    """Serves every call that names none, and `explain` says so."""
    async with AsyncRegionKit(topology(regions, prefer=prefer), local=KR) as kit:
        await kit.create_tables()
        async with kit.session(attributes=attributes) as s:
            explained = await s.explain("orders", consistency=EVENTUAL)
            assert explained.to_dict()["endpoint"] in expected
        assert await reads(kit, attributes) == expected


@pytest.mark.parametrize(("prefer", "attributes", "expected"), CASES)
async def test_the_preference_of_a_call(
    regions: MemoryRegions, prefer: Preference, attributes: dict[str, str], expected: dict[str, int]
) -> None:
    """Serves that call only, and comes before the store's."""
    of_store = ByProfile("plan", {"gold": US})
    async with AsyncRegionKit(topology(regions, prefer=of_store), local=KR) as kit:
        await kit.create_tables()
        gold = attributes | {"plan": "gold"}
        assert await reads(kit, gold, prefer=prefer) == expected
        assert await reads(kit, gold) == {US: READS}


async def test_sessions_of_one_kit_differ(regions: MemoryRegions) -> None:
    """The attributes are the session's: what one user gets is not remembered for another."""
    prefer = ByProfile("nationality", {"US": US, "DE": EU})
    async with AsyncRegionKit(topology(regions), local=KR) as kit:
        await kit.create_tables()
        for _ in range(2):
            for nationality, region in (("US", US), ("DE", EU), ("KR", KR)):
                assert await reads(kit, {"nationality": nationality}, prefer=prefer) == {region: READS}


async def test_calls_of_one_kit_differ(regions: MemoryRegions) -> None:
    """What one preference decided is not remembered for another."""
    async with AsyncRegionKit(topology(regions), local=KR) as kit:
        await kit.create_tables()
        for _ in range(2):
            for prefer, region in ((Weighted({US: 1}), US), (Weighted({EU: 1}), EU), (Nearest(), KR)):
                assert await reads(kit, {}, prefer=prefer) == {region: READS}


UNKNOWN = [
    Weighted({"eu-west-11": 1}),
    ByGeography({"EU": [US, "eu-west-11"]}),
    ByProfile("nationality", {"US": "eu-west-11"}),
]
REFUSED = r"names region 'eu-west-11', which the topology does not have.*did you mean 'eu-west-1'"


@pytest.mark.parametrize("prefer", UNKNOWN, ids=lambda prefer: prefer.name)
async def test_an_unknown_region_in_a_call_is_refused(regions: MemoryRegions, prefer: Preference) -> None:
    """Each time, in a block and in a function, with a near match; whichever region the attributes lead to."""
    async with AsyncRegionKit(topology(regions), local=KR) as kit:
        await kit.create_tables()
        async with kit.session() as s:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match=REFUSED):
                    s.read("orders", prefer=prefer)
                with pytest.raises(ConfigurationError, match=REFUSED):
                    await s.execute_read("orders", look, prefer=prefer)
            async with s.read("orders") as db:
                await look(db)


@pytest.mark.parametrize("prefer", UNKNOWN, ids=lambda prefer: prefer.name)
async def test_an_unknown_region_in_a_store_is_refused(regions: MemoryRegions, prefer: Preference) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigurationError, match=REFUSED):
        topology(regions, prefer=prefer)


async def test_an_unknown_region_is_refused_in_a_partitioned_store(regions: MemoryRegions) -> None:
    """There, too."""
    endpoints = [e for e in regions.topology.store("orders").endpoints if e.region == US]
    store = MemoryStore("orders", strategy=WritePartitioning(Hashed([US])), endpoints=endpoints)
    whole = Topology(regions=[Region(name) for name in REGIONS], stores=[store])
    async with AsyncRegionKit(whole, local=KR) as kit, kit.session(key="c9") as s:
        with pytest.raises(ConfigurationError, match=REFUSED):
            s.read("orders", prefer=Weighted({"eu-west-11": 1}))


async def test_a_region_where_the_store_may_not_be_is_no_mistake(regions: MemoryRegions) -> None:
    """One preference serves stores of different residency; what it names of others orders nothing."""
    us = [e for e in regions.topology.store("orders").endpoints if e.region == US]
    store = MemoryStore("orders", endpoints=us, residency=Residency(allow=[US]))
    whole = Topology(regions=[Region(name) for name in REGIONS], stores=[store])
    async with AsyncRegionKit(whole, local=KR) as kit:
        await kit.create_tables()
        assert await reads(kit, {}, prefer=Weighted({EU: 1})) == {US: READS}
        async with kit.session() as s:
            with pytest.raises(ConfigurationError, match=REFUSED):
                s.read("orders", prefer=UNKNOWN[0])


async def test_the_check_is_made_once(regions: MemoryRegions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose request class is known pays nothing for it."""
    checks = []
    module = AsyncRoutedStore.class_of.__globals__
    real = module["check_regions"]
    monkeypatch.setitem(module, "check_regions", lambda *given: (checks.append(given), real(*given)))
    async with AsyncRegionKit(topology(regions), local=KR) as kit:
        await kit.create_tables()
        await reads(kit, {}, prefer=Weighted({US: 1}))
    assert len(checks) == 1
