"""Calls at once in one thread: while one waits for its socket, the others go on. Hand-written pair with `overlap_async.py`.

1. Each call runs in a greenlet. It hands over at `Call.ready` and `pause` and nowhere else: what waits otherwise holds all up.
   A lock of the thread's that one holds there must not be wanted by another.
2. What a socket has to say counts before the end of its wait, however late it is looked at.
3. An interrupt of the thread ends the waits of all calls that are not over, each with that error, and is raised.
"""

from __future__ import annotations

import contextvars
import select
import time
from collections.abc import Callable
from typing import TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it ships no types

from regionkit.core.concurrency import sleep

__all__ = ["READ", "WRITE", "Call", "overlap", "own_call", "pause"]

T = TypeVar("T")

READ, WRITE = 1, 2
"""What is waited for at a socket, and what it is ready for: a line that was lost, for both."""


_EVENTS = (0, select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT)


class Call(greenlet):  # type: ignore[misc]  # as above
    """One of the calls of an `overlap`. `result`: what it gave, or its error."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(self._made)
        self._call = call
        self.gr_context = contextvars.copy_context()
        self.result: object = None
        self.fileno, self.wanted, self.until = -1, 0, 0.0

    def _made(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:  # a value, as `gather` gives it
            self.result = error

    def ready(self, fileno: int, wanted: int, seconds: float | None) -> int:
        """Wait at most `seconds` until the socket is ready for some of `wanted`; what it is ready for, 0 if not in time."""
        self.fileno, self.wanted = fileno, wanted
        self.until = float("inf") if seconds is None else time.monotonic() + seconds
        found: int = self.parent.switch()
        return found


def own_call() -> Call | None:
    """The call that this code is in, if its thread has others to go on with."""
    found = getcurrent()
    return found if isinstance(found, Call) else None


def pause(seconds: float) -> None:
    """Let others run for `seconds`: in a call, the other calls too."""
    call = own_call()
    if call is None:
        sleep(seconds)
    else:
        call.ready(-1, 0, seconds)


def overlap(calls: list[Callable[[], T]]) -> list[T | BaseException]:
    """Run all calls at once in this thread; their results or errors in order."""
    made = [Call(call) for call in calls]
    waiting: list[Call] = []
    try:
        for call in made:
            call.switch()
            if not call.dead:
                waiting.append(call)
        while waiting:
            for call, found in _looked(waiting):
                call.switch(found)
            waiting = [call for call in waiting if not call.dead]
    except BaseException as error:
        for call in made:
            if call and not call.dead:
                call.throw(error)
        raise
    return [call.result for call in made]  # type: ignore[misc]  # what `calls` gave


def _looked(waiting: list[Call]) -> list[tuple[Call, int]]:
    """Wait until some of them can go on. Rule 2."""
    poll, by = select.poll(), {}
    for call in waiting:
        if call.wanted:
            by[call.fileno] = call
            poll.register(call.fileno, _EVENTS[call.wanted])
    left = min(call.until for call in waiting) - time.monotonic()
    found = []
    for fileno, event in poll.poll(None if left == float("inf") else max(0.0, left) * 1000.0):
        ready = (READ if event & ~select.POLLOUT else 0) | (WRITE if event & ~select.POLLIN else 0)
        found.append((by[fileno], ready))
    now, told = time.monotonic(), {call for call, _ in found}
    return found + [(call, 0) for call in waiting if call not in told and call.until <= now]
