"""Short questions of regionkit's own, one command each, of many tasks over one connection. Hand-written pair with `lane.py`.

1. The connection is one of the pool, introduced and greeted as all are; its permit is held while the lane has it. What is asked
   in one round of the loop goes out as one message behind the first, and answers are given out in the order of the questions.
2. Every question has its time. When the answer to any one in the row has not come by then, the connection is closed, and
   all that was asked on it is unanswered. A loop that was busy reads what has come before it looks at the time.
3. Who is cancelled leaves its place in the row: what was asked is done all the same, and its answer is given to nobody.
4. Where there is no connection at hand, or the row is long, the answer is NotImplemented: the pool's `ask` is the way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis

try:
    import hiredis
except ImportError:  # without it the driver is no faster than usual
    hiredis = None  # type: ignore[assignment]

__all__ = ["MOST_WAITING", "AsyncLane"]

MOST_WAITING = 1000
"""Questions without an answer on the connection: by then the server is slow, and more of them would not help."""
LEAST_POOL = 3
"""Connections of a pool from which on the lane keeps one: of fewer, each is needed for what cannot be shared."""
_NOTHING = object()
_pack: Any = getattr(hiredis, "pack_command", None)
_PUSHED: Any = getattr(hiredis, "PushNotification", ())
"""What a server says unasked over RESP3: it is the answer to nothing."""


class AsyncLane:
    """The shared connection of one pool. For tasks of one loop."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._line: _Line | None = None
        self._inherited: list[_Line] = []

    async def ask(self, owner: object, words: Sequence[str | bytes | int], seconds: float) -> Any:
        """The answer to a command, over a connection that `owner` has greeted; NotImplemented where there is none just now.

        Raises:
            redis.exceptions.RedisError: the server refused it, or did not answer.
        """
        line = self._line
        if line is None or not line.serves(owner, self._pool.generation):
            line = self._begun(owner)
        if line is None or len(line.waiting) >= MOST_WAITING:
            return NotImplemented
        return await line.asked(_pack(tuple(words)), seconds)

    def _begun(self, owner: object) -> _Line | None:
        self.evict()
        if _pack is None or self._pool.size < LEAST_POOL:
            return None
        connection = self._pool.at_hand(owner)
        self._line = None if connection is None else _Line(connection, self._pool)
        return self._line

    def evict(self) -> None:
        """Ask nothing more over the connection of now; it is closed when all is answered."""
        line, self._line = self._line, None
        if line is not None:
            line.retire()

    def abandon(self) -> None:
        """After a fork: the connection is the parent's, and stays open there."""
        if self._line is not None:
            self._inherited.append(self._line)
        self._line = None

    def close(self) -> None:
        """Close the connection, whatever is still to come on it."""
        line, self._line = self._line, None
        if line is not None:
            line.end(redis.exceptions.ConnectionError, "the cache was closed")


class _Line(asyncio.Protocol):
    """One connection, with the row of those who wait for an answer."""

    def __init__(self, connection: Any, pool: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._pool = pool
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0
        self._over = self._retired = self._sending = False
        self.waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._reader: Any = hiredis.Reader(replyError=connection.as_error, notEnoughData=_NOTHING)
        self._transport: Any = connection.hand_over(self)

    def serves(self, owner: object, generation: int) -> bool:
        """Whether questions of this owner may go over it."""
        connection = self._connection
        good = not self._over and connection.greeted is owner and connection.generation == generation
        return good and self._loop is asyncio.get_running_loop()

    def asked(self, command: bytes, seconds: float) -> asyncio.Future[Any]:
        """The answer that is to come."""
        future, until = self._loop.create_future(), self._loop.time() + seconds
        self.waiting.append((until, future))
        if self._sending:
            self._out.append(command)
        else:
            self._sending = True
            self._transport.write(command)  # the server works at it while the others of this round are asked
            self._loop.call_soon(self._send)
        if self._timer is None or until < self._looks_at:
            self._look_at(until)
        return future

    def _look_at(self, when: float) -> None:
        if self._timer is not None:  # of a question with more time
            self._timer.cancel()
        self._looks_at = when
        self._timer = self._loop.call_at(when, self._look)

    def _send(self) -> None:
        self._sending = False
        out, self._out = self._out, []
        if out and not self._over:
            self._transport.write(b"".join(out))

    def _look(self) -> None:
        """The time of one in the row is over, or was when the timer was set."""
        self._timer = None
        if not self.waiting:
            return
        first = min(until for until, _ in self.waiting)
        if first > self._loop.time():
            self._look_at(first)
        else:
            self.end(redis.exceptions.TimeoutError, "no answer came in time")

    def data_received(self, data: bytes) -> None:
        """Answers came."""
        reader, waiting = self._reader, self.waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                if isinstance(reply, _PUSHED):
                    continue
                if not waiting:
                    return self.end(redis.exceptions.ConnectionError, "an unexpected answer arrived")
                _, future = waiting.popleft()
                if future.done():  # who asked was cancelled
                    continue
                if isinstance(reply, Exception):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except hiredis.ProtocolError as error:
            return self.end(redis.exceptions.InvalidResponse, str(error))
        if self._retired and not waiting:
            self.end(redis.exceptions.ConnectionError, "the connection was given up")
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """The server is gone."""
        self.end(redis.exceptions.ConnectionError, str(error or "the server closed the connection"))

    def retire(self) -> None:
        """End when all is answered."""
        self._retired = True
        if not self.waiting:
            self.end(redis.exceptions.ConnectionError, "the connection was given up")

    def end(self, kind: type[redis.exceptions.RedisError], why: str) -> None:
        """Close the connection: who still waits gets no answer. May be called twice."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        waiting, self.waiting = self.waiting, deque()
        self._pool.put_back(self._connection, good=False)
        for _, future in waiting:
            if not future.done():
                future.set_exception(kind(why))
