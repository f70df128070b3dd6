"""Keeps the bytes that arrive on an asyncio connection until they are read: an asyncio Protocol.

asyncio's own streams do the same with eight more calls per answer. Their rules hold here too: a large write waits until the
system has taken it, and a reader sees the end of the connection only after the last byte.
"""

from __future__ import annotations

import asyncio

__all__ = ["Arrivals"]


class Arrivals(asyncio.Protocol):
    """The bytes that have come and nobody has read. One task reads at a time, and one writes.

    Attributes:
        chunks: what has come, in order.
        ended: nothing more comes.
        full: the system takes no more for now.
        lost: nothing more is sent.
        broke: why it was lost, where it was not closed.
    """

    __slots__ = ("_keeps_open", "_loop", "_reads", "_writes", "broke", "chunks", "ended", "full", "lost")

    def __init__(self, *, tls: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._keeps_open = not tls
        self._reads: asyncio.Future[None] | None = None
        self._writes: asyncio.Future[None] | None = None
        self.full = False
        self.chunks: list[bytes] = []
        self.ended = self.lost = False
        self.broke: Exception | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.chunks.append(data)
        reads = self._reads
        if reads is not None and not reads.done():
            reads.set_result(None)

    def eof_received(self) -> bool:
        """The other side sends no more."""
        self.ended = True
        self._wake()
        return self._keeps_open

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.ended = self.lost = True
        self.broke = error
        self._wake()

    def pause_writing(self) -> None:
        """The system takes no more for now."""
        self.full = True

    def resume_writing(self) -> None:
        """It does again."""
        self.full = False
        self._wake()

    def _wake(self) -> None:
        for waiter in (self._reads, self._writes):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def coming(self) -> asyncio.Future[None]:
        """Done when something has come that nobody has read, or nothing more comes."""
        self._reads = reads = self._loop.create_future()
        if self.chunks or self.ended:
            reads.set_result(None)
        return reads

    async def taken(self) -> None:
        """Until the system has taken most of what was written, or the connection is gone."""
        while self.full and not self.lost:
            self._writes = self._loop.create_future()
            await self._writes
