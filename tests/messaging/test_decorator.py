"""`idempotent` on what it is written above: the kind of function, the kind of store, a running loop, other decorators."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
import warnings
from typing import Any

import pytest

from regionkit import ConfigurationError, UsageError
from regionkit.messaging import AsyncMemoryRecords, MemoryRecords, idempotent
from regionkit.messaging.heart import IDLE_LOOKS, LOOKS, Heart


def plain(id: int) -> int:
    """A function."""
    return id


async def coroutine(id: int) -> int:
    """An async one."""
    return id


def key(id: int) -> int:
    """Its key."""
    return id


def test_functions_and_stores_are_of_one_kind() -> None:
    """A plain function with an async store, and the other way round, name the store to use."""
    with pytest.raises(ConfigurationError, match="use MemoryRecords"):
        idempotent(AsyncMemoryRecords(), key=key)(plain)
    with pytest.raises(ConfigurationError, match="use AsyncMemoryRecords"):
        idempotent(MemoryRecords(), key=key)(coroutine)


def test_a_plain_function_does_not_wait_in_a_running_loop() -> None:
    """It would block it. A first call and a repeat are fine; waiting in a thread of its own is, too."""
    records = MemoryRecords()
    begun, go = threading.Event(), threading.Event()

    def work(id: int) -> int:
        if id == 1:
            begun.set()
            go.wait(20)
        return id

    call = idempotent(records, key=key, name="w")(work)

    async def main() -> None:
        assert call(2) == 2 == call(2)
        thread = threading.Thread(target=call, args=(1,))
        thread.start()
        begun.wait(20)
        with pytest.raises(UsageError, match="event loop"):
            call(1)
        waits = asyncio.to_thread(call, 1)
        go.set()
        assert await waits == 1
        thread.join()

    asyncio.run(main())


def test_a_plain_function_around_an_async_one_is_told() -> None:
    """What it gives has not run; the key is free, and nothing is kept."""
    records = MemoryRecords()

    @functools.wraps(coroutine)
    def around(id: int) -> Any:
        return coroutine(id)

    for options in ({}, {"store_result": False}):
        call = idempotent(records, key=key, **options)(around)  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # never awaited: that is the mistake
            with pytest.raises(UsageError, match="returned an awaitable"):
                call(1)
            with pytest.raises(UsageError, match="returned an awaitable"):
                call(1)


def test_names() -> None:
    """A function without one needs name=; two functions of one name share their calls, of two names do not."""
    records = MemoryRecords()
    with pytest.raises(ConfigurationError, match="name="):
        idempotent(records, key=key)(lambda id: id)
    with pytest.raises(ConfigurationError, match="name="):
        idempotent(records, key=key)(functools.partial(plain))
    assert idempotent(records, key=key, name="a")(lambda id: id + 1)(1) == 2
    assert idempotent(records, key=key, name="a")(functools.partial(plain))(1) == 2
    assert idempotent(records, key=key, name="b")(functools.partial(plain))(1) == 1


def test_static_and_class_methods_below_their_decorators() -> None:
    """As any function; cls is not compared."""

    class Shop:
        @staticmethod
        @idempotent(MemoryRecords(), key=key)
        def one(id: int) -> int:
            return id

        @classmethod
        @idempotent(MemoryRecords(), key=key)
        def two(cls, id: int) -> str:
            return f"{cls.__name__} {id}"

    class Other(Shop):
        pass

    assert Shop.one(1) == 1 and Shop.two(1) == "Shop 1" == Other.two(1)


def test_a_call_of_another_context_is_no_call_inside() -> None:
    """Re-entry is told by where the call stands, not by the key alone: a thread that was given the context is inside."""
    records = MemoryRecords()

    def work(id: int) -> Any:
        found: list[Any] = []

        def inside() -> None:
            try:
                call(id)
            except UsageError as error:
                found.append(error)

        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(inside))
        thread.start()
        thread.join(20)
        return len(found)

    call = idempotent(records, key=key, name="c", wait_timeout=30.0)(work)
    assert call(1) == 1


def test_the_thread_of_leases_ends_when_idle_and_comes_back() -> None:
    """No thread stays for a store that nobody uses; the next call starts another."""
    records = MemoryRecords()
    call = idempotent(records, key=key, lease=0.12, short_lease=True, name="i")(plain)
    assert call(1) == 1
    heart: Heart = records.heart
    assert heart._beating == heart._number
    end = time.monotonic() + 20.0
    while heart._beating != -1:
        assert time.monotonic() < end, f"{IDLE_LOOKS} looks, {LOOKS} in the time of a lease, and it is still there"
        time.sleep(0.02)
    assert call(2) == 2 and heart._beating == heart._number
