"""What a block costs among threads and tasks: operations a second with the kit, against the plain driver.

Each operation has a session and a block of its own. Both sides have the same pool size; their turns are shuffled in one run.
The client has one core, the servers the others: among threads it is the interpreter that is short, and a server on the same
core would hide what a block costs. A row is the median over the rounds of the ratio of operations a second. With POOL
connections the callers wait for each other; with WIDE ones nobody waits. The plain Redis client waits in the driver's own
blocking pool where there are fewer connections than callers, else it has the driver's usual pool.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.harness import MICRO, Report, Settings, Spread, pin, pin_children
from benchmarks.world import DRIVERS, HERE
from regionkit import AsyncRegionKit, Endpoint, RedisStore, Region, RegionKit, Role, SqlStore, Topology
from regionkit.testing import servers

THREADS, TASKS = (1, 8, 32), 50
POOL, WIDE = 10, 50
SECONDS = 0.5
"""Of one turn of one candidate: some hundred operations of the slowest."""
LEAST_READ, LEAST_WRITE, LEAST_REDIS = 0.95, 0.85, 0.92
LONGER_ROUNDS = 3
"""A round here is as long as several of other jobs: so much fewer of them."""
READ = text("SELECT item FROM orders WHERE id = 1")
WRITE = text("INSERT INTO ordered (item) VALUES (:item)")
KEY, VALUE = "a key", "v" * 100


@dataclass
class Side:
    """One candidate: `run` is a call, or a coroutine function. `rates`: operations a second, one for each round."""

    name: str
    run: Callable[[], Any]
    rates: list[float] = field(default_factory=list)
    spread: Spread = field(default_factory=Spread)

    def turn_over(self, readings: list[float], seconds: float, cpu: float) -> None:
        """Take in what one turn of all callers gave."""
        self.rates.append(len(readings) / seconds)
        self.spread.add([r * MICRO for r in readings], cpu * MICRO)
        self.spread.close_round()


@dataclass(frozen=True)
class Pair:
    """The kit and its plain peer. `least`: the target."""

    what: str
    kit: Callable[[], Any]
    plain: Callable[[], Any]
    least: float


def run(settings: Settings) -> list[Report]:
    """One report: PostgreSQL, then Redis."""
    report = Report("throughput", "Operations a second among threads and tasks, kit / plain driver", settings)
    for world in (_postgresql, _redis):
        with world() as (topology, url, pairs, pairs_async):
            for threads in THREADS:
                for pool in (POOL, WIDE) if threads > POOL else (POOL,):
                    with ExitStack() as stack:
                        made = pairs(stack, topology(pool), url, pool, threads)
                        _report(report, made, f"{threads} threads, {pool} connections", settings, threads)
            for pool in (POOL, WIDE):
                asyncio.run(_tasks(report, settings, pairs_async, topology(pool), url, pool))
    return [report]


async def _tasks(
    report: Report,
    settings: Settings,
    pairs: Callable[..., Awaitable[list[Pair]]],
    topology: Topology,
    url: str,
    pool: int,
) -> None:
    async with AsyncExitStack() as stack:
        for pair in await pairs(stack, topology, url, pool, TASKS):
            sides = Side("kit", pair.kit), Side("plain", pair.plain)
            for side in _turns(sides, settings):
                side.turn_over(*await _turn_of_tasks(side.run, TASKS, _seconds(settings)))
            _add(report, pair, sides, f"{TASKS} tasks, {pool} connections")


def _report(report: Report, pairs: Sequence[Pair], where: str, settings: Settings, threads: int) -> None:
    for pair in pairs:
        sides = Side("kit", pair.kit), Side("plain", pair.plain)
        for side in _turns(sides, settings):
            side.turn_over(*_turn_of_threads(side.run, threads, _seconds(settings)))
        _add(report, pair, sides, where)


def _seconds(settings: Settings) -> float:
    return SECONDS * settings.share


def _turns(sides: tuple[Side, Side], settings: Settings) -> Iterator[Side]:
    """Whose turn it is, in each round in another order; the first round is for warming up."""
    shuffle = random.Random(1)
    for number in range(-1, max(3, settings.rounds // LONGER_ROUNDS)):
        yield from shuffle.sample(sides, 2)
        if number < 0:
            for side in sides:
                side.rates, side.spread = [], Spread()


def _turn_of_threads(run: Callable[[], Any], threads: int, seconds: float) -> tuple[list[float], float, float]:
    """How long each operation of all threads took, how long all took together, and client CPU in all."""
    found: list[list[float]] = [[] for _ in range(threads)]
    start, clock = threading.Barrier(threads + 1), time.perf_counter
    until = 0.0

    def work(readings: list[float]) -> None:
        start.wait()
        ended = clock()
        while ended < until:
            began, _ = clock(), run()
            ended = clock()
            readings.append(ended - began)

    workers = [threading.Thread(target=work, args=(readings,)) for readings in found]
    for worker in workers:
        worker.start()
    cpu, began = time.process_time(), clock()
    until = began + seconds
    start.wait()
    for worker in workers:
        worker.join()
    return [r for readings in found for r in readings], clock() - began, time.process_time() - cpu


async def _turn_of_tasks(
    run: Callable[[], Awaitable[Any]], tasks: int, seconds: float
) -> tuple[list[float], float, float]:
    """The same of tasks."""
    readings: list[float] = []
    clock = time.perf_counter
    cpu, began = time.process_time(), clock()
    until = began + seconds

    async def work() -> None:
        ended = clock()
        while ended < until:
            started = clock()
            await run()
            ended = clock()
            readings.append(ended - started)

    await asyncio.gather(*(work() for _ in range(tasks)))
    return readings, clock() - began, time.process_time() - cpu


def _add(report: Report, pair: Pair, sides: tuple[Side, Side], where: str) -> None:
    kit, plain = sides
    ratio = statistics.median(ours / theirs for ours, theirs in zip(kit.rates, plain.rates, strict=True))
    report.figure(f"{pair.what}: {where}", ratio, "x", least=pair.least)
    spreads: Mapping[str, Spread] = {side.name: side.spread for side in sides}
    report.add([], spreads, f"{pair.what}: {where}")


@contextmanager
def _apart(server: Any) -> Iterator[Any]:
    """Servers on all cores but one, this process on that one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        with server() as found:
            yield found
        return
    pin(cores[0])
    with server() as found:
        pin_children(cores[0])
        pin(cores[-1])
        yield found


@contextmanager
def _postgresql() -> Iterator[Any]:
    with _apart(lambda: servers.postgresql(settings={"max_connections": "400"})) as found:
        url = found.primary.app_url
        engine = create_engine(url)
        with engine.begin() as c:
            c.execute(text("CREATE TABLE orders (id int PRIMARY KEY, item text)"))
            c.execute(text("CREATE TABLE ordered (id serial PRIMARY KEY, item text)"))
            c.execute(text("INSERT INTO orders VALUES (1, 'tea')"))
        engine.dispose()

        def topology(pool: int) -> Topology:
            options = {"pool_size": pool, "max_overflow": 0}
            store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, url)], options=options)
            return Topology(namespace="bench", regions=[Region(HERE)], stores=[store])

        yield topology, url, _sql_pairs, _sql_pairs_async


def _sql_pairs(stack: ExitStack, topology: Topology, url: str, pool: int, callers: int) -> list[Pair]:
    kit = stack.enter_context(RegionKit(topology, local=HERE))
    kit.create_tables()
    plain = create_engine(url, pool_size=pool, max_overflow=0)
    autocommit = create_engine(url, pool_size=pool, max_overflow=0, isolation_level="AUTOCOMMIT")
    stack.callback(plain.dispose)
    stack.callback(autocommit.dispose)

    def read() -> None:
        with kit.session() as s, s.read("orders", core=True) as c:
            c.execute(READ).scalar_one()

    def plain_read() -> None:
        with autocommit.connect() as c:
            c.execute(READ).scalar_one()

    def write() -> None:
        with kit.session() as s, s.write("orders", core=True) as c:
            c.execute(WRITE, {"item": "tea"})

    def plain_write() -> None:
        with plain.begin() as c:
            c.execute(WRITE, {"item": "tea"})

    return [
        Pair("PostgreSQL, Core read / autocommit connection", read, plain_read, LEAST_READ),
        Pair("PostgreSQL, Core write / engine.begin()", write, plain_write, LEAST_WRITE),
    ]


async def _sql_pairs_async(stack: AsyncExitStack, topology: Topology, url: str, pool: int, callers: int) -> list[Pair]:
    kit = await stack.enter_async_context(AsyncRegionKit(topology, local=HERE))
    await kit.create_tables()
    url = DRIVERS["postgresql"] + url[url.index(":") :]
    plain = create_async_engine(url, pool_size=pool, max_overflow=0)
    autocommit = create_async_engine(url, pool_size=pool, max_overflow=0, isolation_level="AUTOCOMMIT")
    stack.push_async_callback(plain.dispose)
    stack.push_async_callback(autocommit.dispose)

    async def read() -> None:
        async with kit.session() as s, s.read("orders", core=True) as c:
            (await c.execute(READ)).scalar_one()

    async def plain_read() -> None:
        async with autocommit.connect() as c:
            (await c.execute(READ)).scalar_one()

    async def write() -> None:
        async with kit.session() as s, s.write("orders", core=True) as c:
            await c.execute(WRITE, {"item": "tea"})

    async def plain_write() -> None:
        async with plain.begin() as c:
            await c.execute(WRITE, {"item": "tea"})

    return [
        Pair("PostgreSQL, Core read / autocommit connection", read, plain_read, LEAST_READ),
        Pair("PostgreSQL, Core write / engine.begin()", write, plain_write, LEAST_WRITE),
    ]


@contextmanager
def _redis() -> Iterator[Any]:
    with _apart(servers.redis) as found:
        url = found.primary.url
        with found.primary.client() as client:
            client.set(KEY, VALUE)

        def topology(pool: int) -> Topology:
            endpoint = Endpoint(HERE, Role.PRIMARY, url)
            store = RedisStore("carts", endpoints=[endpoint], options={"pool_size": pool})
            return Topology(namespace="bench", regions=[Region(HERE)], stores=[store])

        yield topology, url, _redis_pairs, _redis_pairs_async


def _redis_pairs(stack: ExitStack, topology: Topology, url: str, pool: int, callers: int) -> list[Pair]:
    kit = stack.enter_context(RegionKit(topology, local=HERE))
    kit.create_tables()
    waits = callers > pool
    kind = redis.BlockingConnectionPool if waits else redis.ConnectionPool
    plain = stack.enter_context(redis.Redis(connection_pool=kind.from_url(url, max_connections=pool)))

    def get() -> None:
        with kit.session() as s, s.read("carts") as client:
            client.get(KEY)

    def put() -> None:
        with kit.session() as s, s.write("carts") as client:
            client.set(KEY, VALUE)

    return [
        Pair("Redis, GET", get, lambda: plain.get(KEY), LEAST_REDIS),
        Pair("Redis, SET", put, lambda: plain.set(KEY, VALUE), LEAST_REDIS),
    ]


async def _redis_pairs_async(
    stack: AsyncExitStack, topology: Topology, url: str, pool: int, callers: int
) -> list[Pair]:
    kit = await stack.enter_async_context(AsyncRegionKit(topology, local=HERE))
    await kit.create_tables()
    waits = callers > pool
    kind = redis.asyncio.BlockingConnectionPool if waits else redis.asyncio.ConnectionPool
    plain = redis.asyncio.Redis(connection_pool=kind.from_url(url, max_connections=pool))
    stack.push_async_callback(plain.aclose)

    async def get() -> None:
        async with kit.session() as s, s.read("carts") as client:
            await client.get(KEY)

    async def put() -> None:
        async with kit.session() as s, s.write("carts") as client:
            await client.set(KEY, VALUE)

    return [
        Pair("Redis, GET", get, lambda: plain.get(KEY), LEAST_REDIS),
        Pair("Redis, SET", put, lambda: plain.set(KEY, VALUE), LEAST_REDIS),
    ]
