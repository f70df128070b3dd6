"""Tiers and strategies are checked when they are made, and which of them go together when a cache is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from regionkit.caching import TTL, Lazy, Local, Memcached, Shared, WriteThrough
from regionkit.caching.making import checked_tiers, longest_local
from regionkit.caching.strategies import LONGEST_TTL
from regionkit.errors import ConfigurationError

LAZY = Lazy(ttl=60)
HERE, OTHER = Local(), Shared("redis://here")
MEMCACHED = Memcached("memcached://here")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Local(max_items=0),
        lambda: Local(max_bytes=True),
        lambda: Local(ttl=0.0),
        lambda: Local(ttl=math.inf),
        lambda: Shared(""),
        lambda: Shared(None),
        lambda: Shared(b"redis://here"),
        lambda: Shared("redis://here", timeout=0.0),
        lambda: Shared("redis://here", timeout=True),
        lambda: Shared("redis://here", max_local_stale=math.nan),
        lambda: Shared("redis://here", pool_size=1),
        lambda: Shared("redis://here", max_value_bytes=0),
        lambda: Shared("redis://here", compress_above=-1),
        lambda: TTL(ttl=0),
        lambda: TTL(ttl=True),
        lambda: TTL(ttl=LONGEST_TTL + 1),
        lambda: TTL(ttl=60, jitter=0.6),
        lambda: Lazy(ttl=60, soft_ttl=60),
        lambda: Lazy(ttl=60, stale_if_error=-1),
        lambda: Lazy(ttl=60, early=math.nan),
        lambda: Lazy(ttl=60, load="load"),  # type: ignore[arg-type]
        lambda: WriteThrough(ttl=60, on_shared_down="maybe"),
        lambda: WriteThrough(ttl=60, store=5),  # type: ignore[arg-type]
        lambda: WriteThrough(ttl=60, write_timeout=0),
    ],
)
def test_what_is_not_usable_is_refused(make: Callable[[], Any]) -> None:
    """With what to write in its place."""
    with pytest.raises(ConfigurationError) as raised:
        make()
    assert raised.value.fix


def test_a_local_tier_stands_before_a_shared_one() -> None:
    """One of each at most; none is a local one."""
    assert checked_tiers(None, LAZY) == (Local(), None)
    assert checked_tiers([HERE], LAZY) == (HERE, None)
    assert checked_tiers([OTHER], LAZY) == (None, OTHER)
    assert checked_tiers([HERE, OTHER], LAZY) == (HERE, OTHER)
    assert checked_tiers([HERE, MEMCACHED], LAZY) == (HERE, MEMCACHED)
    wrong: list[Any] = [[], [OTHER, HERE], [HERE, HERE], [OTHER, MEMCACHED], [HERE, "redis://here"]]
    for tiers in wrong:
        with pytest.raises(ConfigurationError):
            checked_tiers(tiers, LAZY)
    with pytest.raises(ConfigurationError, match="sliding"):
        checked_tiers([MEMCACHED], TTL(ttl=60, sliding=True))


def test_an_entry_lives_here_no_longer_than_its_tier_says() -> None:
    """One that slides has to reach the server now and then."""
    assert longest_local(HERE, OTHER, LAZY) == math.inf
    assert longest_local(Local(ttl=5), None, LAZY) == 5
    assert longest_local(Local(ttl=50), OTHER, TTL(ttl=60, sliding=True)) == 15
    assert longest_local(HERE, None, TTL(ttl=60, sliding=True)) == math.inf
