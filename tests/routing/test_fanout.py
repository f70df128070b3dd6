# Generated from test_fanout_async.py by scripts/twins.py. Do not edit.
"""A fan-out over shards of which one holds two partitions: what it merges, in which order it gives, how many it asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Literal

import pytest

from regionkit import Endpoint, Hashed, MemoryStore, Region, RegionKit, Role, Topology, WritePartitioning
from regionkit.core.concurrency import Flag, sleep
from regionkit.embedded import MemoryRegions

US, KR = "us-east-1", "ap-northeast-2"
SHARDS = {"p0+p1": US, "p2": US, "p3": US, "p4": KR, "p5": KR}
PARTITIONS = ["p0", "p1", "p2", "p3", "p4", "p5"]
HOME = Hashed(PARTITIONS)
KEYS = [f"c{number}" for number in range(60)]
FIRST = {partition: next(key for key in KEYS if HOME.of(key) == partition) for partition in PARTITIONS}
"""A key of each partition."""
LONGEST = 20.0
"""Seconds that a test waits for what has to happen."""


@pytest.fixture
def worlds() -> Iterator[dict[str, MemoryRegions]]:
    """A primary for each shard."""
    with ExitStack() as stack:
        yield {
            shard: stack.enter_context(MemoryRegions(store=f"s{number}", primary=region))
            for number, (shard, region) in enumerate(SHARDS.items())
        }


@pytest.fixture
def kit(worlds: dict[str, MemoryRegions]) -> Iterator[RegionKit]:
    """A kit that wrote each shard's name into it."""
    endpoints = [
        Endpoint(SHARDS[shard], Role.PRIMARY, world.topology.stores[0].endpoints[0].url, partitions=shard.split("+"))
        for shard, world in worlds.items()
    ]
    carts = MemoryStore("carts", strategy=WritePartitioning(HOME), endpoints=endpoints)
    topology = Topology(regions=[Region(US), Region(KR)], stores=[carts])
    with RegionKit(topology, local=US, profile={"write_deadline": LONGEST, "read_deadline": LONGEST}) as kit:
        kit.create_tables()
        for shard in SHARDS:
            with kit.session() as s, s.write("carts", key=FIRST[shard.partition("+")[0]]) as db:
                db["shard"] = shard
        yield kit


def name(db: Any) -> str:
    """Which shard was asked."""
    return str(db["shard"])


def test_every_key_is_at_the_endpoint_that_holds_its_partition(
    kit: RegionKit, worlds: dict[str, MemoryRegions]
) -> None:
    """Those of both partitions of the first at that one; none anywhere else."""
    with kit.session() as s:
        for key in KEYS:
            with s.write("carts", key=key) as db:
                db[key] = "tea"
    held = {shard: set(world.contents(SHARDS[shard])) & set(KEYS) for shard, world in worlds.items()}
    assert held == {shard: {key for key in KEYS if HOME.of(key) in shard.split("+")} for shard in SHARDS}
    assert {FIRST["p0"], FIRST["p1"]} <= held["p0+p1"]


def test_partitions_of_one_endpoint_are_one_shard(kit: RegionKit) -> None:
    """In bookmarks and in the report of hot keys: what one of them wrote or asked for counts for both."""
    with kit.session() as s:
        with s.write("carts", key=FIRST["p0"]) as db:
            db["a"] = "tea"
        with s.read("carts", key=FIRST["p1"]) as db:
            assert db["a"] == "tea"
        assert set((s._state.take_all_positions()).sources) == {"carts/p0+p1"}
    found: Any = kit._store("carts")
    for _ in range(4000):
        found.home_without_io(FIRST["p0"], None)
        found.home_without_io(FIRST["p1"], None)
    hot = kit.status().hot_keys
    assert set(hot) == {f"carts/{shard}" for shard in SHARDS}
    assert {key.key for key in hot["carts/p0+p1"]} == {FIRST["p0"], FIRST["p1"]}
    assert f"hot in carts/p0+p1: {FIRST['p0']} has" in str(kit.status())


def test_each_shard_is_asked_once(kit: RegionKit) -> None:
    """Two partitions at one endpoint are one result, under both names."""
    results = [(shard, result.value) for shard, result in kit.fan_out("carts", name)]
    assert sorted(results) == [(shard, shard) for shard in sorted(SHARDS)]


@pytest.mark.parametrize("kind", ["read", "write"])
def test_the_bookmark_has_what_every_shard_has_shown(kit: RegionKit, kind: Literal["read", "write"]) -> None:
    """Whichever of them answered last."""

    def look(db: Any) -> str:
        if kind == "write":
            db["a"] = "tea"
        return str(db["shard"])

    fan = kit.fan_out("carts", look, kind=kind)
    assert [result.error for _, result in fan] == [None] * len(SHARDS)
    bookmark = kit._signer.decode(fan.bookmark())
    assert set(bookmark.sources) == {f"carts/{shard}" for shard in SHARDS}
    assert all(bookmark.entries("carts", shard) for shard in SHARDS)


def test_results_come_as_they_are_ready(kit: RegionKit) -> None:
    """The first shard asked answers only after the caller has had the results of all others."""
    go_on = Flag()

    def look(db: Any) -> bool:
        return db["shard"] != "p0+p1" or go_on.wait(LONGEST / 2)

    came = []
    for shard, result in kit.fan_out("carts", look, concurrency=2, timeout=LONGEST):
        came.append((shard, result.value))
        if len(came) == len(SHARDS) - 1:
            go_on.set()
    assert came[-1] == ("p0+p1", True)
    assert sorted(came) == [(shard, True) for shard in sorted(SHARDS)]


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_no_more_are_asked_at_once_than_allowed(kit: RegionKit, concurrency: int) -> None:
    """And no fewer: so many calls have begun before the first of them ends."""
    running: list[str] = []
    most: list[int] = []
    full = Flag()

    def look(db: Any) -> bool:
        running.append(db["shard"])
        most.append(len(running))
        if len(most) >= concurrency:
            full.set()
        filled = full.wait(LONGEST / 2)
        sleep(0.05)
        running.remove(db["shard"])
        return filled

    results = [result for _, result in kit.fan_out("carts", look, concurrency=concurrency, timeout=LONGEST)]
    assert [result.value for result in results] == [True] * len(SHARDS)
    assert max(most) == concurrency
