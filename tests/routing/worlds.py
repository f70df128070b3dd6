"""Builders of snapshots and observations for the tests of this folder: short names, sensible defaults."""

from __future__ import annotations

from typing import Any

from regionkit.core.events import EventHooks
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, Reached
from regionkit.routing.snapshot import EndpointState, Snapshot, observe
from regionkit.routing.store_state import StoreState
from regionkit.testing.clock import VirtualClock
from regionkit.topology import Endpoint, LocalReadGlobalWrite, Profile, Region, Role, SqlStore, Topology, profile

PRIMARY, REPLICA = Role.PRIMARY, Role.REPLICA


def chain(*names: str, forks: tuple[Position | None, ...] | None = None) -> Lineage:
    """A lineage h1 -> h2 -> ...; forks default to 100, 200, ...; the origin of h1 is "at h1"."""
    rows = []
    for i, name in enumerate(names):
        fork = None if i == 0 else 100 * i if forks is None else forks[i - 1]
        rows.append(HistoryRow(name, names[i - 1] if i else None, fork, i + 1, f"at {name}"))
    return Lineage(tuple(rows))


def told(
    role: Role | None,
    lineage: Lineage | None = None,
    reached: Reached | None = 50,
    *,
    origin: str | None = None,
    run: str = "run 1",
    at: float = 10.0,
    **more: Any,
) -> Observation:
    """An answer of a server; its origin is the newest row's unless given."""
    if origin is None:
        origin = lineage.current.origin if lineage is not None else ""
    return Observation(role, run, lineage, origin, reached, at, more.pop("rtt", 0.01), **more)


def fresh(roles: str, local: str = "r0") -> Snapshot:
    """Nothing seen yet: "PRR" is a primary in r0 and replicas in r1 and r2."""
    endpoints = []
    for i, letter in enumerate(roles):
        role = PRIMARY if letter == "P" else REPLICA
        endpoints.append(EndpointState(id=f"r{i}", region=f"r{i}", configured=role, role=role, allowed=True))
    return Snapshot("orders", local, tuple(endpoints), owner=roles.find("P"))


def after(snapshot: Snapshot, *answers: tuple[int, Observation], fresh_at: float | None = None) -> Snapshot:
    """The snapshot after these answers, in order."""
    for index, seen in answers:
        snapshot = observe(snapshot, index, seen, fresh_at)
    return snapshot


def store_of(
    roles: str = "PRR", clock: VirtualClock | None = None, spec: str | Profile = "balanced", local: str = "r0"
) -> tuple[StoreState, VirtualClock, EventHooks]:
    """An ObservedStore on a clock that only the test moves."""
    clock = clock or VirtualClock()
    hooks = EventHooks()
    endpoints = [
        Endpoint(f"r{i}", PRIMARY if letter == "P" else REPLICA, f"sqlite:////tmp/rk-{i}.db")
        for i, letter in enumerate(roles)
    ]
    store = SqlStore("orders", strategy=LocalReadGlobalWrite(), endpoints=endpoints)
    topology = Topology("shop", None, [Region(f"r{i}") for i in range(len(roles))], [store])
    store = topology.store("orders")
    shard, regions = store.shards(())[0], topology.allowed_regions(store)
    return StoreState(store, shard, regions, local, profile(spec), clock, hooks), clock, hooks
