"""Hits and fills at a Redis server beside redis-py, dogpile.cache, cashews, aiocache and redis-py's client-side cache.

A hit is of a typed value, and every check is on: key, tenant, generation, ends, type. Stampedes and invalidations: `cache_herd`.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec
import redis
import redis.asyncio

from benchmarks import cache_herd
from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin, pin_children
from regionkit.caching import TTL, AsyncCache, Cache, Lazy, Local, Shared
from regionkit.testing import servers

MOST_HIT, MOST_FILL = 1.06, 1.9
OPS, FILLS, GATHERS, TASKS = 200, 100, 10, 50
KEY, VALUE = "user-42", b"v" * 100
OURS, GET, BOTH = "regionkit", "redis-py GET", "regionkit, local and shared tier"
DOGPILE, CLIENT_SIDE = "dogpile.cache", "redis-py, client-side cache"
CASHEWS, AIOCACHE = "cashews", "aiocache"
FILL, GET_SET, DOGPILE_FILL = "regionkit, miss and fill", "redis-py GET, SET EX", "dogpile.cache, miss and fill"
HEALTHY = 2.0
"""Seconds that the server may take: none of these jobs is about time-outs."""


class User(msgspec.Struct, frozen=True):
    """What is cached."""

    id: int
    name: str
    mail: str


USER = User(42, "Ada", "ada@example.org")


def run(settings: Settings) -> list[Report]:
    """One report: several processes on all cores first, then hits and fills on one core."""
    report = Report("cache_shared", "A cache at a Redis server", settings)
    with servers.redis() as found:
        cache_herd.herds(found.primary.url, report, settings)
        cache_herd.news(found.primary.url, report, settings)
    core = pin()
    with servers.redis() as found:
        pin_children(core)
        _threads(found.primary.url, report, settings)
        _fills(found.primary.url, report, settings)
        asyncio.run(_asyncio(found.primary.url, report, settings))
    return [report]


def _threads(url: str, report: Report, settings: Settings) -> None:
    with ExitStack() as stack:
        plain = stack.enter_context(redis.Redis.from_url(url))
        shared = stack.enter_context(Cache("users", User, strategy=TTL(ttl=3600), tiers=[Shared(url, timeout=HEALTHY)]))
        both = stack.enter_context(
            Cache("both", User, strategy=TTL(ttl=3600), tiers=[Local(), Shared(url, timeout=HEALTHY)])
        )
        plain.set(KEY, VALUE)
        shared.set(KEY, USER)
        both.set(KEY, USER)
        candidates = [
            Candidate(OURS, lambda: shared.get(KEY)),
            Candidate(GET, lambda: plain.get(KEY)),
            Candidate(BOTH, lambda: both.get(KEY), bulk=100),
            *_peers(url, report, stack),
        ]
        for candidate in candidates:
            assert candidate.run(), f"{candidate.name} has no hit"
        rows = [
            Row("typed hit / redis-py GET", OURS, GET, most=MOST_HIT),
            Row("hit beside the server, every check on", BOTH, way="time"),
            *[Row(f"{c.name} / redis-py GET", c.name, GET) for c in candidates[3:]],
        ]
        report.add(rows, measure(candidates, settings, OPS), "threads")


def _peers(url: str, report: Report, stack: ExitStack) -> list[Candidate]:
    candidates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dogpile.cache import make_region

        region = make_region().configure("dogpile.cache.redis", expiration_time=3600, arguments={"url": url})
        region.set(KEY, {"id": 42})
        candidates.append(Candidate(DOGPILE, lambda: region.get(KEY)))
        try:
            from redis.cache import CacheConfig

            aware = stack.enter_context(redis.Redis.from_url(url, protocol=3, cache_config=CacheConfig()))
            aware.get(KEY)
            candidates.append(Candidate(CLIENT_SIDE, lambda: aware.get(KEY)))
        except redis.exceptions.RedisError as error:
            report.note(f"redis-py's client-side cache did not run: {error}.")
    return candidates


def _fills(url: str, report: Report, settings: Settings) -> None:
    run = uuid.uuid4().hex
    numbers = itertools.count()
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.redis", expiration_time=3600, arguments={"url": url})
    lazy = Lazy(load=lambda key: USER, ttl=3600)
    with (
        redis.Redis.from_url(url) as plain,
        Cache("fills", User, strategy=lazy, tiers=[Shared(url, timeout=HEALTHY)]) as cache,
    ):

        def by_hand() -> None:
            key = f"{run}:{next(numbers)}"
            if plain.get(key) is None:
                plain.set(key, VALUE, ex=3600)

        candidates = [
            Candidate(FILL, lambda: cache.get(f"{run}:{next(numbers)}")),
            Candidate(GET_SET, by_hand),
            Candidate(DOGPILE_FILL, lambda: region.get_or_create(f"{run}:{next(numbers)}", lambda: {"id": 42})),
        ]
        rows = [
            Row("miss and fill / GET and SET EX", FILL, GET_SET, most=MOST_FILL),
            Row("dogpile.cache, miss and fill / GET and SET EX", DOGPILE_FILL, GET_SET),
        ]
        plain.config_resetstat()
        report.add(rows, measure(candidates, settings, FILLS), "threads")
        script, get = [plain.info("commandstats")[f"cmdstat_{name}"]["usec_per_call"] for name in ("evalsha", "get")]
        report.note(
            "A miss and fill is two round trips, as GET and SET are. Each is a script, which keeps one load a key over all "
            f"processes and refuses what an invalidation has overtaken: it takes the server {script:.0f} us, a GET {get:.1f} us, "
            "and the server shares this core. Over a network the round trips count, and the two are alike."
        )


async def _async_fills(url: str, plain: Any, report: Report, settings: Settings) -> None:
    run = uuid.uuid4().hex
    numbers = itertools.count()
    lazy = Lazy(load=lambda key: USER, ttl=3600)
    async with AsyncCache("fills", User, strategy=lazy, tiers=[Shared(url, timeout=HEALTHY)]) as cache:

        async def by_hand() -> None:
            key = f"{run}:{next(numbers)}"
            if await plain.get(key) is None:
                await plain.set(key, VALUE, ex=3600)

        candidates = [Candidate(FILL, lambda: cache.get(f"{run}:{next(numbers)}")), Candidate(GET_SET, by_hand)]
        rows = [Row("miss and fill / GET and SET EX", FILL, GET_SET, most=MOST_FILL)]
        report.add(rows, await measure_async(candidates, settings, FILLS), "asyncio")


async def _asyncio(url: str, report: Report, settings: Settings) -> None:
    import aiocache
    from cashews import Cache as Cashews

    plain = redis.asyncio.Redis.from_url(url)
    tools = Cashews()
    tools.setup(url, client_side=False)
    host, port = url.rpartition("/")[2].split(":") if url.count("/") == 2 else url.split("/")[2].split(":")
    aio = aiocache.RedisCache(endpoint=host, port=int(port), serializer=aiocache.serializers.PickleSerializer())
    async with AsyncCache("users", User, strategy=TTL(ttl=3600), tiers=[Shared(url, timeout=HEALTHY)]) as cache:
        await cache.set(KEY, USER)
        await plain.set(KEY, VALUE)
        getters: dict[str, Callable[[], Any]] = {OURS: lambda: cache.get(KEY), GET: lambda: plain.get(KEY)}
        for name, peer in ((CASHEWS, tools), (AIOCACHE, aio)):
            try:
                await peer.set(f"{name}:{KEY}", {"id": 42})
                assert await peer.get(f"{name}:{KEY}") == {"id": 42}
            except Exception as error:  # a peer that does not run with this driver
                report.note(f"{name} did not run: {type(error).__name__}: {error}.")
                continue
            getters[name] = lambda peer=peer, name=name: peer.get(f"{name}:{KEY}")  # type: ignore[misc]
        candidates = [Candidate(name, get) for name, get in getters.items()]
        for candidate in candidates:
            await candidate.run()
        rows = [
            Row("typed hit / redis-py GET", OURS, GET, most=MOST_HIT),
            *[Row(f"{name} / redis-py GET", name, GET) for name in getters if name not in (OURS, GET)],
        ]
        report.add(rows, await measure_async(candidates, settings, OPS), "asyncio")

        def together(get: Callable[[], Any]) -> Callable[[], Any]:
            async def run() -> None:
                await asyncio.gather(*(get() for _ in range(TASKS)))

            return run

        many = [Candidate(name, together(get)) for name, get in getters.items()]
        report.add(rows, await measure_async(many, settings, GATHERS), f"asyncio, {TASKS} tasks at once")
        await aio.close()
        await tools.close()
    await _async_fills(url, plain, report, settings)
    await plain.aclose()
