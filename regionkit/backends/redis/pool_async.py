"""The connections of one Redis endpoint: checkouts for blocks, a bounded pool, the monitor's own connection.

1. The pool never waits for a server: permits are counted here, and that wait ends at the deadline.
2. A connection learns at connect which run of the server it speaks to. An idle one is looked at before use, without a
   round trip; one made before the last eviction, and one whose other side is gone, is closed.
3. A connection on which an answer may still come is closed, never given back.
"""

from __future__ import annotations

import ssl
from typing import Any

import redis
from redis.maint_notifications import MaintNotificationsConfig

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection
from regionkit.backends.redis.classify import classify, refused
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.guard import Guard
from regionkit.contract.outcomes import Failure
from regionkit.core.concurrency_async import AsyncLock, AsyncSlots
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import DeadlineExceeded, RegionKitError, RegionUnavailable
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind
from regionkit.topology import RedisStore
from regionkit.topology.server_urls import server_url

__all__ = ["AsyncRedisCheckout", "AsyncRedisPool"]


class AsyncRedisCheckout:
    """One connection, for one block. Not shared."""

    __slots__ = ("_deadline", "_guard", "_pool", "guarded", "wire", "work")

    def __init__(self, pool: AsyncRedisPool, wire: AsyncRedisConnection, deadline: Deadline, *, reading: bool) -> None:
        self._pool = pool
        self.wire = wire
        self.work = wire.begin(deadline, reading=reading)
        self.guarded = False
        self._deadline = deadline
        self._guard: Guard | None = None

    @property
    def observation(self) -> Observation:
        """What the server last said on this connection."""
        return self.wire.observation

    async def observe(self, within: float = FOREVER) -> Observation:
        """Ask the server where it stands, on this connection."""
        if not 0.0 < within < self._deadline.remaining():
            return await self.wire.observe()
        self.wire.stop()
        self.wire.start(Deadline(self._pool.clock, within))
        observation = await self.wire.observe()
        if not self.wire.expired:
            self.wire.stop()
            self.wire.start(self._deadline)
        return observation

    def keep(self, guard: Guard) -> None:
        """Before each command that finds the guard due, ask the server anew."""
        self.guarded, self._guard = True, guard

    async def recheck(self) -> None:
        """Ask now, where the time has come."""
        if self._guard is not None and self._guard.due(self._pool.clock.monotonic()):
            self._guard.renew(await self.wire.observe())

    async def release(self) -> None:
        """Give the connection back, or close it."""
        self._pool.give_back(self.wire)


class AsyncRedisPool:
    """Connections to one endpoint. Safe to share between threads or tasks."""

    def __init__(self, place: EndpointContext[RedisStore]) -> None:
        self._place = place
        self.clock = place.clock
        assert place.endpoint.url is not None
        self._url = server_url("redis", place.endpoint.url)
        self._context = self._tls()
        options = place.store.options
        host, port = self._url.hosts[0]
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "db": int(self._url.database or 0),
            "protocol": options.protocol,
            "decode_responses": options.decode_responses,
        }
        self._size = options.pool_size
        self.slots = AsyncSlots(self._size)
        self._idle: list[AsyncRedisConnection] = []
        self._inherited: list[list[AsyncRedisConnection]] = []
        self._generation = 0
        self._closed = False
        self._monitor: AsyncRedisConnection | None = None
        self._monitoring = AsyncLock()

    def _tls(self) -> ssl.SSLContext | None:
        """TLS as regionkit sets it: verified, the host name checked; None where there is none."""
        if self._url.tls(self._place.endpoint.tls) == "off":
            return None
        query = dict(self._url.query)
        context = ssl.create_default_context(cafile=query.get("ssl_ca_certs"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "ssl_certfile" in query:
            context.load_cert_chain(query["ssl_certfile"], query.get("ssl_keyfile"))
        return context

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> AsyncRedisCheckout:
        """A connection within `timeout` seconds.

        Raises:
            RegionUnavailable: it can not be had; nothing was sent.
            DeadlineExceeded: every connection is in use, or connecting took too long.
        """
        slots = self.slots
        if not slots.try_acquire() and not await slots.acquire(timeout):
            error = self._late(
                f"all {self._size} connections are in use.", "raise options.pool_size, or hold blocks shorter."
            )
            error.blames_endpoint = False
            raise error
        try:
            wire = self._idle_one()
            if wire is None:
                wire = await self._connected(min(timeout, deadline.require("connecting")))
        except BaseException:
            slots.release()
            raise
        return AsyncRedisCheckout(self, wire, deadline, reading=kind is Kind.READ)

    def _idle_one(self) -> AsyncRedisConnection | None:
        """The connection used last that is still good; others are closed."""
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if wire.generation == self._generation and wire.silent():
                return wire
            wire.tear()
        return None

    def give_back(self, wire: AsyncRedisConnection) -> None:
        """A block is over."""
        good = wire.end() and wire.generation == self._generation and not self._closed
        if good:
            self._idle.append(wire)
        else:
            wire.tear()
        self.slots.release()

    async def _connected(self, within: float) -> AsyncRedisConnection:
        wire = self._wire()
        try:
            await wire.introduce(Deadline(self.clock, within))
        except redis.exceptions.RedisError as error:
            raise self._translated(error) from error
        return wire

    def _wire(self) -> AsyncRedisConnection:
        return AsyncRedisConnection(
            history=self.key("history"),
            clock=self.clock,
            generation=self._generation,
            context=self._context,
            username=self._url.username or None,
            password=self._url.password,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=None,
            driver_info=None,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **self._arguments,
        )

    def key(self, *words: str) -> str:
        """Name of a key of regionkit's own."""
        return ":".join((self._place.namespace, "rk", *words))

    def _translated(self, error: redis.exceptions.RedisError) -> RegionKitError:
        place = self._place
        if classify(error) is Failure.DEADLINE:
            return self._late(f"{place.endpoint.id!r} did not answer in time while connecting.", "see kit.status().")
        text = str(error).strip().splitlines()
        why = text[0] if text else type(error).__name__
        cause = refused(error)
        if cause is not None:
            return cause.error(place.endpoint.id, store=place.store.name, region=place.endpoint.region, why=why)
        return RegionUnavailable(
            f"no connection to {place.endpoint.id!r} of {place.store.name!r}.",
            why=why,
            fix="see kit.status(); reads go on elsewhere where the topology allows it.",
            store=place.store.name,
            region=place.endpoint.region,
        )

    def _late(self, what: str, fix: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            what,
            why="the call's deadline passed before a connection was there; nothing was sent.",
            fix=fix,
            store=self._place.store.name,
            region=self._place.endpoint.region,
        )

    async def watched(self, timeout: float, connecting: float) -> tuple[AsyncRedisConnection, bool]:
        """The monitor's own connection, bound to a new time-out, and whether it was made just now. Its lock is held."""
        wire = self._monitor
        if wire is None:
            wire = self._monitor = await self._connected(connecting)
            wire.start(Deadline(self.clock, timeout))
            return wire, True
        wire.start(Deadline(self.clock, timeout))
        return wire, False

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        async with self._monitoring:
            try:
                wire, fresh = await self.watched(timeout, connecting)
                observation = wire.observation if fresh else await wire.observe()
                wire.stop()
            except BaseException:
                self._drop_monitor()
                raise
            return observation

    def _drop_monitor(self) -> None:
        wire, self._monitor = self._monitor, None
        if wire is not None:
            wire.tear()

    def evict(self) -> None:
        """Close idle connections, and those in use when they come back."""
        self._generation += 1
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().tear()
            except IndexError:  # another thread took it
                return

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        self._inherited.append(self._idle)  # held on to: their sockets are the parent's too
        if self._monitor is not None:
            self._inherited.append([self._monitor])
        self._idle, self._monitor = [], None
        self._monitoring = AsyncLock()
        self.slots = AsyncSlots(self._size)

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        self._closed = True
        self._drop_monitor()
        self._close_idle()
