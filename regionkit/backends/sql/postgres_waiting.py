"""How long a psycopg connection waits for its server, over psycopg 3.2 and 3.3.

psycopg 3.3 takes a time-out. 3.2 has none: there the generator that is waited for is asked each `interval`, and looks at the time
itself, so such a wait may end an interval late. (Its waits in C do not ask; those in Python do.)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from psycopg import errors, waiting

__all__ = ["TimeIsOver", "wait", "wait_async"]

TIMED = hasattr(errors, "_WaitTimeout")
"""Whether psycopg takes a time-out: the error that it raises then has no public name."""


_ASKING: Any = getattr(waiting, "wait_poll", waiting.wait_selector)


class _TimeIsOver(Exception):
    """psycopg 3.2 waited for as long as it may."""


TimeIsOver: Any = errors._WaitTimeout if TIMED else _TimeIsOver
"""The error of a wait that took too long."""


def _until(gen: Generator[Any, Any, Any], end: float) -> Generator[Any, Any, Any]:
    try:
        ready = yield next(gen)
        while True:
            if time.monotonic() >= end and not ready:
                raise TimeIsOver
            ready = yield gen.send(ready)
    except StopIteration as done:
        return done.value


def _wait_untimed(gen: Any, fileno: int, interval: float, seconds: float | None) -> Any:
    if seconds is None:
        return waiting.wait(gen, fileno, interval)
    return _ASKING(_until(gen, time.monotonic() + seconds), fileno, min(interval, seconds))


async def _wait_untimed_async(gen: Any, fileno: int, interval: float, seconds: float | None) -> Any:
    if seconds is None:
        return await waiting.wait_async(gen, fileno, interval)
    return await waiting.wait_async(_until(gen, time.monotonic() + seconds), fileno, min(interval, seconds))


wait: Callable[[Any, int, float, float | None], Any] = waiting.wait if TIMED else _wait_untimed
"""psycopg's wait for a generator on a file descriptor: at most `seconds` (the last argument), with a look at signals each
`interval`. TimeIsOver: they have passed. Psycopg's own function where it can: each statement waits here."""
wait_async: Callable[[Any, int, float, float | None], Awaitable[Any]] = (
    waiting.wait_async if TIMED else _wait_untimed_async
)
"""The same in asyncio."""
