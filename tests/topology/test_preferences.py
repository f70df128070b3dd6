"""Preferences: which of several copies that may all serve is taken. As values, and in decisions."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import EVENTUAL
from regionkit.facts.request import Request
from regionkit.routing.decision import Decision, decide
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.routing.verdict import Outcome
from regionkit.topology import ByGeography, ByProfile, Nearest, Preference, Role, Weighted
from regionkit.topology.preferences import preference

REGIONS = ("us", "kr", "eu")
RTTS = (0.1, 0.001, 0.2)


def snapshot(**changes: object) -> Snapshot:
    """Three copies seen from kr; the owner is in us."""
    endpoints = tuple(
        EndpointState(
            id=region,
            region=region,
            configured=Role.PRIMARY if region == "us" else Role.REPLICA,
            role=Role.PRIMARY if region == "us" else Role.REPLICA,
            allowed=True,
            rtt=rtt,
        )
        for region, rtt in zip(REGIONS, RTTS, strict=True)
    )
    return msgspec.structs.replace(Snapshot("orders", "kr", endpoints, owner=0), **changes)


def taken(prefer: Preference, attributes: dict[str, str], snap: Snapshot | None = None, calls: object = ()) -> Decision:
    """The decision of an EVENTUAL read with this preference."""
    request = Request(
        consistency=EVENTUAL,
        latency_window=prefer.latency_window,
        regions=prefer.regions(attributes),
        weights=prefer.weights,
    )
    return decide(snap or snapshot(), request, 1.0, (0, 0, 0), calls)  # type: ignore[arg-type]  # a sequence or nothing


def test_the_nearest_is_the_default() -> None:
    """The local region, whatever the attributes."""
    assert taken(Nearest(), {"nationality": "DE"}).index == 1


def test_a_nationality_fixes_the_region() -> None:
    """Wherever the user travels; others get the nearest."""
    prefer = ByProfile("nationality", {"DE": "eu", "KR": "kr"})
    assert taken(prefer, {"nationality": "DE"}).index == 2
    assert taken(prefer, {"nationality": "FR"}).index == 1
    assert taken(prefer, {}).index == 1


def test_a_geography_orders_the_regions() -> None:
    """The first of its regions that may serve; those not named come last."""
    prefer = ByGeography({"EU": ["eu", "us"]})
    assert taken(prefer, {"geography": "EU"}).index == 2
    down = snapshot()
    endpoints = (*down.endpoints[:2], msgspec.structs.replace(down.endpoints[2], read_open="breaker open"))
    assert taken(prefer, {"geography": "EU"}, snapshot(endpoints=endpoints)).index == 0
    refused = (*down.endpoints[:2], msgspec.structs.replace(down.endpoints[2], allowed=False))
    assert taken(prefer, {"geography": "EU"}, snapshot(endpoints=refused)).index == 0


def test_weights_share_calls_exactly() -> None:
    """3 to 1 in every four calls, and nothing to the region without weight."""
    prefer = Weighted({"us": 3, "eu": 1})
    calls = [0, 0, 0]
    first = []
    for _ in range(400):
        decision = taken(prefer, {}, calls=calls)
        assert decision.outcome is Outcome.USE
        calls[decision.index] += 1
        first.append(decision.index)
    assert Counter(first) == {0: 300, 2: 100}
    assert all(Counter(first[i : i + 40])[2] in (9, 10, 11) for i in range(0, 400, 40))


def test_a_weighted_decision_is_not_remembered() -> None:
    """Or the first one would take every call."""
    decision = taken(Weighted({"us": 1, "eu": 1}), {}, calls=[0, 0, 0])
    assert decision.valid_until == decision.at


def test_a_region_without_weight_serves_when_no_other_is_left() -> None:
    """A share of nothing is no refusal."""
    snap = snapshot()
    down = tuple(msgspec.structs.replace(e, read_open="down") if e.region != "kr" else e for e in snap.endpoints)
    assert taken(Weighted({"us": 3, "eu": 1}), {}, snapshot(endpoints=down), [9, 9, 9]).index == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Weighted({}),
        lambda: Weighted({"us": 0}),
        lambda: Weighted({"us": True}),
        lambda: Weighted({"us": float("inf")}),
        lambda: Weighted([("us", 1)]),  # type: ignore[arg-type]  # the point
        lambda: ByGeography({"EU": []}),
        lambda: ByGeography({"EU": "eu"}),
        lambda: ByProfile("", {"DE": "eu"}),
        lambda: ByProfile("nationality", {"DE": ["eu"]}),  # type: ignore[dict-item]  # the point
        lambda: ByProfile("nationality", {}),
    ],
)
def test_bad_preferences_are_refused(make: object) -> None:
    """At construction."""
    with pytest.raises(ConfigurationError):
        make()  # type: ignore[operator]  # a function


def test_preferences_by_name() -> None:
    """As TOML describes them; they are values."""
    assert preference({"name": "weighted", "weights": {"us": 3}}) == Weighted({"us": 3.0})
    assert preference({"name": "by-geography", "table": {"EU": ["eu"]}}) == ByGeography({"EU": ["eu"]})
    made = preference({"name": "by-profile", "attribute": "nationality", "table": {"DE": "eu"}})
    assert made == ByProfile("nationality", {"DE": "eu"})
    assert len({made, ByProfile("nationality", {"DE": "eu"})}) == 1
