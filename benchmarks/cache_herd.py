"""Several processes and one server: a stampede on a key that is missing, and how fast an invalidation is heard elsewhere.

Each process is a fresh interpreter on both cores, as is the server. Times are read off the machine's one monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import redis  # noqa: E402

from benchmarks.harness import Report, Settings  # noqa: E402
from regionkit.caching import AsyncCache, Cache, Lazy, Local, Shared  # noqa: E402

PROCESSES, CALLERS = 4, 50
LOADING = 0.02
"""Seconds that the loader takes."""
MOST_TASKS, MOST_THREADS = 28.0, 45.0
MOST_IDLE = 2.0
"""Milliseconds."""
ROUNDS, TOLD = 15, 300
AHEAD = 0.1
"""Seconds from the word to go until all go."""
LOADS = "bench:loads"


def herds(url: str, report: Report, settings: Settings) -> None:
    """Rows of stampedes of tasks and of threads."""
    rounds = max(3, round(ROUNDS * settings.share))
    for form, most in (("tasks", MOST_TASKS), ("threads", MOST_THREADS)):
        slowest, loads = _herd(url, form, rounds)
        report.figure(
            f"stampede, {PROCESSES} x {CALLERS} {form}, {LOADING * 1000:.0f} ms to load", slowest, "ms", most=most
        )
        report.figure(f"loads of that, {form}", loads, "loads", most=1.0)


def _herd(url: str, form: str, rounds: int) -> tuple[float, float]:
    """The median of what the slowest caller waited, milliseconds, and the most loads of a round."""
    workers = [_Worker("herd", url, form) for _ in range(PROCESSES)]
    slowest, loads, run = [], 0, uuid.uuid4().hex
    try:
        with redis.Redis.from_url(url) as client:
            for number in range(rounds):
                client.delete(LOADS)
                start = time.monotonic() + AHEAD
                for worker in workers:
                    worker.say({"key": f"{run}{number}", "at": start})
                slowest.append(max(worker.hear()["slowest"] for worker in workers))
                loads = max(loads, int(client.get(LOADS) or 0))  # type: ignore[arg-type]
    finally:
        for worker in workers:
            worker.end()
    return sorted(slowest)[len(slowest) // 2] * 1000, float(loads)


def news(url: str, report: Report, settings: Settings) -> None:
    """Rows of how long after `invalidate` has returned another process hears it."""
    for busy, most in ((0, MOST_IDLE), (2, None)):
        worker = _Worker("news", url, str(busy))
        took = []
        try:
            with Cache(
                "news", str, strategy=_lazy(lambda key: "v"), tiers=[Local(), Shared(url, timeout=2.0)]
            ) as cache:
                for number in range(max(50, round(TOLD * settings.share))):
                    worker.say({"key": f"k{number}"})
                    worker.hear()
                    cache.invalidate(f"k{number}")
                    told = time.monotonic()
                    time.sleep(0.005)
                    worker.say({"heard": f"k{number}"})
                    took.append(max(0.0, worker.hear()["at"] - told) * 1000)
        finally:
            worker.end()
        took.sort()
        what = "idle" if not busy else f"beside {busy} busy threads"
        report.figure(
            f"invalidation heard in another process, p99, {what}", took[len(took) * 99 // 100], "ms", most=most
        )
        report.figure(f"the same, p50, {what}", took[len(took) // 2], "ms")


def _lazy(load: Callable[[str], Any]) -> Lazy:
    return Lazy(load=load, ttl=600)


class _Worker:
    """A process that does as it is told, a line of JSON each."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.hear()

    def say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]

    def end(self) -> None:
        self._process.communicate()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _heed() -> Any:
    return (json.loads(line) for line in sys.stdin)


async def _herd_of_tasks(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)

    async def load(key: str) -> str:
        await client.incr(LOADS)
        await asyncio.sleep(LOADING)
        return key

    async with AsyncCache("herd", str, strategy=_lazy(load), tiers=[Local(), Shared(url, timeout=2.0)]) as cache:

        async def one(key: str) -> float:
            began = time.monotonic()
            await cache.get(key)
            return time.monotonic() - began

        await cache.get("warm")
        _say({})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            await asyncio.sleep(order["at"] - time.monotonic())
            _say({"slowest": max(await asyncio.gather(*(one(order["key"]) for _ in range(CALLERS))))})
    await client.aclose()


def _herd_of_threads(url: str) -> None:
    client = redis.Redis.from_url(url)

    def load(key: str) -> str:
        client.incr(LOADS)
        time.sleep(LOADING)
        return key

    with Cache("herd", str, strategy=_lazy(load), tiers=[Local(), Shared(url, timeout=2.0)]) as cache:
        cache.get("warm")
        _say({})
        for order in _heed():
            took: list[float] = []

            def one(order: Any = order, took: list[float] = took) -> None:
                time.sleep(max(0.0, order["at"] - time.monotonic()))
                began = time.monotonic()
                cache.get(order["key"])
                took.append(time.monotonic() - began)

            threads = [threading.Thread(target=one) for _ in range(CALLERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            _say({"slowest": max(took)})


def _hear_news(url: str, busy: int) -> None:
    heard: dict[bytes, float] = {}
    with Cache("news", str, strategy=_lazy(lambda key: "v"), tiers=[Local(), Shared(url, timeout=2.0)]) as cache:
        take = cache.heard.invalidated

        def invalidated(digest: bytes, stamp: int) -> None:
            take(digest, stamp)
            heard[digest] = time.monotonic()

        cache.heard.invalidated = invalidated  # type: ignore[method-assign]
        cache.get("warm")
        over = threading.Event()

        def spin() -> None:
            while not over.is_set():
                sum(range(1000))

        threads = [threading.Thread(target=spin, daemon=True) for _ in range(busy)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)  # the ear listens
        _say({})
        for order in _heed():
            if "key" in order:
                cache.get(order["key"])
                _say({})
                continue
            digest = cache.fetcher.parts.shaper.digest(order["heard"])
            until = time.monotonic() + 10.0
            while digest not in heard and time.monotonic() < until:
                time.sleep(0.001)
            _say({"at": heard[digest]})
        over.set()


if __name__ == "__main__":
    word, address, form = sys.argv[1:]
    if word == "news":
        _hear_news(address, int(form))
    elif form == "tasks":
        asyncio.run(_herd_of_tasks(address))
    else:
        _herd_of_threads(address)
