"""How the driver's answers reach a task, and what `execute_async` gives.

Hand-written pair with `bridge.py`: the driver answers on a thread of its own, to a callback or to a thread that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, NoReturn, TypeVar

from cassandra.cluster import ResultSet

from regionkit.errors import UsageError

__all__ = ["AsyncPending", "answered", "check_helper", "ended"]

T = TypeVar("T")


async def answered(response: Any) -> Any:
    """The first page of what was asked; its time-out is the driver's own."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Any] = loop.create_future()

    def hand(page: Any, error: BaseException | None) -> None:
        if waiter.done():  # cancelled: the driver knows the late answer by its stream
            return
        if error is None:
            waiter.set_result(page)
        else:
            waiter.set_exception(error)

    def call(page: Any, error: BaseException | None = None) -> None:
        try:
            loop.call_soon_threadsafe(hand, page, error)
        except RuntimeError:  # the loop is closed, nobody waits
            pass

    response.add_callbacks(call, lambda error: call(None, error))
    return ResultSet(response, await waiter)


async def ended(future: Future[T], seconds: float) -> T:
    """What a thread gives within `seconds`; it goes on when they are over.

    Raises:
        TimeoutError: it has not ended.
    """
    if future.done():
        return future.result()
    waiter = asyncio.wrap_future(future)
    waiter.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to whoever still waits
    async with asyncio.timeout(max(0.0, seconds)):
        return await asyncio.shield(waiter)


def check_helper(profile: Any) -> NoReturn:
    """Refuse `cassandra.concurrent`, which always names an execution profile, before it sends anything.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "an execution profile, or cassandra.concurrent, in an asynchronous block.",
        why="level, data centre and time-out are those of the block; and that helper would block the event loop.",
        fix="send with cql.execute_async(...) and await its result; any number may run concurrently.",
    )


class AsyncPending(Generic[T]):
    """A statement that was sent and not waited for. Await it, or `result()`, for its rows; the block's end waits for the rest."""

    __slots__ = ("_task", "asked")

    def __init__(
        self, connect: Callable[[], Awaitable[None]], send: Callable[[], Any], receive: Callable[[Any], Awaitable[T]]
    ) -> None:
        async def run() -> T:
            await connect()
            return await receive(send())

        self._task = asyncio.ensure_future(run())
        self.asked = False

    def __await__(self) -> Generator[Any, None, T]:
        self.asked = True
        return self._task.__await__()

    async def result(self) -> T:
        """Its rows, once they are there.

        Raises:
            Exception: what the statement raised.
        """
        return await self

    async def wait_for(self) -> BaseException | None:
        """Wait for it; its error, when nobody asked for it."""
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return None
        error = self._task.exception()
        return None if self.asked else error

    def give_up(self) -> None:
        """Wait for it no longer."""
        self._task.cancel()
