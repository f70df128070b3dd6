"""The routing decision on a null backend: what Python alone costs, without a server."""

from __future__ import annotations

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin
from regionkit import BOUNDED, EVENTUAL, SESSION, Consistency, Endpoint, Region, Role, SqlStore, Topology
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.events import EventHooks
from regionkit.facts.bookmark import Entry
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import decide
from regionkit.routing.store_state import RequestClass, StoreState
from regionkit.topology import profile

REGIONS = ("ap-northeast-2", "us-east-1", "eu-west-1")
LINEAGE = Lineage((HistoryRow("h1", None, None, 1, "a"),))
MOST_DECISION, MOST_MEMO = 5.0, 0.15
BULK = 200


def state() -> StoreState:
    """Three endpoints that answered: a near replica, the owner, a far replica."""
    roles = [Role.REPLICA, Role.PRIMARY, Role.REPLICA]
    endpoints = [Endpoint(r, role, f"sqlite:////x/{r}.db") for r, role in zip(REGIONS, roles, strict=True)]
    store = SqlStore("orders", endpoints=endpoints)
    topology = Topology(namespace="bench", regions=[Region(r) for r in REGIONS], stores=[store])
    made = StoreState(
        store,
        store.shards(())[0],
        topology.allowed_regions(store),
        REGIONS[0],
        profile("balanced"),
        SYSTEM_CLOCK,
        EventHooks(),
    )
    for index, rtt in ((1, 0.1), (0, 0.001), (2, 0.2)):
        now = SYSTEM_CLOCK.monotonic()
        made.observe(index, Observation(roles[index], "run", LINEAGE, "a", 100, now, rtt))
    return made


def run(settings: Settings) -> Report:
    """Rows: a whole decision per kind of request, the memo of a request class, and a session's proved read."""
    pin()
    store = state()
    snapshot, loads = store.snapshot, store.loads
    now = SYSTEM_CLOCK.monotonic()
    asked = {
        "EVENTUAL": Request(consistency=EVENTUAL),
        "SESSION, proved by position": Request(entries=(Entry("h1", 1, 90),)),
        "BOUNDED": Request(consistency=BOUNDED(3000)),
        "write": Request(kind=Kind.WRITE),
    }
    candidates = [
        Candidate(f"decide: {name}", lambda r=request: decide(snapshot, r, now, loads), bulk=BULK)
        for name, request in asked.items()
    ]
    rows = [
        Row(f"full decide(), 3 endpoints: {name}", f"decide: {name}", way="time", most=MOST_DECISION) for name in asked
    ]
    report = Report("decision", "Decision on a null backend", settings)
    report.add(rows, measure(candidates, settings, 50))
    memo = [Candidate("bare call", _nothing_with(store), bulk=5 * BULK)]
    levels: list[tuple[str, Consistency]] = [("SESSION, no bookmark", SESSION), ("BOUNDED", BOUNDED(3000))]
    for name, level in levels:
        memo.append(
            Candidate(f"memo: {name}", _routing(store, RequestClass(Request(consistency=level))), bulk=5 * BULK)
        )
    rows = [
        Row(f"memo hit over a bare call: {name}", f"memo: {name}", "bare call", "difference", MOST_MEMO)
        for name, _ in levels
    ]
    report.add(rows, measure(memo, settings, 50))
    return report


def _nothing(shared: RequestClass) -> None:
    return None


def _nothing_with(store: StoreState):  # type: ignore[no-untyped-def]
    shared = RequestClass(Request())
    return lambda: _nothing(shared)


def _routing(store: StoreState, shared: RequestClass):  # type: ignore[no-untyped-def]
    route = store.route
    return lambda: route(shared)
