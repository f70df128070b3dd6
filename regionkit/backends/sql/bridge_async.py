"""Crossing between coroutines and SQLAlchemy's greenlets. Hand-written pair with `bridge.py`, where nothing is crossed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn

from regionkit.topology import SessionOptions

__all__ = [
    "AsyncConnection",
    "AsyncEngine",
    "AsyncSession",
    "abounded",
    "adrive",
    "aresume",
    "create_async_engine",
    "native_connection",
    "open_session",
]

T = TypeVar("T")
S = TypeVar("S", bound=Session)

adrive = greenlet_spawn
"""Call a blocking-looking SQLAlchemy function from a coroutine."""

aresume = await_only
"""Wait for a coroutine from inside such a function."""


async def abounded(seconds: float, call: Callable[..., T], *args: Any) -> T:
    """The same, cancelled after `seconds`: SQLAlchemy closes the connection that was waiting.

    Raises:
        TimeoutError: it was.
    """
    async with asyncio.timeout(seconds):
        return await greenlet_spawn(call, *args)


def native_connection(engine: AsyncEngine, connection: object) -> AsyncConnection:
    """What the user gets for a SQLAlchemy connection."""
    return AsyncConnection(engine, connection)  # type: ignore[arg-type]  # a Connection, as AsyncConnection makes itself


def open_session(kind: type[S], options: SessionOptions) -> tuple[AsyncSession, S]:
    """What the user gets, and the Session of ours that does the work."""
    made = AsyncSession(sync_session_class=kind, autoflush=options.autoflush, expire_on_commit=options.expire_on_commit)
    return made, made.sync_session  # type: ignore[return-value]  # of the class given above
