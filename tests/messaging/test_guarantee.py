"""What is promised, as values."""

from __future__ import annotations

import itertools

import pytest

from regionkit.messaging.guarantee import Guarantee, Order, guarantee_of, order_of, weakest


def test_a_claim_beside_the_effect_is_what_makes_it_once() -> None:
    """And nothing else does."""
    assert guarantee_of(external=False, transactional=True) is Guarantee.EFFECTIVELY_ONCE
    assert guarantee_of(external=False, transactional=False) is Guarantee.AT_LEAST_ONCE


def test_an_effect_outside_is_fenced_where_the_other_side_is_asked() -> None:
    """Without `resolve` the outside call may simply repeat."""
    assert guarantee_of(external=True, transactional=True, resolves=True) is Guarantee.FENCED_AT_LEAST_ONCE
    assert guarantee_of(external=True, transactional=True) is Guarantee.AT_LEAST_ONCE


@pytest.mark.parametrize("pair", list(itertools.combinations(Guarantee, 2)))
def test_the_weakest_counts(pair: tuple[Guarantee, Guarantee]) -> None:
    """In whichever order they come; of none nothing is promised."""
    assert weakest(pair) is weakest(reversed(pair)) is pair[1]
    assert weakest(()) is Guarantee.AT_LEAST_ONCE


@pytest.mark.parametrize("keyed,gates,numbered,one_owner", list(itertools.product((True, False), repeat=4)))
def test_order_asks_for_a_gate_and_a_number_or_one_owner(
    keyed: bool, gates: bool, numbered: bool, one_owner: bool
) -> None:
    """Every other combination is UNORDERED."""
    ordered = order_of(keyed=keyed, gates=gates, numbered=numbered, one_owner=one_owner) is Order.ORDERED
    assert ordered == (keyed and gates and (numbered or one_owner))
