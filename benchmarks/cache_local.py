"""A hit in this process beside cachetools, cachebox and theine; hit rates under Zipf's law; bytes an entry takes.

The hit does all that the cache promises: it looks at the entry's end by the coarse clock, counts itself, and tells "42" from 42.
Frozen values are given as they are; what callers could change is decoded for each of them, and printed apart.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import cachebox
import cachetools
import msgspec
import theine

from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin
from regionkit.caching import TTL, AsyncCache, Cache, Local

MOST = 1.3
MOST_CACHETOOLS = 0.15
POINTS = 8.0
"""By which our hit rate is to be better than LRU's."""
KEYS, ITEMS, READS = 100_000, 1_000, 1_000_000
OURS, CACHEBOX, CACHETOOLS, THEINE = "regionkit", "cachebox.TTLCache", "cachetools.TTLCache", "theine.Cache"
DECODED, NUMBER, ASYNC, COROUTINE = "regionkit, decoded a hit", "regionkit, int key", "AsyncCache", "a bare coroutine"
BULK, TURNS = 1_000, 20
HELD = 20_000
"""Entries of which the memory is measured."""


class User(msgspec.Struct, frozen=True):
    """Nobody can change it."""

    id: int
    name: str


class Draft(msgspec.Struct):
    """Anybody can."""

    id: int
    name: str


def run(settings: Settings) -> list[Report]:
    """One report: hits, hit rates, memory."""
    pin()
    report = Report("cache_local", "A hit in this process", settings)
    _hits(report, settings)
    asyncio.run(_async_hits(report, settings))
    _hit_rates(report, settings)
    _memory(report)
    return [report]


def _hits(report: Report, settings: Settings) -> None:
    user = User(42, "Ada")
    boxed: Any = cachebox.TTLCache(10_000, 3600)
    tooled: Any = cachetools.TTLCache(10_000, 3600)
    tiny: Any = theine.Cache(10_000)
    boxed.insert("42", user)
    tooled["42"] = user
    tiny.set("42", user)
    with (
        Cache("users", User, strategy=TTL(ttl=3600)) as users,
        Cache("drafts", Draft, strategy=TTL(ttl=3600)) as drafts,
    ):
        users.set("42", user)
        users.set(42, user)
        drafts.set("42", Draft(42, "Ada"))
        candidates = [
            Candidate(OURS, lambda: users.get("42"), bulk=BULK),
            Candidate(NUMBER, lambda: users.get(42), bulk=BULK),
            Candidate(DECODED, lambda: drafts.get("42"), bulk=BULK),
            Candidate(CACHEBOX, lambda: boxed.get("42"), bulk=BULK),
            Candidate(CACHETOOLS, lambda: tooled.get("42"), bulk=BULK),
            Candidate(THEINE, lambda: tiny.get("42"), bulk=BULK),
        ]
        for candidate in candidates:
            assert candidate.run() is not None, f"{candidate.name} has no hit"
        rows = [
            Row("a hit, frozen value / cachebox", OURS, CACHEBOX, most=MOST),
            Row("a hit, frozen value / cachetools", OURS, CACHETOOLS, most=MOST_CACHETOOLS),
            Row("a hit, frozen value / theine", OURS, THEINE),
            Row("a hit by an int / cachebox", NUMBER, CACHEBOX),
            Row("a hit that is decoded / cachebox", DECODED, CACHEBOX),
            Row("a hit, frozen value", OURS, way="time"),
        ]
        report.add(rows, measure(candidates, settings, TURNS))


async def _async_hits(report: Report, settings: Settings) -> None:
    async def bare() -> None:
        return None

    async with AsyncCache("users", User, strategy=TTL(ttl=3600)) as users:
        await users.set("42", User(42, "Ada"))

        def often(one: Callable[[], Any]) -> Callable[[], Any]:
            async def run() -> None:
                for _ in range(BULK):
                    await one()

            return run

        candidates = [Candidate(ASYNC, often(lambda: users.get("42"))), Candidate(COROUTINE, often(bare))]
        spreads = await measure_async(candidates, settings, TURNS)
        unit = (float(BULK), "us a hit")
        rows = [Row(f"{name}, one await", name, way="time", unit=unit) for name in (ASYNC, COROUTINE)]
        report.add(rows, spreads, f"asyncio, {BULK} hits in a row")


def _zipf(count: int, seed: int) -> Iterator[str]:
    """Keys in the frequency of their rank: Zipf's law with exponent 1."""
    ends = list(itertools.accumulate(1.0 / rank for rank in range(1, KEYS + 1)))
    names = [str(number) for number in range(KEYS)]
    chance = random.Random(seed)
    chance.shuffle(names)
    for _ in range(count):
        yield names[bisect.bisect(ends, chance.random() * ends[-1])]


def _hit_rates(report: Report, settings: Settings) -> None:
    reads = list(_zipf(int(READS * settings.share), 1))
    least, boxed, tiny = cachetools.LRUCache(ITEMS), cachebox.TTLCache(ITEMS, 3600), theine.Cache(ITEMS)
    with Cache("users", str, strategy=TTL(ttl=3600), tiers=[Local(max_items=ITEMS)]) as ours:
        caches: dict[str, tuple[Callable[[str], Any], Callable[[str, str], Any]]] = {
            OURS: (ours.peek, ours.set),
            "LRU": (least.get, least.__setitem__),
            CACHEBOX: (boxed.get, boxed.insert),
            THEINE: (lambda key: tiny.get(key)[0], lambda key, value: tiny.set(key, value)),
        }
        rates = {name: 100.0 * _hit_rate(get, put, reads) for name, (get, put) in caches.items()}
    report.figure("LRU's hit rate over ours", rates["LRU"] - rates[OURS], "points", most=-POINTS)
    told = ", ".join(f"{name} {rate:.1f} %" for name, rate in rates.items())
    report.note(f"Hit rates, Zipf 1.0, {KEYS} keys, room for {ITEMS}, {len(reads)} reads: {told}.")


def _hit_rate(get: Callable[[str], Any], put: Callable[[str, str], Any], reads: list[str]) -> float:
    hits = 0
    for key in reads:
        if get(key) is None:
            put(key, key)
        else:
            hits += 1
    return hits / len(reads)


def _memory(report: Report) -> None:
    """Of the cache, not of keys and values: those exist before."""
    keys = [f"user-{number}" for number in range(HELD)]
    user = User(1, "Ada")
    tables: dict[str, Callable[[], Any]] = {
        CACHEBOX: lambda: cachebox.TTLCache(HELD, 3600),
        CACHETOOLS: lambda: cachetools.TTLCache(HELD, 3600),
    }
    told = []
    with Cache("users", User, strategy=TTL(ttl=3600), tiers=[Local(max_items=HELD)]) as ours:
        told.append((OURS, _bytes_of(lambda: [ours.set(key, user) for key in keys])))
        told.append(("regionkit, as it counts", ours.status()["local_bytes"] / HELD))
    for name, make in tables.items():
        made = make()
        told.append((name, _bytes_of(lambda: [made.__setitem__(key, user) for key in keys])))  # noqa: B023
    for name, size in told:
        report.figure(f"memory of an entry, {name}", size, "bytes")


def _bytes_of(fill: Callable[[], Any]) -> float:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fill()
        return (tracemalloc.get_traced_memory()[0] - before) / HELD
    finally:
        tracemalloc.stop()
