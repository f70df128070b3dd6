# Generated from pool_async.py by scripts/twins.py. Do not edit.
"""The connections of one SQL endpoint: its engines, its bounded pools, its monitor connection.

1. Two engines: reads in autocommit (one round trip, not three) on sessions that the server keeps read-only; writes in
   transactions. A pool never waits: permits are counted here, and that wait ends at the deadline.
2. A connection learns at connect which run of the server it speaks to. Idle ones are looked at before use, without a
   round trip; those older than the last eviction, and those whose other side is gone, are closed.
3. A connection that may still get an answer (deadline passed, task cancelled) is closed, never given back.
4. The connection of a block that ended well is kept and serves the next one without a way through the pool, which costs as
   much as a third of a read's own Python; a branch's too. What the user typed with is closed then, and another object takes its
   place. One whose driver's connection was shown to the user goes back through the pool.
"""

from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import NullPool

from regionkit.backends.sql.branch import SqlBranch
from regionkit.backends.sql.branch_connection import BranchConnection, failed
from regionkit.backends.sql.bridge import Engine, create_engine, drive
from regionkit.backends.sql.checkout import SqlCheckout
from regionkit.backends.sql.classify import is_unknown_at_commit
from regionkit.backends.sql.connect_errors import unreached
from regionkit.backends.sql.connection import BlockConnection
from regionkit.backends.sql.driver import CONNECT_DEADLINE, DeadlinePassed, as_driver
from regionkit.backends.sql.observation import Unflushed
from regionkit.backends.sql.own_engine_checks import declared
from regionkit.backends.sql.registry import registered, server_of
from regionkit.backends.sql.rights import lacking
from regionkit.backends.sql.server import Server, SqlContext
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint_errors import closed, commit_unanswered, first_line, in_use
from regionkit.contract.interrupted import interruption
from regionkit.core.concurrency import Lock, Slots
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind
from regionkit.topology import sql_url

__all__ = ["SqlPool"]

IS_ASYNC = False
BRANCH = "branch"
"""Beside reads and writes: connections for branches of global transactions."""


class SqlPool:
    """Connections to one endpoint. Safe to share between threads or tasks."""

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        assert context.endpoint.url is not None
        self._url = sql_url(context.endpoint.url, is_async=context.is_async)
        self._read_url = (
            sql_url(context.endpoint.read_url, is_async=context.is_async) if context.endpoint.read_url else self._url
        )
        self.clock = context.clock
        self.server: Server = server_of(self._url.server, self._url.driver, context)
        self._declared = self.server.capabilities
        self.capabilities: Capabilities = self.declare(self._declared)
        size = context.store.options.pool_size + context.store.options.max_overflow
        self._size = size
        self.slots = self._new_slots()
        self.kept: list[BlockConnection] = []
        self.kept_writes: list[BlockConnection] = []
        self.kept_branches: list[BlockConnection] = []
        self.most_kept = context.store.options.pool_size
        self.closed = self._barred = False
        self._generation = 0
        self._lost_at = float("-inf")
        self._engines: dict[Kind | str, Engine] = {}
        self._watching: Engine | None = None
        self._monitor: BlockConnection | None = None
        self._monitoring = Lock()
        self._unflushed = Unflushed()
        self._inherited: list[list[BlockConnection]] = []

    def declare(self, capabilities: Capabilities) -> Capabilities:
        """What this endpoint promises of what its kind of server can do."""
        return declared(capabilities, self._context.store)

    def _new_slots(self) -> dict[Kind | str, Slots]:
        return {kind: Slots(self._size) for kind in (*Kind, BRANCH)}

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> SqlCheckout:
        """A connection within `timeout` seconds.

        Raises:
            RegionUnavailable: no connection was available; nothing was sent.
            DeadlineExceeded: every connection is in use, or connecting took too long.
        """
        if not self.slots[kind].try_acquire():
            self._permit(kind, timeout)
        return self._with_permit(kind, deadline, timeout)

    def branch(self, deadline: Deadline, timeout: float) -> SqlBranch:
        """A connection for a branch of a global transaction, within `timeout` seconds; its caller lets go of it.

        Raises:
            RegionUnavailable, DeadlineExceeded: as `check_out`.
        """
        self._permit(BRANCH, timeout)
        slots, connection = self.slots[BRANCH], None
        try:
            engine = self._branch_engine()
            connection = self._kept_one(self.kept_branches)
            if connection is None:
                within = Deadline(self._context.clock, min(timeout, deadline.require("connecting")))
                connection = self._connected_within(engine, within)
            self._widen(connection, deadline)
            return SqlBranch(self, engine, connection, slots, deadline)  # type: ignore[arg-type]  # of its engine's class
        except BaseException:
            if connection is not None:
                drive(connection.discard)
            slots.release()
            raise

    def _permit(self, kind: Kind | str, timeout: float) -> None:
        slots = self.slots[kind]
        if not slots.try_acquire() and not slots.acquire(timeout):
            fix = "raise options.pool_size, or hold blocks shorter."
            raise in_use(self._context, f"all {self._size} connections are in use.", fix)

    def _with_permit(self, kind: Kind, deadline: Deadline, timeout: float) -> SqlCheckout:
        """The same with a permit, which is released if it fails."""
        slots = self.slots[kind]
        connection: BlockConnection | None = None
        try:
            connection = self._kept_one(self.kept if kind is Kind.READ else self.kept_writes)
            if connection is None:
                within = Deadline(self._context.clock, min(timeout, deadline.require("connecting")))
                connection = self._connected_within(self.engine(kind), within)
            checkout = SqlCheckout(self, kind, connection, deadline)
            if deadline.timeout > connection.pooled.info["limit"]:
                self._widen(connection, deadline)
            if getattr(checkout.driver, "pooled", False):
                self._look_again(checkout)
        except BaseException:
            if connection is not None:
                drive(connection.discard)
            slots.release()
            raise
        return checkout

    def _look_again(self, checkout: SqlCheckout) -> None:
        """A pooler leads an old connection to a new run of the server, or to another server: what it said is over."""
        try:
            checkout.observe()
        except Exception as error:
            raise unreached(self._context, error) from error

    def keep_warm(self, timeout: float) -> None:
        """Have one idle connection for reads; where all permits are out there are enough."""
        slots = self.slots[Kind.READ]
        if self._url.server == "sqlite" or self.closed or self._is_warm() or not slots.try_acquire():
            return
        if self._is_warm():  # given back since: the next block takes it
            slots.release()
        else:
            checkout = self._with_permit(Kind.READ, Deadline(self.clock, timeout), timeout)
            checkout.keeps = True  # nothing was done to it
            checkout.release()

    def _is_warm(self) -> bool:
        """Whether the connection used last is idle and fit."""
        kept = self.kept[-1:]
        return bool(kept) and self._is_fit(kept[0].connection)

    def _widen(self, connection: BlockConnection, deadline: Deadline) -> None:
        """Raise the server's own limits where this call may take longer than all before it."""
        info = connection.pooled.info
        if deadline.timeout > info["limit"]:
            drive(self.server.widen, connection.pooled.dbapi_connection, deadline.timeout)
            info["limit"] = deadline.timeout

    def _connected_within(self, engine: Engine, deadline: Deadline) -> BlockConnection:
        self._require_open()
        token = CONNECT_DEADLINE.set(deadline)
        try:
            return drive(self._connect, engine)
        except Exception as error:
            told = error if interruption(error) is error else unreached(self._context, error)
            if told is error:
                raise
            raise told from error
        finally:
            CONNECT_DEADLINE.reset(token)

    def _kept_one(self, kept: list[BlockConnection]) -> BlockConnection | None:
        """The connection kept last that is still good; others are closed."""
        while kept:
            try:
                connection = kept.pop()
            except IndexError:  # another thread took it
                break
            if self._is_fit(connection.pooled):
                return connection
            drive(connection.discard)
        return None

    def _is_fit(self, pooled: Any) -> bool:
        """Whether it is good, and not to be replaced: for its age, or as another one was lost while it was idle."""
        info, now = pooled.info, self._context.clock.monotonic()
        return now < info["recycle_at"] and info.get("idle_since", now) > self._lost_at and self._is_good(pooled)

    def _is_good(self, pooled: Any) -> bool:
        """Whether a connection was made after the last eviction, and its other side is there."""
        try:
            return pooled.info["generation"] == self._generation and self.server.alive(pooled.dbapi_connection)
        except Exception:
            return False  # a driver that cannot even say

    def _connect(self, engine: Engine) -> BlockConnection:
        plain: Any = getattr(engine, "sync_engine", engine)
        for _ in range(self._size + 1):
            connection: BlockConnection = plain.connect()
            if self._is_good(connection.pooled):
                return connection
            connection.invalidate()
            connection.close()
        last: BlockConnection = plain.connect()
        return last

    def engine(self, kind: Kind) -> Engine:
        """The engine for reads or writes, made at first use."""
        if kind not in self._engines:  # of two threads that come first, one's engine is dropped before it connects
            self._engines.setdefault(kind, self._make_engine(kind))
        return self._engines[kind]

    def _branch_engine(self) -> Engine:
        if BRANCH not in self._engines:
            engine = self._make_engine(Kind.WRITE, autocommits=True)
            plain = getattr(engine, "sync_engine", engine)
            plain._connection_cls = BranchConnection
            event.listen(plain, "handle_error", failed)
            self._engines.setdefault(BRANCH, engine)
        return self._engines[BRANCH]

    def _monitor_engine(self) -> Engine:
        """An engine of its own: the monitor takes no connection away from the application."""
        if self._watching is None:
            self._watching = self._make_engine(Kind.READ, poolclass=NullPool)
        return self._watching

    def _make_engine(self, kind: Kind, *, autocommits: bool | None = None, **pool: Any) -> Engine:
        autocommits = kind is Kind.READ if autocommits is None else autocommits
        options = self._context.store.options
        if not pool:
            pool = {name: getattr(options, name) for name in ("pool_size", "max_overflow", "pool_recycle")}
        url, arguments = self.server.url_and_arguments(self._read_url if kind is Kind.READ else self._url, kind)
        if autocommits and "autocommit" in arguments:
            arguments["autocommit"] = True  # else it would be told so in a round trip of its own
        reading: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        engine: Engine = create_engine(
            url.set(drivername=registered(url.drivername, is_async=IS_ASYNC)),
            connect_args=arguments,
            query_cache_size=options.query_cache_size,
            echo=options.echo,
            hide_parameters=True,
            **pool,
            **(reading if autocommits else {}),
        )
        plain = getattr(engine, "sync_engine", engine)
        plain._connection_cls = BlockConnection
        event.listen(plain, "connect", self._connected)
        event.listen(plain, "handle_error", self._failed, retval=True)
        return engine

    def _failed(self, context: Any) -> BaseException | None:
        """A COMMIT that was sent and not answered is an unknown outcome, whoever called it. A use after the loss says so."""
        error = context.original_exception
        connection = context.connection
        if context.is_disconnect and not isinstance(error, DeadlinePassed):
            self._lost_at = self._context.clock.monotonic()
        if connection is not None and connection.invalidated and isinstance(error, RegionKitError):
            return connection.lost()  # type: ignore[no-any-return]  # SQLAlchemy would wrap the one that was raised
        if connection is None or connection.invalidated or not isinstance(error, Exception):
            return None
        is_ours = isinstance(connection, BlockConnection)  # SQLAlchemy's first question to a server has a plain one
        driver = as_driver((connection.pooled if is_ours else connection.connection).dbapi_connection)
        if interruption(error) is not None:
            driver.stopped = context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False
            return None
        if driver.commit_state != "sent":
            return None
        if not (context.is_disconnect or isinstance(error, OSError) or is_unknown_at_commit(error)):
            return None
        context.is_disconnect = True
        return commit_unanswered(self._context, first_line(error))

    def _connected(self, dbapi_connection: Any, record: Any) -> None:
        profile = self._context.profile
        record.info["generation"] = self._generation
        record.info["recycle_at"] = self._context.clock.monotonic() + self._context.store.options.pool_recycle
        record.info["limit"] = max(profile.read_deadline, profile.write_deadline)
        driver = record.info["driver"] = as_driver(dbapi_connection)
        driver.deadline = CONNECT_DEADLINE.get()  # until whoever asked for it sets its own
        try:
            record.info["observation"] = self.server.observe(dbapi_connection)
            if self._declared is not self.server.capabilities:  # a URL does not tell MySQL from MariaDB
                self._declared = self.server.capabilities
                self.capabilities = self.declare(self._declared)
            self._require_open()
        except BaseException:
            self.server.drop(dbapi_connection)
            raise

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        with self._monitoring:
            connection = self._monitor
            deadline = Deadline(self._context.clock, connecting if connection is None else timeout)
            try:
                if connection is None:
                    connection = self._monitor = self._connected_within(self._monitor_engine(), deadline)
                    return connection.pooled.info["observation"]  # type: ignore[no-any-return]  # asked a moment ago
                as_driver(connection.pooled.dbapi_connection).deadline = deadline
                under = connection.pooled.dbapi_connection
                observation = drive(self.server.observe, under)
                if self._unflushed.looked(observation):
                    drive(self.server.flush, under)
                return observation
            except BaseException as error:
                self._drop_monitor()
                right = lacking(self._context, error, self._context.history_table)
                if right is not None:  # it was taken away meanwhile
                    raise right from error
                raise
            finally:
                if self.closed:
                    self._drop_monitor()
                elif self._monitor is not None:
                    as_driver(self._monitor.pooled.dbapi_connection).deadline = None

    def _drop_monitor(self) -> None:
        connection, self._monitor = self._monitor, None
        if connection is not None:
            drive(connection.discard)

    def evict(self) -> None:
        """Trust no connection made before now."""
        self._generation += 1

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        for engine in self._engines.values():
            getattr(engine, "sync_engine", engine).dispose(close=False)
        self._engines, self._monitor, self._watching = {}, None, None
        # collected, they would speak on the parent's sockets
        self._inherited += [self.kept, self.kept_writes, self.kept_branches]
        self.kept, self.kept_writes, self.kept_branches = [], [], []
        self._monitoring = Lock()
        self.slots = self._new_slots()

    def empty(self) -> None:
        """Close the kept connections."""
        for kept in (self.kept, self.kept_writes, self.kept_branches):
            with contextlib.suppress(IndexError):  # the last one was closed, or another thread took it
                while True:
                    drive(kept.pop().discard)

    def _require_open(self) -> None:
        """Asked where a connection is made, before and after: whoever decided to did so a while ago.

        Raises:
            RegionUnavailable: it was closed.
        """
        if self._barred:
            raise closed(self._context)

    def close(self, *, drain: bool = False) -> None:
        """Close every connection; one in use is closed when it comes back. `drain`: open blocks may still take one."""
        self.closed, self._barred = True, not drain
        self._drop_monitor()
        self.empty()
        engines = [*self._engines.values(), *([self._watching] if self._watching is not None else [])]
        for engine in engines:
            engine.dispose()
