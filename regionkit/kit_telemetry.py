"""What a kit gives to OpenTelemetry: a span and two measurements a block, and gauges of every endpoint and pool.

1. The span of a block is the current one inside it, so spans of drivers lie below it. It begins with the block, and ends with it.
2. Attributes are names of the topology, roles, levels, outcomes and classes of errors: never a key, a value, a statement.
3. Gauges are read when an exporter asks; that asks no server, and does not count as a use of a store.

Sources: OpenTelemetry semantic conventions, "Database client spans" and "Database client metrics" (1.30 and later).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from regionkit.core.events import Event, EventHooks
from regionkit.errors import MissingDriver, OutcomeUnknown, RoutingError, StaleRead, UsageError
from regionkit.facts.request import Kind
from regionkit.routing.events import ReadRouted, WriteRouted
from regionkit.topology import sql_url
from regionkit.topology.server_urls import server_url

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import Observation
except ImportError as error:
    raise MissingDriver(
        "kit.instrument() needs the OpenTelemetry API.",
        why=f"it is not installed ({error}).",
        fix='pip install "regionkit[otel]"',
    ) from error

__all__ = ["METRICS", "instrumented"]

SCOPE = "regionkit"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from a read beside the process to the longest deadline of a profile."""
METRICS = (
    ("regionkit.block.duration", "s", "how long blocks were open"),
    ("regionkit.block.wait.duration", "s", "how long blocks waited for a copy to catch up"),
    ("regionkit.block.retries", "{attempt}", "endpoints tried after the first one of a block"),
    ("regionkit.reads.refused", "{read}", "reads that no copy could serve with the requested freshness"),
    ("regionkit.events", "{event}", "events of kit.subscribe(), routed blocks aside"),
    ("regionkit.endpoint.up", "", "1: up; 0: not"),
    ("regionkit.endpoint.lag", "s", "how far an endpoint may be behind"),
    ("regionkit.endpoint.rtt", "s", "round trip of a question to an endpoint"),
    ("regionkit.endpoint.owner", "", "1: it takes the store's writes; 0: not"),
    ("regionkit.breaker.state", "", "0: closed; 1: half open; 2: open"),
    ("db.client.connection.count", "{connection}", "connections of a pool in use"),
    ("db.client.connection.max", "{connection}", "connections that a pool may have"),
)
"""Name, unit and meaning of every metric. No unit "1": exporters make another name of it in each version."""
BREAKER = {"closed": 0, "half-open": 1, "open": 2}
MOST_SETS = 4096
"""Sets of attributes remembered: endpoints times outcomes; classes of errors are the application's, too."""

Shards = Callable[[], list[Any]]


class _Where(NamedTuple):
    """What is known of an endpoint: the system, and its address."""

    system: str
    address: str
    port: int | None


def instrumented(hooks: EventHooks, shards: Shards, tracer_provider: Any, meter_provider: Any) -> Callable[[], None]:
    """Begin; the result ends it, and does nothing the second time.

    Raises:
        UsageError: the hooks have a watch already.
    """
    if hooks.watch is not None:
        raise UsageError("the kit is instrumented already.", fix="call what the first instrument() gave, to end it.")
    made = _Telemetry(
        shards,
        trace.get_tracer(SCOPE, tracer_provider=tracer_provider),
        metrics.get_meter(SCOPE, meter_provider=meter_provider),
    )
    hooks.watch = made
    remove = hooks.add(made.heard, rare=True)

    def end() -> None:
        remove()
        if hooks.watch is made:
            hooks.watch = None
        made.over = True

    return end


class _Telemetry:
    """One kit's. Safe to share between threads and tasks. `over`: gauges say nothing any more."""

    def __init__(self, shards: Shards, tracer: Any, meter: Any) -> None:
        self.over = False
        self._shards = shards
        self._tracer = tracer
        self._known: dict[tuple[str, str], _Where] = {}
        self._sets: dict[tuple[str, ...], dict[str, Any]] = {}
        about = {name: (unit, text) for name, unit, text in METRICS}

        def make(kind: str, name: str, **more: Any) -> Any:
            unit, text = about[name]
            return getattr(meter, f"create_{kind}")(name, unit=unit, description=text, **more)

        bounds = {"explicit_bucket_boundaries_advisory": list(BUCKETS)}
        self._duration = make("histogram", "regionkit.block.duration", **bounds)
        self._waits = make("histogram", "regionkit.block.wait.duration", **bounds)
        self._retries = make("counter", "regionkit.block.retries")
        self._refused = make("counter", "regionkit.reads.refused")
        self._events = make("counter", "regionkit.events")
        this = weakref.ref(self)  # a meter keeps its callbacks for ever

        def gauge(name: str, look: Callable[[_Telemetry], Iterable[Observation]]) -> None:
            def asked(_: Any) -> Iterable[Observation]:
                here = this()
                return [] if here is None or here.over else list(look(here))

            make("observable_gauge", name, callbacks=[asked])

        gauge("regionkit.endpoint.up", _Telemetry.up)
        gauge("regionkit.endpoint.lag", _Telemetry.lag)
        gauge("regionkit.endpoint.rtt", _Telemetry.rtt)
        gauge("regionkit.endpoint.owner", _Telemetry.owner)
        gauge("regionkit.breaker.state", _Telemetry.breakers)
        gauge("db.client.connection.count", lambda here: here.pools(used=True))
        gauge("db.client.connection.max", lambda here: here.pools(used=False))

    # blocks

    def begun(self, store: str, kind: str) -> Any:
        """A block is opened: its span is the current one from now on."""
        span = self._tracer.start_span(f"{kind} {store}")
        if not span.is_recording():
            return None
        before = context.get_current()
        context.attach(trace.set_span_in_context(span, before))
        return span, before

    def passed(self, store: str, endpoint: str, kind: str, seconds: float) -> bool:
        """A block without a span is over, and nothing happened in it; whether its attributes are known."""
        attributes = self._sets.get((store, endpoint, kind, ""))
        if attributes is None:
            return False
        self._duration.record(seconds, attributes)
        return True

    def ended(self, begun: Any, event: ReadRouted | WriteRouted, error: BaseException | None) -> None:
        """It is over."""
        attributes = self._attributes(event, error)
        self._duration.record(event.seconds, attributes)
        if event.waited:
            self._waits.record(event.waited, attributes)
        if event.attempts > 1:
            self._retries.add(event.attempts - 1, attributes)
        if isinstance(error, StaleRead):
            self._refused.add(1, {"regionkit.store": event.store, "regionkit.lost": error.lost})
        if begun is None:
            return
        span, before = begun
        if trace.get_current_span() is span:  # a block may end elsewhere than it began
            context.attach(before)
        where = self._where(event)
        span.set_attributes(attributes)
        span.set_attribute("regionkit.endpoint", event.endpoint)
        span.set_attribute("regionkit.waited", event.waited)
        span.set_attribute("regionkit.attempts", event.attempts)
        if event.consistency:
            span.set_attribute("regionkit.consistency", event.consistency)
        if where.address:
            span.set_attribute("server.address", where.address)
        if where.port is not None:
            span.set_attribute("server.port", where.port)
        if error is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))  # its text may hold a value
        span.end()

    def _attributes(self, event: ReadRouted | WriteRouted, error: BaseException | None) -> dict[str, Any]:
        """Of the measurements: the same object for the same outcome, as a block ends often."""
        failed = "" if error is None else type(error).__name__
        key = (event.store, event.endpoint, event.kind, failed)
        found = self._sets.get(key)
        if found is None:
            found = {
                "db.system.name": self._where(event).system,
                "db.operation.name": event.kind,
                "regionkit.store": event.store,
                "regionkit.region": event.region,
                "regionkit.outcome": outcome(error),
            }
            if failed:
                found["error.type"] = failed
            if len(self._sets) < MOST_SETS:
                self._sets[key] = found
        return found

    def _where(self, event: ReadRouted | WriteRouted) -> _Where:
        found = self._known.get((event.store, event.endpoint))
        if found is None:
            known = {(shard.name, e.id): _where(shard, i) for shard, i, e in self._endpoints()}
            found = known.get((event.store, event.endpoint))
            if found is None:  # it was refused before an endpoint was taken
                system = next(
                    (where.system for (store, _), where in known.items() if store == event.store), "other_sql"
                )
                found = _Where(system, "", None)
            if len(self._known) < MOST_SETS:
                self._known[event.store, event.endpoint] = found
        return found

    def heard(self, event: Event) -> None:
        """An event that is no block's."""
        if not isinstance(event, ReadRouted | WriteRouted):
            self._events.add(1, {"regionkit.event": type(event).__name__, "regionkit.subject": event.subject})

    # gauges

    def _endpoints(self) -> Iterator[tuple[Any, int, Any]]:
        for shard in self._shards():
            for index, e in enumerate(shard.state.snapshot.endpoints):
                yield shard, index, e

    def _seen(self) -> Iterator[tuple[dict[str, Any], Any, int, Any]]:
        """Endpoints that data may be at, with their attributes."""
        for shard, index, e in self._endpoints():
            if e.allowed or not e.region:
                named = {"regionkit.store": shard.name, "regionkit.region": e.region, "regionkit.endpoint": e.id}
                yield named, shard, index, e

    def up(self) -> Iterator[Observation]:
        """Of each endpoint."""
        for named, _, _, e in self._seen():
            is_up = e.observation is not None and not (e.barred or e.read_open or e.write_open)
            yield Observation(int(is_up), named)

    def lag(self) -> Iterator[Observation]:
        """Of each copy that was proved."""
        for named, shard, index, e in self._seen():
            if index == shard.state.snapshot.owner and e.observation is not None:
                yield Observation(0.0, named)
            elif e.fresh_at is not None:
                yield Observation(max(0.0, shard.clock.monotonic() - e.fresh_at), named)

    def rtt(self) -> Iterator[Observation]:
        """Of each endpoint that has answered."""
        for named, _, _, e in self._seen():
            if e.rtt is not None:
                yield Observation(e.rtt, named)

    def owner(self) -> Iterator[Observation]:
        """Of each endpoint."""
        for named, shard, index, _ in self._seen():
            yield Observation(int(index == shard.state.snapshot.owner), named)

    def breakers(self) -> Iterator[Observation]:
        """Of reads and of writes."""
        for named, shard, index, _ in self._seen():
            for kind in Kind:
                state = shard.state.breaker(index, kind).state.value
                yield Observation(BREAKER[state], {**named, "db.operation.name": kind.value})

    def pools(self, *, used: bool) -> Iterator[Observation]:
        """Of each pool: reads and writes of SQL have one each."""
        for shard, index, e in self._endpoints():
            for name, slots in _pools(shard.backends[index]):
                pool = "/".join(filter(None, (shard.name, shard.partition, e.id, name)))
                named: dict[str, Any] = {"db.client.connection.pool.name": pool}
                if used:
                    named["db.client.connection.state"] = "used"
                yield Observation(slots.taken if used else slots.count, named)


def outcome(error: BaseException | None) -> str:
    """In a word: "ok"; "refused" (no endpoint may serve); "unknown" (it may have taken effect); else "error"."""
    if error is None:
        return "ok"
    return "unknown" if isinstance(error, OutcomeUnknown) else "refused" if isinstance(error, RoutingError) else "error"


def _pools(backend: Any) -> Iterator[tuple[str, Any]]:
    """A backend's counted connections, where it counts them."""
    found = getattr(backend, "slots", None)
    if found is None:
        made = getattr(backend, "_made", None)  # a member of a MongoDB set is made at first use
        found = None if made is None else made.members.member.slots
    if isinstance(found, dict):
        for kind, slots in found.items():
            yield str(getattr(kind, "value", kind)), slots
    elif found is not None:
        yield "", found


def _where(shard: Any, index: int) -> _Where:
    given = shard.state.shard.endpoints[index]
    can = shard.capabilities
    system = "other_sql" if can is None else can.server
    if given.url is None:
        return _Where(system, "", None)
    if shard.store.backend == "sql":
        url = sql_url(given.url, is_async=False)
        return _Where(system, url.host or "", url.port)
    host, port = server_url(shard.store.backend, given.url).hosts[0]
    return _Where(system, host if port else "", port or None)
