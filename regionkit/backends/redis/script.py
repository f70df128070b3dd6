# Generated from script_async.py by scripts/twins.py. Do not edit.
"""A Lua script of ours, run by its digest: its text travels once in each run of a server.

1. EVALSHA first. NOSCRIPT is a sure "nothing was done": the server started, failed over or forgot its scripts, and one EVAL
   runs the script and makes it known again. Otherwise it is one round trip.
2. In a pipeline or in MULTI nothing can be sent after NOSCRIPT, as it comes too late: both are refused.
3. Replies are bytes and whole numbers, whatever the client decodes and whichever protocol it speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import redis
from redis.client import NEVER_DECODE

from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.client import RoutedRedis
from regionkit.backends.redis.lua import lua
from regionkit.backends.redis.stream import Pipeline, Redis
from regionkit.errors import UsageError

__all__ = ["Script", "Word"]

Word = str | bytes | int
"""A key or an argument; texts travel as UTF-8."""


class Script:
    """One script. Safe to share between threads or tasks.

    Args:
        name: of the file `scripts/<name>.lua`, without its ending.
        package: whose folder that is.
    """

    __slots__ = ("_before_7", "_name", "_package")

    def __init__(self, name: str, package: str = "regionkit.backends.redis") -> None:
        self._name = name
        self._package = package
        self._before_7: WeakSet[Any] = WeakSet()

    @property
    def digest(self) -> bytes:
        """By which a server knows it."""
        return lua(self._package, self._name).digest

    @property
    def text(self) -> bytes:
        """What is sent to a server that does not know it."""
        return lua(self._package, self._name).text

    def run(self, through: Any, keys: Sequence[Word], args: Sequence[Word] = (), *, read_only: bool = False) -> Any:
        """Run it, and give back its reply.

        Args:
            through: a connection of ours, within the deadline that it has; or a client of redis-py, with its own time-outs
                and retries: one that retries may run the script more than once.
            keys: every key that it touches.
            args: its arguments.
            read_only: the server refuses a write of the script, where it can (Redis 7 and later).

        Raises:
            UsageError: `through` is a pipeline, or is inside MULTI, or is neither a connection nor a client.
            redis.exceptions.RedisError: as the driver says it.
        """
        send = _sending(through)
        words = [*_encoded(keys), *_encoded(args)]
        if read_only and self._may_have_read_only(through):
            try:
                return self.run_by(send, len(keys), words, read_only=True)
            except redis.exceptions.ResponseError as error:
                if "unknown command" not in str(error):
                    raise
                self._before_7.add(through)
        return self.run_by(send, len(keys), words)

    def run_by(self, send: Callable[..., Any], keys: int, words: Sequence[Any], *, read_only: bool = False) -> Any:
        """Run it by `send`, which sends one command and gives back its reply. `words`: so many keys, then arguments."""
        script = lua(self._package, self._name)
        ending = "_RO" if read_only else ""
        try:
            return send(f"EVALSHA{ending}", script.digest, keys, *words)
        except redis.exceptions.NoScriptError:
            pass
        return send(f"EVAL{ending}", script.text, keys, *words)

    def _may_have_read_only(self, through: Any) -> bool:
        if isinstance(through, RedisConnection):
            return through.read_only_scripts
        return through not in self._before_7


def _encoded(words: Sequence[Word]) -> list[bytes]:
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


def _sending(through: Any) -> Callable[..., Any]:
    if isinstance(through, RedisConnection):
        progress = through.progress
        if progress is not None and progress.queuing:
            raise _refused("inside MULTI")
        return through.ask_one
    if isinstance(through, Pipeline):
        raise _refused("in a pipeline")
    if not isinstance(through, Redis):
        raise UsageError(
            f"a script is not run through a {type(through).__name__}.",
            why="it takes a connection of regionkit's, or a client of redis-py of the same world: threads or asyncio.",
            fix="pass a redis.Redis, or a redis.asyncio.Redis in asyncio.",
        )
    if isinstance(through, RoutedRedis) and through.queuing:
        raise _refused("inside MULTI")
    client: Any = through

    def send(*words: Any) -> Any:
        return client.execute_command(*words, **{NEVER_DECODE: True})

    return send


def _refused(where: str) -> UsageError:
    return UsageError(
        f"a script is not run {where}.",
        why="a server that does not know the script answers after everything was sent; then it is too late to send its text.",
        fix="run it on its own, on the client or the connection.",
    )
