"""A GET of 100 bytes from the local copy inside an open read block, and in a block of its own, against plain redis-py.

The plain peers have redis-py's own defaults, which retry and bound a command by 5 s; the kit's block bounds it by its
deadline, on one connection, and never retries.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import redis
import redis.asyncio

from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin, pin_children
from benchmarks.world import HERE, THERE
from regionkit import EVENTUAL, AsyncRegionKit, Endpoint, RedisStore, Region, RegionKit, Role, Topology
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.backends.redis.handle import RedisHandle
from regionkit.facts.request import Kind
from regionkit.testing import servers

MOST = 1.03
GETS = 200
BULK = 100
KEY, VALUE = "a key", "v" * 100
OPEN, OWN, PLAIN, SINGLE, MULTI = (
    "kit, open block",
    "kit, a block a GET",
    "plain",
    "plain, one connection",
    "MultiDBClient",
)
DEADLINE = 3600.0
"""Of the one open block, seconds: it is open for the whole job."""


def run(settings: Settings) -> list[Report]:
    """One report: threads, then asyncio."""
    core = pin()
    report = Report("redis_reads", "GET from the local copy, Redis", settings)
    with servers.redis(replicas=1) as found:
        primary, replica = found.primary.url, found.replicas[0].url
        endpoints = [Endpoint(THERE, Role.PRIMARY, primary), Endpoint(HERE, Role.REPLICA, replica)]
        topology = Topology(
            namespace="bench", regions=[Region(THERE), Region(HERE)], stores=[RedisStore("orders", endpoints=endpoints)]
        )
        with found.primary.client() as client:
            client.set(KEY, VALUE)
        with RegionKit(topology, local=HERE) as kit:
            kit.create_tables()
        found.wait_for_replicas()
        pin_children(core)
        _threads(topology, replica, report, settings)
        _handles(report, settings)
        asyncio.run(_asyncio(topology, replica, report, settings))
    return [report]


def _rows(*, multi: bool) -> list[Row]:
    rows = [
        Row("routed GET, open block / plain redis-py", OPEN, PLAIN, most=MOST),
        Row("one block a GET / plain redis-py", OWN, PLAIN),
        Row("one block a GET over plain redis-py", OWN, PLAIN, "difference"),
        Row("plain on one connection / plain redis-py", SINGLE, PLAIN),
    ]
    return [*rows, Row("MultiDBClient / plain redis-py", MULTI, PLAIN)] if multi else rows


def _threads(topology: Topology, url: str, report: Report, settings: Settings) -> None:
    with ExitStack() as stack:
        kit = stack.enter_context(RegionKit(topology, local=HERE))
        kit.create_tables()
        plain = stack.enter_context(redis.Redis.from_url(url))
        single = stack.enter_context(redis.Redis.from_url(url, single_connection_client=True))
        session = stack.enter_context(kit.session())
        client = stack.enter_context(session.read("orders", consistency=EVENTUAL, timeout=DEADLINE))

        def own() -> None:
            with session.read("orders", consistency=EVENTUAL) as block:
                block.get(KEY)

        candidates = [
            Candidate(OPEN, lambda: client.get(KEY)),
            Candidate(OWN, own),
            Candidate(PLAIN, lambda: plain.get(KEY)),
            Candidate(SINGLE, lambda: single.get(KEY)),
        ]
        multi = stack.enter_context(_multi(url))
        if multi is not None:
            candidates.append(Candidate(MULTI, lambda: multi.get(KEY)))
        for candidate in candidates:
            candidate.run()
        assert session.last_route is not None
        assert session.last_route.region == HERE, "the read left the region"
        report.add(_rows(multi=multi is not None), measure(candidates, settings, GETS), "threads")
        if multi is None:
            report.note("MultiDBClient did not run: it needs the driver's extra for circuit breakers.")


def _handles(report: Report, settings: Settings) -> None:
    """What a block yields is a clone; a client of its own would cost more than the command."""
    made = ClientSettings("orders", {})
    candidates = [
        Candidate("a handle, a clone", lambda: RedisHandle(Kind.READ, None, made), bulk=BULK),
        Candidate("redis.Redis()", redis.Redis, bulk=BULK),
    ]
    rows = [Row(name, name, way="time") for name in ("a handle, a clone", "redis.Redis()")]
    report.add(rows, measure(candidates, settings, 10))


@contextmanager
def _multi(url: str) -> Iterator[Any]:
    """redis-py's client of several databases, with one; None where it does not run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is marked experimental
        try:
            from redis.multidb.client import MultiDBClient
            from redis.multidb.config import DatabaseConfig, MultiDbConfig

            made = MultiDBClient(MultiDbConfig(databases_config=[DatabaseConfig(weight=1.0, from_url=url)]))
            made.get(KEY)
        except ImportError:
            yield None
            return
        yield made
        made.close()


async def _asyncio(topology: Topology, url: str, report: Report, settings: Settings) -> None:
    plain = redis.asyncio.Redis.from_url(url)
    single = redis.asyncio.Redis.from_url(url, single_connection_client=True)
    async with AsyncRegionKit(topology, local=HERE) as kit:
        await kit.create_tables()
        async with kit.session() as session, session.read("orders", consistency=EVENTUAL, timeout=DEADLINE) as client:

            async def own() -> None:
                async with session.read("orders", consistency=EVENTUAL) as block:
                    await block.get(KEY)

            def of(redis_client: Any) -> Callable[[], Any]:
                return lambda: redis_client.get(KEY)

            candidates = [
                Candidate(OPEN, of(client)),
                Candidate(OWN, own),
                Candidate(PLAIN, of(plain)),
                Candidate(SINGLE, of(single)),
            ]
            for candidate in candidates:
                await candidate.run()
            report.add(_rows(multi=False), await measure_async(candidates, settings, GETS), "asyncio")
    await plain.aclose()
    await single.aclose()
