"""MongoDB `find_one` by `_id` inside an open read block, against plain pymongo with a causal session and without.

Every candidate reads the local secondary at read concern majority, from a collection object that was made before. The peers
are clients of that one member, in pymongo's own settings. What a block costs to open and close stands beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pymongo
from pymongo.read_concern import ReadConcern

from benchmarks.harness import Candidate, Report, Row, Settings, Spread, measure, measure_async, pin, pin_children
from regionkit import SESSION, AsyncRegionKit, MongoStore, Region, RegionKit, Topology
from regionkit.testing import servers

HERE, THERE = "ap-northeast-2", "us-east-1"
MOST = 1.03
READS = 60
MAJORITY = ReadConcern("majority")


def run(settings: Settings) -> Report:
    """Threads, then asyncio."""
    report = Report("mongo_reads", "MongoDB find_one by _id", settings)
    core = pin()
    with servers.mongodb([THERE, HERE]) as mongo:
        pin_children(core)
        store = MongoStore("orders", url=mongo.url)
        topology = Topology(namespace="bench", regions=[Region(THERE), Region(HERE)], stores=[store])
        with RegionKit(topology, local=HERE) as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                db.things.insert_one({"_id": 1, "item": "tea", "count": 3, "tags": ["a", "b"]})
            mongo.wait_for_replicas()
            _threads(kit, mongo.node(HERE).url, report, settings)
        asyncio.run(_asyncio(topology, mongo.node(HERE).url, report, settings))
    return report


def _rows() -> list[Row]:
    return [
        Row("SESSION read in a block / causal session", "block", "causal", most=MOST),
        Row("SESSION read in a block / no session", "block", "plain", most=MOST),
        Row("opened, one read, closed / causal session", "whole block", "causal"),
    ]


def _threads(kit: RegionKit, url: str, report: Report, settings: Settings) -> None:
    """RegionKit against MongoClient."""
    with pymongo.MongoClient[dict[str, Any]](url) as client, client.start_session(causal_consistency=True) as causal:
        things = client.get_database("test", read_concern=MAJORITY).things
        session = kit.session()

        def whole() -> None:
            with session.read("orders", consistency=SESSION) as db:
                db.things.find_one({"_id": 1})

        with kit.session() as s, s.read("orders", consistency=SESSION, timeout=3600) as db:
            ours = db.things
            candidates = [
                Candidate("block", lambda: ours.find_one({"_id": 1})),
                Candidate("causal", lambda: things.find_one({"_id": 1}, session=causal)),
                Candidate("plain", lambda: things.find_one({"_id": 1})),
                Candidate("whole block", whole),
            ]
            assert ours.find_one({"_id": 1}) == things.find_one({"_id": 1}) is not None
            spreads: dict[str, Spread] = measure(candidates, settings, READS)
            report.add(_rows(), spreads, "threads")


async def _asyncio(topology: Topology, url: str, report: Report, settings: Settings) -> None:
    """AsyncRegionKit against AsyncMongoClient."""
    async with (
        AsyncRegionKit(topology, local=HERE) as kit,
        pymongo.AsyncMongoClient[dict[str, Any]](url) as client,
        client.start_session(causal_consistency=True) as causal,
    ):
        things = client.get_database("test", read_concern=MAJORITY).things
        session = kit.session()

        async def whole() -> None:
            async with session.read("orders", consistency=SESSION) as db:
                await db.things.find_one({"_id": 1})

        async with kit.session() as s, s.read("orders", consistency=SESSION, timeout=3600) as db:
            ours = db.things

            def read(collection: Any, **options: Any) -> Callable[[], Any]:
                return lambda: collection.find_one({"_id": 1}, **options)

            candidates = [
                Candidate("block", read(ours)),
                Candidate("causal", read(things, session=causal)),
                Candidate("plain", read(things)),
                Candidate("whole block", whole),
            ]
            assert await ours.find_one({"_id": 1}) is not None
            spreads = await measure_async(candidates, settings, READS)
            report.add(_rows(), spreads, "asyncio")
