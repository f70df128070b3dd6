"""Very many keys at once: one load, and a server that is never held up by one script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.caching import AsyncCache, Lazy, Shared

KEYS = 1050


async def test_a_thousand_keys_are_one_load(shared_url: Any) -> None:
    """And all of them hits afterwards."""
    asked: list[int] = []

    def load_many(keys: Sequence[int]) -> dict[int, int]:
        asked.append(len(keys))
        return {key: key * 2 for key in keys}

    strategy = Lazy(load_many=load_many, ttl=60)
    async with AsyncCache(
        "many", int, tiers=[Shared(shared_url(), timeout=5.0, max_local_stale=60.0)], strategy=strategy
    ) as cache:
        expected = {key: key * 2 for key in range(KEYS)}
        assert await cache.get_many(range(KEYS)) == expected
        assert await cache.get_many(range(KEYS)) == expected
        assert asked == [KEYS]
        assert cache.counters.shared_hits == KEYS
