"""Tasks share one connection: a cancelled one leaves its place in the row, and its answer is given to nobody."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import redis.asyncio

from regionkit.backends.redis import lane_async
from regionkit.caching import TTL, AsyncCache, Shared
from regionkit.testing.servers.kinds.redis import RedisServers

pytestmark = pytest.mark.redis

KEYS = [f"k{number}" for number in range(20)]


def cache_of(server: RedisServers, **options: Any) -> AsyncCache[Any]:
    """Of 20 keys with themselves as values, every hit at the server."""
    shared = Shared(server.primary.url, timeout=10.0, **options)
    return AsyncCache(f"c{uuid.uuid4().hex[:12]}", str, strategy=TTL(ttl=60), tiers=[shared])


async def filled(cache: AsyncCache[Any]) -> Any:
    """Set every key; the pool."""
    for key in KEYS:
        await cache.set(key, key)
    assert await cache.get("k0") == "k0"
    return cache.tier._backend  # type: ignore[attr-defined]


async def test_a_cancelled_task_takes_no_answer_of_anothers(redis_server: RedisServers) -> None:
    """Every other one is cancelled while the server holds its answers back."""
    async with cache_of(redis_server) as cache:
        pool = await filled(cache)
        line = pool.lane._line
        redis_server.primary.freeze()
        try:
            tasks = [asyncio.create_task(cache.get(key)) for key in KEYS]
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert len(line.waiting) == len(KEYS)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.sleep(0.01)
            late = [asyncio.create_task(cache.get(key)) for key in KEYS]
            await asyncio.sleep(0.01)
        finally:
            redis_server.primary.thaw()
        assert await asyncio.gather(*tasks[1::2]) == KEYS[1::2]
        assert await asyncio.gather(*late) == KEYS
        assert all(task.cancelled() for task in tasks[::2])
        assert pool.lane._line is line, "nobody had to give the connection up"


async def test_a_second_message_carries_what_is_asked_in_one_round(redis_server: RedisServers) -> None:
    """As many answers as questions, over one connection."""
    async with cache_of(redis_server) as cache:
        pool = await filled(cache)
        sent = []
        line = pool.lane._line
        transport = line._transport

        class Counting:
            def write(self, data: bytes) -> None:
                sent.append(data)
                transport.write(data)

        line._transport = Counting()
        assert await asyncio.gather(*(cache.get(key) for key in KEYS)) == KEYS
        assert len(sent) == 2, "the first goes out at once"


async def test_a_long_row_and_a_small_pool_take_the_ordinary_way(
    redis_server: RedisServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is bounded; a pool of two has no connection to spare."""
    async with cache_of(redis_server) as cache:
        await filled(cache)
        monkeypatch.setattr(lane_async, "MOST_WAITING", 3)
        assert await asyncio.gather(*(cache.get(key) for key in KEYS)) == KEYS
    async with cache_of(redis_server, pool_size=2) as cache:
        pool = await filled(cache)
        assert pool.lane._line is None


async def test_a_connection_that_is_given_up_still_answers_and_gives_its_permit_back(
    redis_server: RedisServers,
) -> None:
    """What was asked before gets its answers; then it is closed."""
    async with cache_of(redis_server) as cache:
        pool = await filled(cache)
        line = pool.lane._line
        tasks = [asyncio.create_task(cache.get(key)) for key in KEYS]
        await asyncio.sleep(0)
        pool.lane.evict()
        assert await asyncio.gather(*tasks) == KEYS
        assert line._over
        assert await cache.get("k1") == "k1"
        assert pool.lane._line is not line
    free = pool.slots._semaphore._value
    assert free == pool.size, "each permit came back"


async def test_a_short_question_is_not_bound_by_the_time_of_a_longer_one(redis_server: RedisServers) -> None:
    """Neither of one that waits before it, nor of one that was answered long ago."""
    async with cache_of(redis_server) as cache:
        pool = await filled(cache)
        owner = pool.lane._line._connection.greeted
        assert await pool.lane.ask(owner, ("PING",), 60.0) in ("PONG", b"PONG")
        redis_server.primary.freeze()
        try:
            long = asyncio.ensure_future(pool.lane.ask(owner, ("PING",), 60.0))
            await asyncio.sleep(0.01)
            with pytest.raises(redis.exceptions.TimeoutError):
                await asyncio.wait_for(pool.lane.ask(owner, ("PING",), 0.2), 5.0)
            assert isinstance((await asyncio.gather(long, return_exceptions=True))[0], redis.exceptions.TimeoutError)
        finally:
            redis_server.primary.thaw()


async def test_closing_the_cache_ends_those_who_wait(redis_server: RedisServers) -> None:
    """They find nothing, at once."""
    cache = cache_of(redis_server)
    await filled(cache)
    redis_server.primary.freeze()
    try:
        task = asyncio.create_task(cache.get("k1"))
        await asyncio.sleep(0.05)
        cache.tier._backend.lane.close()  # type: ignore[attr-defined]
        cache.tier.down = "closed"  # type: ignore[attr-defined]
        async with asyncio.timeout(5.0):
            assert await task is None
    finally:
        redis_server.primary.thaw()
    await cache.close()


async def test_what_the_server_says_unasked_leaves_the_row_as_it_is(redis_server: RedisServers) -> None:
    """Nobody takes it for an answer, and the connection stays."""
    client = redis.asyncio.Redis.from_url(redis_server.primary.url, protocol=3)
    name = f"c{uuid.uuid4().hex[:12]}"
    async with AsyncCache(name, str, strategy=TTL(ttl=60), tiers=[Shared(client, timeout=10.0)]) as cache:
        pool = await filled(cache)
        quick, line = cache.tier._quick, pool.lane._line  # type: ignore[attr-defined]
        assert await quick(("CLIENT", "TRACKING", "ON", "BCAST")) == b"OK"
        async with redis.asyncio.Redis.from_url(redis_server.primary.url) as other:
            for number in range(20):
                await other.set(f"{name}:{number}", "said to all")
                assert await quick(("ECHO", f"{number}")) == f"{number}".encode()
                await other.delete(f"{name}:{number}")
        assert pool.lane._line is line
