"""psycopg's pipelines, whose end says nothing more once an error is on its way out.

psycopg ends a pipeline also where its connection has just died, fails at that too, and writes a warning about the second
error to the log: a region that goes down would fill it, and the first error is the one that callers get. The pipelines here
keep that second error to themselves. This holds for psycopg's own use of them in `executemany`, too. Nor do they ask a
connection for more when the wait at their end was cancelled: by the time the interpreter clears up, it is closed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from psycopg import AsyncPipeline, Pipeline

__all__ = ["AsyncQuietPipelines", "QuietPipelines"]


class _GivenUp:
    """Mixed into a pipeline: its end, once given up, reads nothing more."""

    def _fetch_gen(self, *, flush: bool) -> Any:
        if isinstance(sys.exc_info()[1], GeneratorExit):
            return
        yield from super()._fetch_gen(flush=flush)  # type: ignore[misc]  # psycopg's


class _Quiet(_GivenUp, Pipeline):
    """A pipeline for threads."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(None, None, None)  # told of an error, it would log its own
        except Exception:
            if error is None:
                raise


class _AsyncQuiet(_GivenUp, AsyncPipeline):
    """A pipeline for asyncio."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(None, None, None)  # as above
        except Exception:
            if error is None:
                raise


class QuietPipelines:
    """Mixed into a connection for threads."""

    lock: Any
    _pipeline: Any
    _check_connection_ok: Any

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """The connection in pipeline mode. May be nested."""
        with self.lock:
            self._check_connection_ok()
            pipeline = self._pipeline
            if pipeline is None:
                pipeline = self._pipeline = _Quiet(self)  # type: ignore[arg-type]  # what this is mixed into
        try:
            with pipeline:
                yield pipeline
        finally:
            if pipeline.level == 0:
                self._pipeline = None

    @contextlib.contextmanager
    def _pipeline_nolock(self) -> Iterator[Pipeline]:
        """What psycopg's `executemany` uses: it holds the lock, and there is no other pipeline."""
        pipeline = self._pipeline = _Quiet(self, _no_lock=True)  # type: ignore[arg-type]  # as above
        try:
            with pipeline:
                yield pipeline
        finally:
            self._pipeline = None


class AsyncQuietPipelines:
    """Mixed into a connection for asyncio."""

    lock: Any
    _pipeline: Any
    _check_connection_ok: Any

    @contextlib.asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """The connection in pipeline mode. May be nested."""
        async with self.lock:
            self._check_connection_ok()
            pipeline = self._pipeline
            if pipeline is None:
                pipeline = self._pipeline = _AsyncQuiet(self)  # type: ignore[arg-type]  # what this is mixed into
        try:
            async with pipeline:
                yield pipeline
        finally:
            if pipeline.level == 0:
                self._pipeline = None

    @contextlib.asynccontextmanager
    async def _pipeline_nolock(self) -> AsyncIterator[AsyncPipeline]:
        """What psycopg's `executemany` uses: it holds the lock, and there is no other pipeline."""
        pipeline = self._pipeline = _AsyncQuiet(self, _no_lock=True)  # type: ignore[arg-type]  # as above
        try:
            async with pipeline:
                yield pipeline
        finally:
            self._pipeline = None
