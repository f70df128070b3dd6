"""What the entries of a cache look like: how long they live here and at a server."""

from __future__ import annotations

import math

import pytest

from regionkit.caching import TTL, Lazy
from regionkit.caching.counters import Counters
from regionkit.caching.entry import Coder
from regionkit.caching.outcome import Outcome, tag_digest
from regionkit.caching.policy import longest_tagged
from regionkit.caching.shaping import Shaper
from regionkit.caching.strategies import LONGEST_TTL, Strategy
from regionkit.core.clock import SYSTEM_CLOCK

DAY = 86_400.0
TAGS = (tag_digest("t", b""),)


def shaper_of(strategy: Strategy, longest_local: float = math.inf) -> Shaper:
    """Of a cache of ints."""
    return Shaper(
        "c",
        strategy,
        Coder(int, largest=100),
        SYSTEM_CLOCK,
        Counters(),
        shares=True,
        routed=False,
        scope=b"",
        longest_local=longest_local,
    )


@pytest.mark.parametrize("strategy", [TTL(ttl=60), Lazy(ttl=60), Lazy(ttl=60, stale_if_error=600)])
def test_what_carries_tags_is_gone_before_its_tags_floors_are(strategy: Strategy) -> None:
    """However long its loader wants it to live: nobody would know any more that its tag was invalidated."""
    shaper = shaper_of(strategy)
    for tags, most in ((TAGS, longest_tagged(strategy)), ((), LONGEST_TTL)):
        _, sealing = shaper.sealed("a", Outcome(1, tags=tags), shaper.life(ttl=30 * DAY))
        assert sealing is not None
        assert sealing.kept <= most
        assert sealing.kept >= DAY if tags else sealing.kept > 20 * DAY
    assert longest_tagged(strategy) < 2 * DAY


def test_the_floor_of_a_tag_outlives_the_strategys_own_life() -> None:
    """Ten times, and what is kept for errors; a year at most."""
    assert longest_tagged(Lazy(ttl=DAY, stale_if_error=100)) == 10 * DAY + 100
    assert longest_tagged(Lazy(ttl=LONGEST_TTL, stale_if_error=LONGEST_TTL)) == LONGEST_TTL


def test_an_entry_lives_here_no_longer_than_its_tier_says() -> None:
    """At the server it does."""
    shaper = shaper_of(Lazy(ttl=600, jitter=0.0), longest_local=5.0)
    entry, sealing = shaper.sealed("a", Outcome(1), shaper.life())
    now = SYSTEM_CLOCK.monotonic()
    assert sealing is not None
    assert sealing.kept == 600
    assert max(entry.hard, entry.kept, entry.fresh_until) <= now + 5.0


def test_children_of_one_parent_draw_lives_of_their_own() -> None:
    """After a fork each begins anew."""
    shaper = shaper_of(Lazy(ttl=600))
    state = shaper._chance.getstate()
    shaper.renew()
    assert shaper._chance.getstate() != state
