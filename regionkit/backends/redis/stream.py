"""A driver connection of threads whose waits end at a deadline. Hand-written pair with `stream_async.py`.

A torn connection is never made anew by the driver: that is the pool's, and the endpoint's, to decide.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import redis
from redis import Redis
from redis.client import Pipeline
from redis.connection import BlockingConnectionPool, Connection, ConnectionPool, HiredisRespSerializer
from redis.connection import Connection as TcpConnection
from redis.connection import SSLConnection as TlsConnection
from redis.connection import UnixDomainSocketConnection as UnixConnection

from regionkit.backends.redis.broken_off import last_words
from regionkit.backends.redis.stream_socket import WIDER, BoundedSocket
from regionkit.contract.interrupted import interruption
from regionkit.core.deadline import Deadline
from regionkit.errors import UsageError

try:
    import hiredis
except ImportError:  # then nobody calls `answer`
    hiredis = None  # type: ignore[assignment]

__all__ = [
    "BlockingConnectionPool",
    "ConnectionPool",
    "Pipeline",
    "Redis",
    "Stream",
    "TcpConnection",
    "TlsConnection",
    "UnixConnection",
]

MOST_UNREAD = 8 << 20
"""Bytes of unread answers that are looked through for a server's last words: more than a socket holds."""
_CHUNK = 65_536
_NOTHING, _UNREAD = object(), object()
"""No whole answer has come; nobody has looked yet."""
_PLAIN = frozenset({bytes, str, int, type(None)})
"""Of most answers: neither an error, nor something said unasked."""
_PUSHED: Any = getattr(hiredis, "PushNotification", ())


class Stream(Connection):
    """One connection. Not shared between threads."""

    def __init__(self, tls: ssl.SSLContext | None, path: str | None, **arguments: Any) -> None:
        driver: Any = super()  # the driver is typed in parts
        driver.__init__(**arguments)
        self._tls = tls
        self._path = path
        self.deadline: Deadline | None = None
        self.left: Callable[[], float] = float  # seconds until the deadline; 0 without one
        self.expired = False
        self.stopped = False
        self._poll: select.poll | None = None
        self._reader: Any = None
        self._packs = isinstance(self._command_packer, HiredisRespSerializer)

    def _connect(self) -> Any:
        driver: Any = super()
        sock = driver._connect() if self._path is None else self._dialled(self._path)
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise
        return BoundedSocket(self, sock)

    def _dialled(self, path: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(self.socket_connect_timeout)
        try:
            made.connect(path)
        except BaseException:
            made.close()
            raise
        return made

    def _host_error(self) -> str:
        driver: Any = super()
        return self._path or str(driver._host_error())

    def open(self, deadline: Deadline) -> None:
        """Connect, authenticate, choose the database.

        Raises:
            redis.exceptions.RedisError: it cannot be done, or not in time.
        """
        left = deadline.remaining()
        if left <= 0.0:
            raise redis.exceptions.TimeoutError("the connection was not there in time")
        self.socket_timeout = self.socket_connect_timeout = left
        self.deadline, self.left = deadline, deadline.remaining
        connect: Any = self.connect
        try:
            connect()
        except BaseException:
            self.tear()
            raise
        if hiredis is not None:
            coding = self.encoder
            self._reader = hiredis.Reader(
                protocolError=redis.exceptions.InvalidResponse,
                replyError=self.as_error,
                encoding=coding.encoding if coding.decode_responses else None,
                errors=coding.encoding_errors,
                notEnoughData=_NOTHING,
            )

    def start(self, deadline: Deadline) -> None:
        """From now on waits end at the deadline."""
        self.expired = False
        self.deadline, self.left = deadline, deadline.remaining

    def stop(self) -> None:
        """The deadline is over."""
        self.deadline, self.left = None, float

    def timed_out(self, error: TimeoutError) -> None:
        """The socket's time is over; or a signal handler raised this."""
        self.expired = interruption(error) is None

    def round_trip(self, message: bytes) -> Any:
        """Send one command and read its answer, where no other is to come: as `write` and `read_response` in one.

        It tries the socket once each way, under the kernel's time-outs as they stand. What does not go so goes step by step.
        """
        bounded: Any = self._sock
        reader, left = self._reader, self.left
        if reader is None or bounded is None or self.expired or not bounded.allowed < left() <= WIDER * bounded.allowed:
            self.write((message,))
            return Stream.read_response(self)  # without what a block counts
        sent, reply = 0, _UNREAD
        try:
            sent = bounded.socket.send(message)
            if sent == len(message) and bounded.allowed < left() and (data := bounded.socket.recv(_CHUNK)):
                reader.feed(data)
                reply = reader.gets()
                if type(reply) in _PLAIN:
                    return reply
        except BaseException as error:
            if not bounded.cut_short(error):
                if sent:
                    self._not_read(error)
                self._not_sent(error)
        if sent < len(message):
            self.write((message[sent:],))
        return self._read(reader, reply)

    def read_response(self, disable_decoding: bool = False, **options: Any) -> Any:
        """The next answer; an exception of the application's leaves as itself, also where the driver makes another of it."""
        if self._reader is not None and not options:
            return self._read(self._reader, decodes=not disable_decoding)
        driver: Any = super()
        try:
            return driver.read_response(disable_decoding, **options)
        except BaseException as error:
            own = interruption(error)
            self.stopped = own is not None
            if own is None or own is error:
                raise
            raise own  # noqa: B904  # the driver's error came of it

    def _read(self, reader: Any, reply: Any = _UNREAD, *, decodes: bool = True) -> Any:
        """The same as the driver's own way, whose eight calls take longer than all else that a short answer costs here.

        `reply`: what the reader gave already.
        """
        try:
            while type(reply) not in _PLAIN:
                if reply is _NOTHING:
                    reader.feed(self._more())
                elif isinstance(reply, _PUSHED):
                    parser: Any = self._parser
                    parser.handle_push_response(reply)
                elif reply is not _UNREAD:
                    first = reply[0] if isinstance(reply, list) and reply else reply
                    if isinstance(first, redis.exceptions.ConnectionError):  # it is loading its data, or hangs up
                        raise first
                    break
                reply = reader.gets(decodes)
        except BaseException as error:
            self._not_read(error)
        if isinstance(reply, redis.exceptions.ResponseError):
            raise reply
        return reply

    def _not_read(self, error: BaseException) -> NoReturn:
        """The connection ends, and with it the wait for an answer."""
        disconnect: Any = self.disconnect
        disconnect()
        own = interruption(error)
        self.stopped = own is not None
        if own is not None:
            raise own
        if isinstance(error, TimeoutError):
            self.expired = True
            raise redis.exceptions.TimeoutError("no answer came in time") from error
        if isinstance(error, OSError):
            raise redis.exceptions.ConnectionError(f"the connection broke: {error}") from error
        raise error

    def _more(self) -> bytes:
        """Some bytes of an answer."""
        bounded: Any = self._sock
        data: bytes = b"" if bounded is None else bounded.waited(self.left, bounded.socket.recv, _CHUNK)
        if not data:
            raise redis.exceptions.ConnectionError("the server closed the connection")
        return data

    def tear(self) -> None:
        """Close it without a wait, whatever is still to come on it."""
        self.stop()
        self._parser.on_disconnect()
        self._poll = self._reader = None
        socket, self._sock = self._sock, None
        if socket is not None:
            try:
                socket.close()
            except OSError:
                pass

    def _polled(self) -> select.poll:
        sock: Any = self._sock
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return poll

    def silent(self) -> bool:
        """Whether it is open and nothing waits to be read on it: then its other side is there, as far as can be told."""
        if self._sock is None:
            return False
        poll = self._poll
        if poll is None:
            poll = self._poll = self._polled()
        try:
            waits = poll.poll(0)
        except RuntimeError:  # another thread looks at it, too: a poll serves one at a time
            waits = self._polled().poll(0)
        return not waits and (self._tls is None or not getattr(self._sock, "pending", int)())

    def answer(self, command: bytes, seconds: float) -> Any:
        """The answer to one command, within `seconds`, where no other answer is to come; as bytes.

        Raises:
            redis.exceptions.ResponseError: the server refused it; the connection is as it was.
            redis.exceptions.RedisError: there is no answer, and the connection is closed.
        """
        bounded: Any = self._sock
        until = time.monotonic() + seconds

        def left() -> float:
            return until - time.monotonic()

        reader = self._reader
        try:
            bounded.send_all(left, command)
            reply = _NOTHING
            while reply is _NOTHING:
                data = bounded.waited(left, bounded.socket.recv, _CHUNK)
                if not data:
                    raise redis.exceptions.ConnectionError("the server closed the connection")
                reader.feed(data)
                reply = reader.gets(False)
                while isinstance(reply, _PUSHED):  # said unasked over RESP3
                    reply = reader.gets(False)
        except BaseException as error:
            self.tear()
            if interruption(error) is not None or not isinstance(error, OSError):
                raise
            if isinstance(error, TimeoutError):
                raise redis.exceptions.TimeoutError("no answer came in time") from error
            raise redis.exceptions.ConnectionError(str(error)) from error
        if isinstance(reply, Exception):
            raise reply
        return reply

    def as_error(self, said: str) -> Exception:
        """The driver's error for what a server said."""
        parser: Any = self._parser
        return parser.parse_error(said)  # type: ignore[no-any-return]

    def pack(self, args: tuple[Any, ...]) -> list[bytes]:
        """The bytes of a command."""
        if self._packs and type(args[0]) is str and " " not in args[0]:
            try:
                return [hiredis.pack_command(args)]
            except TypeError:  # the driver takes more types, or says which one it does not take
                pass
        return self._command_packer.pack(*args)  # type: ignore[no-any-return]

    def write(self, data: Iterable[bytes]) -> None:
        """Send bytes.

        Raises:
            redis.exceptions.RedisError: the connection is gone, or the deadline passed.
        """
        socket = self._sock
        if self.expired or socket is None:
            raise self.gone()
        try:
            for part in data:
                socket.send_all(self.left, part)
        except BaseException as error:
            self._not_sent(error)

    def _not_sent(self, error: BaseException) -> NoReturn:
        """The connection ends, perhaps in the midst of a message."""
        self.stopped = interruption(error) is not None
        if isinstance(error, OSError) and not self.stopped:
            self.expired = self.expired or isinstance(error, TimeoutError)
            raise last_words(self._unread()) or self.gone() from None
        self.tear()
        raise error

    def _unread(self) -> bytes:
        """What has come and nobody has read."""
        bounded: Any = self._sock
        unread = b""
        try:
            bounded.socket.settimeout(0.0)  # it is torn next
            while len(unread) < MOST_UNREAD and (piece := bounded.socket.recv(MOST_UNREAD)):
                unread += piece
        except (OSError, AttributeError):  # no more, or torn meanwhile
            pass
        return unread

    def gone(self) -> redis.exceptions.RedisError | UsageError:
        """Why nothing can be sent on it, after it was closed."""
        self.tear()
        if self.stopped:
            return UsageError(
                "the block's connection was closed when an exception of the application's stopped a wait on it.",
                why="the answer may still come, and would be taken for the next command's; the block went on.",
                fix="let that exception leave the block.",
            )
        if self.expired:
            return redis.exceptions.TimeoutError("the block's deadline passed")
        return redis.exceptions.ConnectionError("the block's connection was lost, and a block does not change it")
