"""The rules of readiness.py."""

from __future__ import annotations

import json
from typing import Any

from regionkit.routing.status import EndpointStatus
from regionkit.web.readiness import readiness

NONE: frozenset[tuple[str, str]] = frozenset()


def endpoint(store: str, region: str, state: str, partition: str = "") -> EndpointStatus:
    return EndpointStatus(
        store, f"{region}.host:5432", region, "owner", state, 0.0, 0.001, 1, "closed", "closed", 0, partition, "advice"
    )


def asked(*endpoints: EndpointStatus, proved: frozenset[tuple[str, str]] = NONE, now: bool = False) -> tuple[int, Any]:
    found = readiness("us", endpoints, proved, now=now)
    return found.status, json.loads(found.body)


def test_ready_once_each_store_has_a_proved_endpoint_anywhere() -> None:
    """Rules 1 and 2: one that is down beside it does no harm, and the local region need not have one."""
    waiting = [endpoint("orders", "us", "not seen yet: refused"), endpoint("orders", "kr", "up")]
    status, body = asked(*waiting)
    assert (status, body["ready"]) == (200, True)
    status, body = asked(*waiting, endpoint("users", "us", "not seen yet"))
    assert (status, [s["ready"] for s in body["stores"]]) == (503, [True, False])


def test_of_a_partitioned_store_each_partition_counts() -> None:
    """A partition that nobody has seen cannot be read."""
    status, body = asked(endpoint("carts", "us", "up", "us"), endpoint("carts", "kr", "not seen yet", "kr"))
    assert status == 503
    assert [(s["partition"], s["ready"]) for s in body["stores"]] == [("us", True), ("kr", False)]


def test_it_stays_ready_and_tells_of_now_when_asked() -> None:
    """Rule 3; a store that came later has to be proved too."""
    first = readiness("us", [endpoint("orders", "us", "up")], NONE, now=False)
    down = endpoint("orders", "us", "breaker open until 3.2: ConnectionError at 10.0.0.1")
    assert asked(down, proved=first.proved)[0] == 200
    assert asked(down, proved=first.proved, now=True)[0] == 503
    assert asked(down, endpoint("new", "us", "not seen yet"), proved=first.proved)[0] == 503


def test_the_body_names_no_address() -> None:
    """Rule 5."""
    states = [
        "fenced: host 10.0.0.1 says so",
        "refused by residency",
        "not seen yet: 10.0.0.1 refused",
        "RegionUnavailable 10.0.0.1",
    ]
    for state in states:
        text = readiness("us", [endpoint("orders", "us", state)], NONE, now=True).body
        assert b"10.0.0.1" not in text and b"5432" not in text and b"advice" not in text
