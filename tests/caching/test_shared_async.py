"""Two processes and what they know of each other: sets and deletes by news, floors of tags by answers that may be overtaken."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from regionkit.caching import TTL, AsyncCache, Lazy, Loaded, Local, Shared
from regionkit.core.concurrency_async import asleep
from regionkit.errors import CacheError

pytestmark = pytest.mark.redis

PATIENCE = 20.0


async def test_after_invalidate_tag_nothing_of_before_is_found_although_an_older_answer_came_late(
    redis_server: Any,
) -> None:
    """It was under way when the tag was invalidated, and the news of that have not come yet."""
    strategy = Lazy(load=lambda key: Loaded("v", tags=("t",)), ttl=300.0)
    tiers = [Shared(redis_server.primary.url, timeout=5.0)]
    async with AsyncCache(f"s{os.urandom(6).hex()}", str, strategy=strategy, tiers=tiers) as cache:
        await cache.get("a")
        tier: Any = cache.tier
        end = time.monotonic() + PATIENCE
        while not tier.ear.live:
            assert time.monotonic() < end, "it hears nothing"
            await asleep(0.01)
        tier.news = lambda *_: None
        run = tier.run

        async def overtaken(script: str, keys: Any, words: Any) -> Any:
            answer = await run(script, keys, words)
            if script == "tags":
                tier.run = run
                await cache.invalidate_tag("t")
            return answer

        tier.run = overtaken
        await cache.get("a")
        assert tier.run is run or tier.run == run, "it was not asked"
        loads = cache.counters.loads
        await cache.get("a")
        assert cache.counters.loads == loads + 1


async def stands_as_set(cache: AsyncCache[int], key: str, value: int) -> None:
    """Set until the very entry stands in the process: until news come nothing is taken."""
    end = time.monotonic() + PATIENCE
    while True:
        await cache.set(key, value)
        if key in cache._table.entries:
            return
        assert time.monotonic() < end, "it is never taken"
        await asleep(0.01)


async def becomes(cache: AsyncCache[int], key: str, value: int | None) -> None:
    """Wait until a cache gives this."""
    end = time.monotonic() + PATIENCE
    while (found := await cache.get(key)) != value:
        assert time.monotonic() < end, f"still {found}"
        await asleep(0.01)


async def test_a_later_set_or_delete_of_another_process_wins(redis_server: Any) -> None:
    """Over a value that stands in this process because it was set here, and never read from the server."""
    name, shared = f"s{os.urandom(6).hex()}", Shared(redis_server.primary.url, timeout=5.0)

    def made() -> AsyncCache[int]:
        return AsyncCache(name, int, strategy=TTL(ttl=300.0), tiers=[Local(), shared])

    async with made() as one, made() as other:
        await stands_as_set(one, "a", 1)
        await other.set("a", 2)
        await becomes(one, "a", 2)
        await stands_as_set(one, "a", 3)
        await other.delete("a")
        await becomes(one, "a", None)


async def test_a_set_that_the_tier_did_not_take_says_that_it_is_for_the_caller_to_repeat(own_redis: Any) -> None:
    """Unlike an invalidation, which is told again."""
    servers = own_redis(0)
    shared = Shared(servers.primary.url, timeout=0.5)
    async with AsyncCache(f"s{os.urandom(6).hex()}", int, strategy=TTL(ttl=300.0), tiers=[shared]) as cache:
        await cache.set("a", 1)
        servers.primary.kill()
        for call in (lambda: cache.set("a", 2), lambda: cache.expire("a")):
            with pytest.raises(CacheError, match="it again when the tier answers"):
                await call()
        assert cache.teller.waiting == 0
        with pytest.raises(CacheError, match="repeated until"):
            await cache.delete("a")
        assert cache.teller.waiting == 1
