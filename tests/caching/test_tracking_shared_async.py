"""Server-assisted invalidation: what other programs do to a cache's keys leaves this process's memory too."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from regionkit.caching import AsyncCache, Lazy, Local, Shared
from regionkit.caching.tracking_shared_async import MOST_OWN, ON, AsyncTracking
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError
from regionkit.testing import FaultProxy

pytestmark = pytest.mark.redis

PATIENCE = 20.0
LONG = 300.0


async def until(holds: Callable[[], Any], why: str) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, why
        await asleep(0.01)


class World:
    """A cache that is tracked, and another program at the same server."""

    def __init__(self, server: Any) -> None:
        self.server = server.primary
        self.loads: list[Any] = []
        self.name = f"k{os.urandom(6).hex()}"
        self.caches: list[AsyncCache[Any]] = []

    def cache(self, url: str = "", *, tracking: bool = True, **more: Any) -> AsyncCache[Any]:
        """One process."""
        tiers = [Local(), Shared(url or self.server.url, tracking=tracking, timeout=2.0)]
        made: AsyncCache[Any] = AsyncCache(self.name, int, tiers=tiers, strategy=Lazy(load=self.load, ttl=LONG), **more)
        self.caches.append(made)
        return made

    async def load(self, key: Any) -> int:
        """Each load gives another value."""
        self.loads.append(key)
        return len(self.loads)

    async def tracked(self, cache: AsyncCache[Any]) -> None:
        """Wait until the server tells of the cache's keys, and news come."""
        await cache.get("first")
        await until(lambda: cache.status()["tracking"] == "on", str(cache.status()["tracking"]))
        await self.held(cache, "first")

    async def held(self, cache: AsyncCache[Any], key: Any) -> int:
        """Wait until a key is in this process's memory; its value."""
        end = time.monotonic() + PATIENCE
        while (found := await cache.lookup(key)).tier != "local":
            assert time.monotonic() < end, "it is never taken"
            await asleep(0.01)
        return int(found.value)

    def other(self, *words: Any) -> Any:
        """A command of another program."""
        with self.server.client() as client:
            return client.execute_command(*words)

    def asked(self) -> int:
        """How often CLIENT TRACKING was refused so far."""
        with self.server.client() as client:
            found = client.info("commandstats").get("cmdstat_client|tracking", {})
        return int(found.get("rejected_calls", 0)) + int(found.get("failed_calls", 0))

    def trackers(self) -> int:
        """Connections at the server that track by prefix."""
        with self.server.client() as client:
            return sum("B" in one["flags"] for one in client.client_list())

    def names(self) -> list[bytes]:
        """The keys of this cache's values at the server."""
        with self.server.client() as client:
            return [name for name in client.keys(f"*{self.name}:v:*") if not name.endswith(b"-")]


@pytest.fixture
async def world(redis_server: Any) -> AsyncIterator[World]:
    made = World(redis_server)
    yield made
    for cache in made.caches:
        await cache.close()


@pytest.mark.parametrize("key", ["a", 42, b"\x00raw", ("t", 1)])
async def test_what_another_program_deletes_is_loaded_anew(world: World, key: Any) -> None:
    """Whatever the key's type; without tracking the local entry stays."""
    cache, plain = world.cache(), world.cache(tracking=False)
    await world.tracked(cache)
    await cache.get(key)
    before = await world.held(cache, key)
    assert await world.held(plain, key) == before
    for name in world.names():
        world.other("DEL", name)
    end = time.monotonic() + PATIENCE
    while await cache.get(key) == before:
        assert time.monotonic() < end, "it is never told"
        await asleep(0.01)
    assert plain.status()["tracking"] == "off"
    assert await plain.get(key) == before


async def test_what_expires_or_is_flushed_goes(world: World) -> None:
    """The server tells of both."""
    cache = world.cache()
    await world.tracked(cache)
    for act in (lambda name: world.other("PEXPIRE", name, 1), lambda _: world.other("FLUSHDB")):
        await cache.get("a")
        before = await world.held(cache, "a")
        for name in world.names():
            act(name)
        end = time.monotonic() + PATIENCE
        while await cache.get("a") == before:
            assert time.monotonic() < end, "it is never told"
            await asleep(0.01)


async def test_what_another_program_names_oddly_disturbs_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is no key of a cache, in one message with one that is; and FLUSHDB. The driver has no error to log."""
    cache = world.cache()
    await world.tracked(cache)
    await cache.get("a")
    before = await world.held(cache, "a")
    with world.server.client() as client, client.pipeline() as pipe:
        [name] = [name for name in world.names() if name.endswith(b"sa")]
        for odd in (b"s\xff\xfe", b"", b"#", b"@", b"t9:"):
            pipe.set(name[:-2] + odd, "x")
        pipe.delete(name)
        pipe.execute()
    end = time.monotonic() + PATIENCE
    while await cache.get("a") == before:
        assert time.monotonic() < end, "it is never told"
        await asleep(0.01)
    world.other("FLUSHDB")
    await world.tracked(cache)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_value_that_was_refused_is_not_taken_for_stored(world: World) -> None:
    """An invalidation overtook its load: the next report about the key is another program's."""
    cache = world.cache()
    await world.tracked(cache)
    tracking = cache.tier.tracking  # type: ignore[attr-defined]  # of a shared tier

    async def overtaken(key: Any) -> int:
        await cache.tier.invalidate([key], "")
        return 1

    await cache.get_or_load("a", overtaken)
    assert tracking._own == {}


async def test_when_all_keys_are_gone_nothing_held_is_served(world: World) -> None:
    """FLUSHDB names no key."""
    cache = world.cache()
    await world.tracked(cache)
    await cache.get("a")
    await world.held(cache, "a")
    await cache.tier.tracking._told([b"invalidate", None])  # type: ignore[attr-defined]  # of a shared tier
    assert (await cache.lookup("a")).tier == "shared"


async def test_what_this_process_stored_stays_here(world: World) -> None:
    """The server tells of it too; a hundred entries are served from memory at once, and after the word has come back."""
    cache = world.cache()
    await world.tracked(cache)
    for n in range(100):
        await cache.get(n)
    for _ in range(2):
        assert [(await cache.lookup(n)).tier for n in range(100)] == ["local"] * 100
        await asleep(0.1)


async def test_a_refill_by_another_process_replaces_what_is_held(world: World) -> None:
    """Without news: the other process loaded because its own caller asked for a fresh value."""
    one, other = world.cache(), world.cache()
    await world.tracked(one)
    await world.tracked(other)
    await one.get("a")
    before = await world.held(one, "a")
    newer = await other.get("a", refresh=True)
    assert newer > before
    end = time.monotonic() + PATIENCE
    while await one.get("a") != newer:
        assert time.monotonic() < end, "it is never told"
        await asleep(0.01)


async def test_after_a_lost_connection_nothing_held_is_served(world: World) -> None:
    """What was done meanwhile is not told: all that was held goes, and it is heard again."""
    with FaultProxy(world.server.url) as proxy:
        cache = world.cache(proxy.url)
        await world.tracked(cache)
        await cache.get("a")
        before = await world.held(cache, "a")
        proxy.cut()
        for name in world.names():
            world.other("DEL", name)
        proxy.heal()
        end = time.monotonic() + PATIENCE
        while await cache.get("a") == before:
            assert time.monotonic() < end, "it is still served"
            await asleep(0.01)
        await world.tracked(cache)


async def test_an_account_that_may_not_track_is_served_without(world: World) -> None:
    """The status says why; nothing else fails, and it is not asked again."""
    world.other("ACL", "SETUSER", world.name, "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    try:
        url = world.server.url.replace("redis://", f"redis://{world.name}:secret@")
        cache = world.cache(url)
        await cache.get("a")
        await until(lambda: "tracking" in cache.status()["tracking"], "it is never refused")
        asked = world.asked()
        for _ in range(3):
            cache.tier.tracking.listen()  # type: ignore[attr-defined]  # of a shared tier; each new connection calls it
            await asleep(0.2)
        assert world.asked() == asked
        assert await cache.get("b") == await cache.get("b")
        assert cache.status()["shared_down"] == 0
    finally:
        world.other("ACL", "DELUSER", world.name)


async def test_a_tenant_hears_of_its_own_keys_alone(world: World) -> None:
    """Another tenant's key of that name is another key."""
    mine, theirs = world.cache(tenant="a"), world.cache(tenant="b")
    await world.tracked(mine)
    await world.tracked(theirs)
    for cache in (mine, theirs):
        await cache.get("k")
    kept = await world.held(mine, "k")
    gone = await world.held(theirs, "k")
    place = theirs.tier.place  # type: ignore[attr-defined]
    for name in world.names():
        if place in name:
            world.other("DEL", name)
    end = time.monotonic() + PATIENCE
    while await theirs.get("k") == gone:
        assert time.monotonic() < end, "it is never told"
        await asleep(0.01)
    assert await mine.get("k") == kept
    assert (await mine.lookup("k")).tier == "local"


async def test_a_closed_cache_hears_no_more(world: World) -> None:
    """Its connection is gone at the server, too."""
    cache = world.cache()
    await world.tracked(cache)
    assert world.trackers() == 1
    await cache.close()
    await until(lambda: world.trackers() == 0, "its connection stays")


def test_what_is_remembered_is_bounded() -> None:
    """However much a process stores."""
    tracking = AsyncTracking(None, SYSTEM_CLOCK, b"p:")
    tracking.state = ON
    tracking.stored([b"p:s%d" % n for n in range(3 * MOST_OWN)])
    assert len(tracking._own) == MOST_OWN


@pytest.mark.parametrize("wrong", [{"tracking": 1}, {"tracking": True, "pool_size": 2}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    """When they are given."""
    with pytest.raises(ConfigurationError):
        Shared("redis://localhost", **wrong)
