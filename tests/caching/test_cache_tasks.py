"""What only tasks do to a cache: they are cancelled, wherever they wait. Nobody waits longer than he must."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from regionkit.caching import TTL, AsyncCache, Lazy, Local, Shared, WriteThrough

pytestmark = pytest.mark.redis

LEASE = 30.0
"""Seconds that a load may take here: who waits so long waits for a lease that nobody gave back."""
BOUND = 10.0
MOST = 200
"""Points at which a call may wait."""


class Cancelled:
    """A call that is cancelled where it waits for the n-th time."""

    def __init__(self, call: Awaitable[Any], at: int) -> None:
        self._call = call
        self._left = at

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._call.__await__()
        try:
            waited = next(steps)
            while True:
                if self._left == 0:
                    self._left = -1
                    waited = steps.throw(asyncio.CancelledError())
                self._left -= 1
                try:
                    sent = yield waited
                except BaseException as error:
                    waited = steps.throw(error)
                else:
                    waited = steps.send(sent)
        except StopIteration as end:
            return end.value


async def load(key: str) -> str:
    """Takes a moment."""
    await asyncio.sleep(0.001)
    return f"of {key}"


async def load_many(keys: list[str]) -> dict[str, str]:
    """The same for many."""
    await asyncio.sleep(0.001)
    return {key: f"of {key}" for key in keys}


async def store(key: str, value: str) -> None:
    """Takes a moment."""
    await asyncio.sleep(0.001)


CALLS: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    "get": lambda cache, key: cache.get(key),
    "refresh": lambda cache, key: cache.get(key, refresh=True),
    "get_many": lambda cache, key: cache.get_many([key, key + "x", key + "y"]),
    "invalidate": lambda cache, key: cache.invalidate(key),
    "put": lambda cache, key: cache.put(key, f"of {key}"),
    "tag": lambda cache, key: cache.invalidate_tag(key),
}


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("tiers", ["local", "shared", "both"])
async def test_a_call_may_be_cancelled_wherever_it_waits(request: Any, tiers: str, verb: str) -> None:
    """What comes after it loads at once, gets its own value, and finds every place free."""
    given: list[Any] = [] if tiers == "shared" else [Local()]
    if tiers != "local":
        given.append(Shared(request.getfixturevalue("redis_server").primary.url, timeout=5.0))
    strategy = WriteThrough(
        load=load, load_many=load_many, store=store, ttl=300.0, load_timeout=LEASE, write_timeout=0.05
    )
    cache: AsyncCache[str] = AsyncCache(f"t{os.urandom(6).hex()}", str, strategy=strategy, tiers=given)
    ended = 0
    async with cache:
        await cache.get("first")
        await CALLS[verb](cache, "warm")  # the driver's own connecting bears no cancellation that no task has asked for
        for at in range(MOST):
            key = f"k{at}"
            try:
                await Cancelled(CALLS[verb](cache, key), at)
                ended += 1
            except asyncio.CancelledError:
                pass
            began = time.monotonic()
            assert await cache.get(key) == f"of {key}"
            assert await cache.get_many([key, "first"]) == {key: f"of {key}", "first": "of first"}
            assert time.monotonic() - began < BOUND, f"cancelled at its {at}th wait, it left others to wait"
            if ended == 3:
                break
        assert ended == 3, "it never came to its end"
        assert not cache._table._marks
        assert not cache._flights._flying
        assert not getattr(cache.tier, "_waiting", {})
        assert cache.fetcher.loads._slots.try_acquire()


async def test_who_waits_for_a_load_that_was_cancelled_loads(redis_server: Any) -> None:
    """In this process and in another one: not at the end of the lease."""
    url = redis_server.primary.url
    name, going, loads = f"t{os.urandom(6).hex()}", asyncio.Event(), 0

    async def first_hangs(key: str) -> str:
        nonlocal loads
        loads += 1
        if loads == 1:
            going.set()
            await asyncio.sleep(LEASE)
        return "value"

    def made() -> AsyncCache[str]:
        shared = Shared(url, timeout=5.0)
        return AsyncCache(
            name, str, strategy=Lazy(load=first_hangs, ttl=300.0, load_timeout=LEASE), tiers=[Local(), shared]
        )

    async with made() as one, made() as other:
        leader = asyncio.create_task(one.get("a"))
        await going.wait()
        waiting = [asyncio.create_task(cache.get("a")) for cache in (one, one, other, other)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        leader.cancel()
        assert await asyncio.gather(*waiting) == ["value"] * 4
        assert time.monotonic() - began < BOUND
        assert loads == 2


async def test_a_waiter_that_is_cancelled_takes_nothing_from_the_others(redis_server: Any) -> None:
    """The load goes on for those that are left."""
    loads = 0

    async def slow(key: str) -> str:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.2)
        return "value"

    shared = Shared(redis_server.primary.url, timeout=5.0)
    async with AsyncCache(f"t{os.urandom(6).hex()}", str, strategy=Lazy(load=slow, ttl=300.0), tiers=[shared]) as cache:
        tasks = [asyncio.create_task(cache.get("a")) for _ in range(6)]
        await asyncio.sleep(0.05)
        for task in tasks[3:]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:3] == ["value"] * 3
        assert all(isinstance(one, asyncio.CancelledError) for one in found[3:])
        assert loads == 1


async def test_a_set_that_is_cancelled_is_done_or_not_done(redis_server: Any) -> None:
    """Never half: what is read is the value of before, or the one that was set."""
    shared = Shared(redis_server.primary.url, timeout=5.0)
    async with AsyncCache(f"t{os.urandom(6).hex()}", str, strategy=TTL(ttl=300.0), tiers=[Local(), shared]) as cache:
        for at in range(MOST):
            await cache.set("a", "before")
            try:
                await Cancelled(cache.set("a", "after"), at)
            except asyncio.CancelledError:
                assert await cache.get("a") in ("before", "after", None)
                continue
            assert await cache.get("a") == "after"
            return
    raise AssertionError("it never came to its end")


async def test_tasks_are_cancelled_while_they_connect_and_write(redis_server: Any) -> None:
    """At any moment of the first calls of a process: they end at once, and the next one goes on."""
    chance, cancelled = random.Random(7), 0
    for turn in range(10):
        strategy = WriteThrough(load=load, store=store, ttl=300.0, load_timeout=LEASE, write_timeout=0.05)
        shared = Shared(redis_server.primary.url, timeout=5.0)
        async with AsyncCache(f"t{os.urandom(6).hex()}", str, tiers=[shared], strategy=strategy) as cache:
            if turn % 2:
                await cache.get("first")
            for number in range(8):
                task = asyncio.create_task(cache.put(f"k{number}", f"of k{number}"))
                await asyncio.sleep(chance.random() * 0.006)
                task.cancel()
                began = time.monotonic()
                try:
                    await task
                except asyncio.CancelledError:
                    cancelled += 1
                assert await cache.get(f"k{number}") == f"of k{number}"
                assert time.monotonic() - began < BOUND
    assert cancelled > 5
