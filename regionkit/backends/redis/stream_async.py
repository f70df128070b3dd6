"""A driver connection of asyncio whose waits end at a deadline. Hand-written pair with `stream.py`.

Each connection has one timer, which serves one block after the other. If it fires after the block's deadline, it closes the
connection, and the task that waits on it gets an error. If it fires earlier, it is set again. The driver never reconnects: the
pool and the endpoint decide that.

The driver connects. After that this module reads the answers itself (stream_arrivals.py), if hiredis is installed.
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
from regionkit.backends.redis.stream_arrivals import Arrivals
from regionkit.core.deadline import FOREVER, Deadline

try:
    import hiredis
except ImportError:  # then the driver reads
    hiredis = None  # type: ignore[assignment]

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

SHORT = 32_768
"""Bytes that the loop takes at once, so that nobody waits for it to send them."""
_NOTHING, _UNREAD = object(), object()
"""No whole answer has come; nobody has looked yet."""
_PLAIN = frozenset({bytes, str, int, type(None)})
"""Of most answers: neither an error, nor something said unasked."""
_PUSHED: Any = getattr(hiredis, "PushNotification", ())


class AsyncStream(Connection):
    """One connection. Not shared between tasks."""

    def __init__(self, tls: ssl.SSLContext | None, path: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._tls = tls
        self._path = path
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = self._until = FOREVER
        self._poll: select.poll | None = None
        self._arrivals: Arrivals | None = None
        self._parsed: Any = None
        self._transport: Any = None
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
            self._take_over()
        except TimeoutError:
            self.tear()
            raise redis.exceptions.TimeoutError("no connection was available in time") from None
        except BaseException:
            self.tear()
            raise

    def _take_over(self) -> None:
        """From now on what comes is read here."""
        if hiredis is None or self._writer is None:
            return
        coding = self.encoder
        self._parsed = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=self.as_error,
            encoding=coding.encoding if coding.decode_responses else None,
            errors=coding.encoding_errors,
            notEnoughData=_NOTHING,
        )
        self._arrivals = Arrivals(tls=self._tls is not None)
        self._transport = self._writer.transport
        self._transport.set_protocol(self._arrivals)
        if unread := bytes(getattr(self._reader, "_buffer", b"")):
            self._arrivals.data_received(unread)

    def start(self, deadline: Deadline) -> None:
        """From now on waits end at the deadline."""
        self.expired = False
        loop = asyncio.get_running_loop()
        self._until = loop.time() + deadline.remaining()
        if self._until < self._looks_at:
            self._look_at(self._until, loop)

    def stop(self) -> None:
        """The deadline is over. The timer stays: the next one is later, as a rule."""
        self._until = FOREVER

    def _look_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = when
        self._timer = loop.call_at(when, self._look)

    def _look(self) -> None:
        """The time of a block is over, or was when the timer was set."""
        self._timer, self._looks_at = None, FOREVER
        if self._until == FOREVER:
            return
        loop = asyncio.get_running_loop()
        if self._until > loop.time():
            self._look_at(self._until, loop)
            return
        self.expired = True
        if self._writer is not None:
            self._writer.transport.abort()

    def tear(self) -> None:
        """Close it without a wait, whatever is still to come on it."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._looks_at = None, FOREVER
        self._hang_up()

    def _hang_up(self) -> None:
        """Close it; the deadline goes on."""
        self._poll = None
        parser: Any = self._parser
        parser.on_disconnect()
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.transport.abort()

    def silent(self) -> bool:
        """Whether it is open and nothing waits to be read on it: then its other side is there, as far as can be told."""
        writer, reader, arrivals = self._writer, self._reader, self._arrivals
        if reader is None or writer is None or writer.transport.is_closing():
            return False
        if arrivals is not None:
            if arrivals.chunks or arrivals.ended:
                return False
        elif reader.at_eof() or getattr(reader, "_buffer", None):
            return False
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(writer.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)  # what the loop has not seen yet

    async def disconnect(self, *args: Any, **options: Any) -> None:
        """Close it, where the driver's own objects ask for that; theirs would wait for a protocol that is no longer told."""
        if self._arrivals is None:
            await super().disconnect(*args, **options)
        else:
            self._hang_up()

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
        if _PACK is not None and type(args[0]) is str and " " not in args[0]:
            try:
                return [hiredis.pack_command(args)]
            except TypeError:  # the driver takes more types, or says which one it does not take
                pass
        return list(self.pack_command(*args)) if _PACK is None else _PACK(*args)

    async def write(self, data: Iterable[bytes]) -> None:
        """Send bytes.

        Raises:
            redis.exceptions.RedisError: the connection is gone, or the deadline passed.
        """
        writer, arrivals = self._writer, self._arrivals
        if self.expired or writer is None:
            raise self.gone()
        try:
            writer.writelines(data)
            if arrivals is None:
                await writer.drain()
            else:
                await arrivals.taken()
        except OSError:
            raise last_words(bytes(getattr(self._reader, "_buffer", b""))) or self.gone() from None
        except BaseException:
            self.tear()
            raise
        if arrivals is not None and arrivals.lost:
            raise last_words(b"".join(arrivals.chunks)) or self.gone()

    async def round_trip(self, message: bytes) -> Any:
        """Send one command and read its answer, where no other is to come: as `write` and `read_response` in one.

        What may not go at once, or is no plain answer, goes step by step.
        """
        arrivals, parsed = self._arrivals, self._parsed
        gone = self.expired or self._transport is None or self._transport.is_closing()
        if gone or arrivals is None or arrivals.chunks or len(message) > SHORT:
            await self.write((message,))
            return await AsyncStream.read_response(self)  # without what a block counts
        self._transport.write(message)
        try:
            await arrivals.coming()
            self._feed(arrivals)
            reply = parsed.gets()
            if type(reply) in _PLAIN:
                return reply
        except BaseException:
            self._hang_up()
            raise
        return await self._read(arrivals, reply)

    async def read_response(self, disable_decoding: bool = False, *positional: Any, **options: Any) -> Any:
        """The next answer."""
        if self._arrivals is not None:
            return await self._read(self._arrivals, decodes=not disable_decoding)
        driver: Any = super()
        return await driver.read_response(disable_decoding, *positional, **options)

    async def _read(self, arrivals: Arrivals, reply: Any = _UNREAD, *, decodes: bool = True) -> Any:
        """The same as the driver's own way. `reply`: what the reader gave already."""
        try:
            while type(reply) not in _PLAIN:
                if reply is _NOTHING:
                    await arrivals.coming()
                    self._feed(arrivals)
                elif isinstance(reply, _PUSHED):
                    parser: Any = self._parser
                    await parser.handle_push_response(reply)
                elif reply is not _UNREAD:
                    first = reply[0] if isinstance(reply, list) and reply else reply
                    if isinstance(first, redis.exceptions.ConnectionError):  # it is loading its data, or hangs up
                        raise first
                    break
                reply = self._parsed.gets(decodes)
        except BaseException:
            self._hang_up()
            raise
        if isinstance(reply, redis.exceptions.ResponseError):
            raise reply
        return reply

    def _feed(self, arrivals: Arrivals) -> None:
        """Parse what has come."""
        chunks = arrivals.chunks
        if not chunks:
            if arrivals.broke is not None:
                raise redis.exceptions.ConnectionError(f"the connection broke: {arrivals.broke}") from arrivals.broke
            raise redis.exceptions.ConnectionError("the server closed the connection")
        for chunk in chunks:
            self._parsed.feed(chunk)
        chunks.clear()

    def gone(self) -> redis.exceptions.RedisError:
        """Why nothing can be sent on it, after it was closed."""
        self.tear()
        if self.expired:
            return redis.exceptions.TimeoutError("the block's deadline passed")
        return redis.exceptions.ConnectionError("the block's connection was lost, and a block does not change it")

    def __del__(self, *_: Any) -> None:
        """The endpoint closes what it made; a loop that is gone cannot."""
