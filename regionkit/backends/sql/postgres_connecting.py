"""How a PostgreSQL connection is made: within the deadline of who asked for it, and closed at once where that is cancelled."""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import psycopg

from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed

__all__ = ["AsyncConnects", "Connects", "WaitExpired", "bounded_connect"]


class WaitExpired(DeadlinePassed, psycopg.OperationalError):
    """The deadline passed while waiting for PostgreSQL; the connection is closed."""


_MAKING: ContextVar[list[Any]] = ContextVar("regionkit_postgres_making")
"""The attempts of the connection that this task is making."""


def bounded_connect(gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """psycopg's connection generator, ended by the deadline."""
    deadline = CONNECT_DEADLINE.get()
    try:
        ready = yield next(gen)
        while True:
            if deadline is not None and deadline.remaining() <= 0.0:
                gen.close()
                raise WaitExpired(f"the deadline of {deadline.timeout:g} s passed while connecting")
            ready = yield gen.send(ready)
    except StopIteration as done:
        return done.value


class Connects(psycopg.Connection[Any]):
    """A psycopg connection that is made like this, in threads."""

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Any:  # psycopg 3.2 gives a time-out
        return bounded_connect(super()._connect_gen(conninfo, **options))


class AsyncConnects(psycopg.AsyncConnection[Any]):
    """A psycopg connection that is made like this, in asyncio."""

    @classmethod
    async def connect(cls, *arguments: Any, **options: Any) -> Any:
        """psycopg's. It leaves what a cancelled attempt had begun to the collector of garbage, and the server with it."""
        making: list[Any] = []
        token = _MAKING.set(making)
        try:
            return await super().connect(*arguments, **options)
        except BaseException:
            for attempt in making:
                attempt.close()
            raise
        finally:
            _MAKING.reset(token)

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Any:  # psycopg 3.2 gives a time-out
        attempt = bounded_connect(super()._connect_gen(conninfo, **options))
        _MAKING.get([]).append(attempt)
        return attempt
