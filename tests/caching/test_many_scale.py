# Generated from test_many_scale_async.py by scripts/twins.py. Do not edit.
"""Very many keys at once: one load, and a server that is never held up by one script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.caching import Cache, Lazy, Shared

KEYS = 1050


def test_a_thousand_keys_are_one_load(shared_url: Any) -> None:
    """And all of them hits afterwards."""
    asked: list[int] = []

    def load_many(keys: Sequence[int]) -> dict[int, int]:
        asked.append(len(keys))
        return {key: key * 2 for key in keys}

    strategy = Lazy(load_many=load_many, ttl=60)
    with Cache(
        "many", int, tiers=[Shared(shared_url(), timeout=5.0, max_local_stale=60.0)], strategy=strategy
    ) as cache:
        expected = {key: key * 2 for key in range(KEYS)}
        assert cache.get_many(range(KEYS)) == expected
        assert cache.get_many(range(KEYS)) == expected
        assert asked == [KEYS]
        assert cache.counters.shared_hits == KEYS
