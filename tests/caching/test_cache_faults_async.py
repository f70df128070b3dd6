"""A cache whose server dies, freezes, forgets, fills up or is another: answers stay right, and nobody waits too long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from regionkit import RegionKitError
from regionkit.backends.redis.lua import lua
from regionkit.caching import TTL, AsyncCache, Lazy, Local, Shared
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import CacheError
from regionkit.testing import FaultProxy

pytestmark = pytest.mark.redis

LONG = 300.0
PATIENCE = 20.0
BOUND = 5.0
"""Seconds in which any answer comes on a busy machine: the time-out here is a tenth of that."""


class World:
    """A table, and caches of it, each of which stands for a process."""

    def __init__(self, url: str, **shared: Any) -> None:
        self.rows: dict[str, int] = {}
        self.loads = 0
        self.name = f"f{os.urandom(6).hex()}"
        self.shared = Shared(url, **{"timeout": 0.5, "max_local_stale": 1.0, **shared})
        self._made: list[AsyncCache[Any]] = []

    async def load(self, key: str) -> int | None:
        """From the owner."""
        self.loads += 1
        return self.rows.get(key)

    def cache(self, *, local: bool = True, strategy: Any = None) -> AsyncCache[Any]:
        """One process."""
        tiers = [Local(), self.shared] if local else [self.shared]
        made: AsyncCache[Any] = AsyncCache(
            self.name, int, strategy=strategy or Lazy(load=self.load, ttl=LONG), tiers=tiers
        )
        self._made.append(made)
        return made

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(self, *_: Any) -> None:
        for cache in self._made:
            await cache.close()


async def becomes(cache: AsyncCache[Any], key: str, value: int) -> None:
    """Wait until a cache gives this value."""
    end = time.monotonic() + PATIENCE
    while (found := await cache.get(key)) != value:
        assert time.monotonic() < end, f"still {found}"
        await asleep(0.02)


async def until(holds: Callable[[], Any], why: str) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, why
        await asleep(0.02)


async def stands_locally(cache: AsyncCache[Any], key: str) -> None:
    """Wait until a cache has a key in its process."""
    end = time.monotonic() + PATIENCE
    while (await cache.lookup(key)).tier != "local":
        assert time.monotonic() < end, "it is never taken"
        await asleep(0.02)


async def bounded(cache: AsyncCache[Any], key: str) -> Any:
    """What a get gives, in its time."""
    began = time.monotonic()
    found = await cache.get(key)
    assert time.monotonic() - began < BOUND
    return found


async def tells(cache: AsyncCache[Any], key: str) -> None:
    """An invalidation that may not arrive at once."""
    began = time.monotonic()
    try:
        await cache.invalidate(key)
    except CacheError as error:
        assert error.retryable, error
    assert time.monotonic() - began < BOUND


@pytest.mark.parametrize("lost", ["trimmed", "deleted", "deleted and told again"])
async def test_news_that_are_not_there_are_missed_and_noticed(redis_server: Any, lost: str) -> None:
    """A stream that was trimmed past where a process reads, or deleted: what it holds goes."""
    async with World(redis_server.primary.url) as world:
        cache = world.cache()
        world.rows["a"] = world.rows["b"] = 1
        await cache.get("a")
        await stands_locally(cache, "a")
        world.rows["a"] = 2
        tier: Any = cache.tier
        names = [*tier._keys, tier._value("a"), tier._lease("a")]
        with redis_server.primary.client() as client:
            with client.pipeline(transaction=True) as both:
                both.eval(
                    lua("regionkit.caching", "invalidate").text,
                    len(names),
                    *names,
                    os.urandom(8),
                    *tier._fixed,
                    "",
                    tier.digest("a"),
                )
                both.xtrim(tier.news_key, 0) if lost == "trimmed" else both.delete(tier.news_key)
                both.execute()
        if lost == "deleted and told again":
            await cache.invalidate("b")
        await becomes(cache, "a", 2)
        await stands_locally(cache, "a")
        world.rows["a"] = 3
        await world.cache().invalidate("a")
        await becomes(cache, "a", 3)


async def test_a_server_that_is_killed_costs_hits_and_no_answers(own_redis: Any) -> None:
    """What was told meanwhile is told when it is back, and nothing of before is shown then."""
    servers = own_redis()
    async with World(servers.primary.url) as world:
        one, other = world.cache(), world.cache(local=False)
        world.rows["a"] = 1
        await one.get("a")
        await stands_locally(one, "a")
        await other.get("a")
        servers.primary.kill()
        world.rows["a"] = 2
        await tells(one, "a")
        assert await bounded(one, "a") == 2
        assert await bounded(other, "a") == 2, "a value of a tier that is away"
        loads = world.loads
        for _ in range(5):
            await bounded(other, "a")
        assert world.loads <= loads + 5
        assert one.counters.shared_down > 0
        plain = world.cache(strategy=TTL(ttl=LONG))
        with pytest.raises(CacheError):
            await plain.set("x", 1)
        servers.primary.start()
        await until(lambda: not one.tier.down and one.teller.waiting == 0, "it is never told")  # type: ignore[attr-defined]
        await becomes(other, "a", 2)
        await stands_locally(one, "a")
        end = time.monotonic() + PATIENCE
        while (await other.lookup("a")).tier != "shared":
            assert time.monotonic() < end, "it never shares again"
            await asleep(0.02)


async def test_a_server_that_freezes_is_waited_for_no_longer_than_said(own_redis: Any) -> None:
    """Callers get what they load; when it thaws it is used again, and what was told meanwhile is known."""
    servers = own_redis()
    async with World(servers.primary.url) as world:
        one, other = world.cache(), world.cache()
        world.rows["a"] = 1
        for cache in (one, other):
            await cache.get("a")
            await stands_locally(cache, "a")
        servers.primary.freeze()
        try:
            world.rows["a"] = 2
            frozen_at = time.monotonic()
            await tells(one, "a")
            assert await bounded(one, "a") == 2
            end = frozen_at + PATIENCE
            while (found := await other.get("a")) != 2:
                assert time.monotonic() < end, f"it still serves {found}"
                await asleep(0.02)
            assert await agather([lambda: bounded(one, "a") for _ in range(20)]) == [2] * 20
        finally:
            servers.primary.thaw()
        await until(lambda: one.teller.waiting == 0, "it is never told")
        for cache in (one, other):
            await becomes(cache, "a", 2)
            await stands_locally(cache, "a")


@pytest.mark.parametrize("kept", [False, True], ids=["empty", "from its file"])
async def test_a_server_that_was_restarted_is_another(own_redis: Any, kept: bool) -> None:
    """Its file may end before the last invalidation: entries of before are misses."""
    servers = own_redis(0, settings=["--appendonly", "yes", "--appendfsync", "always"] if kept else [])
    async with World(servers.primary.url) as world:
        cache = world.cache(local=False)
        world.rows["a"] = 1
        await cache.get("a")
        assert (await cache.lookup("a")).tier == "shared"
        servers.primary.kill()
        servers.primary.start()
        if kept:
            with servers.primary.client() as client:
                assert client.exists(cache.tier._value("a")), "the file was not read"  # type: ignore[attr-defined]
        world.rows["a"] = 2
        assert await bounded(cache, "a") == 2
        fresh = world.cache(local=False)
        assert await bounded(fresh, "a") == 2


async def test_an_invalidation_is_not_undone_by_the_promotion_of_a_replica(own_redis: Any) -> None:
    """Its link was cut before: it has the old entry, and no floor."""
    servers = own_redis(1)
    replica = servers.replicas[0]
    with FaultProxy(servers.primary.url) as proxy:
        async with World(proxy.url) as world:
            caches = [world.cache(local=False), world.cache()]
            world.rows["a"] = 1
            for cache in caches:
                await cache.get("a")
            servers.wait_for_replicas()
            replica.pause_replay()
            world.rows["a"] = 2
            await caches[0].invalidate("a")
            servers.primary.kill()
            replica.promote()
            with replica.client() as client:
                assert client.exists(caches[0].tier._value("a")), "the replica has not the old entry"  # type: ignore[attr-defined]
            proxy.target(replica.url)
            proxy.cut()
            proxy.heal()
            for cache in [*caches, world.cache(local=False)]:
                assert await bounded(cache, "a") == 2
            end = time.monotonic() + PATIENCE
            while (await caches[0].lookup("a")).tier != "shared":
                assert time.monotonic() < end, "the new primary is never used"
                assert await bounded(caches[0], "a") == 2
                await asleep(0.02)
            assert await caches[0].get("a") == 2


async def test_a_server_that_refuses_is_an_error_or_a_miss_and_never_a_wait(own_redis: Any) -> None:
    """A wrong password, TLS where there is none: said, not tried for ever."""
    servers = own_redis()
    with servers.primary.client() as client:
        client.config_set("requirepass", "secret")
    address = servers.primary.url.partition("//")[2]
    for url in (f"redis://:wrong@{address}", f"redis://{address}", f"rediss://{address}"):
        async with World(url) as world:
            cache = world.cache()
            world.rows["a"] = 1
            for _ in range(3):
                began = time.monotonic()
                try:
                    assert await cache.get("a") == 1
                    assert cache.counters.shared_down > 0
                except RegionKitError as error:
                    assert "secret" not in str(error) and "wrong@" not in str(error)
                assert time.monotonic() - began < BOUND
    with servers.primary.client(password="secret") as client:
        client.config_set("requirepass", "")


async def test_a_server_without_room_still_tells_and_still_shows(own_redis: Any) -> None:
    """noeviction: hits and invalidations as ever, what is loaded is given and not stored; each once it has room again."""
    servers = own_redis()
    async with World(servers.primary.url) as world:
        one, other = world.cache(local=False), world.cache()
        world.rows |= {"a": 1, "b": 1, "c": 1}
        await one.get("a")
        await one.get("b")
        await other.get("b")
        await stands_locally(other, "b")
        plain = world.cache(strategy=TTL(ttl=LONG), local=False)
        with servers.primary.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            assert (await one.lookup("a")).tier == "shared"
            world.rows["b"] = 2
            await one.invalidate("b")
            assert await bounded(one, "b") == 2
            await becomes(other, "b", 2)
            for _ in range(10):
                assert await bounded(one, "c") == 1
            with pytest.raises(CacheError, match="maxmemory"):
                await plain.set("x", 1)
            assert (await one.lookup("a")).tier == "shared", "three refusals put the whole tier aside"
            client.config_set("maxmemory", 0)
            await one.get("c")
            assert (await one.lookup("c")).tier == "shared"


async def test_a_server_that_evicts_everything_at_will_costs_hits(own_redis: Any) -> None:
    """allkeys-lru may take the account too: it is lost whole, and nothing stale is shown."""
    servers = own_redis()
    async with World(servers.primary.url) as world:
        one, other = world.cache(local=False), world.cache()
        with servers.primary.client() as client:
            client.config_set("maxmemory-policy", "allkeys-random")
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", used + 400_000)
            for number in range(400):
                key = f"k{number % 40}"
                world.rows[key] = number
                await tells(one, key)
                assert await bounded(one, key) == number
                try:
                    client.set(f"ballast{number}", b"x" * 20_000)
                except redis.exceptions.OutOfMemoryError:
                    pass  # it did not find enough to evict at once
                if number % 10 == 0:
                    await bounded(other, key)
            assert int(client.info("stats")["evicted_keys"]) > 100
            client.config_set("maxmemory", 0)
        for number in range(40):
            key = f"k{number}"
            await becomes(other, key, world.rows[key])
            assert await bounded(one, key) == world.rows[key]


async def test_a_server_far_away_is_waited_for_as_long_as_its_distance(own_redis: Any) -> None:
    """200 ms of round trip on top of a time-out that is below it."""
    servers = own_redis()
    with FaultProxy(servers.primary.url) as proxy:
        proxy.latency(0.1)
        async with World(proxy.url, timeout=0.15, max_local_stale=3.0) as world:
            one, other = world.cache(local=False), world.cache()
            world.rows["a"] = 1
            assert await bounded(one, "a") == 1
            assert (await one.lookup("a")).tier == "shared"
            await bounded(other, "a")
            await stands_locally(other, "a")
            world.rows["a"] = 2
            await one.invalidate("a")
            await becomes(other, "a", 2)
            assert await bounded(one, "a") == 2
            assert one.counters.shared_down == other.counters.shared_down == 0


@pytest.mark.parametrize("together", [False, True])
async def test_a_load_that_could_not_be_stored_makes_nobody_wait(
    redis_server: Any, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    """The connection is lost before the value is sent: the lease is given back, and another process loads at once."""

    async def gone(*_: Any) -> Any:
        monkeypatch.undo()
        raise TierDown("the connection is lost")

    async with World(redis_server.primary.url) as world:
        world.rows["a"] = 1

        async def load_many(keys: list[str]) -> dict[str, int]:
            return {key: world.rows[key] for key in keys}

        strategy = Lazy(load_many=load_many, ttl=LONG) if together else Lazy(load=world.load, ttl=LONG)
        one, other = world.cache(local=False, strategy=strategy), world.cache(local=False)
        monkeypatch.setattr(one.tier, "commit", gone)
        monkeypatch.setattr(one.tier, "commit_many", gone)
        assert (await one.get_many(["a"]) if together else {"a": await one.get("a")}) == {"a": 1}
        assert await bounded(other, "a") == 1
