# Generated from member_async.py by scripts/twins.py. Do not edit.
"""One member of a replica set: its client, and the pool that knows which run of the server each connection speaks to.

1. The client is pymongo's own, made for one member, with its retries off and without its monitor: routing asks where the member
   stands, and a second observer would only wait, for half a minute, where a dead member is to be an error at once.
2. A new connection asks for the run of the server. A command is sent only on a connection of the run that was proved.
3. Commands of blocks take a permit, one fewer than the pool's connections each: proofs and given-up cursors never wait for them.
   The monitor asks on a connection of its own, so that its time is not spent on making one.
4. Every wait, connecting included, ends at the deadline that `pymongo.timeout` carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pymongo
from pymongo import _csot
from pymongo.read_preferences import ReadPreference
from pymongo.synchronous.mongo_client import MongoClient
from pymongo.synchronous.pool import Pool

from regionkit.backends.mongo.dial import Address, Dial
from regionkit.backends.mongo.driver_parts import driver_part
from regionkit.backends.mongo.observation import lineage_in, observation, peers_of, run_of
from regionkit.backends.mongo.sockets import bounded, is_gone
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import closed
from regionkit.core.concurrency import Lock, Slots
from regionkit.errors import ConfigurationError
from regionkit.facts.history import LONGEST_LINEAGE, Lineage
from regionkit.facts.observation import Observation
from regionkit.topology import MongoStore

__all__ = ["Member", "MemberClient", "limited"]

RESERVED = 4
"""Connections beyond `pool_size`, for proofs and cursors that are given up."""
MOST_ABANDONED = 1000
"""Transactions kept in mind to be aborted: those of a member that has been silent for long are ended by the server itself."""
PoolState = driver_part("PoolState", "pymongo.pool_shared", "pymongo.synchronous.pool")
_NEEDED = ("_retry_internal", "_select_server", "_tmp_session", "_ensure_session", "_checkout", "_kill_cursors")


def limited(seconds: float) -> AbstractContextManager[Any]:
    """Commands inside end within `seconds`, and within any outer limit."""
    return pymongo.timeout(seconds)


class _NoMonitor:
    """In place of pymongo's monitor."""

    def __init__(self, **ignored: Any) -> None:
        """Takes what a monitor takes."""

    def open(self) -> None:
        """Start nothing."""

    def request_check(self) -> None:
        """Ask nothing."""

    def cancel_check(self) -> None:
        """Stop nothing."""

    def close(self) -> None:
        """End nothing."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for nothing."""


class _Pool(Pool):
    """Connections that know which run of the server they speak to (`run`)."""

    def connect(self, handler: Any = None) -> Any:
        conn: Any = bounded(lambda: super(_Pool, self).connect(handler), _csot.remaining())
        try:
            conn.run = run_of(conn.command("admin", {"hello": 1}))
        except BaseException:
            self.active_contexts.discard(conn.cancel_context)
            conn.close_conn(None)
            raise
        return conn


class MemberClient(MongoClient[dict[str, Any]]):
    """pymongo's client of one member. It looks for no server: there is one."""

    def __del__(self) -> None:
        """No complaint of an unclosed client: a kit closes it, a block's view has nothing to close, a fork drops it."""

    def _get_topology(self) -> Any:
        return self._topology

    def _select_server(self, server_selector: Any, session: Any, operation: str, *others: Any, **more: Any) -> Any:
        server: Any = next(iter(self._topology._servers.values()))
        if session is not None and not session.in_transaction:
            session._transaction.reset()
        if server.pool.state == PoolState.PAUSED:  # after an error: this command tries a new connection
            server.pool.ready()
        return server

    def _kill_cursors(self, cursor_ids: Any, address: Any, topology: Any, session: Any) -> None:
        server = self._select_server(None, None, "killCursors")
        with self._checkout(server, session) as conn:
            self._kill_cursor_impl(cursor_ids, address, session, conn)


def _made(dial: Dial, address: Address, connections: int) -> MemberClient:
    missing = [name for name in _NEEDED if not hasattr(MongoClient, name)]
    if missing:
        raise ConfigurationError(
            f"pymongo {pymongo.version} is not one that this version of regionkit knows.",
            why=f"it lacks {', '.join(missing)}, with which blocks put their session into every command.",
            fix='pip install "regionkit[mongo]" chooses one that fits.',
        )
    host, port = address
    return MemberClient(
        f"[{host}]" if ":" in host else host,
        port,
        connect=False,
        directConnection=True,
        retryWrites=False,
        retryReads=False,
        maxPoolSize=connections,
        _pool_class=_Pool,
        _monitor_class=_NoMonitor,
        **{"appname": "regionkit", **dial.options},
    )


class _Line:
    """A client of one member, opened at first use."""

    __slots__ = ("_opening", "_pool", "client")

    def __init__(self, client: MemberClient) -> None:
        self.client = client
        self._opening = Lock()
        self._pool: Any = None

    def open(self) -> None:
        """Make the client ready; sends nothing."""
        if self._pool is None:
            with self._opening:
                if self._pool is None:
                    topology: Any = self.client._topology
                    topology.open()
                    self.client._opened = True
                    self._pool = next(iter(topology._servers.values())).pool

    @property
    def is_warm(self) -> bool:
        """Whether a connection is there, as far as can be told without a round trip."""
        pool = self._pool
        if pool is None:
            return False
        try:
            conn = pool.conns[0]
        except IndexError:
            return bool(pool.active_sockets)
        if is_gone(conn):
            pool.gen.inc(None)  # the others died with it
            return False
        return not pool.stale_generation(conn.generation, None)

    def evict(self) -> None:
        """Connections made before this are closed when they are next touched."""
        if self._pool is not None:
            self._pool.gen.inc(None)

    def close(self) -> None:
        """Close every connection. May be called twice."""
        if self._pool is not None:
            self.client.close()


class Member:
    """A member of a replica set. Connects at first use."""

    def __init__(self, context: EndpointContext[MongoStore], dial: Dial, address: Address) -> None:
        self.context = context
        self.address = address
        self.database = dial.database
        self.codec_options = dial.codec_options
        self.peers: tuple[Address, ...] = ()
        """The members that it named when it was asked last, the primary first."""
        self.closed = False
        """Nothing connects any more."""
        self.suspect = False
        """It said that it is not the primary, and was not asked since."""
        self._set_name = dial.set_name
        size = context.store.options.pool_size
        self.slots = Slots(size)
        self._blocks, self._monitor = (_Line(_made(dial, address, count)) for count in (size + RESERVED, 1))
        self.client = self._blocks.client
        self.abandoned: list[dict[str, Any]] = []
        self._lineage: tuple[str, Lineage | None] = ("", None)

    def open(self) -> None:
        """Make the client ready; sends nothing.

        Raises:
            RegionUnavailable: it was closed.
        """
        self._opened(self._blocks)

    def _opened(self, line: _Line) -> None:
        line.open()
        if self.closed:  # before it was opened, or meanwhile: its pool may know nothing of that
            raise closed(self.context)

    @property
    def is_warm(self) -> bool:
        """Whether a connection for blocks is there, as far as can be told without a round trip."""
        return self._blocks.is_warm

    @property
    def is_watched(self) -> bool:
        """Whether the monitor's connection is there."""
        return self._monitor.is_warm

    def evict(self) -> None:
        """Connections made before this are closed when they are next touched."""
        self._blocks.evict()

    def observe(self, *, history: bool) -> Observation:
        """Ask the member where it stands; `history`: for the monitor, and its history rows, even if they are known.

        Raises:
            ConfigurationError: it is not what the topology says.
            RegionUnavailable, pymongo.errors.PyMongoError: it cannot be asked.
        """
        line = self._monitor if history else self._blocks
        self._opened(line)
        client, clock = line.client, self.context.clock
        server = client._select_server(None, None, "hello")
        with client._checkout(server, None) as conn:
            connection: Any = conn
            sent_at = clock.monotonic()
            hello: Mapping[str, Any] = connection.command("admin", {"hello": 1}, client=client)
            rtt = clock.monotonic() - sent_at
            self.peers, self.suspect = peers_of(hello), False
            run = run_of(hello)
            known, lineage = self._lineage
            if history or lineage is None or known != run:
                lineage = self._history(client, connection)
                self._lineage = (run, lineage)
        return observation(self.context, hello, lineage, sent_at, rtt, set_name=self._set_name)

    def _history(self, client: Any, connection: Any) -> Lineage | None:
        command = {
            "find": self.context.history_table,
            "sort": {"epoch": -1},
            "limit": LONGEST_LINEAGE,
            "batchSize": LONGEST_LINEAGE,
            "readConcern": {"level": "majority"},
        }
        anywhere = ReadPreference.PRIMARY_PREFERRED
        found: Any = connection.command(self.database, command, anywhere, client=client)
        return lineage_in(found["cursor"]["firstBatch"])

    def tidy(self) -> None:
        """Abort transactions and close cursors that blocks had to leave behind."""
        client: Any = self.client
        while self.abandoned:
            try:
                command = self.abandoned.pop()  # two blocks may begin at once: each takes its own
            except IndexError:
                break
            try:
                server = client._select_server(None, None, "abortTransaction")
                with client._checkout(server, None) as conn:
                    conn.command("admin", dict(command), client=client, check=False)
            except BaseException:
                self.abandon(command)
                raise
        if client._kill_cursors_queue:
            client._process_kill_cursors()

    def abandon(self, command: dict[str, Any]) -> None:
        """Abort a transaction later: its block had no time left for it."""
        if len(self.abandoned) < MOST_ABANDONED:
            self.abandoned.append(command)

    def close(self) -> None:
        """Close every connection. May be called twice."""
        self.closed = True
        with limited(self.context.profile.probe_timeout):
            for line in (self._blocks, self._monitor):
                line.close()
