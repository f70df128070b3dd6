"""A TCP proxy with faults, in front of any server: latency, loss of replies, cuts, freezes, resets, a thin line.

The bytes are carried by a child process (relay.py), so that a busy test does not add to the latency that was asked for.
Every method returns when the fault holds. Connecting itself is never delayed nor refused: the proxy's own socket
accepts, then the fault strikes.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_PORTS = {
    "postgresql": 5432,
    "postgres": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "redis": 6379,
    "rediss": 6379,
    "mongodb": 27017,
    "amqp": 5672,
    "amqps": 5671,
    "nats": 4222,
    "http": 80,
    "https": 443,
}


class FaultProxy:
    """A proxy on a port of its own; in use from its construction, until `close()` or the end of the `with` block.

    Thread-safe. Faults add up (latency and a thin line), and apply to open connections and to new ones.

    Args:
        target: What to stand in front of: a URL with one host, or "host:port".

    Raises:
        ValueError: `target` names no host or no port, or several hosts.
    """

    def __init__(self, target: str) -> None:
        host, port = _endpoint(target)
        self._given = target
        self._relay = _relay(os.getpid())
        self._number = self._relay.next_number()
        self._closed = False
        self.port: int = self._relay.order("open", self._number, [host, port])

    @property
    def url(self) -> str:
        """The target as it was given at first, with the proxy's host and port in place of the server's."""
        here = f"127.0.0.1:{self.port}"
        if "://" not in self._given:
            return here
        parts = urlsplit(self._given)
        account, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{account}{at}{here}").geturl()

    @property
    def connections(self) -> int:
        """How many client connections are open."""
        return int(self._order("stats")[0])

    @property
    def dropped(self) -> int:
        """How many bytes of replies were dropped since the proxy was made."""
        return int(self._order("stats")[1])

    def latency(self, seconds: float) -> None:
        """Delay every byte by `seconds` each way: a round trip takes twice that."""
        self._order("delay", seconds)

    def bandwidth(self, bytes_per_second: float) -> None:
        """Let no more bytes pass in a second, each way, over all connections together; 0 is no limit."""
        self._order("rate", bytes_per_second)

    def freeze(self) -> None:
        """Pass nothing on, and report nothing: no byte, no end, no reset. What was sent arrives after `heal()`."""
        self._order("frozen", True)

    def cut(self) -> None:
        """Reset every connection now, and each new one as soon as it is made."""
        self._order("cut")

    def drop_replies(self) -> None:
        """Deliver requests, and reset the connection instead of passing on the reply: the client cannot know.

        This strikes the reply to the next request, or to one that is still unanswered.
        """
        self._order("dropping", True)

    def reset_after(self, bytes: int) -> None:
        """Reset each connection once it has carried so many more bytes, both ways counted together."""
        if bytes < 1:
            raise ValueError("bytes must be at least 1; cut() resets at once")
        self._order("limit", bytes)

    def target(self, url: str) -> None:
        """Lead new connections to another server, as a changed DNS name does; open ones stay where they are."""
        self._order("target", list(_endpoint(url)))

    def heal(self) -> None:
        """End every fault, latency and thin line included, and deliver what was held."""
        self._order("heal")

    def close(self) -> None:
        """Reset all connections and stop listening; may be called twice."""
        if not self._closed:
            self._closed = True
            self._order("close")

    def __enter__(self) -> Self:
        """Return the proxy."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the proxy."""
        self.close()

    def _order(self, order: str, value: object = None) -> Any:
        return self._relay.order(order, self._number, value)


def _endpoint(target: str) -> tuple[str, int]:
    parts = urlsplit(target if "://" in target else f"tcp://{target}")
    scheme = parts.scheme.partition("+")[0]
    if "," in parts.netloc:
        raise ValueError("A FaultProxy is for one host; make one for each.")
    port = parts.port or _PORTS.get(scheme)
    if not parts.hostname or port is None:
        raise ValueError("A FaultProxy needs a URL with a host and a port, or 'host:port'.")
    return parts.hostname, port


class _Relay:
    """The child process that carries the bytes, and the socket over which it takes orders."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        script = str(Path(__file__).with_name("relay.py"))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        self._answers = ours.makefile("rb")
        atexit.register(self._end, os.getpid())

    def next_number(self) -> int:
        return next(self._numbers)

    def order(self, order: str, number: int, value: object) -> Any:
        with self._lock:
            self._socket.sendall(json.dumps([order, number, value]).encode() + b"\n")
            line = self._answers.readline()
        if not line:
            raise RuntimeError("The process behind FaultProxy has ended; see its traceback on stderr.")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"FaultProxy could not {order}: {answer['error']}")
        return answer["result"]

    def _end(self, process: int) -> None:
        if process == os.getpid():  # a forked child leaves its parent's relay alone
            self._answers.close()
            self._socket.close()
            self._process.wait(5)


_making = threading.Lock()


@functools.cache
def _make_relay(process: int) -> _Relay:
    return _Relay()


def _relay(process: int) -> _Relay:
    """Return the relay of this process; it is made with the first proxy."""
    with _making:
        return _make_relay(process)
