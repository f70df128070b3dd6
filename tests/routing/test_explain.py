"""Decisions in words: the very object, at most 80 columns, plain data."""

from __future__ import annotations

import json
import pickle
from random import Random

import pytest
from backends.test_capabilities import EXPECTED, HOMES, declared
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from regionkit import RegionKit
from regionkit.contract.advice import NEUTRAL
from regionkit.embedded import MemoryRegions
from regionkit.errors import Fenced, InvalidBookmark, NoEligibleEndpoint, ResidencyViolation, StaleRead
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision, decide
from regionkit.routing.explain import Explanation
from regionkit.routing.refusal import error_of
from regionkit.routing.store_state import RequestClass
from regionkit.routing.verdict import Outcome, Refusal

from .test_decision import NOW, random_request, random_snapshot
from .worlds import store_of


def drawn(seed: int) -> Decision:
    random = Random(seed)
    count = random.randint(1, 5)
    snapshot = random_snapshot(random, count)
    if random.random() < 0.3:  # long names, long waits
        endpoints = tuple(
            replace(e, id="x" * 63 + "#2", region="y" * 63, fresh_at=-1e9, rtt=1e7) for e in snapshot.endpoints
        )
        snapshot = replace(snapshot, store="s" * 60, local="y" * 63, endpoints=endpoints)
    return decide(snapshot, random_request(random, count), NOW, [0] * count)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_eighty_columns_and_every_endpoint(seed: int) -> None:
    """No line is wider than the table; each endpoint stands in it with its verdict."""
    made = drawn(seed)
    text = str(Explanation(made, ("a note " * 30,), declared(sorted(HOMES)[seed % len(HOMES)])))
    assert max(len(line) for line in text.splitlines()) <= 80, text
    for candidate in made.candidates:
        assert candidate.endpoint in text
        assert candidate.refused_by is None or candidate.refused_by.value in text
    assert ("taken" in text) == (made.outcome is Outcome.USE) or "another" in text


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_to_dict_is_json(seed: int) -> None:
    """Plain data whose keys are stable."""
    made = drawn(seed)
    plain = made.explain().to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert set(plain) == {
        *("store", "kind", "consistency", "local", "outcome", "endpoint", "proof", "refusal", "epoch"),
        *("candidates", "guarantees", "capabilities"),
    }
    assert len(plain["candidates"]) == len(made.snapshot.endpoints)


def test_it_explains_the_very_decision() -> None:
    """Identity: what a read used, what explain() shows, what the memo keeps are one object."""
    store, _, _ = store_of("PRR")
    shared = RequestClass(Request())
    used = store.route(shared)
    assert used.explain().decision is used
    assert store.route(shared) is used
    assert Explanation(used).decision is used


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_errors_of_refusals(seed: int) -> None:
    """Each kind of refusal is its error, carries the decision, names every endpoint, and pickles with it."""
    made = drawn(seed)
    if made.outcome is not Outcome.REFUSE:
        return
    kinds = {
        Refusal.RESIDENCY: ResidencyViolation,
        Refusal.FENCED: Fenced,
        Refusal.STALE: StaleRead,
        Refusal.LOST: StaleRead,
        Refusal.INVALID: InvalidBookmark,
        Refusal.NO_ENDPOINT: NoEligibleEndpoint,
    }
    error = error_of(made, NEUTRAL)
    assert type(error) is kinds[made.refusal]
    assert error.decision is made  # type: ignore[attr-defined]
    assert getattr(error, "lost", False) == (made.refusal is Refusal.LOST)
    assert error.retryable == (made.refusal in (Refusal.FENCED, Refusal.STALE, Refusal.NO_ENDPOINT))
    assert all(e.id in str(error) for e in made.snapshot.endpoints)
    copy = pickle.loads(pickle.dumps(error))
    assert copy.decision == made and str(copy) == str(error)


def test_a_write_is_told_as_one() -> None:
    """The consistency of a read has no place in the line of a write."""
    store, _, _ = store_of("PRR")
    text = str(store.decide(Request(kind=Kind.WRITE)).explain())
    assert text.startswith("write orders, from r0: use r0")


ABLE = {
    "postgresql": "postgresql: read-only by the server; transactions; idempotency keys; core=; snapshot=; BOUNDED; "
    "STRONG reads the owner, primary as configured or by descent",
    "redis": "redis: read-only by the client; no transactions; idempotency keys; BOUNDED; "
    "STRONG reads the owner, primary as configured or by descent",
    "mongodb": "mongodb: read-only by the client; transactions where asked for; idempotency keys; transaction=; BOUNDED; "
    "STRONG reads the primary, linearizable: it confirms with a majority before it answers (for single documents)",
    "cassandra": "cassandra: read-only by the client; no transactions; no idempotency keys; no owner; no BOUNDED; "
    "STRONG reads SERIAL: linearizable, on tables written by conditional statements only",
}


@pytest.mark.parametrize("server", ABLE)
def test_what_a_backend_can_stands_in_the_text(server: str) -> None:
    """Between the endpoints and the notes, folded like them."""
    store, _, _ = store_of("PRR")
    lines = str(Explanation(store.decide(Request()), ("a note",), declared(server))).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"  {server}: "))
    last = next(i for i, line in enumerate(lines) if line.startswith("  note: "))
    assert " ".join(" ".join(lines[first:last]).split()) == ABLE[server]


@pytest.mark.parametrize("server", HOMES)
def test_what_a_backend_can_stands_in_the_plain_data(server: str) -> None:
    """Every field of its declaration but the notes, as JSON has it."""
    names, table = EXPECTED
    store, _, _ = store_of("PRR")
    plain = json.loads(json.dumps(Explanation(store.decide(Request()), (), declared(server)).to_dict()))
    expected = dict(zip(names, table[server], strict=True))
    assert plain["capabilities"] == {"server": server, **expected, "modes": sorted(expected["modes"])}


def test_a_kit_explains_with_the_capabilities_of_its_store() -> None:
    """The kit, and a session of it; a decision by itself has none."""
    with (
        MemoryRegions(store="orders", primary="us-east-1") as regions,
        RegionKit(regions.topology, local="us-east-1") as kit,
        kit.session() as s,
    ):
        explained = kit.explain("orders", "write")
        assert explained.to_dict()["capabilities"]["server"] == "memory"
        assert "  memory: read-only by the client; transactions;" in str(explained)
        assert s.explain("orders").capabilities == declared("memory")
        assert explained.decision.explain().to_dict()["capabilities"] is None
