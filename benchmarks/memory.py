"""A thousand routed operations on a store in memory: what a user's unit test waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin
from regionkit import AsyncRegionKit, RegionKit
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions
from regionkit.testing import VirtualClock

PAIRS = 500
"""Writes, each with a SESSION read behind it: a thousand operations a call."""
MOST = 100.0
CAST: dict[str, Any] = {"store": "orders", "primary": "us-east-1", "replicas": ["ap-northeast-2", "eu-west-1"]}
LOCAL = "ap-northeast-2"


def run(settings: Settings) -> Report:
    """Rows: a session per pair, with threads and asyncio; a whole small test with regions and a kit of its own."""
    pin()
    report = Report("memory", "A store in memory, for tests of applications", settings)
    clock = VirtualClock()
    with MemoryRegions(clock=clock, **CAST) as regions, RegionKit(regions.topology, local=LOCAL, clock=clock) as kit:
        kit.create_tables()
        candidates = [Candidate("sync", _pairs(kit)), Candidate("a test of its own", _small_test)]
        rows = [
            _row("1,000 routed operations, a session per write and read", "sync", MOST),
            _row("regions, kit, tables, one write, one read", "a test of its own", None),
        ]
        report.add(rows, measure(candidates, settings, 3))
    rows = [_row("1,000 routed operations, asyncio", "asyncio", MOST)]
    report.add(rows, asyncio.run(_asyncio(settings)))
    return report


def _row(what: str, candidate: str, most: float | None) -> Row:
    return Row(what, candidate, way="time", most=most, unit=(1000.0, "ms"))


def _pairs(kit: RegionKit) -> Callable[[], None]:
    def pairs() -> None:
        for number in range(PAIRS):
            with kit.session() as s:
                with s.write("orders") as db:
                    db["order"] = number
                with s.read("orders") as db:
                    assert db["order"] == number

    return pairs


def _small_test() -> None:
    with MemoryRegions(**CAST) as regions, RegionKit(regions.topology, local=LOCAL) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db["order"] = 1
            with s.read("orders") as db:
                assert db["order"] == 1


async def _asyncio(settings: Settings) -> Any:
    clock = VirtualClock()
    async with (
        AsyncMemoryRegions(clock=clock, **CAST) as regions,
        AsyncRegionKit(regions.topology, local=LOCAL, clock=clock) as kit,
    ):
        await kit.create_tables()

        async def pairs() -> None:
            for number in range(PAIRS):
                async with kit.session() as s:
                    async with s.write("orders") as db:
                        db["order"] = number
                    async with s.read("orders") as db:
                        assert db["order"] == number

        return await measure_async([Candidate("asyncio", pairs)], settings, 3)
