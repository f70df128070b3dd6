"""A limit around making a connection, and a look at an idle one. Hand-written pair with `sockets_async.py`.

The driver's own look is for one thread at a time, and another may just have taken the connection: its answer on the way looks
like the end of the connection. So there are two looks, and only one at a connection that is idle after both counts.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.network_layer import NetworkingInterface

from regionkit.contract.interrupted import interruption

__all__ = ["bounded", "is_gone"]

T = TypeVar("T")


class _Stopped(Exception):
    """In place of an OSError that a signal handler raised: the driver waits on after a TimeoutError of its socket's."""


class _Watched(NetworkingInterface):
    """The driver's socket; what the application raises in the midst of a wait ends the wait."""

    def recv_into(self, buffer: Any) -> int:
        try:
            return super().recv_into(buffer)
        except OSError as error:
            if interruption(error) is None:
                raise
            raise _Stopped from error


def bounded(connect: Callable[[], T], seconds: float | None) -> T:
    """What `connect` makes: a thread's socket keeps its limit throughout."""
    made: Any = connect()
    made.conn = _Watched(made.conn.get_conn)
    return made  # type: ignore[no-any-return]


def is_gone(connection: Any) -> bool:
    """Whether the other side of an idle connection has closed it."""
    return _readable(connection) and not connection.active and _readable(connection) and not connection.active


def _readable(connection: Any) -> bool:
    try:
        socket = connection.conn.get_conn
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(socket, select.POLLIN | select.POLLPRI)
            return bool(poll.poll(0))
        return bool(select.select([socket], [], [], 0)[0])
    except (OSError, ValueError):  # closed on this side
        return True
