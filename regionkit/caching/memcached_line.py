"""One connection to a Memcached server, of threads. Hand-written pair with `memcached_line_async.py`."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Line"]

T = TypeVar("T")
_CHUNK = 65_536


class Line:
    """One connection. Not shared. One whose `ask` did not end well is closed, as an answer may still come on it."""

    def __init__(self, made: socket.socket) -> None:
        self._socket = made

    @staticmethod
    def opened(host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> Line:
        """A new one, within `seconds`.

        Raises:
            OSError: it cannot be had, or not in time.
        """
        made = socket.create_connection((host, port), seconds)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Line(made if tls is None else tls.wrap_socket(made, server_hostname=host))
        except BaseException:
            made.close()
            raise

    def ask(self, data: bytes, read: Callable[[bytes], T | None], seconds: float) -> T:
        """What `read` makes of the answer, within `seconds`.

        Raises:
            OSError: there was none, or not in time.
        """
        got, until = b"", time.monotonic() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(data)
        while True:
            left = until - time.monotonic()
            if left <= 0.0:
                raise TimeoutError("no answer came in time")
            self._socket.settimeout(left)
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise ConnectionResetError("the server closed the connection")
            got += chunk
            answer = read(got)
            if answer is not None:
                return answer

    def silent(self) -> bool:
        """Whether nothing has come that was not asked for, the end neither."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it, without a wait."""
        self._socket.close()
