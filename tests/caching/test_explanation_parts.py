"""`explain()`: what a cache promises follows from what it is, with the numbers that the code goes by."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.caching import TTL, CacheExplanation, Lazy, Local, Memcached, Shared, WriteThrough
from regionkit.caching.explanation import explain_cache
from regionkit.caching.strategies import LOAD_TIMEOUT
from regionkit.caching.tail_async import EVERY

REDIS = Shared("redis://here", max_local_stale=1.5, timeout=0.2)


class Described:
    """What has to be known of a cache."""

    def __init__(self, strategy: Any, *tiers: Any, **more: Any) -> None:
        self.name = "c"
        self.strategy = strategy
        self.local = next((tier for tier in tiers if isinstance(tier, Local)), None)
        self.shared = next((tier for tier in tiers if not isinstance(tier, Local)), None)
        self.settles = self.spreads = self.routed = False
        self.floor_life = 60.0
        for name, value in more.items():
            setattr(self, name, value)


def explained(strategy: Any, *tiers: Any, **more: Any) -> CacheExplanation:
    """What such a cache says."""
    return explain_cache(Described(strategy, *tiers, **more))


def says(lines: tuple[str, ...], word: str) -> bool:
    """Whether a line has the word."""
    return any(word in line for line in lines)


def test_who_is_told_depends_on_the_tiers() -> None:
    """One process, a region, a region with late news, one process's loads alone."""
    lazy = Lazy(ttl=60)
    assert says(explained(lazy, Local()).limits, "one process's")
    shared = explained(lazy, REDIS)
    assert says(shared.promises, "nor does any process of this region")
    assert not says(shared.limits, "news_delay_at_most")
    both = explained(lazy, Local(), REDIS)
    assert says(both.limits, "news_delay_at_most")
    assert both.figures["news_delay_at_most"] == 1.5
    assert both.figures["shared_timeout"] == 0.2
    smaller = explained(lazy, Memcached("memcached://here"))
    assert not says(smaller.promises, "nor does any process")
    assert says(smaller.limits, "may be stored, until its ttl ends")


@pytest.mark.parametrize("shared", [None, REDIS])
def test_a_write_is_promised_as_far_as_somebody_finds_out(shared: Any) -> None:
    """With a backing it outlives its writer; without one it does not, and that is said."""
    tiers = [Local()] if shared is None else [Local(), shared]
    strategy = WriteThrough(ttl=60, store=lambda key, value: None)
    without, settled = explained(strategy, *tiers), explained(strategy, *tiers, settles=True)
    assert says(without.limits, "stale for up to ttl")
    assert not says(settled.limits, "stale for up to ttl")
    assert says(settled.promises, "dies at any point")
    assert ("news_delay_at_most" in str(settled.promises)) is (shared is not None)
    goes_on = WriteThrough(ttl=60, store=lambda key, value: None, on_shared_down="commit")
    assert says(explained(goes_on, *tiers, settles=True).limits, "region_delay")


def test_figures_are_the_numbers_of_the_code() -> None:
    """None is written down twice and differently."""
    strategy = Lazy(ttl=60, soft_ttl=50, negative_ttl=5, stale_if_error=600)
    figures = explained(strategy, Local(max_items=7), spreads=True).figures
    assert figures["region_delay"] == EVERY
    assert figures["load_at_most"] == LOAD_TIMEOUT
    assert (figures["ttl"], figures["soft_ttl"], figures["negative_ttl"], figures["stale_if_error"]) == (60, 50, 5, 600)
    assert figures["local_items"] == 7
    assert explained(Lazy(ttl=60, load_timeout=3.0)).figures["load_at_most"] == 3.0
    assert "load_at_most" not in explained(TTL(ttl=60), Local()).figures


def test_it_prints_and_is_plain_data() -> None:
    """Every line and figure, in both."""
    whole = explained(Lazy(ttl=60), Local(), REDIS, routed=True)
    text, data = str(whole), whole.to_dict()
    for line in (*whole.promises, *whole.limits, *whole.figures):
        assert line in text
    assert data["cache"] == "c"
    assert data["strategy"] == "Lazy"
    assert list(data["promises"]) == list(whole.promises)
    assert says(whole.promises, "a session is given no value that lacks")
    assert says(explained(Lazy(ttl=60)).limits, "sessions of a kit do not reach")
