"""Stands between the socket of an asyncpg connection and asyncpg: it sees what asyncpg leaves out, and hides what it did not ask.

asyncpg keeps of a message of several statements only the last tag. A COMMIT that brings its position needs them all, and so
does whoever wants to know that a text of the user's ended the transaction. All that is used is public: asyncio's protocols and
transports, PostgreSQL's messages, and asyncpg's `connection_class`.

1. Outside of a capture tags alone are looked at, and told to `tagged`.
2. During a capture (`capture`) all answers are kept, and given to asyncpg as well.
3. Answers to a statement sent ahead (`send_ahead`) are taken out; an error among them is given to asyncpg: it answers the
   message behind, which the server has skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from regionkit.backends.sql.postgres_wire import (
    AHEAD_ANSWERS,
    COPYING,
    DONE,
    ERROR,
    HEADER,
    UNASKED,
    Answers,
    Frames,
    ahead,
)

__all__ = ["Tap"]

TERMINATE = b"X\x00\x00\x00\x04"


class Tap(asyncio.Protocol):
    """One connection's. `tagged` is called with the tag of each statement that was not captured."""

    def __init__(self, inner: Any, transport: Any, tagged: Callable[[str], None]) -> None:
        self._inner = inner
        self._transport = transport
        self._tagged = tagged
        self._frames = Frames()
        self._answers: Answers | None = None
        self._hidden = b""
        self.socket = transport.get_extra_info("socket")
        transport.set_protocol(self)

    def capture(self) -> Answers:
        """Keep the answers to what is sent next, until `release`."""
        self._answers = Answers()
        return self._answers

    def release(self) -> None:
        """Keep no more."""
        self._answers = None

    def send_ahead(self, text: str) -> None:
        """A statement in front of the message that is sent next, which has to end with Sync."""
        self._transport.write(ahead(text))
        self._hidden += AHEAD_ANSWERS

    def say_goodbye(self) -> None:
        """Tell the server that the connection ends, without waiting."""
        if not self._transport.is_closing():
            self._transport.write(TERMINATE)

    def connection_made(self, transport: Any) -> None:
        """It was made before."""

    def data_received(self, data: bytes) -> None:
        """Look at what came, and hand it on."""
        whole, messages = self._frames.take(data)
        answers, start, kept = self._answers, 0, []
        for kind, at, end in messages:
            if self._hidden and kind not in UNASKED:
                if kind == ERROR:
                    self._hidden = b""
                else:
                    self._hidden = self._hidden[1:]
                    kept.append(whole[start:at])
                    start = end
                    continue
            if answers is not None:
                answers.take(kind, whole[at + HEADER : end])
                if kind in COPYING:
                    self._transport.abort()
            elif kind == DONE:
                self._tagged(whole[at + HEADER : end - 1].decode())
        rest = b"".join((*kept, whole[start:])) if kept else whole
        if rest:
            self._inner.data_received(rest)

    def eof_received(self) -> Any:
        """Hand it on."""
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Hand it on."""
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Hand it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        self._inner.resume_writing()
