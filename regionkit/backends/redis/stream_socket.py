"""A socket whose waits end at the deadline of its connection.

Each wait ends at the deadline. The kernel's own time-outs of a socket (SO_RCVTIMEO, SO_SNDTIMEO) see to that where there are any:
Python's settimeout() costs two system calls more in each wait, and each of them lets another thread run first. They are set when
less than they allow is left, and stand for later blocks; a wait that one of them cuts short goes on until the deadline. TLS
has its own loop around the socket, and takes Python's time-out.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, Protocol

from regionkit.contract.interrupted import interruption

__all__ = ["WIDER", "BoundedSocket"]

_KERNEL_BOUNDS = os.name == "posix" and hasattr(socket, "SO_RCVTIMEO")
SHARE = 0.75
"""Of what is left, the kernel's time-out: a little less, so that the next block, as long as this one, need not set it anew."""
WIDER = 8.0
"""By how much more may be left before a short time-out is set anew: it would wake a long wait again and again."""


class BoundedBy(Protocol):
    """The connection of a socket."""

    expired: bool

    @property
    def left(self) -> Callable[[], float]:
        """Seconds until its deadline."""
        ...

    def timed_out(self, error: TimeoutError) -> None:
        """The socket's time is over; or a signal handler raised this."""
        ...


class BoundedSocket:
    """A socket whose waits end at the deadline of its connection. Not shared between threads.

    Attributes:
        socket: the system's.
        allowed: seconds that the kernel lets a wait take; 0 where it does not see to that.
    """

    __slots__ = ("_kernel", "_stream", "allowed", "socket")

    def __init__(self, stream: BoundedBy, socket: Any) -> None:
        self._stream = stream
        self.socket = socket
        self.allowed = 0.0
        self._kernel = _KERNEL_BOUNDS and not isinstance(socket, ssl.SSLSocket)
        if self._kernel:
            socket.settimeout(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def settimeout(self, seconds: float | None) -> None:
        """The deadline decides."""

    def recv_into(self, *args: Any) -> int:
        """Read some bytes."""
        return self.waited(self._stream.left, self.socket.recv_into, *args)  # type: ignore[no-any-return]

    def recv(self, *args: Any) -> bytes:
        """Read some bytes."""
        return self.waited(self._stream.left, self.socket.recv, *args)  # type: ignore[no-any-return]

    def sendall(self, data: bytes) -> None:
        """Send all bytes."""
        self.send_all(self._stream.left, data)

    def send_all(self, left: Callable[[], float], data: bytes) -> None:
        """Send all bytes, each wait within what is `left`."""
        sent = self.waited(left, self.socket.send, data)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                rest = rest[self.waited(left, self.socket.send, rest) :]

    def waited(self, left: Callable[[], float], call: Callable[..., Any], *args: Any) -> Any:
        """What a call of the socket's gives, within what is `left`.

        Raises:
            TimeoutError: nothing is left.
        """
        seconds = left()
        if not self.allowed < seconds <= WIDER * self.allowed:
            self._allow(seconds)
        while True:
            try:
                return call(*args)
            except TimeoutError as error:
                self._stream.timed_out(error)
                raise
            except BlockingIOError as error:
                if not self.cut_short(error):
                    raise
                self._allow(left(), again=True)

    def cut_short(self, error: BaseException) -> bool:
        """Whether a wait was ended by the kernel's time-out: it goes on until the deadline."""
        return self._kernel and isinstance(error, BlockingIOError) and interruption(error) is None

    def _allow(self, left: float, *, again: bool = False) -> None:
        """The next wait takes at most `left` seconds, more or less than the last one. `again`: the last one was cut short."""
        if left <= 0.0:
            self._stream.expired = True
            raise TimeoutError("the deadline passed")
        if not self._kernel:
            self.socket.settimeout(left)
        else:
            allowed = self.allowed = left if again else SHARE * left
            bound = struct.pack("ll", int(allowed), int(allowed % 1.0 * 1e6) or 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
