"""What differs between asyncio and threads, and nothing else: lock, sleep, event, gather, background task, slots.

Hand-written pair with `concurrency.py`: same names, same behaviour. Every generated twin stands on it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = [
    "STOP_WAIT",
    "AsyncFlag",
    "AsyncLock",
    "AsyncSlots",
    "AsyncTask",
    "AsyncWorkers",
    "Elapsed",
    "acaller",
    "acollect",
    "aelapse",
    "aelsewhere",
    "agather",
    "aowner",
    "asleep",
    "astray",
    "athread",
    "awithin",
    "spawn_async",
]

T = TypeVar("T")

STOP_WAIT = 0.2
"""How long `AsyncTask.stop` waits for a task that was cancelled, seconds: one that goes on all the same is left behind."""

AsyncLock = asyncio.Lock
"""A lock to hold over I/O."""


def aowner() -> object:
    """What a kit belongs to: the running loop. Background tasks and connections cannot move to another one."""
    return asyncio.get_running_loop()


async def aelsewhere(home: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `call` gives, run in another event loop, which runs."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), home))


def acaller() -> object:
    """Where this code runs: the current task."""
    return asyncio.current_task()


def astray(error: BaseException) -> bool:
    """Whether a cancellation is not this task's own: something that it waited for was cancelled."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


async def asleep(seconds: float) -> None:
    """Let others run for `seconds`."""
    await asyncio.sleep(seconds)


async def aelapse(clock: Any, seconds: float) -> None:
    """Wait until `seconds` have passed on a clock; a virtual clock is advanced instead."""
    advance = getattr(clock, "advance", None)
    if advance is not None:
        advance(seconds)
        seconds = 0.0
    await asyncio.sleep(seconds)


class Elapsed(Exception):
    """A call was not over in time. Not a TimeoutError: that may be an error of the call itself."""


async def awithin(seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """What `call` gives; it is cancelled after `seconds`.

    Raises:
        Elapsed: it was not over in time.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await call()
    except TimeoutError:
        if limit.expired():
            raise Elapsed from None
        raise


async def acollect(future: Future[T], seconds: float) -> T:
    """What a thread's future gives; it goes on when the wait ends.

    Raises:
        Elapsed: it was not over in time.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await asyncio.shield(asyncio.wrap_future(future))
    except TimeoutError:
        if limit.expired():
            raise Elapsed from None
        raise


async def agather(calls: list[Callable[[], Awaitable[T]]]) -> list[T | BaseException]:
    """Run all calls at once; their results or errors in order."""
    return await asyncio.gather(*(_called(call) for call in calls), return_exceptions=True)


async def _called(call: Callable[[], Awaitable[T]]) -> T:
    return await call()  # a call that raises before its first await is a value too


class AsyncFlag:
    """A flag to wait for, with a time-out."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake every waiter."""
        self._event.set()

    def clear(self) -> None:
        """Make later waiters wait again."""
        self._event.clear()

    def is_set(self) -> bool:
        """Whether it is set now."""
        return self._event.is_set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; True when set."""
        if self._event.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return self._event.is_set()
        return True


class AsyncSlots:
    """A bounded number of permits, with a wait that ends. First come, first served: nobody overtakes who waits."""

    __slots__ = ("_queued", "_semaphore", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self._semaphore = asyncio.Semaphore(count)
        self._queued = 0  # who waits, or was called up and has not run yet

    @property
    def taken(self) -> int:
        """How many permits are out, of `count`."""
        return self.count - self._semaphore._value

    def try_acquire(self) -> bool:
        """Take a permit if one is free, without waiting."""
        semaphore = self._semaphore
        if self._queued or not semaphore._value:
            return False
        semaphore._value -= 1  # acquire() would not wait either, but is a coroutine
        return True

    async def acquire(self, seconds: float) -> bool:
        """Take a permit, waiting at most `seconds`; False when none came free."""
        self._queued += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._semaphore.acquire()
        except TimeoutError:
            return False
        finally:
            self._queued -= 1

    def release(self) -> None:
        """Give a permit back."""
        if self._queued:
            self._semaphore.release()
        else:
            self._semaphore._value += 1  # the same, with nobody to call up


class AsyncTask:
    """A background task. It never keeps the process alive."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    async def ended(self, seconds: float) -> None:
        """Wait until it has ended, at most `seconds`."""
        if self._task is not asyncio.current_task() and not self._task.done():
            await asyncio.wait({self._task}, timeout=seconds)

    async def stop(self, seconds: float = STOP_WAIT) -> None:
        """Cancel, and wait at most `seconds` until it has ended; one that holds on to its cancellation is left behind."""
        if self._task is not asyncio.current_task() and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=seconds)


def spawn_async(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> AsyncTask:
    """Start `run` in the background of the running loop."""
    return AsyncTask(asyncio.get_running_loop().create_task(run(), name=name))


class AsyncWorkers:
    """Tasks for short work that must not end with its caller; they are held on to until they have ended."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def launch(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start what has to go on when the caller is interrupted, who waits elsewhere for what `run` tells."""
        task = asyncio.get_running_loop().create_task(run(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spawn(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start `run` in a task.

        Raises:
            RuntimeError: no loop runs here, or it is closed.
        """
        self.launch(name, run)


def athread(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> threading.Thread:
    """Start `run` in a daemon thread, in an event loop of its own: a loop that is blocked does not stop it."""
    thread = threading.Thread(target=lambda: asyncio.run(run()), name=name, daemon=True)
    thread.start()
    return thread
