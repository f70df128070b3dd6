"""A refusal as an error: its class, whether to try again, and every endpoint's reason in its text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from regionkit import Fenced, InvalidBookmark, NoEligibleEndpoint, ResidencyViolation, RoutingError, StaleRead
from regionkit.contract.advice import NEUTRAL, Advice
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision, Refusal, decide
from regionkit.routing.refusal import error_of

from .worlds import PRIMARY, REPLICA, after, chain, fresh, told


def refused(refusal: Refusal, **more: Any) -> Decision:
    """A decision that refuses: the owner is dead and the copy lags."""
    snapshot = after(fresh("PR"), (0, told(PRIMARY, chain("h1"))), (1, told(REPLICA, chain("h1"))))
    decision = decide(snapshot, Request(), 10.0, (0, 0))
    return msgspec.structs.replace(decision, refusal=refusal, index=-1, **more)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal.RESIDENCY, ResidencyViolation),
        (Refusal.FENCED, Fenced),
        (Refusal.STALE, StaleRead),
        (Refusal.LOST, StaleRead),
        (Refusal.INVALID, InvalidBookmark),
        (Refusal.NO_ENDPOINT, NoEligibleEndpoint),
    ],
)
def test_each_refusal_has_its_error(refusal: Refusal, error: type[RoutingError]) -> None:
    """It carries the very decision and says what to do; nothing was committed."""
    decision = refused(refusal)
    found = error_of(decision, NEUTRAL)
    assert type(found) is error
    assert found.decision is decision
    assert found.fix
    assert found.committed == "no"


def test_a_lost_position_is_not_worth_another_try_and_a_stale_copy_is() -> None:
    """`accept_loss` is what helps."""
    stale, lost = error_of(refused(Refusal.STALE), NEUTRAL), error_of(refused(Refusal.LOST), NEUTRAL)
    assert isinstance(stale, StaleRead)
    assert isinstance(lost, StaleRead)
    assert (stale.lost, stale.retryable) == (False, True)
    assert (lost.lost, lost.retryable) == (True, False)
    assert "accept_loss" in lost.fix


def test_what_to_do_is_said_in_the_backends_words() -> None:
    """Where there is no owner the levels are what helps; where members elect one, nobody adopts it."""
    advice = Advice(owner="wait for an election.", stale="raise the levels.")
    assert error_of(refused(Refusal.STALE), advice).fix == advice.stale
    assert error_of(refused(Refusal.FENCED), advice).fix == advice.owner


def test_the_text_names_the_call_and_why_each_endpoint_was_refused() -> None:
    """So that nobody has to reproduce it."""
    decision = refused(Refusal.STALE)
    found = error_of(decision, NEUTRAL)
    assert "SESSION read" in found.what
    for candidate in decision.candidates:
        assert f"{candidate.endpoint}: " in found.why
    write = msgspec.structs.replace(decision, request=Request(kind=Kind.WRITE))
    assert "serve this write" in error_of(write, NEUTRAL).what


def test_the_way_out_is_what_the_endpoints_ask_for() -> None:
    """A right, an address, an adoption: none of these recovers by itself as a breaker does. The same thing is reported once."""
    decision = refused(Refusal.NO_ENDPOINT)
    assert "breakers" in error_of(decision, NEUTRAL).fix
    owner, copy = decision.snapshot.endpoints
    replace = msgspec.structs.replace
    ailing = (replace(owner, advice="grant it"), replace(copy, advice="grant it", remedy="ALTER ROLE app REPLICATION."))
    known = replace(decision, snapshot=replace(decision.snapshot, endpoints=ailing))
    assert error_of(known, NEUTRAL).fix == "grant it."
    ailing = (owner, replace(copy, remedy="ALTER ROLE app REPLICATION."))
    unrecorded = replace(decision.snapshot, endpoints=ailing, unrecorded="kr")
    write = replace(decision, snapshot=unrecorded, request=Request(kind=Kind.WRITE))
    assert error_of(write, NEUTRAL).fix == f"ALTER ROLE app REPLICATION. {NEUTRAL.owner}"
