"""Hits at the server: one short question over a connection at hand, and what must hold all the same."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from fix_tls_redis import encrypted_redis

from regionkit.backends.redis.stream_async import AsyncRedis
from regionkit.caching import TTL, AsyncCache, Lazy, Shared
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency_async import agather, asleep
from regionkit.testing.servers.kinds.redis import RedisServers

pytestmark = pytest.mark.redis

MANY = 100


def name() -> str:
    """Of a cache of its own."""
    return f"c{uuid.uuid4().hex[:12]}"


def cache_of(server: RedisServers, called: str, kind: Any = str, **options: Any) -> AsyncCache[Any]:
    """Without a local tier: every hit is at the server."""
    options.setdefault("strategy", TTL(ttl=60))
    timeout = options.pop("timeout", 2.0)
    return AsyncCache(called, kind, tiers=[Shared(server.primary.url, timeout=timeout)], **options)


async def test_each_caller_gets_the_value_of_its_own_key(redis_server: RedisServers) -> None:
    """Many at once, of all sizes, some of nothing."""
    async with cache_of(redis_server, name()) as cache:
        values = {f"k{number}": "v" * (number**3 // 3) for number in range(MANY)}
        for key, value in values.items():
            await cache.set(key, value)
        for _ in range(3):
            found = await agather([lambda key=key: cache.get(key) for key in [*values, "none"]])  # type: ignore[misc]
            assert found == [*values.values(), None]
        assert cache.status()["shared_hits"] == 3 * MANY


async def test_hits_go_over_connections_at_hand(redis_server: RedisServers) -> None:
    """The ordinary way is gone once, for the first connection; the ear has its own."""
    async with cache_of(redis_server, name()) as cache:
        await cache.set("a", "1")
        asked = []
        ask = cache.tier.ask

        async def counted(*args: Any, **options: Any) -> Any:
            asked.append(options)
            return await ask(*args, **options)

        cache.tier.ask = counted  # type: ignore[attr-defined]
        for _ in range(20):
            assert await cache.get("a") == "1"
        assert [options for options in asked if "listens" not in options] == []


async def test_a_cache_that_fills_does_not_look_in_vain(own_redis: Any) -> None:
    """After two misses in a row it asks for the right to load at once. What is there is given, and then hits are GETs again."""
    server = own_redis()
    strategy = Lazy(load=lambda key: f"of {key}", ttl=60)
    async with (
        cache_of(server, name(), strategy=strategy) as cache,
        cache_of(server, cache.name, strategy=strategy) as other,
    ):
        await other.get("there")
        looks = []
        glance = cache.tier.glance

        async def counted(key: Any) -> Any:
            looks.append(key)
            return await glance(key)

        cache.tier.glance = counted  # type: ignore[attr-defined]
        for number in range(5):
            assert await cache.get(f"k{number}") == f"of k{number}"
        assert looks == ["k0", "k1"]
        assert await cache.get("there") == "of there"
        assert (looks, cache.counters.loads, cache.counters.shared_hits) == (["k0", "k1"], 5, 1)
        assert await cache.get("k3") == "of k3"
        assert (looks, cache.counters.loads, cache.counters.shared_hits) == (["k0", "k1", "k3"], 5, 2)


async def test_a_get_without_a_loader_always_looks(redis_server: RedisServers) -> None:
    """However many loads came before."""
    async with cache_of(redis_server, name()) as cache:
        await cache.set("a", "1")
        for number in range(5):
            await cache.get_or_load(f"k{number}", lambda key: key)
        assert await cache.get("a") == "1"


async def test_an_entry_of_another_key_or_tenant_is_not_taken(redis_server: RedisServers) -> None:
    """Bytes that stand under the wrong name are a miss."""
    called = name()
    async with cache_of(redis_server, called) as cache, cache_of(redis_server, called, tenant="other") as other:
        await cache.set("a", "of a")
        with redis.Redis.from_url(redis_server.primary.url) as client:
            [at] = client.keys(f"*{called}*:v:*")
            client.set(at.replace(b":v:sa", b":v:sb"), client.get(at))  # type: ignore[arg-type]
        assert await cache.get("b") is None
        assert cache.status()["unreadable"] >= 1
        assert await other.get("a") is None
        assert await cache.get("a") == "of a"


@pytest.mark.parametrize("at", [0, 12, 30, 40, 78, 80, 93, 106, 118], ids=str)
async def test_a_spoiled_entry_is_never_a_value(redis_server: RedisServers, at: int) -> None:
    """Each field that a hit is judged by."""
    called = name()
    async with cache_of(redis_server, called, int) as cache:
        await cache.set("a", 70_000)
        with redis.Redis.from_url(redis_server.primary.url) as client:
            [key] = client.keys(f"*{called}*:v:*")
            [byte] = client.getrange(key, at, at)  # type: ignore[arg-type]
            client.setrange(key, at, bytes([byte ^ 0xFF]) if at != 78 else b"2")  # type: ignore[arg-type]
        assert await cache.get("a") is None


async def test_what_is_soft_tagged_cleared_or_nothing_takes_the_ordinary_way(redis_server: RedisServers) -> None:
    """A hit without a second look is one of which nothing more has to be known."""
    loads = []

    def load(key: str) -> str | None:
        loads.append(key)
        return None if key == "none" else str(len(loads))

    called, strategy = name(), Lazy(load=load, ttl=60, negative_ttl=60)
    async with cache_of(redis_server, called, strategy=strategy) as cache:
        assert await cache.get("a") == "1"
        assert await cache.get("a") == "1"
        assert await cache.get("none") is None
        assert await cache.get("none") is None
        assert loads == ["a", "none"]
        await cache.expire("a")
        await _pause()  # this process knows the clock of the account to some milliseconds
        assert await cache.get("a") == "3"
        await cache.clear()
        assert await cache.get("a") == "4"
        assert await cache.get("a", refresh=True) == "5"
        await cache.invalidate("a")
        assert await cache.get("a") == "6"
        await _pause()
        assert await cache.get("a", max_stale=0.0) == "7"


async def test_a_lost_connection_is_no_answer(redis_server: RedisServers) -> None:
    """Connections that the server has closed are not used, or fail; then another one is made."""
    async with cache_of(redis_server, name(), strategy=Lazy(load=lambda key: "loaded", ttl=60)) as cache:
        assert await cache.get("a") == "loaded"
        for _ in range(3):
            with redis.Redis.from_url(redis_server.primary.url) as client:
                client.client_kill_filter(_type="normal", skipme=True)
            assert await cache.get("a") == "loaded"
            assert await cache.get("a") == "loaded"


async def test_a_server_that_hangs_ends_every_wait_and_spoils_no_answer(redis_server: RedisServers) -> None:
    """What it says afterwards is given to nobody."""
    async with cache_of(redis_server, name(), timeout=1.0) as cache:
        keys = [f"k{number}" for number in range(8)]
        for key in keys:
            await cache.set(key, key)
        assert await cache.get("k0") == "k0"
        redis_server.primary.freeze()
        try:
            found = await agather([lambda key=key: cache.get(key) for key in keys])  # type: ignore[misc]
        finally:
            redis_server.primary.thaw()
        assert found == [None] * len(keys)
        for _ in range(200):
            if await cache.get("k1") is not None:
                break
            await _pause()
        for key in keys:
            assert await cache.get(key) == key


async def test_a_key_of_somebody_elses_is_loaded_and_the_tier_stays(redis_server: RedisServers) -> None:
    """A list stands where the entry would be."""
    called = name()
    async with cache_of(redis_server, called, strategy=Lazy(load=lambda key: "loaded", ttl=60)) as cache:
        assert [await cache.get("a"), await cache.get("b")] == ["loaded", "loaded"]
        with redis.Redis.from_url(redis_server.primary.url) as client:
            [key] = client.keys(f"*{called}*:v:sa")
            client.delete(key)
            client.rpush(key, "x")
        for _ in range(5):
            assert await cache.get("a") == "loaded"
        assert cache.tier.down == ""  # type: ignore[attr-defined]
        hits = cache.status()["shared_hits"]
        assert await cache.get("b") == "loaded"
        assert cache.status()["shared_hits"] == hits + 1


async def test_a_server_out_of_memory_still_gives_what_it_has(own_redis: Any) -> None:
    """What is loaded is given, and kept by nobody."""
    server = own_redis(0)
    async with cache_of(server, name(), strategy=Lazy(load=lambda key: "loaded", ttl=60)) as cache:
        assert await cache.get("a") == "loaded"
        with redis.Redis.from_url(server.primary.url) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
            hits = cache.status()["shared_hits"]
            for number in range(5):
                assert await cache.get(f"k{number}") == "loaded"
                assert await cache.get("a") == "loaded"
            assert cache.status()["shared_hits"] == hits + 5
            client.config_set("maxmemory", "0")


async def test_what_a_server_says_unasked_is_no_answer(redis_server: RedisServers) -> None:
    """Over RESP3, on the very connection that hits go over."""
    url = redis_server.primary.url
    client = AsyncRedis.from_url(url, protocol=3, decode_responses=True)
    async with AsyncCache(name(), str, strategy=TTL(ttl=60), tiers=[Shared(client, timeout=2.0)]) as cache:
        keys = [f"k{number}" for number in range(5)]
        for key in keys:
            await cache.set(key, key)
            assert await cache.get(key) == key
        assert await cache.tier._quick(("CLIENT", "TRACKING", "ON", "BCAST")) == b"OK"  # type: ignore[attr-defined]
        with redis.Redis.from_url(url) as other:
            for number in range(30):
                other.set(f"{cache.name}:{number}", "said to all")
                assert await cache.get(keys[number % 5]) == keys[number % 5]
                other.delete(f"{cache.name}:{number}")


async def test_it_goes_over_tls_too(own_redis: Any, tmp_path: Path) -> None:
    """Values larger than a record of TLS among them."""
    url, certificate = encrypted_redis(own_redis, tmp_path)
    tier = Shared(f"{url}?ssl_ca_certs={certificate}", timeout=5.0)
    async with AsyncCache(name(), str, strategy=TTL(ttl=60), tiers=[tier]) as cache:
        values = {f"k{number}": "v" * number * 10_000 for number in range(10)}
        for key, value in values.items():
            await cache.set(key, value)
        for _ in range(2):
            found = await agather([lambda key=key: cache.get(key) for key in values])  # type: ignore[misc]
            assert found == list(values.values())


async def test_an_answer_that_comes_late_is_not_the_next_questions(redis_server: RedisServers) -> None:
    """The connection on which it may still come is closed, though nothing has come on it."""
    async with cache_of(redis_server, name(), timeout=1.0) as cache:
        await cache.set("a", "1")
        assert await cache.get("a") == "1"
        quick = cache.tier._quick  # type: ignore[attr-defined]

        async def thaw() -> None:
            await asleep(0.3)
            redis_server.primary.thaw()

        redis_server.primary.freeze()
        try:
            with pytest.raises(TierDown):
                await quick((b"ECHO", b"old"))
            [answer, _] = await agather([lambda: quick((b"ECHO", b"new")), thaw])
        finally:
            redis_server.primary.thaw()
        assert answer is NotImplemented or answer == b"new"


async def _pause() -> None:
    await asleep(0.05)
