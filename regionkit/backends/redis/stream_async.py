"""A driver connection of asyncio whose waits end at a deadline. Hand-written pair with `stream.py`.

One timer a block, not one a command: when it goes off, the connection is torn down, and whoever waits on it is told. A torn
connection is never made anew by the driver: that is the pool's, and the endpoint's, to decide.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.asyncio.connection import BlockingConnectionPool as AsyncBlockingConnectionPool
from redis.asyncio.connection import Connection
from redis.asyncio.connection import Connection as AsyncTcpConnection
from redis.asyncio.connection import ConnectionPool as AsyncConnectionPool
from redis.asyncio.connection import SSLConnection as AsyncTlsConnection
from redis.asyncio.connection import UnixDomainSocketConnection as AsyncUnixConnection
from redis.connection import DefaultParser, HiredisRespSerializer

from regionkit.backends.redis.broken_off import last_words
from regionkit.core.deadline import Deadline

__all__ = [
    "AsyncBlockingConnectionPool",
    "AsyncConnectionPool",
    "AsyncPipeline",
    "AsyncRedis",
    "AsyncStream",
    "AsyncTcpConnection",
    "AsyncTlsConnection",
    "AsyncUnixConnection",
]

_PACK = HiredisRespSerializer().pack if "Hiredis" in DefaultParser.__name__ else None
"""The driver packs in Python here, also where hiredis is there: ten times slower than hiredis."""


class AsyncStream(Connection):
    """One connection. Not shared between tasks."""

    def __init__(self, tls: ssl.SSLContext | None, path: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._tls = tls
        self._path = path
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(super()._connection_arguments())
        if self._tls is not None:
            arguments["ssl"] = self._tls
        return arguments

    async def _connect(self) -> None:
        if self._path is None:
            driver: Any = super()
            await driver._connect()
        else:
            self._reader, self._writer = await asyncio.open_unix_connection(self._path)

    def _host_error(self) -> str:
        return self._path or super()._host_error()

    async def open(self, deadline: Deadline) -> None:
        """Connect, authenticate, choose the database.

        Raises:
            redis.exceptions.RedisError: it cannot be done, or not in time.
        """
        connect: Any = self.connect  # the driver is typed in parts
        try:
            async with asyncio.timeout(deadline.remaining()):
                await connect()
        except TimeoutError:
            self.tear()
            raise redis.exceptions.TimeoutError("no connection was available in time") from None
        except BaseException:
            self.tear()
            raise

    def start(self, deadline: Deadline) -> None:
        """From now on waits end at the deadline."""
        self.expired = False
        self._timer = asyncio.get_running_loop().call_later(max(0.0, deadline.remaining()), self._expire)

    def stop(self) -> None:
        """The deadline is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self.expired = True
        if self._writer is not None:
            self._writer.transport.abort()

    def tear(self) -> None:
        """Close it without a wait, whatever is still to come on it."""
        self.stop()
        parser: Any = self._parser
        parser.on_disconnect()
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.transport.abort()

    def silent(self) -> bool:
        """Whether it is open and nothing waits to be read on it: then its other side is there, as far as can be told."""
        reader = self._reader
        if reader is None or self._writer is None or self._writer.is_closing():
            return False
        if reader.at_eof() or getattr(reader, "_buffer", None):
            return False
        poll = select.poll()  # what the loop has not seen yet
        poll.register(self._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.BaseTransport:
        """From now on what comes is `protocol`'s; where it sends. The connection is silent."""
        assert self._writer is not None
        transport = self._writer.transport
        transport.set_protocol(protocol)
        return transport

    def as_error(self, said: str) -> Exception:
        """The driver's error for what a server said."""
        parser: Any = self._parser
        return parser.parse_error(said)  # type: ignore[no-any-return]

    def pack(self, args: tuple[Any, ...]) -> list[bytes]:
        """The bytes of a command."""
        return list(self.pack_command(*args)) if _PACK is None else _PACK(*args)

    async def write(self, data: Iterable[bytes]) -> None:
        """Send bytes.

        Raises:
            redis.exceptions.RedisError: the connection is gone, or the deadline passed.
        """
        writer = self._writer
        if self.expired or writer is None:
            raise self.gone()
        writer.writelines(data)
        try:
            await writer.drain()
        except OSError:
            raise last_words(bytes(getattr(self._reader, "_buffer", b""))) or self.gone() from None
        except BaseException:
            self.tear()
            raise

    def gone(self) -> redis.exceptions.RedisError:
        """Why nothing can be sent on it, after it was closed."""
        self.tear()
        if self.expired:
            return redis.exceptions.TimeoutError("the block's deadline passed")
        return redis.exceptions.ConnectionError("the block's connection was lost, and a block does not change it")

    def __del__(self, *_: Any) -> None:
        """The endpoint closes what it made; a loop that is gone cannot."""
