"""Once `clear` has returned, this process serves nothing of before, whether or not the news of it have come."""

from __future__ import annotations

from typing import Any

from regionkit.caching import AsyncCache, Lazy, Local, Shared

ROUNDS = 300
"""Without the answer of the script some of them show the old value."""


async def test_nothing_of_before_is_there_after_clear(redis_server: Any) -> None:
    """While the ear hears the news of the clear before, and asks which generation is open."""
    tiers = [Local(), Shared(redis_server.primary.url, timeout=5.0)]
    async with AsyncCache("cleared", int, tiers=tiers, strategy=Lazy(load=lambda key: 1, ttl=600)) as cache:
        for _ in range(ROUNDS):
            await cache.get(1)
            await cache.clear()
            assert await cache.peek(1) is None


async def test_a_generation_that_was_left_does_not_come_back() -> None:
    """An answer that another connection's has overtaken; nobody is asked here."""
    old, new = b"a" * 8, b"b" * 8
    tiers = [Shared("redis://127.0.0.1:1/0")]
    async with AsyncCache("c", int, tiers=tiers, strategy=Lazy(load=lambda key: 1, ttl=600)) as cache:
        tier: Any = cache.tier
        assert [tier.opened(old, 1), tier.opened(new, 2), tier.opened(old, 1)] == [True, True, False]
        assert tier.times(old) is None and tier.times(new) is not None
