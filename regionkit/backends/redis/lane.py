"""Short questions of regionkit's own, one command each, each on a connection of the pool. Hand-written pair with `lane_async.py`.

A thread takes an idle connection that was greeted, without what a block needs: nothing is judged, counted or carried along, as
the command is known. What holds for every connection holds here: waits end at their time, and one on which an answer may still
come is closed. Where there is no connection at hand, the answer is NotImplemented: the pool's `ask` is the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

try:
    import hiredis
except ImportError:  # what the driver does without it is no faster than the ordinary way
    hiredis = None  # type: ignore[assignment]

__all__ = ["Lane"]

_pack: Any = getattr(hiredis, "pack_command", None)


class Lane:
    """The lane of one pool. Safe to share between threads."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def ask(self, owner: object, words: Sequence[str | bytes | int], seconds: float) -> Any:
        """The answer to a command, over a connection that `owner` has greeted; NotImplemented where there is none just now.

        Raises:
            redis.exceptions.RedisError: the server refused it, or did not answer.
        """
        pool = self._pool
        connection = None if _pack is None else pool.at_hand(owner)
        if connection is None:
            return NotImplemented
        good = False
        try:
            reply = connection.answer(_pack(tuple(words)), seconds)
            good = True
        except redis.exceptions.ResponseError:
            good = True
            raise
        finally:
            pool.put_back(connection, good=good)
        return reply

    def evict(self) -> None:
        """Nothing is held."""

    def abandon(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""
