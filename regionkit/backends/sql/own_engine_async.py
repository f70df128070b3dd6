"""One SQL endpoint whose engine is the application's (`Endpoint(..., client=engine)`).

1. A block takes a connection of the engine's pool and gives it back as it came. The engine is never disposed of, and nothing
   is listened to on it.
2. A connection is asked once which run of the server it speaks to; again after the server changed its run or its role. One
   that is found dead then is replaced by another: nothing was sent on it.
3. The monitor's connection is made as the engine makes its own, and is not one of the pool's: an application that has all of
   them in use does not look like a dead server.
4. In asyncio the wait for a connection and for an answer to a question of regionkit's ends at the deadline; in threads it is
   the engine's `pool_timeout` and its driver's time-outs that end it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy

from regionkit.backends.sql.bridge_async import AsyncEngine, abounded, adrive
from regionkit.backends.sql.connect_errors import unreached
from regionkit.backends.sql.endpoint_async import AsyncSqlRows
from regionkit.backends.sql.observation import Unflushed
from regionkit.backends.sql.own_engine_checks import declared, plain_engine, server_for
from regionkit.backends.sql.own_engine_connection import OwnEngineConnection
from regionkit.backends.sql.rights import lacking
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint_errors import closed, in_use, too_late
from regionkit.contract.guard import Guard
from regionkit.core.concurrency_async import AsyncLock
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind

__all__ = ["AsyncOwnEngineCheckout", "AsyncOwnEngineEndpoint"]


class AsyncOwnEngineCheckout:
    """One connection of the application's pool, for one block. `keeps` is for the handle to set, and means nothing here."""

    __slots__ = ("_deadline", "_endpoint", "connection", "driver", "keeps", "observation")

    def __init__(self, endpoint: AsyncOwnEngineEndpoint, connection: OwnEngineConnection, deadline: Deadline) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self.keeps = False
        self.connection = connection
        self.driver = connection.driver
        self.observation = endpoint.known(connection)

    async def observe(self, within: float = FOREVER) -> Observation:
        """Ask the server where it stands, on this connection."""
        left = self._deadline.require("a question")
        self.observation = await self._endpoint.asked(self.connection, min(left, within))
        return self.observation

    def keep(self, guard: Guard) -> None:
        """Before each statement that finds the guard due, ask the server anew."""
        endpoint, connection = self._endpoint, self.connection

        def before_statement() -> None:
            if guard.due(endpoint.clock.monotonic()):
                guard.renew(endpoint.observe(connection))

        self.driver.guard = before_statement

    def begin_snapshot(self) -> None:
        """What follows is one repeatable read."""
        self.connection.snapshot = True

    def end_snapshot(self) -> None:
        """Nothing: it ended with its transaction."""

    async def release(self) -> None:
        """Give the connection back to the application's pool."""
        self.driver.guard = None
        await adrive(self.connection.close)


class AsyncOwnEngineEndpoint(AsyncSqlRows):
    """One endpoint on an engine of the application's. Safe to share between threads or tasks.

    Raises:
        ConfigurationError: an engine that cannot serve.
    """

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self.clock = context.clock
        self._plain = plain_engine(context)
        self._server = server_for(context, self._plain)
        self._declared = self._server.capabilities
        self.capabilities = self._declare()
        self._note = f"regionkit {context.namespace} {context.store.name} {context.endpoint.id}"
        self._me = object()
        self._generation = 0
        self._closed = self._barred = False
        self._monitor: OwnEngineConnection | None = None
        self._watching: sqlalchemy.Pool | None = None
        self._monitoring = AsyncLock()
        self._unflushed = Unflushed()
        self._inherited: list[object] = []

    def _declare(self) -> Capabilities:
        return declared(replace(self._declared, detects_promotion=False), self._context.store)

    async def keep_warm(self, timeout: float) -> None:
        """Nothing: the pool is the application's."""

    def engine(self, kind: Kind) -> AsyncEngine:
        """The application's."""
        engine: AsyncEngine = self._context.endpoint.client
        return engine

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> AsyncOwnEngineCheckout:
        """A connection of the application's pool.

        Raises:
            RegionUnavailable: no connection was available; nothing was sent.
            DeadlineExceeded: the pool's own limit passed, or (in asyncio) `timeout`.
        """
        within = min(timeout, deadline.require("connecting"))
        try:
            connection = await abounded(within, self._taken, kind, deadline)
        except sqlalchemy.exc.TimeoutError as error:
            raise self._exhausted() from error
        except TimeoutError as error:
            raise self._silent() from error
        except Exception as error:
            raise unreached(self._context, error) from error
        return AsyncOwnEngineCheckout(self, connection, deadline)

    async def branch(self, deadline: Deadline, timeout: float) -> Any:
        """Never: a branch needs connections whose waits end at the deadline and which regionkit may close.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"the engine of {self._context.endpoint.id!r} in store {self._context.store.name!r} takes no branches of"
            " global transactions.",
            why="they need connections of regionkit's own, which it may close at the deadline.",
            fix="give the endpoint a url, or hand the engine itself to the TransactionManager.",
        )

    def _taken(self, kind: Kind, deadline: Deadline) -> OwnEngineConnection:
        try:
            return self._ready(kind, deadline)
        except sqlalchemy.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self._ready(kind, deadline)  # it had been idle too long; SQLAlchemy trusts none of that age any more

    def _ready(self, kind: Kind, deadline: Deadline) -> OwnEngineConnection:
        if self._barred:  # the application's pool might make a connection
            raise closed(self._context)
        connection = OwnEngineConnection(self._plain, self._server)
        try:
            noted = connection.info.get(self._note)
            if noted is None or noted[:2] != (self._me, self._generation):
                connection.require_transactions()
                self.observe(connection)
            connection.serve(kind, deadline)
        except BaseException:
            connection.discard()
            raise
        return connection

    def known(self, connection: OwnEngineConnection) -> Observation:
        """What was learned on this connection last."""
        observation: Observation = connection.info[self._note][2]
        return observation

    def observe(self, connection: OwnEngineConnection) -> Observation:
        """Ask where the server stands, and note it on the connection. In SQLAlchemy's world."""
        noted = connection.info.get(self._note)
        run = noted[2].incarnation if noted is not None and noted[0] is self._me else ""
        generation = self._generation
        observation = connection.aside(lambda: self._server.observe(connection, run))
        connection.info[self._note] = (self._me, generation, observation)
        if self._declared is not self._server.capabilities:  # a dialect does not tell MySQL from MariaDB
            self._declared = self._server.capabilities
            self.capabilities = self._declare()
        return observation

    async def asked(self, connection: OwnEngineConnection, within: float) -> Observation:
        """The same, within `within` seconds in asyncio.

        Raises:
            DeadlineExceeded: there was no answer; the connection is closed.
        """
        try:
            return await abounded(within, self.observe, connection)
        except TimeoutError as error:
            raise self._silent() from error

    def _silent(self) -> Exception:
        return too_late(self._context, f"{self._context.endpoint.id!r} did not answer in time.")

    def _exhausted(self) -> Exception:
        fix = "let the engine have a larger pool, or hold blocks shorter."
        return in_use(self._context, f"all connections of the engine of {self._context.endpoint.id!r} are in use.", fix)

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection, within `connecting` seconds in asyncio."""
        async with self._monitoring:
            connection = self._monitor
            if connection is None:
                try:
                    connection = self._monitor = await abounded(connecting, self._watch)
                except TimeoutError as error:
                    raise self._silent() from error
                except Exception as error:
                    raise unreached(self._context, error) from error
            try:
                observation = await self.asked(connection, connecting)
                if self._unflushed.looked(observation):
                    await abounded(connecting, self._server.flush, connection)
                return observation
            except BaseException as error:
                await self._drop_monitor()
                right = lacking(self._context, error, self._context.history_table)
                if right is not None:
                    raise right from error
                raise
            finally:
                if self._closed:
                    await self._drop_monitor()

    def _watch(self) -> OwnEngineConnection:
        if self._closed:
            raise closed(self._context)
        if self._watching is None:
            self._watching = self._plain.pool.recreate()
        return OwnEngineConnection(self._plain, self._server, self._watching.connect())

    async def _drop_monitor(self) -> None:
        connection, self._monitor = self._monitor, None
        if connection is not None:
            await adrive(connection.discard)

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Never: that takes a replication connection, which the engine does not make."""
        return None

    def evict(self) -> None:
        """Believe no connection what it said before now."""
        self._generation += 1

    def abandon(self) -> None:
        """After a fork: forget the monitor's connection. The engine is the application's to renew."""
        self._inherited.append((self._monitor, self._watching))  # held on to: collected, they would speak to the server
        self._monitor = self._watching = None
        self._monitoring = AsyncLock()

    async def close(self, *, drain: bool = False) -> None:
        """Close the monitor's connection; the engine stays as it is. `drain`: open blocks may still take connections of it."""
        self._closed, self._barred = True, not drain
        await self._drop_monitor()
