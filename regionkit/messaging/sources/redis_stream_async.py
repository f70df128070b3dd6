"""A stream of Redis or Valkey as a source and a target; an envelope is the field "rk" of an entry.

1. A group begins at the earliest entry ("0", never "$"), and is made anew where a flush has taken it.
2. What a member has had longer than the lease, by the server's clock, is claimed in the same script as new entries are read.
3. A delivery is an entry, its owner and its count. What acknowledges, extends or gives back looks at both in one script: the
   server's own XACK asks nobody whose an entry is.
4. A hole before what is read next is `SourceGap`, in the script that would pass it; so is an entry that was trimmed while
   somebody had it. Before Redis 7 the server does not count what it trims, and the former is not seen.
5. Waiting is an XREAD of whatever is new: it delivers nothing, so the answer may be lost.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

from regionkit.contract.backing_async import HERE, AsyncPlain, async_backing_of
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.given import check_count, check_seconds, check_text
from regionkit.errors import ConfigurationError, Fenced, RegionKitError, RegionUnavailable, SourceGap, UsageError
from regionkit.facts.request import Kind
from regionkit.messaging.envelope import LARGEST_MESSAGE
from regionkit.messaging.retention import LONGEST
from regionkit.messaging.sources.checks import (
    ANSWER_WITHIN,
    LONGEST_WAIT,
    MOST_AT_ONCE,
    answered,
    check_group,
    check_lease,
    chunks,
)
from regionkit.messaging.sources.redis_replies import Receipt, in_order, notes_of, read
from regionkit.messaging.sources.values import Delivery, Sent, SourceFacts
from regionkit.topology import Endpoint, RedisStore, Role, profile

__all__ = ["AsyncRedisStream"]

IS_ASYNC = True

GONE_AFTER = 3600.0
"""Seconds without a sign after which a member that has nothing is taken out of the group: those that live read every second."""
LONGEST_KEY = 1024
"""Bytes of a stream's name: it is sent with every command."""
RECLAIM_EVERY = 1.0
"""Seconds between two looks for what others have lost, at most; a quarter of a shorter lease."""


class AsyncRedisStream:
    """A stream. As a source it is one member of a group; a target is safe to share between threads (tasks of one loop).

    Args:
        server: a kit (with `store`), a redis client, or a URL.
        name: the key of the stream.
        group: whose member it is; a target needs none.
        store: which of a kit's stores.
        lease: seconds for which a delivery stays with the consumer that got it.
        maxlen: most entries of the stream. Publishing beyond takes away what every group is done with, and nothing else: where
            that makes no room, messages are not confirmed. None: `trim` is yours to call.
        namespace: prefix of regionkit's own keys.
        tls: as an endpoint has it, for a URL.
        clock: by which waits end.
    """

    def __init__(
        self,
        server: Any,
        name: str,
        *,
        group: str | None = None,
        store: str | None = None,
        lease: float = 60.0,
        maxlen: int | None = None,
        namespace: str = "regionkit",
        tls: Any = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_lease(lease)
        check_group(group)
        check_text("name", name, LONGEST_KEY)
        if maxlen is not None:
            check_count("maxlen", maxlen, 1)
        self.name = name
        self.group = group
        self.facts = SourceFacts("redis stream", FOREVER, lease, counts=True)
        self._backing: Any = _backing(server, store, namespace, tls, clock)
        if self._backing.capabilities.server != "redis":
            raise ConfigurationError(
                f"stream {name!r} cannot be kept in {self._backing.name!r}.",
                fix='give "redis://...", a client of redis-py, or a kit with the name of a Redis store.',
            )
        self._lease_ms = round(lease * 1000)
        self._reclaim_every = min(RECLAIM_EVERY, lease / 4)
        self._maxlen = maxlen or 0
        self._clock = clock
        self._fences = f"{self._backing.namespace}:rk:fences:{name}"
        scripts = import_module(f"regionkit.backends.redis.script{'_async' if IS_ASYNC else ''}")
        make = scripts.AsyncScript
        self._scripts = {word: make(f"stream_{word}", "regionkit.messaging") for word in _SCRIPTS}
        self._me = ""
        self._mine: dict[bytes, int] = {}
        self._later: dict[bytes, _Later] = {}
        self._cursor, self._reclaim_at = b"0-0", 0.0
        self._last, self._left = b"0-0", 0
        self._gap: SourceGap | None = None

    async def _ask(self, question: Callable[[Any], Awaitable[Any]], deadline: Deadline) -> Any:
        backend = await self._backing.backend(deadline=deadline)
        return await backend.ask(Kind.WRITE, deadline, question)

    async def _run(self, script: str, words: Sequence[Any], deadline: Deadline | None = None) -> Any:
        """A script's reply. Each may be run again after an answer that was lost."""
        keys = [self.name, self._fences] if script == "publish" else [self.name]

        async def asked(connection: Any) -> Any:
            return await self._scripts[script].run(connection, keys, words)

        return await self._ask(asked, deadline or Deadline(self._clock, ANSWER_WITHIN))

    async def open(self, deadline: Deadline | None = None) -> None:
        """Make the group at the earliest entry, and see what the server promises.

        Raises:
            ConfigurationError: there is no group, or the key is no stream.
            RegionUnavailable: the server does not answer.
        """
        if self.group is None:
            raise ConfigurationError(
                f"stream {self.name!r} has no reader.",
                why="members of a group share its messages, and each group gets all.",
                fix='say which: group="billing".',
            )
        deadline = deadline or Deadline(self._clock, ANSWER_WITHIN)
        self._me = f"{socket.gethostname()[:64]}-{os.getpid()}-{os.urandom(4).hex()}"

        async def informed(connection: Any) -> Any:
            return [await connection.ask_one("INFO", section) for section in ("server", "memory", "persistence")]

        with answered(self.name):
            told = await self._ask(informed, deadline)
            await self._make_group(deadline)
        self.facts = msgspec.structs.replace(self.facts, notes=notes_of(told))

    async def _make_group(self, deadline: Deadline) -> bool:
        made = await self._run("open", [self.group, self._me, round(GONE_AFTER * 1000)], deadline)
        return bool(made)

    async def fetch(self, most: int, wait: float) -> list[Delivery]:
        """At most `most` messages, within `wait` seconds; those that another one has lost among them.

        Raises:
            RegionUnavailable: the server does not answer.
            SourceGap: entries are gone that were not acknowledged. Those before a hole: each time, until `skip_gap`; others once.
        """
        if most < 1:
            return []
        until = self._clock.monotonic() + min(wait, LONGEST_WAIT)
        with answered(self.name):
            while True:
                gap, self._gap = self._gap, None
                if gap is not None:
                    raise gap
                await self._hold_on()
                found = await self._looked(min(most, MOST_AT_ONCE))
                left = until - self._clock.monotonic()
                if found or (left <= 0 and self._gap is None):
                    return found
                if self._gap is None and (self._cursor == b"0-0" or self._clock.monotonic() < self._reclaim_at):
                    await self._wait(min(left, self._reclaim_every))

    async def _looked(self, most: int) -> list[Delivery]:
        """What there is now."""
        now = self._clock.monotonic()
        cursor = self._cursor if now >= self._reclaim_at else b""
        reply = await self._run("fetch", [self.group, self._me, most, self._lease_ms, cursor])
        if reply[0] == b"none":
            await self._begin_anew()
            return []
        if reply[0] == b"gap":
            raise self._hole(f"{reply[1]} entries were trimmed before they were delivered", int(reply[1]), skip=True)
        _, told, lost, self._last, left, *flat = reply
        if cursor:
            self._cursor = told
            self._reclaim_at = now + (self._reclaim_every if told == b"0-0" else 0.0)
        found = read(flat)
        self._left = max(0, int(left))
        self._mine.update(delivery.receipt for delivery in found)
        if lost:
            self._gap = self._hole(f"{lost} entries were trimmed while somebody had them", int(lost))
        return found

    async def _begin_anew(self) -> None:
        """The group is gone: with the stream's data, or alone."""
        left, self._left = self._left, 0
        self._last = b"0-0"
        self._mine.clear()
        self._later.clear()
        if await self._make_group(Deadline(self._clock, ANSWER_WITHIN)) and left:
            why = "the group no longer exists, and had unacknowledged entries: the server was flushed, or lost its data"
            self._gap = self._hole(why, left)

    def _hole(self, why: str, lost: int, *, skip: bool = False) -> SourceGap:
        return SourceGap(
            f"messages of {self.name!r} are gone that group {self.group!r} has not acknowledged.",
            why=f"{why}.",
            fix=(
                "call skip_gap() to continue after them, and trim only with trim()." if skip else "trim only by trim()."
            )
            + " An outbox can publish its messages again from its rows.",
            source=self.name,
            lost=lost,
        )

    async def skip_gap(self) -> int:
        """Go on behind a hole; how many entries are given up."""
        with answered(self.name):
            return int(await self._run("skip", [self.group]))

    async def _wait(self, seconds: float) -> None:
        """Until something new is there, or `seconds` are over."""
        words = ("XREAD", "COUNT", 1, "BLOCK", max(1, int(seconds * 1000)), "STREAMS", self.name, self._last)

        async def asked(connection: Any) -> Any:
            return await connection.ask_one(*words)

        await self._ask(asked, Deadline(self._clock, seconds + ANSWER_WITHIN))

    async def _settle(self, what: str, receipts: Sequence[Receipt], idle: int = 0) -> int:
        """How many of them were still this member's."""
        done = 0
        with answered(self.name):
            for some in chunks(in_order(receipts), MOST_AT_ONCE):
                words = [word for receipt in some for word in receipt]
                done += int(await self._run("settle", [self.group, self._me, what, idle, *words]))
        return done

    def _own(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        return [d.receipt for d in deliveries if self._mine.get(d.receipt[0]) == d.receipt[1]]

    async def ack(self, deliveries: Sequence[Delivery]) -> int:
        """They are done. How many of them were still this member's."""
        own = self._own(deliveries)
        try:
            done = await self._settle("ack", own)
        finally:  # without an answer they come again by their lease, unless they were acknowledged
            for id, _ in own:
                self._mine.pop(id, None)
        self._left = max(0, self._left - done)
        return done

    async def give_back(self, deliveries: Sequence[Delivery], delay: float) -> None:
        """Deliver them again, to whomever, after `delay` seconds at the earliest.

        A delay beyond the lease is kept by this process: where it ends, they come when the lease is over.
        """
        own = self._own(deliveries)
        await self._settle("back", own, max(0, self._lease_ms - round(delay * 1000)))
        now = self._clock.monotonic()
        for id, count in own:
            self._mine.pop(id, None)
            if delay * 1000 > self._lease_ms:
                self._later[id] = _Later(count, now + delay, now + self._lease_ms / 2000)

    async def _hold_on(self) -> None:
        """What was given back for longer than a lease is nobody's to claim until its delay is over."""
        now = self._clock.monotonic()
        for id, later in [(id, later) for id, later in self._later.items() if later.look_at <= now]:
            left = round((later.due - now) * 1000)
            await self._settle("back", [(id, later.again)], max(0, self._lease_ms - max(0, left)))
            if left > self._lease_ms:
                self._later[id] = _Later(later.again, later.due, now + self._lease_ms / 2000)
            else:
                self._later.pop(id, None)

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """They are still being worked on."""
        await self._settle("extend", self._own(deliveries))

    async def publish(
        self,
        bodies: Sequence[tuple[str | None, bytes]],
        deadline: Deadline | None = None,
        *,
        fence: tuple[str, int] | None = None,
    ) -> list[Sent]:
        """Publish (key, envelope) in this order, up to the first that finds no room.

        Args:
            bodies: what to publish.
            deadline: until when; the default is 5 s from now.
            fence: (name, epoch): refused where a higher epoch of that name has published here.

        Raises:
            RegionUnavailable: the server does not answer, or takes nothing; any of them may have been published.
            Fenced: a successor has published; nothing was.
        """
        deadline = deadline or Deadline(self._clock, ANSWER_WITHIN)
        sent = [Sent(False, "too_large" if len(body) > LARGEST_MESSAGE else "") for _, body in bodies]
        fitting = [at for at, one in enumerate(sent) if not one.refused]
        done, trimmed = 0, not self._maxlen
        while done < len(fitting):
            some = next(chunks([bodies[at][1] for at in fitting[done:]], MOST_AT_ONCE, LARGEST_MESSAGE))
            name, epoch = fence or ("", 0)
            with answered(self.name, "unknown"):
                added, why = await self._run("publish", [name, epoch, self._maxlen, *some], deadline)
            for at in fitting[done : done + int(added)]:
                sent[at] = Sent(True)
            done += int(added)
            if why and why == b"FULL" and not trimmed:
                trimmed = await self.trim() == 0
            elif why:
                self._refused(why.decode(), done)
                break
        return sent

    def _refused(self, why: str, done: int) -> None:
        """An answer that speaks of the stream, not of one message: what follows is not tried.

        Raises:
            RegionUnavailable: nothing was published.
            Fenced: a successor has published.
        """
        if why.startswith("FENCED"):
            raise Fenced(
                f"stream {self.name!r} accepts nothing from this publisher.",
                why=f"one of epoch {why.split()[1]} has published to it.",
                fix="stop: another one has taken over.",
                retryable=False,
            )
        if not done:
            full = why == "FULL"
            raise RegionUnavailable(
                f"stream {self.name!r} accepts nothing now.",
                why=f"it has {self._maxlen} entries that a group has not acknowledged." if full else f"{why}.",
                fix="check its consumers, or raise maxlen." if full else "see what the server says.",
                retryable=not why.startswith("WRONGTYPE"),
            )

    async def trim(self, *, older_than: float = 0.0) -> int:
        """Take away what every group has been given and has acknowledged, and that is older; how many went. Never anything else.

        Raises:
            UsageError: `older_than` is no time.
            RegionUnavailable: the server does not answer.
        """
        check_seconds("older_than", older_than, 0.0, LONGEST, UsageError)
        with answered(self.name):
            return int(await self._run("trim", [round(older_than * 1000)]))

    async def close(self) -> None:
        """Give back what is not acknowledged, leave the group, and close the connections. May be called twice."""
        me, self._me = self._me, ""
        if me:
            own = list(self._mine.items())
            self._mine.clear()
            try:
                for some in chunks(in_order(own), MOST_AT_ONCE):
                    words = [word for receipt in some for word in receipt]
                    await self._run("settle", [self.group, me, "back", self._lease_ms, *words])
                await self._run("leave", [self.group, me])
            except RegionKitError:
                pass  # the lease gives it back
        await self._backing.close()


class _Later(NamedTuple):
    """A delivery that comes again when it is `due`; until then it is looked at now and then."""

    again: int
    due: float
    look_at: float


_SCRIPTS = ("open", "fetch", "settle", "leave", "publish", "trim", "skip")


def _backing(server: Any, store: str | None, namespace: str, tls: Any, clock: Clock) -> Any:
    """Of a kit or a client as everywhere; of a URL, whose rules are those of an endpoint."""
    if not isinstance(server, str):
        return async_backing_of(server, namespace=namespace, store=store, clock=clock)
    context = EndpointContext(
        namespace=namespace,
        store=RedisStore("stream"),
        endpoint=Endpoint(HERE, Role.PRIMARY, server, tls=tls).named(HERE),
        profile=profile("balanced"),
        clock=clock,
        is_async=IS_ASYNC,
    )
    ending = "_async" if IS_ASYNC else ""
    backend = import_module(f"regionkit.backends.factory{ending}").async_plain_backend_of(context)
    return import_module(f"regionkit.routing.backing{ending}").async_plain_backing(AsyncPlain(context, backend))
