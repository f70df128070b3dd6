"""A limit around making a connection, and a look at an idle one. Hand-written pair with `sockets.py`.

asyncio gives a TLS handshake a minute of its own, whatever the socket's limit, and says itself when the other side has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo.errors import NetworkTimeout

__all__ = ["abounded", "is_gone"]

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


def is_gone(connection: Any) -> bool:
    """Whether the other side of an idle connection has closed it."""
    return bool(connection.conn_closed())
