"""The race rig: readers, writers and invalidations in processes of their own, over a primary, a copy that lags and a Redis.

Loaders read the copy, with the version of the row; the writer commits, and tells the key with the row's version. Or, without
versions, loaders read the primary. When all is
quiet, what stands in a cache is compared with the rows: an older version is stale, and would be so until its time ended.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import psycopg
import redis

import regionkit.backends.redis.script as script_module
from regionkit.backends.redis.lua import Lua, lua
from regionkit.caching import Cache, Lazy, Loaded, Local, Shared

KEYS = 200
READERS = 2
"""Processes that read."""
WRITES = 150
"""A second, at most: each makes every process miss once."""
TTL = 3600.0
QUIET = 1.5
"""Seconds in which all news have arrived: a thousand times what they take."""

SWITCHES: dict[str, dict[str, list[tuple[str, str]]]] = {
    "none": {},
    "the versions of floors": {
        "*": [("  return owner or floor == NOTHING or (", "  return true or owner or floor == NOTHING or (")],
        "fill_begin": [("local floor = version_floor(own, common)", "local floor = NOTHING")],
    },
    "leases and stamps": {
        "*": [("  return stamp > string.sub(floor, 1, 16) and ", "  return ")],
        "invalidate": [("  redis.call('DEL', lease)\n", "")],
    },
}
"""Protections that are switched off, by the text of the scripts that is them: "*" is the prelude."""


@dataclass
class Cell:
    """One run of the rig."""

    primary: str
    copy: str
    redis_url: str
    name: str
    seconds: float
    kind: str = "regionkit"
    off: str = "none"
    slow: float = 0.0
    tiers: str = "both"
    versioned: bool = True
    threads: int = 2


@dataclass
class Found:
    """What came of it."""

    gets: int
    loads: int
    refused: int
    writes: int
    stale: int
    standing: int

    @property
    def hit_rate(self) -> float:
        """Share of gets that loaded nothing."""
        return 1.0 - self.loads / max(1, self.gets)

    def __str__(self) -> str:
        return (
            f"{self.gets} gets, {self.writes} writes, hit rate {100 * self.hit_rate:.1f} %, {self.refused} refused fills, "
            f"{self.stale} stale of {self.standing} that stood"
        )


def spoiled(off: str) -> Any:
    """The scripts without a protection."""

    def read(package: str, name: str) -> Lua:
        text = lua(package, name).text.decode()
        for of in ("*", name):
            for old, new in SWITCHES[off].get(of, []):
                assert old in text, f"{old!r} is not in {name}"
                text = text.replace(old, new)
        return Lua(text.encode(), b"0" * 40)  # no server knows it: the text travels

    return read


def cache_of(cell: Cell, load: Any) -> Cache[Any]:
    """The cache of one process."""
    shared = Shared(cell.redis_url, timeout=5.0)
    tiers = [Local(), shared] if cell.tiers == "both" else [shared]
    return Cache(cell.name, int, strategy=Lazy(load=load, ttl=TTL, soft_ttl=TTL / 2), tiers=tiers)


class Rows:
    """The table, as one thread reads it."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._mine = threading.local()
        self.loads = 0

    def load(self, key: int, owner: bool = False) -> Any:
        """From the copy; from the primary where the cache asks for it."""
        self.loads += 1
        place = "primary" if owner or not self._cell.versioned else "copy"
        if not hasattr(self._mine, place):
            setattr(self._mine, place, psycopg.connect(getattr(self._cell, place), autocommit=True))
        [[version]] = getattr(self._mine, place).execute("SELECT version FROM item WHERE id = %s", (key,)).fetchall()
        if self._cell.slow:
            time.sleep(random.random() * self._cell.slow)
        return Loaded(version, version=version if self._cell.versioned else None)


def reader(cell: Cell, go: Any, stop: Any, told: Any, ask: Any) -> None:
    """A process that reads."""
    rows, counted, server = Rows(cell), [0] * cell.threads, redis.Redis.from_url(cell.redis_url)
    with mock.patch.object(script_module, "lua", spoiled(cell.off) if cell.off != "none" else lua):
        cache = cache_of(cell, rows.load) if cell.kind == "regionkit" else None

        def plain(key: int) -> int:
            """Cache-aside, as it is mostly written."""
            found = server.get(f"{cell.name}:{key}")
            if found is not None:
                return int(json.loads(found))
            version: int = rows.load(key).value
            server.set(f"{cell.name}:{key}", json.dumps(version), ex=int(TTL))
            return version

        def reads(number: int) -> None:
            chance = random.Random(number)
            while not stop.is_set():
                for _ in range(50 if not cell.slow else 1):
                    key = chance.randrange(KEYS)
                    assert (plain(key) if cache is None else cache.get(key)) is not None
                    counted[number] += 1

        told.put("ready")
        go.wait()
        threads = [threading.Thread(target=reads, args=(number,)) for number in range(cell.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told.put("done")
        ask.wait()
        if cache is None:
            standing = {
                key: int(json.loads(found)) for key in range(KEYS) if (found := server.get(f"{cell.name}:{key}"))
            }
            refused = 0
        else:
            standing = {key: value for key in range(KEYS) if (value := cache.peek(key)) is not None}
            refused = cache.counters.refused_fills
            cache.close()
    told.put((sum(counted), rows.loads, refused, standing))


def writer(cell: Cell, go: Any, stop: Any, told: Any) -> None:
    """A process that writes, and tells; now and then it only tells."""
    server, chance, writes = redis.Redis.from_url(cell.redis_url), random.Random(99), 0
    with mock.patch.object(script_module, "lua", spoiled(cell.off) if cell.off != "none" else lua):
        cache = cache_of(cell, lambda key: None) if cell.kind == "regionkit" else None
        with psycopg.connect(cell.primary, autocommit=True) as connection:
            told.put("ready")
            go.wait()
            while not stop.is_set():
                key = chance.randrange(KEYS)
                update = "UPDATE item SET version = version + 1 WHERE id = %s RETURNING version"
                [[version]] = connection.execute(update, (key,)).fetchall()
                if cache is None:
                    server.delete(f"{cell.name}:{key}")
                else:
                    cache.invalidate(key, version=version if cell.versioned else None)
                    if chance.random() < 0.1:
                        cache.invalidate_many([chance.randrange(KEYS) for _ in range(3)])
                writes += 1
                time.sleep(1 / WRITES)
        if cache is not None:
            cache.close()
    told.put(writes)


def run(cell: Cell, quiet: Any) -> Found:
    """Run one cell. `quiet`: waits until the copy has all that was written."""
    with psycopg.connect(cell.primary, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS item (id int PRIMARY KEY, version bigint NOT NULL)")
        connection.execute(
            "INSERT INTO item SELECT n, 1 FROM generate_series(0, %s) n ON CONFLICT DO NOTHING", (KEYS - 1,)
        )
    quiet()
    if cell.kind == "regionkit":
        _of_long_ago(cell)
    context = multiprocessing.get_context("spawn")
    go, stop, ask = context.Event(), context.Event(), context.Event()
    lines = [context.Queue() for _ in range(READERS + 1)]
    jobs: list[tuple[Any, Sequence[Any]]] = [(reader, (cell, go, stop, line, ask)) for line in lines[1:]]
    jobs.append((writer, (cell, go, stop, lines[0])))
    processes = [context.Process(target=target, args=given, daemon=True) for target, given in jobs]
    for process in processes:
        process.start()
    try:
        for line in lines:
            assert line.get(timeout=60) == "ready"
        go.set()
        time.sleep(cell.seconds)
        stop.set()
        writes = lines[0].get(timeout=60)
        for line in lines[1:]:
            assert line.get(timeout=60) == "done"
        quiet()
        time.sleep(QUIET)
        ask.set()
        found = [line.get(timeout=60) for line in lines[1:]]
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
    with psycopg.connect(cell.primary) as connection:
        rows = dict(connection.execute("SELECT id, version FROM item").fetchall())
    stale = {key for *_, standing in found for key, version in standing.items() if version < rows[key]}
    return Found(
        gets=sum(one[0] for one in found),
        loads=sum(one[1] for one in found),
        refused=sum(one[2] for one in found),
        writes=writes,
        stale=len(stale),
        standing=sum(len(one[3]) for one in found),
    )


def _of_long_ago(cell: Cell) -> None:
    """An account that was opened long ago: at first only loads from the owner are stored."""
    with cache_of(cell, lambda key: None) as cache:
        cache.clear()
        with redis.Redis.from_url(cell.redis_url) as server:
            server.hset(cache.tier._keys[0], "o", 0)  # type: ignore[attr-defined]
