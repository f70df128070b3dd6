"""How soon a process is served over distances, and how soon again when its nearest primary dies: real servers, 50 tasks.

Every endpoint stands behind a proxy that makes the round trip RTT long; Cassandra, whose driver goes to the nodes' own
addresses, in network namespaces (it is left out where none can be made). *Cold*: a kit is made, 50 tasks read at once; the time
of the first answer. *Warm*: the same tasks once more; the time of the last. *Death*: the primary is killed while they read on;
the longest pause between two answers, with the failures that callers saw and the healthy endpoints whose breaker opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import text

from benchmarks.harness import RESULTS, Settings
from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    CassandraStore,
    Endpoint,
    MongoStore,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    Role,
    SqlStore,
    Store,
    Topology,
)
from regionkit.routing.events import BreakerChanged
from regionkit.testing import FaultProxy, Wan, WanUnavailable, servers
from regionkit.topology import profile

REGIONS = ("us-east-1", "ap-northeast-2", "eu-west-1")
DISTANCES = (0.02, 0.08, 0.2, 0.3)
KINDS = ("postgresql", "mariadb", "redis", "mongodb", "cassandra")
CLIENTS = "clients"
"""The region of the wide-area network that the kit runs in: as far from each server as from any other."""
TASKS = 50
TRIPS, EXTRA = 12.0, 0.5
"""First answer after a start: round trips, and seconds of everything else."""
DEATH_TRIPS = 4.0
"""Round trips after a primary's death, on top of one probe interval."""
AFTER = 6.0


class Line(msgspec.Struct):
    """One server at one distance; seconds."""

    server: str
    rtt: float
    first: float
    warm: float
    pause: float
    failures: int
    opened: int

    @property
    def most_first(self) -> float:
        """The target of a first answer."""
        return TRIPS * self.rtt + EXTRA

    @property
    def most_pause(self) -> float:
        """The target of a pause after a death."""
        return profile().probe_every + DEATH_TRIPS * self.rtt

    @property
    def missed(self) -> bool:
        """Whether a target was missed."""
        return self.first > self.most_first or self.pause > self.most_pause or self.opened > 0


class Distances:
    """What the job found."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    @property
    def missed(self) -> list[str]:
        """The lines that missed a target."""
        return [f"{line.server} at {line.rtt * 1000:.0f} ms" for line in self._lines if line.missed]

    def publish(self) -> None:
        """Write the results file and print the table."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "distance.json").write_text(
            json.dumps([msgspec.to_builtins(line) for line in self._lines], indent=1)
        )
        print(f"## Distances, {TASKS} tasks\n")
        print(
            "| server | RTT ms | cold: first answer s (at most) | warm: last s | death: pause s (at most) | failures | opened | |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for line in self._lines:
            print(
                f"| {line.server} | {line.rtt * 1000:.0f} | {line.first:.2f} ({line.most_first:.2f}) | {line.warm:.2f} "
                f"| {line.pause:.2f} ({line.most_pause:.2f}) | {line.failures} | {line.opened} "
                f"| {'**missed**' if line.missed else 'met'} |",
                flush=True,
            )
        print()


def run(settings: Settings) -> Distances:
    """Each server at each distance; with `--quick` the nearest and the farthest."""
    distances = DISTANCES if settings.share == 1.0 else (DISTANCES[0], DISTANCES[-1])
    lines = []
    for kind in KINDS:
        try:
            lines += [measured(kind, rtt) for rtt in distances]
        except WanUnavailable as error:
            logging.warning("%s is left out. %s", kind, error)
    return Distances(lines)


@contextlib.contextmanager
def far(kind: str) -> Iterator[tuple[Any, Callable[[float], None], Topology]]:
    """Servers, still near; what sets the latency each way between them and this thread; and their topology."""
    with ExitStack() as stack:
        if kind == "cassandra":
            wan = stack.enter_context(Wan([CLIENTS, *REGIONS]))
            cluster = stack.enter_context(servers.cassandra(dict.fromkeys(REGIONS, 1), wan=wan))
            cluster.ddl("CREATE TABLE things (a int PRIMARY KEY)", keyspace="test")
            stack.enter_context(wan.inside(CLIENTS))
            yield (
                cluster,
                wan.latency,
                _topology(CassandraStore("orders", url=cluster.url, tls="off")),
            )  # in a namespace
            return
        start: Any = getattr(servers, kind)
        made = stack.enter_context(start(list(REGIONS)) if kind == "mongodb" else start(replicas=2))
        proxies = [stack.enter_context(FaultProxy(getattr(node, "app_url", node.url))) for node in made.nodes]
        store: Any
        if kind == "mongodb":
            hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
            store = MongoStore("orders", url=f"mongodb://{hosts}/shop?{made.url.partition('?')[2]}")
        else:
            roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
            endpoints = [Endpoint(r, role, p.url) for r, role, p in zip(REGIONS, roles, proxies, strict=True)]
            store = (RedisStore if kind == "redis" else SqlStore)("orders", endpoints=endpoints)

        def latency(seconds: float) -> None:
            for proxy in proxies:
                proxy.latency(seconds)

        yield made, latency, _topology(store)


def _topology(store: Store) -> Topology:
    return Topology(namespace="bench", regions=[Region(r) for r in REGIONS], stores=[store])


def measured(kind: str, rtt: float) -> Line:
    """One server at one distance."""
    with far(kind) as (made, latency, topology):
        with RegionKit(topology, local=REGIONS[0]) as near:
            near.create_tables()
        time.sleep(1.0)
        latency(rtt / 2.0)
        return asyncio.run(_measured(kind, rtt, made, topology))


async def _measured(kind: str, rtt: float, made: Any, topology: Topology) -> Line:
    opened: set[str] = set()
    async with AsyncRegionKit(topology, local=REGIONS[0]) as kit:
        began = time.monotonic()
        times = await asyncio.gather(*(_read_until_served(kit, kind) for _ in range(TASKS)))
        first = min(times) - began
        await asyncio.sleep(2.0)
        began = time.monotonic()
        warm = max(await asyncio.gather(*(_read_until_served(kit, kind) for _ in range(TASKS)))) - began
        dead = made.primary.region if kind == "mongodb" else REGIONS[0]

        def hear(event: object) -> None:
            if isinstance(event, BreakerChanged) and event.state == "open" and event.region != dead:
                opened.add(event.endpoint)

        kit.subscribe(hear)
        pause, failures = await _through_death(kit, kind, made)
    return Line(kind, rtt, first, warm, pause, failures, len(opened))


async def _read(kit: AsyncRegionKit, kind: str) -> None:
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=10.0) as db:
        if kind == "redis":
            await db.get("a")
        elif kind == "mongodb":
            await db.things.find_one({})
        elif kind == "cassandra":
            await db.execute("SELECT a FROM things WHERE a = 1")
        else:
            await db.execute(text("SELECT 1"))


async def _read_until_served(kit: AsyncRegionKit, kind: str) -> float:
    end = time.monotonic() + 60.0
    while True:
        try:
            await _read(kit, kind)
            return time.monotonic()
        except RegionKitError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.01)


async def _through_death(kit: AsyncRegionKit, kind: str, made: Any) -> tuple[float, int]:
    """The longest pause between two answers after the primary was killed, and the failures."""
    answers: list[float] = []
    failures = 0
    killed_at = time.monotonic() + 1.0
    end = killed_at + AFTER

    async def user() -> None:
        nonlocal failures
        while time.monotonic() < end:
            try:
                await _read(kit, kind)
                answers.append(time.monotonic())
            except RegionKitError:
                failures += 1
            await asyncio.sleep(0.05)

    async def kill() -> None:
        await asyncio.sleep(killed_at - time.monotonic())
        await asyncio.to_thread(made.primary.kill)

    await asyncio.gather(kill(), *(user() for _ in range(TASKS)))
    after = [killed_at, *sorted(at for at in answers if at >= killed_at), end]
    return max(b - a for a, b in pairwise(after)), failures
