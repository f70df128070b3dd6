"""One connection to a Memcached server, of asyncio. Hand-written pair with `memcached_line.py`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["AsyncLine"]

T = TypeVar("T")
_CHUNK = 65_536


class AsyncLine:
    """One connection. Not shared. One whose `ask` did not end well is closed, as an answer may still come on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: Any) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def opened(host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> AsyncLine:
        """A new one, within `seconds`.

        Raises:
            OSError: it cannot be had, or not in time.
        """
        async with asyncio.timeout(seconds):
            return AsyncLine(*await asyncio.open_connection(host, port, ssl=tls))

    async def ask(self, data: bytes, read: Callable[[bytes], T | None], seconds: float) -> T:
        """What `read` makes of the answer, within `seconds`.

        Raises:
            OSError: there was none, or not in time.
        """
        got = b""
        async with asyncio.timeout(seconds):
            self._writer.write(data)
            await self._writer.drain()
            while True:
                chunk = await self._reader.read(_CHUNK)
                if not chunk:
                    raise ConnectionResetError("the server closed the connection")
                got += chunk
                answer = read(got)
                if answer is not None:
                    return answer

    def silent(self) -> bool:
        """Whether nothing has come that was not asked for, the end neither."""
        reader = self._reader
        return not (self._writer.is_closing() or reader.at_eof() or getattr(reader, "_buffer", None))

    def close(self) -> None:
        """Close it, without a wait."""
        self._writer.transport.abort()
