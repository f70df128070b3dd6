"""What differs between asyncio and threads, and nothing else: lock, sleep, event, gather, background task, slots.

Hand-written pair with `concurrency_async.py`: same names, same behaviour. Every generated twin stands on it.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = [
    "STOP_WAIT",
    "Elapsed",
    "Flag",
    "Lock",
    "Slots",
    "Task",
    "Workers",
    "caller",
    "collect",
    "elapse",
    "elsewhere",
    "gather",
    "owner",
    "sleep",
    "spawn",
    "stray",
    "thread",
    "within",
]

T = TypeVar("T")

WIDEST_GATHER = 32
"""Most threads of one `gather`: endpoints of a store are few; more would only queue on the GIL."""
STOP_WAIT = 0.2
"""How long `Task.stop` waits for a thread, seconds. A thread stuck in a driver is left behind: it is a daemon."""
MOST_IDLE, IDLE_FOR = 8, 5.0
"""Threads of `Workers` that wait for work, at most, and how long each does, seconds: starting one costs a tenth of a commit."""

Lock = threading.Lock
"""A lock to hold over I/O."""


def owner() -> object:
    """What a kit belongs to: the process. Threads and sockets do not survive a fork."""
    return os.getpid()


def elsewhere(home: object, call: Callable[[], T]) -> T:
    """What `call` gives: threads share all that they have."""
    return call()


def caller() -> object:
    """Where this code runs: the current thread."""
    return threading.get_ident()


def stray(error: BaseException) -> bool:
    """Whether a cancellation is not this thread's own: threads are not cancelled."""
    return False


def sleep(seconds: float) -> None:
    """Let others run for `seconds`."""
    time.sleep(seconds)


def elapse(clock: Any, seconds: float) -> None:
    """Wait until `seconds` have passed on a clock; a virtual clock is advanced instead."""
    advance = getattr(clock, "advance", None)
    if advance is not None:
        advance(seconds)
        seconds = 0.0
    time.sleep(seconds)


class Elapsed(Exception):
    """A call was not over in time. Not a TimeoutError: that may be an error of the call itself."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` gives. It runs in a thread of its own, in this context; after `seconds` it is left behind there.

    Raises:
        Elapsed: it was not over in time.
    """
    found: list[T | BaseException] = []
    over = threading.Event()
    context = contextvars.copy_context()

    def run() -> None:
        found.append(_caught(lambda: context.run(call)))
        over.set()

    threading.Thread(target=run, name="regionkit bounded call", daemon=True).start()
    if not over.wait(seconds):
        raise Elapsed
    [result] = found
    if isinstance(result, BaseException):
        raise result
    return result


def collect(future: Future[T], seconds: float) -> T:
    """What a thread's future gives; it goes on when the wait ends.

    Raises:
        Elapsed: it was not over in time.
    """
    try:
        return future.result(max(0.0, seconds))
    except TimeoutError:
        if not future.done():
            raise Elapsed from None
        raise


def gather(calls: list[Callable[[], T]]) -> list[T | BaseException]:
    """Run all calls at once; their results or errors in order.

    The last one in this thread, as each start of another costs; but not in the main one: its interrupts are no call's result.
    """
    if len(calls) <= 1:
        return [_caught(call) for call in calls]
    own = 0 if threading.current_thread() is threading.main_thread() else 1
    with ThreadPoolExecutor(min(len(calls) - own, WIDEST_GATHER)) as pool:
        others = [pool.submit(_caught, call) for call in calls[: len(calls) - own]]
        last = [_caught(call) for call in calls[len(calls) - own :]]
        return [*(other.result() for other in others), *last]


def _caught(call: Callable[[], T]) -> T | BaseException:
    try:
        return call()
    except BaseException as error:  # a value, as asyncio.gather(return_exceptions=True) gives it
        return error


class Flag:
    """A flag to wait for, with a time-out. Most are set before anybody waits, so it is cheaper to make than a threading.Event."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[threading.Lock] | None = []  # a lock for each who waits; None: it is set

    def set(self) -> None:
        """Wake every waiter."""
        waiting, self._waiting = self._waiting, None
        while waiting:
            try:
                waiting.pop().release()
            except IndexError:  # another thread sets it, too
                return

    def clear(self) -> None:
        """Make later waiters wait again."""
        if self._waiting is None:
            self._waiting = []

    def is_set(self) -> bool:
        """Whether it is set now."""
        return self._waiting is None

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; True when set."""
        waiting = self._waiting
        if waiting is None:
            return True
        waiter = threading.Lock()
        waiter.acquire()
        waiting.append(waiter)
        try:  # it may have been set before it could see this waiter
            return self._waiting is not waiting or waiter.acquire(timeout=max(0.0, seconds))
        finally:
            try:
                waiting.remove(waiter)
            except ValueError:  # it was woken
                pass


class Slots:
    """A bounded number of permits, with a wait that ends. First come, first served: nobody overtakes who waits."""

    __slots__ = ("_free", "_lock", "_waiting", "count")

    def __init__(self, count: int) -> None:
        self.count = self._free = count
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()  # each is released when its turn has come

    @property
    def taken(self) -> int:
        """How many permits are out, of `count`."""
        return self.count - self._free

    def try_acquire(self) -> bool:
        """Take a permit if one is free, without waiting."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True

    def acquire(self, seconds: float) -> bool:
        """Take a permit, waiting at most `seconds`; False when none came free."""
        waiter = self._enter()
        if waiter is None:
            return True
        try:
            if waiter.acquire(timeout=max(0.0, seconds)):
                return True
        except BaseException:
            if not self._leave(waiter):
                self.release()
            raise
        return not self._leave(waiter)  # it was called up in this very moment

    def release(self) -> None:
        """Give a permit back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def _enter(self) -> threading.Lock | None:
        """None where a permit was free, else the lock to wait for."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            waiter = threading.Lock()
            waiter.acquire()
            self._waiting.append(waiter)
            return waiter

    def _leave(self, waiter: threading.Lock) -> bool:
        """Wait no more; False when the permit was given already."""
        with self._lock:
            try:
                self._waiting.remove(waiter)
            except ValueError:
                return False
            return True


class Task:
    """A background thread. It never keeps the process alive."""

    __slots__ = ("_thread",)

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def ended(self, seconds: float) -> None:
        """Wait until it has ended, at most `seconds`."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def stop(self, seconds: float = STOP_WAIT) -> None:
        """Wait at most `seconds` until it has ended; the caller has asked it to end."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)


def spawn(name: str, run: Callable[[], None]) -> Task:
    """Start `run` in a daemon thread."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return Task(thread)


class Workers:
    """Threads for short work that must not end with its caller; they are kept a while for the next one. Not across a fork."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[Callable[[], None]]] = deque()

    def launch(self, name: str, run: Callable[[], None]) -> None:
        """Start what has to go on when the caller is interrupted. Only the main thread is, by signals: another runs it itself."""
        if threading.current_thread() is threading.main_thread():
            try:
                self.spawn(name, partial(contextvars.copy_context().run, run))
            except RuntimeError:  # no thread can be started, or the interpreter ends: run it in this one
                pass
            else:
                return
        run()

    def spawn(self, name: str, run: Callable[[], None]) -> None:
        """Start `run` in a daemon thread.

        Raises:
            RuntimeError: none can be had.
        """
        try:
            jobs = self._idle.pop()
        except IndexError:
            jobs = SimpleQueue()
            threading.Thread(target=self._work, args=(jobs,), name="regionkit worker", daemon=True).start()
        jobs.put(partial(_named, name, run))

    def _work(self, jobs: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            try:
                job = jobs.get(timeout=IDLE_FOR)
            except Empty:
                try:
                    self._idle.remove(jobs)
                except ValueError:
                    continue  # somebody has just taken it, and is about to bring work
                return
            job()
            del job  # what it held on to
            if len(self._idle) >= MOST_IDLE:
                return
            self._idle.append(jobs)


def _named(name: str, run: Callable[[], None]) -> None:
    threading.current_thread().name = name
    run()


def thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start `run` in a daemon thread."""
    started = threading.Thread(target=run, name=name, daemon=True)
    started.start()
    return started
