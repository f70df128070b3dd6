"""An outbox: events that are published exactly when the transaction that made them commits.

`publish` only notes the event. Its row and its number are written just before the COMMIT (before PREPARE), when all other work
of the transaction is done: the row of a key stays locked for a round trip, not for a request. A savepoint that is rolled back
takes its events along. Bad input is refused at once, and nothing is written then.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.enlist import Enlisted, enlist
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_text
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.consistency import STRONG
from regionkit.messaging.kept_tables import HOSPITAL, HOSPITAL_EVENT, OUTBOX
from regionkit.messaging.outbox_event import (
    LONGEST_REGION,
    OutboxCase,
    case_of,
    checked_destination,
    destinations_in,
    made,
)
from regionkit.messaging.outbox_facts import OutboxReport
from regionkit.messaging.outbox_rules import Event
from regionkit.messaging.postgres_wake_async import AsyncPostgresWake
from regionkit.messaging.router import Routed, Router
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["AsyncOutbox"]

IS_ASYNC = True

MOST_EVENTS = 10_000
"""Events of one transaction: they wait in memory for its COMMIT. More is a load job, for which a table is the better outbox."""
WITHIN = 10.0
"""Seconds for a transaction of the outbox's own."""


class AsyncOutbox:
    """One outbox. Safe to share between threads (tasks of one loop); what is published belongs to its transaction.

    Args:
        given: a SQLAlchemy engine of PostgreSQL, MariaDB, MySQL or SQLite; or a kit, with `store`.
        store: which of a kit's stores: the one whose transactions publish.
        name: one database may have several outboxes; each has its own numbers.
        namespace: prefix of the tables; a kit's own counts for its stores.
        destinations: the names that `to=` may use; a relay has a target for each.
        router: names the destinations of what is published without `to=`; without it that is the first destination.
        region: where events are published, told in each; a kit's own region without it.
        claim_check: not supported yet.
        wake: tells relays of other processes when something was published.
        clock: the clock for time-outs.

    Raises:
        ConfigurationError: something that cannot keep rows of an outbox; the error says what can.
    """

    def __init__(
        self,
        given: Any,
        *,
        store: str | None = None,
        name: str = "outbox",
        namespace: str = "regionkit",
        destinations: Sequence[str] = ("default",),
        router: Router | None = None,
        region: str = "",
        claim_check: None = None,
        wake: AsyncPostgresWake | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if claim_check is not None:
            raise ConfigurationError("claim checks are not supported yet.", fix="leave claim_check= out.")
        check_name("outbox", name, NAMESPACE)
        self.name = name
        self.backing: AsyncBacking = self._stands_on(
            async_backing_of(given, namespace=namespace, store=store, clock=clock)
        )
        named = (*(destinations if router is None else ()), *(router.destinations if router is not None else ()))
        if isinstance(destinations, str) or not named:
            raise ConfigurationError("an outbox has no destinations.", fix='name them: destinations=["orders"].')
        self.destinations = tuple(dict.fromkeys([*named, *(destinations if destinations != ("default",) else ())]))
        self._stored = {to: checked_destination(to) for to in self.destinations}
        self._router = router
        if region != "":
            check_text("region", region, LONGEST_REGION)
        self._region = region
        self.clock = clock
        self._buffers: weakref.WeakKeyDictionary[Enlisted, _Buffer] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._listening: dict[object, Callable[[], None]] = {}
        self._wakes = wake
        self._subject = f"outbox/{self.backing.namespace}/{name}"
        make_with_kit(given, self)

    def _stands_on(self, backing: AsyncBacking) -> AsyncBacking:
        """See that it can keep an outbox, and open the statements for it."""
        if "core" not in backing.capabilities.modes:
            raise ConfigurationError(
                f"outbox {self.name!r} cannot keep its rows in {backing.name!r}.",
                why="they are written in the producer's own transaction, on PostgreSQL, MariaDB, MySQL or SQLite.",
                fix="hand in an engine of these, or a kit with such a store; for MongoDB there is MongoOutbox.",
            )
        self.sql: Any = import_module("regionkit.messaging.relay_sql").RelaySql(backing.namespace, self.name)
        return backing

    # making

    async def create_tables(self) -> None:
        """Make what it keeps, once; many processes may call it at the same time."""
        await self.backing.create_tables((*OUTBOX, HOSPITAL, HOSPITAL_EVENT), self.deadline(15.0))
        await self.change(self.sql.ensure_run)

    def deadline(self, seconds: float = WITHIN) -> Deadline:
        """Of one piece of its own work."""
        return Deadline(self.clock, seconds)

    async def change(self, work: Callable[..., Any], *args: Any, seconds: float = WITHIN) -> Any:
        """`work(dialect, execute, *args)` in a transaction of its own, on the owner of the database."""
        async with self.backing.write(deadline=self.deadline(seconds), core=True) as unit:
            return await self.within(unit.native, work, *args)

    async def look(self, work: Callable[..., Any], *args: Any) -> Any:
        """The same, of what only reads."""
        async with self.backing.read(consistency=STRONG, deadline=self.deadline(), core=True) as unit:
            return await self.within(unit.native, work, *args)

    async def within(self, native: Any, work: Callable[..., Any], *args: Any) -> Any:
        """The same, in a unit's transaction."""

        def on(connection: Any) -> Any:
            with self.sql.expected():
                return work(_dialect(connection.dialect.name), connection.execute, *args)

        return await native.run_sync(on) if IS_ASYNC else on(native)

    # publishing

    async def publish(
        self,
        db: Any,
        type: str,
        payload: Any,
        *,
        key: str | None = None,
        expires_in: float | None = None,
        delay: float | None = None,
        headers: Mapping[str, str] | None = None,
        to: str | Sequence[str] | None = None,
    ) -> str:
        """Publish an event with the transaction of `db`: if that commits, and only then.

        Args:
            db: a Session, Connection, or one of their asyncio forms, of this database: of an engine of yours or of a block.
            type: what handlers are registered for.
            payload: anything that msgpack can encode.
            key: events of one key stay in order, for each destination; None: no order.
            expires_in: seconds after which it is no longer delivered.
            delay: seconds before which it is not delivered; its place among the events of its key is that of its time.
            headers: strings that are delivered with it.
            to: a destination, or several.

        Returns:
            The event's id.

        Raises:
            UsageError: it cannot be published, or there is no transaction. Nothing is written.
        """
        events, body = self._made(type, payload, key, expires_in, delay, headers, to)
        enlisted: Enlisted = await _enlisted(db)
        with self._lock:
            buffer = self._buffers.get(enlisted)
            if buffer is None:
                buffer = self._buffers[enlisted] = _Buffer(self, enlisted)
        buffer.add(events, body)
        return events[0].id

    async def flush(self, db: Any) -> int:
        """Write what was published in the transaction of `db` until now; numbers are taken here. How many rows.

        The keys of what is written stay locked until the COMMIT: of those who need no order of their own, only those that
        end their transactions past SQLAlchemy need this.
        """
        enlisted: Enlisted = await _enlisted(db)
        buffer = self._buffers.get(enlisted)
        if buffer is None:
            return 0
        if IS_ASYNC and hasattr(db, "run_sync"):
            return int(await db.run_sync(lambda _: buffer.write()))
        return buffer.write()

    async def send(
        self,
        queue: str,
        payload: Any,
        *,
        type: str | None = None,
        key: str | None = None,
        expires_in: float | None = None,
        delay: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Publish in a transaction of its own (fire and forget). It is durable when this returns. The event's id."""
        events, body = self._made(type or queue, payload, key, expires_in, delay, headers, queue)
        await self.change(self.sql.write, events, _shared(events, body))
        self.wake()
        return events[0].id

    def _made(
        self,
        type: str,
        payload: Any,
        key: str | None,
        expires_in: float | None,
        delay: float | None,
        headers: Mapping[str, str] | None,
        to: str | Sequence[str] | None,
    ) -> tuple[list[Event], bytes]:
        if to is None and self._router is not None:
            to = self._router.destinations_of(Routed(type, key, payload, headers or {}, self._region))
        named = self.destinations[:1] if to is None else destinations_in(to)
        unknown = [name for name in named if name not in self._stored]
        if unknown or not named:
            raise UsageError(
                f"outbox {self.name!r} has no destination {unknown[0]!r}."
                if unknown
                else "an event has no destination.",
                why="no relay would ever publish it; nothing was written.",
                fix=f"it has {', '.join(map(repr, self.destinations))}; name others with destinations=.",
            )
        stored = [self._stored[name] for name in named]
        return made(
            type, payload, stored, key=key, expires_in=expires_in, delay=delay, headers=headers, region=self._region
        )

    # what is stuck

    async def cases(self) -> list[OutboxCase]:
        """Messages that a target refused permanently, with the keys that wait behind them."""
        found = await self.look(self.sql.cases, list(self._stored.values()))
        return [case_of(*row) for row in found]

    async def doctor(self) -> OutboxReport:
        """What waits at each destination, and what needs attention."""
        report: OutboxReport = await self.look(self.sql.measure, list(self._stored.values()))
        return report

    async def release(self, id: str, *, reason: str = "", who: str = "") -> bool:
        """Publish a stuck message once more, then the messages that wait behind it. False: it is not stuck."""
        return await self._treat(id, "retrying", reason, who)

    async def bury(self, id: str, *, reason: str, who: str = "") -> bool:
        """Give a stuck message up: only its number is published, and its key continues. False: it is not stuck."""
        return await self._treat(id, "buried", reason, who)

    async def _treat(self, id: str, status: str, reason: str, who: str) -> bool:
        done = False
        for to in self._stored.values():
            done |= await self.change(self.sql.release, to, id, status, who, reason)
        self.wake()
        return done

    # waking relays of this process

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when something was published here; call the result to unsubscribe."""
        token, wakes = object(), self._wakes
        self._listening[token] = wake
        deaf = None if wakes is None else wakes.hear(self._subject, wake)

        def over() -> None:
            self._listening.pop(token, None)
            if deaf is not None:
                deaf()

        return over

    def wake(self) -> None:
        """Something was published."""
        for wake in tuple(self._listening.values()):
            wake()
        if self._wakes is not None:
            self._wakes.tell(self._subject)

    @property
    def woken(self) -> str:
        """Whether what other processes publish wakes relays here; "" where nobody asked for it."""
        return "" if self._wakes is None else self._wakes.state

    async def close(self) -> None:
        """Close the connections that the outbox opened. May be called twice."""
        await self.backing.close()


class _Buffer:
    """What one transaction publishes. It serves the thread (task) that the transaction serves."""

    def __init__(self, outbox: AsyncOutbox, enlisted: Enlisted) -> None:
        self._outbox = outbox
        self._enlisted = weakref.ref(enlisted)
        self._pending: dict[str, tuple[list[Event], bytes]] = {}
        self._last = False
        enlisted.on_outcome(self._over)

    def add(self, events: list[Event], body: bytes) -> None:
        """Note an event; it goes with the savepoint that it was published in."""
        if len(self._pending) >= MOST_EVENTS:
            raise UsageError(
                f"a transaction publishes more than {MOST_EVENTS} events.",
                why="they wait in memory for its COMMIT; this one was not noted.",
                fix="flush(db) now and then, or commit in smaller steps.",
            )
        enlisted, id = self._joined(), events[0].id
        enlisted.on_outcome(lambda outcome: self._pending.pop(id, None) if outcome == "no" else None)
        enlisted.before_commit(self._soon)
        self._pending[id] = (events, body)

    def _joined(self) -> Enlisted:
        enlisted = self._enlisted()
        assert enlisted is not None, "the transaction keeps it"
        return enlisted

    def _soon(self) -> None:
        """A call before COMMIT. The rows are written in the next round of calls: after all others of this one."""
        if not self._last and self._pending:
            self._last = True
            self._joined().before_commit(self.write)

    def write(self) -> int:
        """Write what is noted."""
        self._last = False
        pending, self._pending = self._pending, {}
        events = [event for several, _ in pending.values() for event in several]
        if events:
            shared = {id: body for id, (several, body) in pending.items() if len(several) > 1}
            enlisted = self._joined()
            with self._outbox.sql.expected():
                self._outbox.sql.write(_dialect(enlisted.dialect_name), enlisted.execute, events, shared)
        return len(events)

    def _over(self, outcome: str) -> None:
        self._pending.clear()
        if outcome != "no":
            self._outbox.wake()


def _shared(events: Sequence[Event], body: bytes) -> dict[str, bytes]:
    return {events[0].id: body} if len(events) > 1 else {}


def _dialect(name: str) -> str:
    return "mysql" if name == "mariadb" else name


async def _enlisted(db: Any) -> Enlisted:
    """The transaction of `db`, joined; an asyncio Session gets its connection here."""
    if IS_ASYNC and hasattr(db, "run_sync"):
        joined: Enlisted = await db.run_sync(enlist)
        return joined
    return enlist(db)
