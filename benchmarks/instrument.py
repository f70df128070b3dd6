"""What `kit.instrument()` costs a block: without an SDK, as in a service that exports nothing, and with one.

The block sends nothing and stands on a store in memory, so that the instrument is as large a part of it as it can be; what counts
is the processor's time, as nobody is waited for. The target
is for a process without an exporter: the API alone. With the SDK recording every span it is the SDK's own work that is seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin
from regionkit import RegionKit
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions
from regionkit.kit_async import AsyncRegionKit

MOST = 5.0
"""Microseconds a block."""
BLOCKS, BULK = 20, 500
PLAIN, NO_EXPORTER, SDK = "plain", "instrumented, no exporter", "instrumented, SDK that keeps nothing"


def run(settings: Settings) -> list[Report]:
    """One report."""
    pin()
    report = Report("instrument", "kit.instrument(), a block", settings)
    _threads(report, settings)
    _asyncio(report, settings)
    return [report]


def _threads(report: Report, settings: Settings) -> None:
    with ExitStack() as stack:
        kits = {name: _kit(stack, f"b{i}") for i, name in enumerate((PLAIN, NO_EXPORTER, SDK))}
        kits[NO_EXPORTER].instrument()
        kits[SDK].instrument(**_providers())
        reads = [Candidate(f"{name}, read", _reading(kit), own=True) for name, kit in kits.items()]
        writes = [Candidate(f"{name}, write", _writing(kit), own=True) for name, kit in kits.items()]
        report.add(_rows("read"), measure(reads, settings, BLOCKS))
        report.add(_rows("write"), measure(writes, settings, BLOCKS))


def _asyncio(report: Report, settings: Settings) -> None:
    with asyncio.Runner() as runner:
        kits = {name: runner.run(_akit(f"a{i}")) for i, name in enumerate((PLAIN, NO_EXPORTER))}
        kits[NO_EXPORTER].instrument()

        def reading(kit: AsyncRegionKit) -> Callable[[], float]:
            session = kit.session()

            async def run() -> float:
                began = time.process_time()
                for _ in range(BULK):
                    async with session.read("orders"):
                        pass
                return (time.process_time() - began) / BULK

            return lambda: runner.run(run())

        async def readings() -> list[Candidate]:
            return [Candidate(f"{name}, async read", reading(kit), own=True) for name, kit in kits.items()]

        report.add(_rows("async read")[:1], measure(runner.run(readings()), settings, BLOCKS))
        for kit in kits.values():
            runner.run(kit.close())


async def _akit(name: str) -> AsyncRegionKit:
    regions = AsyncMemoryRegions(store="orders", primary="us", replicas=[name])
    kit = AsyncRegionKit(regions.topology, local="us")
    await kit.create_tables()
    return kit


def _rows(kind: str) -> list[Row]:
    plain = f"{PLAIN}, {kind}"
    return [
        Row(f"{kind}: {NO_EXPORTER}, over {PLAIN}", f"{NO_EXPORTER}, {kind}", plain, "difference", MOST),
        Row(f"{kind}: {SDK}, over {PLAIN}", f"{SDK}, {kind}", plain, "difference"),
        Row(f"{kind}: {PLAIN}", plain, way="time"),
    ]


def _kit(stack: ExitStack, name: str) -> RegionKit:
    regions = stack.enter_context(MemoryRegions(store="orders", primary="us", replicas=[name]))
    kit = stack.enter_context(RegionKit(regions.topology, local="us"))
    kit.create_tables()
    return kit


def _providers() -> dict[str, Any]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    return {"tracer_provider": TracerProvider(), "meter_provider": MeterProvider([InMemoryMetricReader()])}


def _reading(kit: RegionKit) -> Callable[[], float]:
    session = kit.session()

    def run() -> float:
        began = time.process_time()
        for _ in range(BULK):
            with session.read("orders"):
                pass
        return (time.process_time() - began) / BULK

    return run


def _writing(kit: RegionKit) -> Callable[[], float]:
    session = kit.session()

    def run() -> float:
        began = time.process_time()
        for _ in range(BULK):
            with session.write("orders") as db:
                db["a"] = "b"
        return (time.process_time() - began) / BULK

    return run
