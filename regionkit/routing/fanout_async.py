"""One function on every shard of a store, in parallel: bounded concurrency, one deadline, results as they come.

1. At most `concurrency` shards are asked at once; a shard that fails or is late is a Result with its error, and delays no
   other.
2. Each shard is read in a session of its own, which begins with what the caller's bookmark asks of it.
3. What was seen becomes positions only when the fan-out's bookmark is asked for: that costs a question per shard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from regionkit.core.concurrency_async import AsyncFlag, AsyncTask, agather, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded
from regionkit.facts.bookmark import Bookmark, Signer, merge

__all__ = ["CONCURRENCY", "AsyncFanOut", "Result"]

T = TypeVar("T")

CONCURRENCY = 8
"""Shards asked at once: most stores have fewer, and eight connections in threads are little."""


AsyncBookmarkLater = Callable[[], Awaitable[Bookmark]]
"""What a shard has shown, as positions, when somebody asks."""


class Result(msgspec.Struct, Generic[T], frozen=True):
    """What one shard gave: a value, or the error that kept it from it."""

    value: T | None = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None


class AsyncFanOut(Generic[T]):
    """The results of one fan-out, in the order in which they come; iterate once. Not shared between threads or tasks."""

    def __init__(
        self,
        calls: Mapping[str, Callable[[], Awaitable[tuple[T, AsyncBookmarkLater]]]],
        deadline: Deadline,
        concurrency: int,
        signer: Signer,
        bookmark: Bookmark,
    ) -> None:
        self._calls = calls
        self._deadline = deadline
        self._concurrency = concurrency
        self._signer = signer
        self._bookmark = bookmark
        self._later: list[AsyncBookmarkLater] = []
        self._done: list[tuple[str, Result[T]]] = []
        self._came = AsyncFlag()

    async def __aiter__(self) -> AsyncIterator[tuple[str, Result[T]]]:
        waiting = list(self._calls)
        left = set(waiting)
        waiting.reverse()
        tasks = [self._worker(waiting) for _ in range(min(self._concurrency, len(waiting)))]
        try:
            while left:
                if not await self._came.wait(max(0.0, self._deadline.remaining())):
                    break
                self._came.clear()
                while self._done:
                    name, result = self._done.pop(0)
                    left.discard(name)
                    yield name, result
            waiting.clear()
            for name in sorted(left):
                late = DeadlineExceeded(
                    f"partition {name!r} did not answer before the fan-out's deadline.",
                    fix="pass a larger timeout=, or check kit.status() for slow or dead regions.",
                )
                yield name, Result(error=late)
        finally:
            for task in tasks:
                await task.stop()

    async def bookmark(self) -> str:
        """What the shards that answered have shown, as `s.bookmark()` gives it; for sessions that must not see less.

        Asks them where they stand, all at once.
        """
        later, self._later = self._later, []
        for found in await agather(later):
            if isinstance(found, BaseException):
                raise found
            self._bookmark = merge([self._bookmark, found])
        return self._signer.encode(self._bookmark)

    def _worker(self, waiting: list[str]) -> AsyncTask:
        async def run() -> None:
            while waiting:
                try:
                    name = waiting.pop()
                except IndexError:  # another worker took the last one
                    return
                try:
                    value, later = await self._calls[name]()
                except Exception as error:
                    self._done.append((name, Result(error=error)))
                else:
                    self._later.append(later)
                    self._done.append((name, Result(value=value)))
                self._came.set()

        return spawn_async("regionkit fan-out", run)
