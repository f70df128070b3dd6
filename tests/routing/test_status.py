"""The status: what is known of every store, as a table, a drawing and plain data."""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit import (
    CassandraStore,
    Contextual,
    Endpoint,
    Region,
    Residency,
    Role,
    SqlStore,
    Store,
    Topology,
    WritePartitioning,
)
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.events import EventHooks
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.routing.hotkeys import HotKey
from regionkit.routing.status import status_of
from regionkit.routing.store_state import StoreState
from regionkit.topology import profile

REGIONS = [Region("us", "US"), Region("kr", "KR"), Region("eu", "EU")]
LINEAGE = Lineage((HistoryRow("h1", None, None, 1, "a"),))


def at(region: str, role: Role, name: str, **more: Any) -> Endpoint:
    return Endpoint(region, role, f"sqlite:////tmp/{name}.db", **more)


def states_of(store: Store, topology: Topology, seen: bool = True) -> list[StoreState]:
    """Every shard, each endpoint as configured and up."""
    found = []
    for shard in store.shards([region.name for region in topology.regions]):
        made = StoreState(
            store, shard, topology.allowed_regions(store), "kr", profile("balanced"), SYSTEM_CLOCK, EventHooks()
        )
        for index, e in enumerate(shard.endpoints):
            if seen and made.snapshot.endpoints[index].allowed:
                now = SYSTEM_CLOCK.monotonic()
                made.observe(index, Observation(e.role, "run", LINEAGE, "a", 1, now, 0.01))
        found.append(made)
    return found


def test_an_asymmetric_topology_is_drawn() -> None:
    """One master region with every role, regional ones with some; what residency refuses is seen."""
    P, R = Role.PRIMARY, Role.REPLICA
    orders = SqlStore("orders", endpoints=[at("us", P, "o1"), at("kr", R, "o2"), at("eu", R, "o3")])
    carts = SqlStore(
        "carts",
        strategy=WritePartitioning(Contextual()),
        endpoints=[at("us", P, "c1"), at("kr", P, "c2"), at("us", R, "c3", of="kr"), at("kr", R, "c4", of="us")],
    )
    users = SqlStore("users", endpoints=[at("us", P, "u1"), at("eu", R, "u2")], residency=Residency(allow=["US", "KR"]))
    events = CassandraStore("events", url="cassandra://127.0.0.1/shop")
    topology = Topology(regions=REGIONS, stores=[orders, carts, users, events])
    everything = [o for store in (orders, carts, users) for o in states_of(store, topology)]
    everything += states_of(events, topology, seen=False)
    status = status_of(everything, "kr", SYSTEM_CLOCK.monotonic(), {"carts/us": (HotKey("t42", 0.4, 0.39),)})
    assert status.drawing().splitlines() == [
        "           orders  carts  users  events",
        "us         P       P r    P      (*)",
        "kr (here)  r       r P    .      (*)",
        "eu         r       .      x      (*)",
    ]
    assert status.drawing() in str(status)
    assert "hot in carts/us: t42 has 40 % of the calls" in str(status)
    assert {e["partition"] for e in status.to_dict()["endpoints"]} == {"", "us", "kr"}
    assert msgspec.json.decode(msgspec.json.encode(status.to_dict())) == status.to_dict()


def test_what_to_do_stands_below_the_table_once() -> None:
    """Of all endpoints that have the same; none where an endpoint answers, or where residency refuses it."""
    endpoints = [
        at(region, role, region) for region, role in (("us", Role.PRIMARY), ("kr", Role.REPLICA), ("eu", Role.REPLICA))
    ]
    store = SqlStore("orders", endpoints=endpoints, residency=Residency(deny=["EU"]))
    topology = Topology(regions=REGIONS, stores=[store])
    states = states_of(store, topology)
    for index in range(3):
        states[0].probed(index, ok=False, reason="probe: gone", advice="look at it.", left_at=0.0)
    found = status_of(states, "kr", SYSTEM_CLOCK.monotonic())
    assert [e.advice for e in found.endpoints] == ["look at it.", "look at it.", ""]
    assert "\norders us, orders kr: look at it." in str(found)
    assert found.to_dict()["endpoints"][0]["advice"] == "look at it."
    for index in range(3):
        states[0].probed(index, ok=True, left_at=0.0)
    assert "look at it" not in str(status_of(states, "kr", SYSTEM_CLOCK.monotonic()))
