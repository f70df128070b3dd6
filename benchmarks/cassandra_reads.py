"""A point read by prepared statement inside an open read block, against plain cassandra-driver at the same level.

The plain peer is the driver in its own settings, with the policies that it comes with for one data centre. It has no asyncio
form: its peer there is the shortest bridge from its callbacks to a future. What a block costs to open and close stands beside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin, pin_children
from benchmarks.world import HERE, THERE
from regionkit import AsyncRegionKit, CassandraStore, Region, RegionKit, Topology
from regionkit.testing import servers

MOST = 1.03
READS = 60
GET = "SELECT item FROM orders WHERE id = ?"
OPEN, OWN, PLAIN = "kit, open block", "kit, a block a read", "plain"
DEADLINE = 3600.0
"""Of the one open block, seconds: it is open for the whole job."""


def run(settings: Settings) -> Report:
    """Threads, then asyncio."""
    report = Report("cassandra_reads", "Point read by prepared statement, Cassandra", settings)
    core = pin()
    with servers.cassandra({THERE: 1, HERE: 1}) as found:
        pin_children(core)
        keyspace = found.keyspace()
        found.ddl("CREATE TABLE orders (id int PRIMARY KEY, item text)", keyspace=keyspace)
        store = CassandraStore("orders", url=found.url_for(keyspace))
        topology = Topology(namespace="bench", regions=[Region(THERE), Region(HERE)], stores=[store])
        node = found.node(HERE)
        with RegionKit(topology, local=HERE) as kit, kit.session() as s, s.write("orders") as cql:
            cql.execute("INSERT INTO orders (id, item) VALUES (1, 'tea')")
        with ExitStack() as stack:
            policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(HERE))
            profile = ExecutionProfile(policy, consistency_level=ConsistencyLevel.LOCAL_QUORUM)
            profiles = {EXEC_PROFILE_DEFAULT: profile}
            cluster = stack.enter_context(
                Cluster([node.host], node.port, protocol_version=5, execution_profiles=profiles)
            )
            plain = cluster.connect(keyspace)
            _threads(topology, plain, report, settings)
            asyncio.run(_asyncio(topology, plain, report, settings))
    return report


def _rows() -> list[Row]:
    return [
        Row("routed point read, open block / plain driver", OPEN, PLAIN, most=MOST),
        Row("one block a read / plain driver", OWN, PLAIN),
        Row("one block a read over the plain driver", OWN, PLAIN, "difference"),
    ]


def _threads(topology: Topology, plain: Session, report: Report, settings: Settings) -> None:
    prepared = plain.prepare(GET)
    with ExitStack() as stack:
        kit = stack.enter_context(RegionKit(topology, local=HERE))
        session = stack.enter_context(kit.session())
        with session.read("orders", timeout=DEADLINE) as cql:
            ours = cql.prepare(GET)

            def own() -> None:
                with session.read("orders") as block:
                    block.execute(ours, (1,)).one()

            candidates = [
                Candidate(OPEN, lambda: cql.execute(ours, (1,)).one()),
                Candidate(OWN, own),
                Candidate(PLAIN, lambda: plain.execute(prepared, (1,)).one()),
            ]
            _same(candidates[0].run(), candidates[2].run(), session)
            report.add(_rows(), measure(candidates, settings, READS), "threads")


async def _asyncio(topology: Topology, plain: Session, report: Report, settings: Settings) -> None:
    prepared = plain.prepare(GET)
    async with AsyncRegionKit(topology, local=HERE) as kit:
        session = kit.session()
        async with session.read("orders", timeout=DEADLINE) as cql:
            ours = await cql.prepare(GET)

            async def kept() -> Any:
                return (await cql.execute(ours, (1,))).one()

            async def own() -> None:
                async with session.read("orders") as block:
                    (await block.execute(ours, (1,))).one()

            candidates = [Candidate(OPEN, kept), Candidate(OWN, own), Candidate(PLAIN, _bridged(plain, prepared))]
            _same(await candidates[0].run(), await candidates[2].run(), session)
            report.add(_rows(), await measure_async(candidates, settings, READS), "asyncio")


def _bridged(plain: Session, prepared: Any) -> Callable[[], Any]:
    async def run() -> Any:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        plain.execute_async(prepared, (1,)).add_callbacks(
            lambda rows: loop.call_soon_threadsafe(waiter.set_result, rows),
            lambda error: loop.call_soon_threadsafe(waiter.set_exception, error),
        )
        return (await waiter)[0]

    return run


def _same(ours: Any, plain: Any, session: Any) -> None:
    assert ours.item == plain.item == "tea"
    assert session.last_route is not None
    assert session.last_route.region == HERE, "the read left the region"
