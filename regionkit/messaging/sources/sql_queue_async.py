"""A table of PostgreSQL, MariaDB, MySQL or SQLite as a source and a target: no broker.

A queue is one group: what one consumer acknowledges is gone. A claim is committed before a message is given, with its count;
two consumers may have two messages of one key at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from regionkit.contract.backing_async import async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import AsyncFlag
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError, RegionKitError
from regionkit.messaging.envelope import LARGEST_MESSAGE
from regionkit.messaging.kept_tables import QUEUE
from regionkit.messaging.postgres_wake_async import LISTENING, AsyncPostgresWake
from regionkit.messaging.queue_tables_sql import LONGEST_NAME
from regionkit.messaging.sources.checks import (
    ANSWER_WITHIN,
    LONGEST_WAIT,
    MOST_AT_ONCE,
    answered,
    check_group,
    check_lease,
    chunks,
)
from regionkit.messaging.sources.file_turn_async import AsyncFileTurn
from regionkit.messaging.sources.queue_rows_sql import Held, Rows, file_of
from regionkit.messaging.sources.values import Delivery, Sent, SourceFacts

__all__ = ["AsyncSqlQueue"]

FIRST_LOOK = 0.02
"""Seconds after which an empty queue is looked at again; each pause is half as long again."""
ONE_MACHINE = "leases and delays end by this machine's clock; processes of other machines cannot share the file"
LONGEST_LOOK = 0.5
"""Seconds between two looks at most: two statements a second of an idle consumer."""


class AsyncSqlQueue:
    """A queue in a table. A source is one consumer's; a target is safe to share between threads (tasks of one loop).

    Args:
        server: a kit (with `store`), or a SQLAlchemy engine.
        name: of the queue; several share the table.
        group: by which name its consumers are known. A queue has no second one.
        store: which of a kit's stores.
        lease: seconds for which a delivery stays with the consumer that got it.
        namespace: prefix of the table.
        wake: tells consumers in other processes when something was published.
        clock: by which waits end; leases and delays end by the server's.
    """

    def __init__(
        self,
        server: Any,
        name: str,
        *,
        group: str | None = None,
        store: str | None = None,
        lease: float = 30.0,
        namespace: str = "regionkit",
        wake: AsyncPostgresWake | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_lease(lease)
        check_group(group)
        self.name = name
        self.group = group
        self._facts = SourceFacts("sql queue", FOREVER, lease, counts=True)
        self._backing: Any = async_backing_of(server, namespace=namespace, store=store, clock=clock)
        self._queue = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else b""
        if not 0 < len(self._queue) <= LONGEST_NAME:
            raise ConfigurationError(
                f"a queue cannot be named {str(name)[:80]!r}.", fix=f"take 1 to {LONGEST_NAME} bytes."
            )
        if "core" not in self._backing.capabilities.modes:
            raise ConfigurationError(
                f"queue {name!r} cannot be kept in {self._backing.name!r}.",
                why="it is a table of PostgreSQL, MariaDB, MySQL or SQLite.",
                fix="take a store or an engine of these, or RedisStream.",
            )
        self._table = table_name(self._backing.namespace, QUEUE.name)
        self._lease = lease
        self._clock = clock
        self._known: tuple[Rows, AsyncFileTurn] | None = None
        self._flag = AsyncFlag()
        self._wakes = wake
        self._subject = f"queue/{self._backing.namespace}/{name}"
        self._deaf: Callable[[], None] = lambda: None
        self._pause = FIRST_LOOK
        self._mine: dict[int, bytes] = {}
        make_with_kit(server, self)

    @property
    def facts(self) -> SourceFacts:
        """What it promises."""
        if self._wakes is None or self._wakes.state == LISTENING:
            return self._facts
        note = f"what other processes publish is seen by the next look, {LONGEST_LOOK:g} s at most: {self._wakes.state}"
        return msgspec.structs.replace(self._facts, notes=(*self._facts.notes, note))

    async def create_tables(self, deadline: Deadline | None = None) -> None:
        """Make the table, once; many processes may call it at the same time."""
        await self._backing.create_tables([QUEUE], deadline or Deadline(self._clock, ANSWER_WITHIN))

    async def _change(self, work: Callable[[Rows], Callable[[Any], Any]], deadline: Deadline | None = None) -> Any:
        """What `work` gives in a transaction of its own, at the owner."""
        deadline = deadline or Deadline(self._clock, ANSWER_WITHIN)
        endpoint = await self._backing.backend(deadline=deadline)
        if self._known is None:
            dialect, file = await endpoint.change(deadline, "queue", file_of)
            if dialect == "sqlite":
                self._facts = msgspec.structs.replace(self._facts, notes=(ONE_MACHINE,))
            self._known = Rows(self._table, self._queue, dialect), AsyncFileTurn(file)
        rows, turns = self._known
        turn = await turns.take(deadline)
        try:
            return await endpoint.change(deadline, "queue", work(rows))
        finally:
            turns.end(turn)

    async def open(self, deadline: Deadline | None = None) -> None:
        """See that the table is there.

        Raises:
            ConfigurationError: it is not; `create_tables` makes it.
            RegionUnavailable: the server does not answer.
        """
        try:
            with answered(self.name):
                await self._change(lambda rows: rows.claim(0, self._lease, b""), deadline)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"queue {self.name!r} cannot be used: {error.what}",
                why=error.why,
                fix="call create_tables() of the queue once, inside a kit kit.create_tables().",
            ) from error
        self._deaf()
        if self._wakes is not None:
            self._deaf = self._wakes.hear(self._subject, self._flag.set)

    async def fetch(self, most: int, wait: float) -> list[Delivery]:
        """At most `most` messages, within `wait` seconds; those that another one has lost among them.

        Raises:
            RegionUnavailable: the server does not answer.
        """
        if most < 1:
            return []
        until = self._clock.monotonic() + min(wait, LONGEST_WAIT)
        while True:
            self._flag.clear()
            token = os.urandom(16)
            with answered(self.name):
                found = await self._claim(min(most, MOST_AT_ONCE), token)
            if found:
                self._pause = FIRST_LOOK
                self._mine.update((id, token) for id, _, _ in found)
                return [Delivery((id, token), body, again, str(id)) for id, body, again in found]
            left = until - self._clock.monotonic()
            if left <= 0:
                return []
            if not await self._flag.wait(min(self._pause, left)):
                self._pause = min(self._pause * 1.5, LONGEST_LOOK)

    async def _claim(self, most: int, token: bytes) -> Any:
        return await self._change(lambda rows: rows.claim(most, self._lease, token))

    def _held(self, deliveries: Sequence[Delivery], *, done: bool = False) -> Held:
        """By token."""
        found: dict[bytes, list[int]] = {}
        for id, token in (delivery.receipt for delivery in deliveries):
            found.setdefault(token, []).append(id)
            if done and self._mine.get(id) == token:
                del self._mine[id]
        return sorted((token, sorted(ids)) for token, ids in found.items())

    async def ack(self, deliveries: Sequence[Delivery]) -> int:
        """They are done. How many of them were still this consumer's."""
        if not deliveries:
            return 0
        with answered(self.name):
            gone: int = await self._change(lambda rows: rows.drop(self._held(deliveries)))
        self._held(deliveries, done=True)
        return gone

    async def give_back(self, deliveries: Sequence[Delivery], delay: float) -> None:
        """Deliver them again, to whomever, after `delay` seconds at the earliest."""
        if deliveries:
            with answered(self.name):
                await self._change(lambda rows: rows.move(self._held(deliveries), delay, keep=False))
            self._held(deliveries, done=True)
            self._flag.set()

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """They are still being worked on."""
        if deliveries:
            with answered(self.name):
                await self._change(lambda rows: rows.move(self._held(deliveries), self._lease, keep=True))

    async def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline | None = None) -> list[Sent]:
        """Publish (key, envelope) in this order; confirmed is committed.

        Raises:
            RegionUnavailable: the server does not answer; any of them may have been published.
        """
        deadline = deadline or Deadline(self._clock, ANSWER_WITHIN)
        fitting = [body for _, body in bodies if len(body) <= LARGEST_MESSAGE]
        for some in chunks(fitting, MOST_AT_ONCE, LARGEST_MESSAGE):
            with answered(self.name, "unknown"):
                await self._add(some, deadline)
        self._flag.set()
        if self._wakes is not None:
            self._wakes.tell(self._subject)
        return [Sent(True) if len(body) <= LARGEST_MESSAGE else Sent(False, "too_large") for _, body in bodies]

    async def _add(self, bodies: Sequence[bytes], deadline: Deadline) -> None:
        await self._change(lambda rows: rows.publish(bodies), deadline)

    async def close(self) -> None:
        """Give back what is not acknowledged, and close the connections. May be called twice."""
        self._deaf()
        mine = [Delivery(receipt, b"") for receipt in self._mine.items()]
        self._mine.clear()
        try:
            await self.give_back(mine, 0.0)
        except RegionKitError:
            pass  # the lease gives it back
        await self._backing.close()
