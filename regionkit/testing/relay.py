"""The event loop behind FaultProxy: one child process carries every proxied connection of a test process.

Run as a script with the number of an inherited socket, over which orders come as JSON, one a line, each answered once
it holds. It ends when that socket closes, so it never outlives the test process. It imports nothing of regionkit.

Bytes that are read on one side are due on the other side later: at once, after the latency, or when the link's rate
allows. Ends and resets of connections wait their turn in the same queue, so a frozen link hides them as a network does.
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import select
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

_WINDOW = 4 << 20  # bytes that a connection may hold in each direction before its sender is made to wait
_WAKING = 0.0003  # seconds before a time-out ends that are polled away instead of slept
_SLICE = 0.01  # seconds of a limited rate that are passed on at once
_GRACE = 0.05  # seconds from the first dropped reply to the reset: what the client sends behind it is delivered


class End(enum.Enum):
    """How a stream ends."""

    CLOSE = "close"
    RESET = "reset"


class Link:
    """One proxy: where it leads, what is wrong with it, and its connections."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.server: asyncio.Server | None = None
        self.connections: set[Connection] = set()
        self.dropped = 0
        self.free_at = [0.0, 0.0]  # when the limited line is free again: to the server, to the client
        self.heal()

    def heal(self) -> None:
        """Forget every fault, and pass on at once what was held."""
        self.delay = 0.0
        self.rate = 0.0
        self.frozen = False
        self.refusing = False
        self.dropping = False
        self.budget: int | None = None
        self.free_at = [0.0, 0.0]
        for connection in list(self.connections):
            connection.budget = None
            connection.hasten()

    def cut(self) -> None:
        """Reset all connections, and each new one as it comes."""
        self.refusing = True
        for connection in list(self.connections):
            connection.reset()

    def limit(self, budget: int) -> None:
        """Reset each connection, those of today and later ones, once it has carried so many bytes."""
        self.budget = budget
        for connection in self.connections:
            connection.budget = budget

    def accept(self) -> Half:
        """Return the protocol of a new client's socket."""
        return Connection(self).client


class Connection:
    """A client's socket and a server's, and what passes between them."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.loop = asyncio.get_running_loop()
        self.budget = link.budget
        self.client = Half(self, to_server=True)
        self.server = Half(self, to_server=False)
        self.client.peer, self.server.peer = self.server, self.client
        self.dialing: asyncio.Task[None] | None = None
        self.awaiting_reply = False
        self.doomed = False

    def opened(self) -> None:
        """The client is there: reach for the server, unless the network is down."""
        self.link.connections.add(self)
        if self.link.refusing:
            self.reset()
        elif not self.link.frozen:
            self.dial()

    def dial(self) -> None:
        """Connect to where the link leads now."""
        self.dialing = self.loop.create_task(self._dial())

    async def _dial(self) -> None:
        try:
            await self.loop.create_connection(lambda: self.server, *self.link.target)
        except OSError:
            self.reset()
        else:
            self.client.drain()

    def reply(self, data: bytes) -> bool:
        """Take note that the server has answered; say whether the answer may pass."""
        if not self.link.dropping or not (self.awaiting_reply or self.doomed):
            self.awaiting_reply = False
            return True
        self.link.dropped += len(data)
        if not self.doomed:
            self.doomed = True
            self.loop.call_later(max(self.link.delay, _GRACE), self.reset)
        return False

    def hasten(self) -> None:
        """Make all that waits due now."""
        if self.dialing is None:
            self.dial()
        for half in (self.client, self.server):
            half.queue = deque((0.0, item) for _, item in half.queue)
            half.drain()

    def reset(self) -> None:
        """End both sides with a reset, and lose what is on the way."""
        for half in (self.client, self.server):
            half.queue.clear()
            half.abort()
        self.forget()

    def forget(self) -> None:
        """Leave the link's books once both sides are gone."""
        if self.client.lost and (self.server.lost or self.server.transport is None):
            self.link.connections.discard(self)


class Half(asyncio.Protocol):
    """One socket of a connection; what it reads is due on its peer later."""

    def __init__(self, connection: Connection, *, to_server: bool) -> None:
        self.connection = connection
        self.link = connection.link
        self.way = 0 if to_server else 1
        self.peer: Half
        self.transport: asyncio.Transport | None = None
        self.queue: deque[tuple[float, bytes | End]] = deque()
        self.held = 0
        self.timer: asyncio.TimerHandle | None = None
        self.blocked = False  # its socket takes no more bytes for now
        self.finished = False  # nothing more will be read here
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.way == 0:
            self.connection.opened()
        elif self.connection.client.lost and not self.connection.client.queue:
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self.way == 0:
            self.connection.awaiting_reply = True
        elif not self.connection.reply(data):
            return
        for piece in self._slices(data):
            self._enqueue(piece)
        if self.held > _WINDOW and self.transport is not None:
            self.transport.pause_reading()

    def _slices(self, data: bytes) -> list[bytes]:
        if not self.link.rate:
            return [data]
        size = max(1, int(self.link.rate * _SLICE))
        return [data[start : start + size] for start in range(0, len(data), size)]

    def eof_received(self) -> bool:
        self._finish(End.CLOSE)
        return True  # the other direction may still be in use

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._finish(End.RESET if error else End.CLOSE)
        self.peer.drain()
        self.connection.forget()

    def _finish(self, how: End) -> None:
        if not self.finished or how is End.RESET:
            self.finished = True
            self._enqueue(how)

    def _enqueue(self, item: bytes | End) -> None:
        now = due = self.connection.loop.time()
        if isinstance(item, bytes):
            self.held += len(item)
            if self.link.rate:
                due = self.link.free_at[self.way] = max(self.link.free_at[self.way], now) + len(item) / self.link.rate
        due += self.link.delay
        if self.queue:
            due = max(due, self.queue[-1][0])  # a latency that was lowered does not let bytes overtake
        self.queue.append((due, item))
        if due <= now:
            self.drain()
        else:
            self._arm()

    def _arm(self) -> None:
        if self.timer is None and self.queue:
            self.timer = self.connection.loop.call_at(self.queue[0][0], self._due)

    def _due(self) -> None:
        self.timer = None
        self.drain()

    def drain(self) -> None:
        """Pass on what is due, as far as the network and the peer's socket let it."""
        if self.link.frozen or (self.peer.transport is None and not self.peer.lost):
            return
        soon = self.connection.loop.time() + 0.00005
        while self.queue and self.queue[0][0] <= soon and not self.peer.blocked:
            _, item = self.queue.popleft()
            if isinstance(item, bytes):
                self.held -= len(item)
                self._pass_on(item)
            else:
                self._pass_end(item)
        if self.held <= _WINDOW and self.transport is not None and not self.lost:
            self.transport.resume_reading()
        self._arm()

    def _pass_on(self, data: bytes) -> None:
        budget = self.connection.budget
        if budget is not None:
            data = data[:budget]
            self.connection.budget = budget = budget - len(data)
        if data and self.peer.transport is not None and not self.peer.lost:
            self.peer.transport.write(data)
        if budget == 0:
            self.connection.reset()

    def _pass_end(self, how: End) -> None:
        if how is End.RESET:
            self.peer.abort()
        elif self.peer.transport is not None and not self.peer.lost:
            if self.peer.finished:  # both directions have ended
                self.peer.transport.close()
            else:
                self.peer.transport.write_eof()
        if self.peer.finished and self.transport is not None and not self.peer.queue:
            self.transport.close()

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self.peer.drain()

    def abort(self) -> None:
        """Close the socket with a reset instead of an end."""
        if self.transport is None or self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:  # closed meanwhile
            pass
        self.transport.abort()


class Relay:
    """All links of this process, and the orders that change them."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    async def obey(self, order: str, number: int, value: Any) -> Any:
        """Carry out one order; its result goes back to the test process."""
        if order == "open":
            return await self._open(number, *value)
        link = self._links[number]
        simple: dict[str, Callable[[], object]] = {
            "heal": link.heal,
            "cut": link.cut,
            "limit": lambda: link.limit(value),
            "stats": lambda: [len(link.connections), link.dropped],
        }
        if order in simple:
            return simple[order]()
        if order == "close":
            return self._close(self._links.pop(number))
        if order == "target":
            value = tuple(value)
        setattr(link, order, value)  # delay, rate, frozen, dropping, target
        return None

    async def _open(self, number: int, host: str, port: int) -> int:
        link = self._links[number] = Link(host, port)
        link.server = await asyncio.get_running_loop().create_server(link.accept, "127.0.0.1", 0, backlog=1024)
        return int(link.server.sockets[0].getsockname()[1])

    def _close(self, link: Link) -> None:
        assert link.server is not None
        link.server.close()
        link.cut()


async def serve(orders: socket.socket) -> None:
    """Carry out orders until the test process is gone."""
    relay = Relay()
    reader, writer = await asyncio.open_connection(sock=orders)
    while line := await reader.readline():
        order, number, value = json.loads(line)
        try:
            answer = {"result": await relay.obey(order, number, value)}
        except Exception as error:
            answer = {"error": repr(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
    writer.close()


def precise_selector() -> selectors.BaseSelector:
    """Return a selector whose time-outs are exact: epoll alone counts whole milliseconds."""
    return ExactEpoll() if sys.platform == "linux" else selectors.DefaultSelector()


if sys.platform == "linux":

    class ExactEpoll(selectors.EpollSelector):
        """An epoll that is waited for with select(), to the microsecond and yet without a limit on descriptors.

        A sleeping process is woken some 0.2 ms late on a virtual machine, and a round trip waits twice: so the last
        moment is not slept but polled away.
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is None or timeout <= 0:
                return super().select(timeout)
            due = time.monotonic() + timeout
            if timeout > _WAKING:
                select.select([self.fileno()], [], [], timeout - _WAKING)
            while not (events := super().select(0)) and time.monotonic() < due:
                pass
            return events


if __name__ == "__main__":
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # a network does not slow down because processors are busy
    except OSError:  # for root only
        pass
    loop = asyncio.SelectorEventLoop(precise_selector())
    loop.run_until_complete(serve(socket.socket(fileno=int(sys.argv[1]))))
