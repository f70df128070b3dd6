"""A process under load for a long time, its servers disturbed: memory, descriptors, threads and server connections stay flat.

Threads of one kit and tasks of another write and read a primary and its replica. The way to the replica is cut and mended, its
replay stands still now and then, the primary is restarted. Some of the calls fail meanwhile, each with an error of regionkit's.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy
from sqlalchemy import text

from regionkit import (
    EVENTUAL,
    SESSION,
    AsyncRegionKit,
    Endpoint,
    Region,
    RegionKit,
    RegionKitError,
    Role,
    SqlStore,
    Topology,
)
from regionkit.testing import FaultProxy

SECONDS = float(os.environ.get("REGIONKIT_SOAK_SECONDS", "8"))
"""`make campaign-soak` takes ten minutes, unless it is told another time."""
WHOLE = SECONDS >= 60.0
THREADS, TASKS = (64, 500) if WHOLE else (16, 50)
POOL = 10
READS, SAMPLES = 20, 12
"""At least; a busy machine gets up to `PATIENCE` seconds more for them."""
PATIENCE = 60.0
PROFILE = "balanced" if WHOLE else {"base": "balanced", "open_first": 0.3, "open_longest": 1.0, "probe_every": 0.3}
"""A breaker of "balanced" stays open for 5 s, longer than the short form leaves between two disturbances: next to nothing would
be read or written then, and nothing could grow."""
RESTART_EVERY = min(60.0, SECONDS / 2.5)
FLAP_EVERY = 1.0
MOST_FAILED = 5
"""Disturbances that may fail themselves: more are a broken test."""
WARM = 0.3
"""The share of the time after which everything that is made once has been made."""
GROWTH = 1.1
SLACK = 24 << 20
"""Bytes of memory beyond a tenth: what the allocator holds on to moves by as much."""

INSERT = text("INSERT INTO soak (value) VALUES (:n)")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Sample(NamedTuple):
    """What the process takes at one moment."""

    at: float
    memory: int
    descriptors: int
    threads: int
    connections: int


def memory() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open files and sockets of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Soak:
    """The load, the disturbances, and what was seen."""

    def __init__(self, servers: Any, proxy: FaultProxy) -> None:
        endpoints = [
            Endpoint("us", Role.PRIMARY, servers.primary.app_url),
            Endpoint("kr", Role.REPLICA, proxy.url),
        ]
        options = {"pool_size": POOL, "max_overflow": 0}
        store = SqlStore("orders", endpoints=endpoints, options=options)
        self.topology = Topology(namespace="soak", regions=[Region("us"), Region("kr")], stores=[store])
        self.servers, self.proxy = servers, proxy
        self.done: Counter[str] = Counter()
        self.surprises: list[BaseException] = []
        self.failed: list[Exception] = []
        self.samples: list[Sample] = []
        self.ends = 0.0
        self.restarts = 0

    @property
    def over(self) -> bool:
        """Whether the time is over, and enough was read and measured."""
        late = time.monotonic() - self.ends
        enough = self.done["reads"] > READS and len(self.samples) >= SAMPLES
        return late >= 0.0 and (enough or late >= PATIENCE)

    def counted(self, error: BaseException) -> None:
        """A call failed: as regionkit's errors say, or in a way that none should."""
        self.done[type(error).__name__] += 1
        if not isinstance(error, RegionKitError) and len(self.surprises) < 10:
            self.surprises.append(error)

    def thread(self, kit: RegionKit, number: int) -> None:
        """One thread of the application's."""
        chance = random.Random(number)
        while not self.over:
            try:
                with kit.session() as s:
                    if chance.random() < 0.3:
                        s.execute_write("orders", lambda db: self.insert(db, number), timeout=3.0)
                        self.done["writes"] += 1
                    level = EVENTUAL if chance.random() < 0.5 else SESSION
                    with s.read("orders", consistency=level, timeout=3.0) as db:
                        db.execute(text("SELECT max(id) FROM soak")).scalar()
                    self.done["reads"] += 1
                    s.bookmark()
            except Exception as error:
                self.counted(error)
            time.sleep(chance.random() * 0.05)

    @staticmethod
    def insert(db: Any, number: int) -> None:
        """One row."""
        db.execute(INSERT, {"n": number})

    async def task(self, kit: AsyncRegionKit, number: int) -> None:
        """One task of the application's."""
        chance = random.Random(number)
        while not self.over:
            try:
                async with kit.session() as s:
                    if chance.random() < 0.3:
                        async with s.write("orders", timeout=3.0) as db:
                            await db.execute(INSERT, {"n": number})
                        self.done["writes"] += 1
                    async with s.read("orders", timeout=3.0) as db:
                        await db.execute(text("SELECT 1"))
                    self.done["reads"] += 1
            except Exception as error:
                self.counted(error)
            await asyncio.sleep(chance.random())

    async def tasks(self) -> None:
        """All of them, in one loop."""
        async with AsyncRegionKit(self.topology, local="kr", profile=PROFILE) as kit:
            await asyncio.gather(*(self.task(kit, number) for number in range(TASKS)))

    def disturb(self) -> None:
        """What happens to the servers."""
        restart_at, turn = time.monotonic() + RESTART_EVERY / 2, 0
        replica = self.servers.replicas[0]
        while not self.over:
            turn += 1
            try:
                (self.proxy.cut if turn % 2 else self.proxy.heal)()
                (replica.pause_replay if turn % 4 == 1 else replica.resume_replay)()
                if time.monotonic() >= restart_at:
                    self.servers.primary.kill()
                    self.servers.primary.start()
                    self.restarts += 1
                    restart_at = (
                        time.monotonic() + RESTART_EVERY
                    )  # a start may take as long, and nothing is read meanwhile
            except Exception as error:  # this test's own connection, on a busy machine: the next turn tries again
                self.failed.append(error)
                if len(self.failed) > MOST_FAILED:
                    raise
            time.sleep(FLAP_EVERY)
        self.proxy.heal()
        replica.resume_replay()

    def measure(self) -> None:
        """Samples, until the end."""
        began = time.monotonic()
        gc.collect()
        gc.freeze()  # what earlier tests have left is not looked at again for each sample
        while not self.over:
            with contextlib.suppress(Exception):  # the primary is away: the next one
                asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'regionkit soak'"
                there = sum(int(node.sql(asked)[0][0]) for node in (self.servers.primary, self.servers.replicas[0]))
                gc.collect()
                mine = descriptors(), threading.active_count()
                self.samples.append(Sample(time.monotonic() - began, memory(), *mine, there))
            time.sleep(min(1.0, SECONDS / 40.0))

    def run(self) -> None:
        """All of it."""
        self.ends = time.monotonic() + SECONDS
        with RegionKit(self.topology, local="us", profile=PROFILE) as kit:
            jobs: list[Callable[[], object]] = [lambda: asyncio.run(self.tasks()), self.disturb, self.measure]
            jobs += [lambda number=number: self.thread(kit, number) for number in range(THREADS)]  # type: ignore[misc]
            threads = [threading.Thread(target=self.kept(job)) for job in jobs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def kept(self, job: Callable[[], object]) -> Callable[[], None]:
        """The job; what it raises is kept."""

        def run() -> None:
            try:
                job()
            except BaseException as error:
                self.surprises.append(error)

        return run


@pytest.mark.timeout(SECONDS + PATIENCE + 120.0)
def test_nothing_grows(own_pg: Callable[..., Any]) -> None:
    """From a third of the time on. Server connections stay within the pools; after the kits closed none is left."""
    servers = own_pg(1)
    engine = sqlalchemy.create_engine(servers.primary.app_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE soak (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value int)"))
    engine.dispose()
    before = descriptors(), threading.active_count()
    with FaultProxy(servers.replicas[0].app_url) as proxy:
        soak = Soak(servers, proxy)
        with RegionKit(soak.topology, local="us") as kit:
            kit.create_tables()
        soak.run()
    print(f"\n{SECONDS:g} s, {THREADS} threads, {TASKS} tasks, {soak.restarts} restarts: {dict(soak.done)}")
    warm = [s for s in soak.samples if s.at >= SECONDS * WARM]
    half = len(warm) // 2
    for name in ("memory", "descriptors", "threads", "connections"):
        values = [getattr(s, name) for s in warm]
        print(f"{name}: {min(values)} to {max(values)}, first half at most {max(values[:half])}, last {values[-1]}")
    assert soak.surprises == []
    assert soak.done["reads"] > READS
    assert soak.restarts >= 1
    first, last = warm[:half], warm[half:]
    assert max(s.threads for s in last) <= max(s.threads for s in first) + 4
    # two kits with reads, writes and a monitor each, on two servers; a third of them more while broken ones are replaced
    pools = 2 * 2 * (2 * POOL + 2) * 4 // 3
    filled = max(
        *(s.descriptors for s in first), before[0] + pools
    )  # in the first half the pools need not have been filled yet
    assert max(s.descriptors for s in last) <= filled * GROWTH + 20
    assert max(s.connections for s in warm) <= pools
    if WHOLE:
        assert max(s.memory for s in last) <= max(s.memory for s in first) * GROWTH + SLACK
    end = time.monotonic() + 20.0
    while threading.active_count() > before[1] + 1 or descriptors() > before[0] + 8:
        assert time.monotonic() < end, "threads or descriptors stay after the kits closed"
        time.sleep(0.05)
