"""Write-then-read pairs over three replicas, one of them two seconds behind, across processes by bookmark."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from typing import Any
from unittest import mock

import pytest
from fix_rigs import NAMESPACE, Order, make_tables, wait_until

import regionkit.routing.decision as decision
from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.testing import FaultProxy

KEY = "a key of more than sixteen characters"
REGIONS = ["us-east-1", "ap-northeast-2", "eu-west-1", "sa-east-1"]
LAGGING = "sa-east-1"
PAIRS = int(os.environ.get("REGIONKIT_PAIRS", "2000"))
"""`make campaign-sessions` takes 10,000."""
READERS = 4
ROUND_TRIP = 0.01
"""Between regions, seconds: without any, moving to the owner costs nothing, and nobody would wait for a copy."""


def topology(urls: list[str]) -> Topology:
    """The primary and its three replicas."""
    endpoints = [
        Endpoint(region, Role.REPLICA if i else Role.PRIMARY, url)
        for i, (region, url) in enumerate(zip(REGIONS, urls, strict=True))
    ]
    store = SqlStore("orders", endpoints=endpoints)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])


def read_back(urls: list[str], work: Any, done: Any, *, checked: bool) -> None:
    """A reading process: kits in every replica's region; each task is (order, bookmark)."""
    with contextlib.ExitStack() as stack:
        if not checked:
            stack.enter_context(mock.patch.object(decision, "session_proof", lambda *_: decision.PROVED))
        kits = {r: stack.enter_context(_kit_in(r, urls, stack)) for r in REGIONS[1:]}
        done.put("ready")
        done.put(_reads(kits, work))


def _kit_in(region: str, urls: list[str], stack: contextlib.ExitStack) -> RegionKit:
    """A kit in a region: its own copy is near, every other endpoint a round trip away."""
    seen = list(urls)
    for i, other in enumerate(REGIONS):
        if other != region:
            proxy = stack.enter_context(FaultProxy(urls[i]))
            proxy.latency(ROUND_TRIP / 2)
            seen[i] = proxy.url
    return RegionKit(topology(seen), local=region, bookmark_keys=[KEY])


def _reads(kits: dict[str, RegionKit], work: Any) -> tuple[int, int, dict[str, list[int]]]:
    chance = random.Random(7)
    missed, total = 0, 0
    by_region = {r: [0, 0] for r in kits}
    for number, bookmark in iter(work.get, None):
        region = chance.choice(REGIONS[1:])
        with kits[region].session(bookmark=bookmark) as s:
            with s.read("orders") as db:
                missed += db.get(Order, number) is None
            assert s.last_route is not None
            total += 1
            by_region[region][0] += 1
            by_region[region][1] += s.last_route.role == "replica"
    return missed, total, by_region


def run(urls: list[str], pairs: int, *, checked: bool) -> tuple[int, int, dict[str, list[int]]]:
    """Write in this process, read in others; missed writes, reads, and per region reads and those by replicas."""
    context = multiprocessing.get_context("spawn")
    work, done = context.Queue(200), context.Queue()
    readers = [
        context.Process(target=read_back, args=(urls, work, done), kwargs={"checked": checked}) for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()
    with RegionKit(topology(urls), local="us-east-1", bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        for _ in readers:
            assert done.get(timeout=300) == "ready"  # or the lagging copy would have caught up before the first read
        for number in range(pairs):
            with kit.session() as s:
                with s.write("orders") as db:
                    db.merge(Order(id=number, item="tea"))
                work.put((number, s.bookmark()))
    for _ in readers:
        work.put(None)
    results = [done.get(timeout=300) for _ in readers]
    for reader in readers:
        reader.join(10)
    merged = {r: [sum(x) for x in zip(*(result[2][r] for result in results), strict=True)] for r in REGIONS[1:]}
    return sum(r[0] for r in results), sum(r[1] for r in results), merged


@pytest.fixture
def urls(pg: Any) -> Any:
    """A database of its own on a primary and three replicas; the last is held two seconds behind."""
    name = pg.database()
    made = [pg.primary.url_for(name), *(r.url_for(name) for r in pg.replicas)]
    make_tables(made[0])
    pg.wait_for_replicas()
    pg.replicas[2].lag(2.0)
    yield made
    pg.replicas[2].lag(0)
    wait_until(lambda: pg.wait_for_replicas() or True, 20)


@pytest.mark.timeout(1200)
def test_no_session_misses_its_own_write(urls: list[str]) -> None:
    """0 violations in all pairs; at least 95 % of the reads from caught-up regions are served by a replica."""
    began = time.monotonic()
    missed, total, by_region = run(urls, PAIRS, checked=True)
    fast = [by_region[r] for r in REGIONS[1:] if r != LAGGING]
    share = sum(f[1] for f in fast) / sum(f[0] for f in fast)
    print(
        f"\n{total} pairs in {time.monotonic() - began:.0f} s, missed {missed}, by replicas where caught up {share:.1%}"
    )
    print("reads and those by replicas, per region:", by_region)
    assert total == PAIRS
    assert missed == 0
    assert share >= 0.95


@pytest.mark.timeout(600)
def test_without_the_check_the_same_rig_misses(urls: list[str]) -> None:
    """The rig can fail: with the bookmark check off it shows violations."""
    missed, total, _ = run(urls, 300, checked=False)
    print(f"\n{missed} of {total} missed without the check")
    assert missed > 0
