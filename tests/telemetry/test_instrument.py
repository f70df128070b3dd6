"""`kit.instrument()`: spans and metrics by OpenTelemetry, and a dashboard whose queries name what is exported."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import wait_until

from regionkit import EVENTUAL, SESSION, AsyncRegionKit, MissingDriver, RegionKit, StaleRead, UsageError
from regionkit.embedded import SqliteRegions

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("prometheus_client")

from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ROOT = Path(__file__).parents[2]
SECRET = "a-value-of-somebody"


class Telemetry:
    """Providers of this test's own, and what came to them."""

    def __init__(self, *readers: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader, *readers])

    def on(self, kit: Any) -> Any:
        return kit.instrument(tracer_provider=self.traces, meter_provider=self.meters)

    def count(self, kit: Any) -> Any:
        """Metrics alone: no span is recorded."""
        return kit.instrument(tracer_provider=trace.NoOpTracerProvider(), meter_provider=self.meters)

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        """Data points by metric."""
        found = self.reader.get_metrics_data()
        scopes = [] if found is None else [s for r in found.resource_metrics for s in r.scope_metrics]
        return {m.name: list(m.data.data_points) for s in scopes for m in s.metrics}

    def close(self) -> None:
        self.traces.shutdown()
        self.meters.shutdown()


@pytest.fixture
def told() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


@pytest.fixture
def regions(tmp_path: Path) -> Iterator[SqliteRegions]:
    """Two regions with tables, and the copy has them."""
    with SqliteRegions(tmp_path / "data", store="orders", primary="us", replicas=["kr"], lag=0.05) as made:
        with RegionKit(made.topology, local="us") as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders", core=True) as db:
                db.exec_driver_sql("CREATE TABLE things (name TEXT)")
            wait_until(lambda: all(e.epoch is not None for e in kit.status().endpoints), 30.0)
        yield made


def write(kit: RegionKit) -> str:
    """One row; the bookmark."""
    with kit.session() as s:
        with s.write("orders", core=True) as db:
            db.exec_driver_sql("INSERT INTO things VALUES (?)", (SECRET,))
        return s.bookmark()


def test_a_block_is_the_current_span_and_says_where_it_went(regions: SqliteRegions, told: Telemetry) -> None:
    """Driver's spans lie below it; region, level, waits and attempts stand in it, and no value."""
    with RegionKit(regions.topology, local="kr") as kit:
        end = told.on(kit)
        tracer = trace.get_tracer("application", tracer_provider=told.traces)
        with tracer.start_as_current_span("request"):
            bookmark = write(kit)
            with kit.session(bookmark=bookmark) as s, s.read("orders", consistency=SESSION, core=True) as db:
                with tracer.start_as_current_span("driver"):
                    db.exec_driver_sql("SELECT name FROM things").all()
        end()
        end()
        write(kit)
    by_name = {span.name: span for span in told.spans}
    assert set(by_name) == {"request", "write orders", "read orders", "driver"}
    request, block = by_name["request"], by_name["read orders"]
    assert by_name["driver"].parent.span_id == block.context.span_id
    assert block.parent.span_id == request.context.span_id
    assert by_name["write orders"].parent.span_id == request.context.span_id
    said = dict(block.attributes)
    assert said["db.system.name"] == "sqlite" and said["db.operation.name"] == "read"
    assert said["regionkit.region"] in ("us", "kr") and said["regionkit.endpoint"] == said["regionkit.region"]
    assert said["regionkit.outcome"] == "ok" and "error.type" not in said
    assert (
        said["regionkit.consistency"] == "SESSION" and said["regionkit.attempts"] >= 1 and said["regionkit.waited"] >= 0
    )
    everything = " ".join(span.to_json() for span in told.spans)
    assert SECRET not in everything and bookmark not in everything


def test_an_error_is_named_by_its_class_alone(regions: SqliteRegions, told: Telemetry) -> None:
    """Its text may hold a value. The current span afterwards is that of before."""
    with RegionKit(regions.topology, local="us") as kit:
        told.on(kit)
        with pytest.raises(ValueError), kit.session() as s, s.write("orders", core=True):
            raise ValueError(SECRET)
        assert not trace.get_current_span().get_span_context().is_valid
    [span] = told.spans
    assert not span.status.is_ok and span.attributes["error.type"] == "ValueError"
    assert SECRET not in span.to_json()


def test_reads_and_writes_are_counted_by_region_and_outcome(regions: SqliteRegions, told: Telemetry) -> None:
    """Refused ones too, which took no endpoint; gauges of endpoints and pools."""
    with RegionKit(regions.topology, local="kr") as kit:
        told.on(kit)
        bookmark = write(kit)
        regions.lag = 60.0
        late = write(kit)
        with pytest.raises(StaleRead), kit.session(bookmark=late) as s:
            regions.kill("us")
            wait_until(lambda: any("breaker" in e.state for e in kit.status().endpoints), 30.0)
            with s.read("orders", core=True, on_stale="raise"):
                pass
        wait_until(lambda: "regionkit.events" in told.points(), 30.0)  # told a moment after the state is there
        found = told.points()
    assert bookmark
    counted = {
        (
            p.attributes["db.operation.name"],
            p.attributes["regionkit.region"],
            p.attributes["regionkit.outcome"],
        ): p.count
        for p in found["regionkit.block.duration"]
    }
    assert counted["write", "us", "ok"] == 2
    assert counted["read", "", "refused"] == 1
    [refused] = found["regionkit.reads.refused"]
    assert (refused.value, refused.attributes["regionkit.store"]) == (1, "orders")
    up = {p.attributes["regionkit.endpoint"]: p.value for p in found["regionkit.endpoint.up"]}
    assert up == {"us": 0, "kr": 1}
    breakers = {
        (p.attributes["regionkit.endpoint"], p.attributes["db.operation.name"]): p.value
        for p in found["regionkit.breaker.state"]
    }
    assert breakers["us", "write"] == 2 and breakers["kr", "read"] == 0
    events = {p.attributes["regionkit.event"] for p in found["regionkit.events"]}
    assert "BreakerChanged" in events and not events & {"ReadRouted", "WriteRouted"}
    pools = {p.attributes["db.client.connection.pool.name"]: p.value for p in found["db.client.connection.max"]}
    assert pools["orders/kr/read"] > 0
    assert all(p.value == 0 for p in found["db.client.connection.count"])
    assert {p.attributes["regionkit.endpoint"] for p in found["regionkit.endpoint.rtt"]} >= {"kr"}


def test_metrics_without_spans_count_every_block(regions: SqliteRegions, told: Telemetry) -> None:
    """Reads, writes and failures, each for as long as it was open; waits and second attempts too."""
    with RegionKit(regions.topology, local="kr", profile={"longest_wait": 20.0}) as kit:
        told.count(kit)
        for _ in range(5):
            with kit.session() as s, s.read("orders", core=True, consistency=EVENTUAL) as db:
                db.exec_driver_sql("SELECT 1")
                time.sleep(0.02)
        for _ in range(3):
            write(kit)
        for _ in range(2):
            with pytest.raises(ValueError), kit.session() as s, s.write("orders", core=True):
                raise ValueError(SECRET)
        regions.lag = 0.3
        bookmark = write(kit)
        with kit.session(bookmark=bookmark) as s, s.read("orders", core=True, on_stale="wait", timeout=20.0) as db:
            assert db.exec_driver_sql("SELECT count(*) FROM things").scalar() == 4
        found = told.points()
    assert told.spans == []
    counted = {
        (p.attributes["db.operation.name"], p.attributes["regionkit.region"], p.attributes["regionkit.outcome"]): p
        for p in found["regionkit.block.duration"]
    }
    assert {key: point.count for key, point in counted.items()} == {
        ("read", "kr", "ok"): 6,
        ("write", "us", "ok"): 4,
        ("write", "us", "error"): 2,
    }
    assert 0.1 <= counted["read", "kr", "ok"].sum < 60.0
    [waits] = found["regionkit.block.wait.duration"]
    assert waits.count == 1
    assert waits.sum > 0.0


def test_pools_in_use(regions: SqliteRegions, told: Telemetry) -> None:
    """While a block is open."""
    with RegionKit(regions.topology, local="us") as kit:
        told.on(kit)
        with kit.session() as s, s.read("orders", core=True) as db:
            db.exec_driver_sql("SELECT 1").all()
            used = {
                p.attributes["db.client.connection.pool.name"]: p.value
                for p in told.points()["db.client.connection.count"]
            }
    assert used["orders/us/read"] == 1 and used["orders/kr/read"] == 0


def test_it_is_given_once_and_gauges_end_with_it(regions: SqliteRegions, told: Telemetry) -> None:
    """A second one is refused; after the end nothing is reported."""
    with RegionKit(regions.topology, local="us") as kit, kit.session():
        end = told.on(kit)
        with pytest.raises(UsageError, match="instrumented already"):
            told.on(kit)
        assert told.points()["regionkit.endpoint.up"]
        end()
        assert not told.points().get("regionkit.endpoint.up")
        told.on(kit)()


async def test_tasks_have_spans_of_their_own(regions: SqliteRegions, told: Telemetry) -> None:
    """Two at once in one loop: each block's parent is its own task's."""
    import asyncio

    tracer = trace.get_tracer("application", tracer_provider=told.traces)
    async with AsyncRegionKit(regions.topology, local="us") as kit:
        told.on(kit)

        async def request(name: str) -> None:
            with tracer.start_as_current_span(name):
                async with kit.session() as s, s.read("orders", core=True) as db:
                    await asyncio.sleep(0.01)
                    await db.exec_driver_sql("SELECT 1")

        await asyncio.gather(request("one"), request("two"))
        async with kit.session() as s, s.read("orders", core=True) as db:
            await db.exec_driver_sql("SELECT 1")
            used = {
                p.attributes["db.client.connection.pool.name"]: p.value
                for p in told.points()["db.client.connection.count"]
            }
        assert used["orders/us/read"] == 1 and used["orders/us/write"] == 0
    ids = {span.name: span.context.span_id for span in told.spans}
    parents = sorted(span.parent.span_id for span in told.spans if span.name == "read orders" and span.parent)
    assert parents == sorted([ids["one"], ids["two"]])


def test_without_opentelemetry_the_error_names_the_extra(
    regions: SqliteRegions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else needs it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "regionkit.kit_telemetry", raising=False)
    with RegionKit(regions.topology, local="us") as kit, pytest.raises(MissingDriver, match=r"regionkit\[otel\]"):
        kit.instrument()


def test_the_dashboard_asks_for_what_is_exported(regions: SqliteRegions) -> None:
    """Every metric and every label of its queries is in what Prometheus is given."""
    from prometheus_client import REGISTRY, generate_latest

    reader = PrometheusMetricReader()
    told = Telemetry(reader)
    try:
        with RegionKit(regions.topology, local="kr") as kit:
            told.on(kit)
            write(kit)
            regions.lag = 60.0
            late = write(kit)
            with (
                pytest.raises(StaleRead),
                kit.session(bookmark=late) as s,
                s.read("orders", core=True, on_stale="raise"),
            ):
                pass
            from regionkit.routing.events import LossAccepted, ReadRouted

            kit._hooks.emit(LossAccepted("orders", "us", "us"))
            kit._hooks.watch.ended(None, ReadRouted("orders", "kr", "kr", "read", "ok", 0.1, "SESSION", 0.05, 2), None)
            text = generate_latest(REGISTRY).decode()
    finally:
        told.close()
    names = set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE))
    labels = set(re.findall(r"[{,](\w+)=", text))
    board = json.loads((ROOT / "docs/operations/grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    queries += [v["query"] for v in board["templating"]["list"] if v["type"] == "query"]
    assert len(queries) >= 10
    page = (ROOT / "docs/operations/metrics.md").read_text()
    queries += re.findall(r"^\| `(sum by .*?)` \|", page, re.MULTILINE)
    used = {name for query in queries for name in re.findall(r"\b((?:regionkit|db)_\w+)\b(?=[{\[ )]|$)", query)}
    wanted = {name for name in used if name not in labels}
    assert wanted <= names, wanted - names
    asked = {label for query in queries for label in re.findall(r"(\w+)\s*[=!]~?\"", query)}
    asked |= {
        label for query in queries for by in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", by)
    }
    asked |= set(re.findall(r"label_values\(\w+, (\w+)\)", " ".join(queries)))
    assert asked <= labels | {"le"}, asked - labels
    from regionkit.kit_telemetry import METRICS

    assert {name for name, _, _ in METRICS} == set(
        re.findall(r"^\| `([a-z_.]+)` \| (?:histogram|counter|gauge)", page, re.MULTILINE)
    )
