"""An inbox in Redis: claims for effects that are elsewhere; and effects inside it, done with their record in one script.

1. The effect of a handler with effect="redis" is a list of commands (`effect_commands`). The script looks at record, types and
   numbers first, then does them, and writes the record last: all of it or nothing, as the server does one thing at a time.
   It takes the effects of several messages, one after another; what becomes of one is no matter of the others.
2. A server that evicts, or keeps nothing on disk, can lose a record beside an effect: `transactional` is true only for one with
   noeviction and an append-only file. A failover loses what it had not copied, record and effect alike.
3. Keys of any slot: a Cluster is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from regionkit.contract.backing_async import async_backing_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, InDoubt, UsageError
from regionkit.facts.request import Kind
from regionkit.messaging.claim import Wish
from regionkit.messaging.claiming_async import fitting
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.effect_commands import Checked, checked_commands
from regionkit.messaging.inboxes.claims_async import AsyncClaimInbox
from regionkit.messaging.records_async import AsyncRedisRecords

__all__ = ["AsyncRedisInbox"]

IS_ASYNC = True
_TOLD = {b"w": Verdict.APPLY, b"d": Verdict.DUPLICATE, b"m": Verdict.MISMATCH, b"b": Verdict.BUSY}
EVICTS = "the server evicts keys when its memory is full: a record may be lost, and its message take effect again"
NOT_KEPT = "the server keeps no append-only file: a restart may lose records, or effects that were acknowledged"


class AsyncRedisInbox(AsyncClaimInbox):
    """Claims and effects in Redis or Valkey. Safe to share between threads (tasks of one loop).

    Args:
        given: a client of redis-py, or a kit.
        hospital: where cases are kept: an engine, a database of MongoDB's, or an inbox there.
        store: which of a kit's stores.
        namespace: prefix of its keys; a kit's own counts for its stores.

    Attributes:
        transactional: of effects inside Redis, since it was opened: their record cannot be lost without them.
    """

    effects: tuple[str, ...] = ("external", "redis")

    def __init__(
        self, given: Any, *, hospital: Any = None, store: str | None = None, namespace: str = "regionkit"
    ) -> None:
        super().__init__(AsyncRedisRecords(given, store=store, namespace=namespace), hospital, namespace)
        self._redis = async_backing_of(given, namespace=namespace, store=store)
        scripts = import_module(f"regionkit.backends.redis.script{'_async' if IS_ASYNC else ''}")
        self._script = scripts.AsyncScript("effect", "regionkit.messaging")

    async def open(self, deadline: Deadline) -> None:
        """See that the tables of cases are there, and what the server loses when it is full or ends."""
        await super().open(deadline)

        async def asked(connection: Any) -> dict[str, str]:
            said: bytes = await connection.ask_one("INFO", "everything")
            lines = (line.partition(":") for line in _text(said).splitlines())
            return {name: value for name, _, value in lines}

        told = await self._ask(deadline, asked, changes=False)
        self.notes, self.transactional = lost_by(type(self).notes, told)

    async def _ask(self, deadline: Deadline, question: Any, *, changes: bool) -> Any:
        backing: Any = self._redis
        backend = await backing.backend(deadline=deadline)
        return await backend.ask(Kind.WRITE, deadline, question, changes=changes)

    async def apply(self, wish: Wish, commands: Any, *, lapsed: bool = False, within: float) -> Verdict | None:
        """Do the commands of an effect with the record of its message, or nothing; what else than APPLY stands there.

        None: somebody has died with a claim, perhaps after its case was written. `lapsed`: that was looked at.

        Raises:
            UsageError: they may not be an effect, or do not fit what stands under their keys; nothing was done.
            InDoubt: the server refused one in the middle (a right that the account lacks); those before it were done.
            OutcomeUnknown: no answer came; asked again, it is done or found done.
        """
        [told] = await self.apply_many([wish], [checked_commands(commands)], lapsed=lapsed, within=within)
        if isinstance(told, Exception):
            raise told
        return told

    async def apply_many(
        self, wishes: Sequence[Wish], effects: Sequence[Checked], *, lapsed: bool = False, within: float
    ) -> list[Verdict | Exception | None]:
        """The same for several messages of one owner, in their order and in one step; what `apply` raises is returned.

        Raises:
            OutcomeUnknown: no answer came; asked again, each is done or found done.
        """
        deadline = Deadline(SYSTEM_CLOCK, within)
        backing: Any = self._redis
        backend = await backing.backend(deadline=deadline)
        first, scope = wishes[0], fitting(wishes[0].scope)
        name = b"%b:%d:%b:" % (backend.key("claim").encode(), len(scope), scope)
        keys: list[bytes] = []
        words: list[Any] = [first.owner, round(first.keep * 1000), round(first.remembered * 1000)]
        for wish, effect in zip(wishes, effects, strict=True):
            keys += (name + fitting(wish.id), *effect.keys)
            words += (wish.fingerprint, b"1" if lapsed else b"", effect.most, *effect.words)

        async def asked(connection: Any) -> Any:
            return await self._script.run(connection, keys, words)

        answers = await self._ask(deadline, asked, changes=True)
        return [_told(answer, effect) for answer, effect in zip(answers, effects, strict=True)]

    async def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        await super().close()
        await self._redis.close()


def _told(answer: list[Any], effect: Checked) -> Verdict | Exception | None:
    kind, *more = answer
    if kind in _TOLD or kind == b"t":
        return _TOLD.get(kind)
    if kind == b"k":
        return InDoubt("an earlier run has done part of an effect.", fix="check its keys; then bury the case.")
    command, why = effect.names[more[0] - 1], _text(more[1])
    if kind == b"e":
        return InDoubt(
            f"an effect was done in part: its {more[0] - 1} first commands, and {command} was refused.",
            why=why,
            fix="check its keys, repair them by hand, and bury the case; give the account the missing right.",
        )
    return UsageError(
        f"an effect inside Redis could not be done: {command}.", why=why, fix="use keys of that type alone."
    )


def lost_by(notes: tuple[str, ...], told: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """What a server may lose, by its INFO; and whether that is nothing while it is not replaced.

    Raises:
        ConfigurationError: it is a Cluster's node.
    """
    if told.get("cluster_enabled") == "1":
        raise ConfigurationError(
            "the inbox is on a node of a Redis Cluster.",
            why="a record and an effect of another slot cannot be done in one step there.",
            fix="use a server without cluster mode.",
        )
    lost = []
    if told.get("maxmemory_policy", "noeviction") != "noeviction":
        lost.append(EVICTS)
    if told.get("aof_enabled") != "1":
        lost.append(NOT_KEPT)
    return (*notes, *lost), not lost


def _text(said: Any) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
