"""A limit around making a connection. Hand-written pair with `bounds.py`.

asyncio gives a TLS handshake a minute of its own, whatever the socket's limit; a thread's socket keeps its limit throughout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.errors import NetworkTimeout

__all__ = ["abounded"]

T = TypeVar("T")


async def abounded(connect: Callable[[], Awaitable[T]], seconds: float | None) -> T:
    """What `connect` makes, within `seconds`.

    Raises:
        NetworkTimeout: it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await connect()
    except TimeoutError as error:
        raise NetworkTimeout("no connection within the deadline") from error
