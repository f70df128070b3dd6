"""What a reader does with what it finds, and how long what is loaded lives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.caching.policy import State, drawn_soft, life_of, state_of
from regionkit.caching.strategies import TTL, Lazy

SHARES = st.floats(0.0, 1.0)
TIMES = st.floats(0.0, 1000.0)


@given(TIMES, TIMES, TIMES, TIMES, TIMES, TIMES, st.booleans())
def test_a_state_is_served_only_in_its_time(
    now: float, soft: float, hard: float, kept: float, youngest: float, made: float, refresh: bool
) -> None:
    """FRESH and SOFT before every end, young enough and not asked anew; EXPIRED still kept."""
    state = state_of(now, soft, hard, kept, youngest=youngest, made=made, refresh=refresh)
    if state in (State.FRESH, State.SOFT):
        assert now < hard and now < kept and made >= youngest and not refresh
        assert (state is State.FRESH) is (now < soft)
    else:
        assert (state is State.GONE) is (now >= kept)


def test_what_was_never_given_an_end_is_gone() -> None:
    """An entry that is not stored has none."""
    assert state_of(0.0, -math.inf, -math.inf, -math.inf) is State.GONE


@given(SHARES, st.floats(0.1, 0.5), st.none() | st.floats(0.5, 900.0))
def test_lives_are_shortened_by_the_jitter_at_most(chance: float, jitter: float, ttl: float | None) -> None:
    """Soft before hard, in the strategy's proportion; what is kept for errors is not shortened."""
    strategy = Lazy(load=len, ttl=300.0, soft_ttl=200.0, stale_if_error=60.0, jitter=jitter, negative_ttl=5.0)
    life = life_of(strategy, chance, ttl=ttl)
    assert life is not None
    whole = 300.0 if ttl is None else ttl
    assert whole * (1 - jitter) - 1e-6 <= life.hard <= whole
    assert life.soft == pytest.approx(life.hard * 2 / 3)
    assert life.kept == pytest.approx(life.hard + 60.0)
    negative = life_of(strategy, chance, found=False, ttl=ttl)
    assert negative is not None
    assert negative.soft == negative.hard == negative.kept <= 5.0
    plain = life_of(TTL(ttl=300.0, jitter=jitter), chance, ttl=ttl)
    assert plain is not None
    assert plain.soft == plain.hard == plain.kept == pytest.approx(life.hard)


def test_nothing_there_is_kept_only_where_the_strategy_says_so() -> None:
    """Without negative_ttl."""
    assert life_of(Lazy(load=len, ttl=1.0), 0.5, found=False) is None


@given(SHARES, st.floats(0.0, 0.5))
def test_an_early_end_lies_within_its_share_and_never_after_the_soft_end(chance: float, early: float) -> None:
    """Without `early` it is the soft end."""
    drawn = drawn_soft(Lazy(load=len, ttl=100.0, early=early), 10.0, 110.0, chance)
    assert 110.0 - early * 100.0 - 1e-6 <= drawn <= 110.0
    assert drawn_soft(Lazy(load=len, ttl=100.0), 10.0, 110.0, chance) == 110.0
    assert drawn_soft(TTL(ttl=100.0), 10.0, 110.0, chance) == 110.0


def test_early_ends_are_spread_and_most_are_late() -> None:
    """So that processes do not all come at one time, and few of them long before it."""
    strategy = Lazy(load=len, ttl=100.0, early=0.5)
    drawn = [drawn_soft(strategy, 0.0, 100.0, number / 1000) for number in range(1000)]
    assert drawn == sorted(drawn)
    assert sum(end > 90.0 for end in drawn) > 500
    assert sum(end < 75.0 for end in drawn) > 30
