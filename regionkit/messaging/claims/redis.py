# Generated from redis_async.py by scripts/twins.py. Do not edit.
"""Claims on Redis or Valkey: one hash a record, one script a claim and one a step, each one round trip and whole or not at all.

1. A record's time to live is its lease and its life beyond it, so that the fence does not begin anew while anybody may still hold
   an old one. Times are the server's.
2. Redis acknowledges before it has copied: a failover can lose a claim that was answered, and a server that evicts can lose any.
   Claims are no proof there, as records of Redis are none: effects are repeated with the same key.
3. Where a connection is at hand the question is one command on it; else the pool's ordinary way.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from regionkit.contract.backing import Backing
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.messaging.claim import Answer, Busy, Done, Mismatch, Step, Wish, Won
from regionkit.messaging.claiming import fitting

__all__ = ["RedisClaims", "opened_claims"]

IS_ASYNC = False
_STATES = {b"c": "claimed", b"k": "calling", b"": None}


class RedisClaims:
    """Implements `Claims`. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        scripts = import_module(f"regionkit.backends.redis.script{'_async' if IS_ASYNC else ''}")
        self._take = scripts.Script("claim_take", "regionkit.messaging")
        self._step = scripts.Script("claim_step", "regionkit.messaging")
        self._names: tuple[Any, bytes] = (None, b"")

    def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        words = (
            wish.owner,
            wish.fingerprint,
            round(wish.lease * 1000),
            round(wish.remembered * 1000),
            b"1" if wish.calling else b"",
        )
        kind, *rest = self._run(self._take, wish, words, within)
        if kind == b"w":
            return Won(int(rest[0]), _STATES[rest[1]])
        if kind == b"b":
            return Busy(rest[0] / 1000.0, rest[1] == b"k")
        return Mismatch() if kind == b"m" else Done(rest[0] if rest else None)

    def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made."""
        lasts = wish.keep if step == "complete" else wish.lease
        words = [step, wish.owner, fence, round(lasts * 1000), round(wish.remembered * 1000)]
        if result is not None:
            words.append(result)
        return bool(self._run(self._step, wish, words, within) == 1)

    def _run(self, script: Any, wish: Wish, words: Sequence[Any], within: float) -> Any:
        deadline = Deadline(SYSTEM_CLOCK, within)
        backend: Any = self._backing.backend(deadline=deadline)
        known, prefix = self._names
        if known is not backend:
            prefix = backend.key("claim").encode()
            self._names = (backend, prefix)
        scope = fitting(wish.scope)
        key = b"%b:%d:%b:%b" % (prefix, len(scope), scope, fitting(wish.id))
        reply = backend.quick(self, ("EVALSHA", script.digest, 1, key, *words), within)
        if reply is not NotImplemented:
            return reply

        def asked(connection: Any) -> Any:
            if connection.greeted is None:  # of nobody else's that uses this endpoint: the next claim finds it at hand
                connection.greeted = self
            return script.run(connection, [key], words)

        return backend.ask(Kind.WRITE, deadline, asked, changes=True)

    def sweep(self, *, within: float) -> int:
        """Records end by themselves."""
        return 0

    def create_tables(self, deadline: Deadline) -> None:
        """Nothing is to be made."""

    def close(self) -> None:
        """Close the connections of a client's copy."""
        self._backing.close()


def opened_claims(backing: Backing) -> RedisClaims:
    """The claims of a backing on Redis."""
    return RedisClaims(backing)
