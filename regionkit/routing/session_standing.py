"""How a session stands when something that carries its bookmark is about to leave."""

from __future__ import annotations

import msgspec

__all__ = ["SessionStanding"]


class SessionStanding(msgspec.Struct, frozen=True, gc=False):
    """What an answer has to know of the session that served its request.

    Attributes:
        used: a store, or a cache on its behalf, was asked for something.
        moved: it has written or seen what it did not begin with.
        writes: how often it wrote, or may have written.
        lost: a read found that something it asked for did not survive, or never was; nobody has called `accept_loss` since.
        dropped: `accept_loss` was called: what it began with counts no more as it was.
        settled: its bookmark is known without asking a server.
        writing: stores and partitions of its write blocks that are open.
    """

    used: bool
    moved: bool
    writes: int
    lost: bool
    dropped: bool
    settled: bool
    writing: tuple[tuple[str, str], ...] = ()
