"""The driver's connections to one data centre: found, opened in a thread, shared by all blocks, closed.

1. Contact points are asked one after the other which data centre they are in, and which nodes the cluster has; the first that
   answers ends it. From then on nothing but nodes of this endpoint's data centre is connected to, by the control connection
   either: no request ever goes to another one.
2. Opening blocks, so it runs in a thread of its own that outlives the caller's deadline; all that wait share it.
3. The driver retries nothing, except a statement that calls itself idempotent, once, on another node of the data centre.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, TypeVar

import cassandra.cluster as driver
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.connection import DefaultEndPoint
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, FallthroughRetryPolicy
from cassandra.protocol import QueryMessage
from cassandra.query import BatchStatement, BoundStatement, PreparedStatement, SimpleStatement, tuple_factory

from regionkit.backends.cassandra.classify import refused
from regionkit.backends.cassandra.cql import Facts, facts_of, joined
from regionkit.backends.cassandra.keyspace_state import KeyspaceState, LentSlot, StampSlot, keyspace_state_of
from regionkit.backends.cassandra.observation import replication_of
from regionkit.backends.cassandra.quick_connection import QuickConnection
from regionkit.backends.cassandra.silent_nodes import SilentNodes, SpeakersFirst
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import closed
from regionkit.errors import RegionUnavailable, UsageError
from regionkit.facts.quorum import RAISED
from regionkit.topology import CassandraOptions, CassandraStore
from regionkit.topology.server_urls import ServerUrl

__all__ = ["Opened", "Opener", "in_thread", "profiles_of", "statement_facts"]

LOG = logging.getLogger("regionkit.cassandra")

T = TypeVar("T")

PROTOCOL = 5
"""Native protocol: Cassandra 4.0 and later. A fixed one saves a refused handshake a connection."""
RECONNECT_EVERY = 1.0
"""Seconds between attempts to connect to a node that is down: a node comes back in seconds, and one attempt costs nothing."""
HEARTBEAT_EVERY = 5.0
"""Seconds after which an idle connection is tried: a frozen node sends no word that it is gone."""
NO_DELAY = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
"""Else the second of two questions waits until the node has confirmed the first: a round trip more."""
FIND_ANEW_AFTER = 30.0
"""Seconds without a connected node after which the contact points are asked again."""


def in_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Run `work` in a daemon thread: it blocks in the driver, and never keeps the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class _OnlyIdempotent(FallthroughRetryPolicy):  # type: ignore[misc]  # it ships no types
    """No retry, but of a statement that says itself that it may run twice, when its node was lost."""

    def on_request_error(self, query: Any, consistency: Any, error: Any, retry_num: int) -> Any:
        """Whether to go on to the next node."""
        if retry_num == 0 and query is not None and query.is_idempotent:
            return self.RETRY_NEXT_HOST, None
        return self.RETHROW, None


def profiles_of(options: CassandraOptions, datacenter: str, silent: SilentNodes) -> dict[str, ExecutionProfile]:
    """By what a statement is for; the level is set only here. "own": the library's own statements."""
    level = ConsistencyLevel.name_to_value

    def profile(name: str, **more: Any) -> ExecutionProfile:
        return ExecutionProfile(
            load_balancing_policy=SpeakersFirst(DCAwareRoundRobinPolicy(datacenter), silent),
            retry_policy=_OnlyIdempotent(),
            consistency_level=level[name],
            serial_consistency_level=ConsistencyLevel.SERIAL,
            **more,
        )

    return {
        "write": profile(options.write_level),
        "session": profile(options.read_level),
        "eventual": profile("LOCAL_ONE"),
        "strong": profile("SERIAL"),
        "own": profile("LOCAL_ONE", row_factory=tuple_factory),
        **{level: profile(level) for level in RAISED},
    }


class Opened:
    """Connections to the nodes of one data centre, and the statements prepared there. Thread-safe."""

    __slots__ = (
        *(
            "_lock",
            "_most",
            "_prepared",
            "cluster",
            "facts",
            "keyspace_state",
            "name",
            "profiles",
            "session",
            "silent",
            "slot",
        ),
    )

    def __init__(
        self,
        cluster: Cluster,
        session: Session,
        slot: StampSlot | LentSlot,
        state: KeyspaceState,
        name: str,
        most: int,
        profiles: Mapping[str, str],
        silent: SilentNodes,
    ) -> None:
        self.cluster = cluster
        self.session = session
        self.slot = slot
        self.keyspace_state = state
        self.name = name
        self.profiles = profiles
        self.silent = silent
        self.facts = lru_cache(most)(facts_of)
        self._most = most
        self._prepared: OrderedDict[str, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def learn_schema(self) -> None:
        """Ask for the schema, and follow its changes: by it the driver finds the node that has a row. Until then any is asked."""
        self.cluster.schema_metadata_enabled = True
        try:
            self.cluster.refresh_schema_metadata(max_schema_agreement_wait=0)
        except Exception:  # with the next change of the schema, or the next control connection, it is asked for again
            LOG.debug("the schema of %s could not be read", self.name, exc_info=True)

    def has_node(self) -> bool:
        """Whether a node of the data centre is connected, as far as the driver knows."""
        return any(not pool.is_shutdown for pool in tuple(self.session.get_pools()))

    def nodes(self) -> int:
        """How many nodes are connected."""
        return sum(not pool.is_shutdown for pool in tuple(self.session.get_pools()))

    def node(self) -> Any:
        """The connected one that every process would choose first, for changes of the schema; None when there is none."""
        hosts = [pool.host for pool in tuple(self.session.get_pools()) if not pool.is_shutdown]
        return min(hosts, key=lambda host: str(host.endpoint), default=None)

    def prepared(self, text: str) -> Future[Any]:
        """The prepared statement of a text, the server asked at its first use."""
        with self._lock:
            found = self._prepared.get(text)
            if found is not None and not (found.done() and found.exception() is not None):
                self._prepared.move_to_end(text)
                return found
            made = self._prepared[text] = in_thread(lambda: self.session.prepare(text), "regionkit cassandra prepare")
            while len(self._prepared) > self._most:
                self._prepared.popitem(last=False)
        return made

    def text_of(self, query_id: bytes) -> str | None:
        """The text of a statement prepared on this data centre; None when it is not known here."""
        found = self.cluster._prepared_statements.get(query_id)
        return None if found is None else str(found.query_string)


class Opener:
    """Opens the connections of one endpoint at first use, once for all who wait. Thread-safe."""

    def __init__(self, context: EndpointContext[CassandraStore], url: ServerUrl, datacenter: str) -> None:
        self._context = context
        self._url = url
        self._datacenter = datacenter
        self._points = list(url.hosts)
        self._inherited: list[Any] = []
        self._state: KeyspaceState | None = None
        self._silent = SilentNodes()
        self._closed = False
        self._renew()

    def _renew(self) -> None:
        self.opened: Opened | None = None
        self._opening: Future[Opened] | None = None
        self._lock = threading.Lock()
        self._lost_since = self._lost_last = float("-inf")

    def open(self) -> Future[Opened]:
        """The connections; one attempt at a time."""
        with self._lock:
            if self._closed:
                raise closed(self._context)
            if self._opening is None or (self._opening.done() and self.opened is None):
                self._opening = in_thread(self._open, f"regionkit cassandra {self._datacenter}")
            return self._opening

    def check(self) -> None:
        """Whether the connections still are what they were: nobody else has them."""

    def lost(self, opened: Opened) -> None:
        """No node is connected. After a while its nodes are looked for anew: they may have come back at other addresses."""
        now = self._context.clock.monotonic()
        with self._lock:
            if self.opened is not opened:
                return
            if now - self._lost_last > FIND_ANEW_AFTER / 2.0:  # it was there in between
                self._lost_since = now
            self._lost_last = now
            if now - self._lost_since < FIND_ANEW_AFTER:
                return
            self.opened = None
        in_thread(opened.cluster.shutdown, "regionkit cassandra close")

    def close(self) -> Future[None]:
        """Close them, and those that a thread is opening."""
        with self._lock:
            self._closed = True
            opened, self.opened = self.opened, None
        return in_thread(lambda: None if opened is None else opened.cluster.shutdown(), "regionkit cassandra close")

    def abandon(self) -> None:
        """After a fork: hold on to the parent's, so that nothing of it is closed here."""
        leave = getattr(driver, "_discard_cluster_shutdown", None)  # else the driver closes them when this process ends
        if self.opened is not None and leave is not None:
            leave(self.opened.cluster)
        self._inherited.append((self.opened, self._opening))
        self._renew()

    def _open(self) -> Opened:
        options = self._context.store.options
        nodes, name = self._found()
        if self._closed:
            raise closed(self._context)
        slot = StampSlot()
        cluster = self._cluster(nodes, timestamp_generator=slot)
        try:
            session = cluster.connect(self._url.database)
        except BaseException:
            cluster.shutdown()
            raise
        session.default_fetch_size = options.page_size
        self._keyspace_state = keyspace_state_of(name, str(self._url.database))  # held here: connections come and go
        names = {purpose: purpose for purpose in profiles_of(options, self._datacenter, self._silent)}
        opened = Opened(cluster, session, slot, self._keyspace_state, name, options.statements, names, self._silent)
        with self._lock:
            if not self._closed:
                self.opened = opened
                in_thread(opened.learn_schema, f"regionkit cassandra schema of {self._datacenter}")
                return opened
        cluster.shutdown()
        raise closed(self._context)

    def _cluster(self, nodes: list[tuple[str, int]], **more: Any) -> Cluster:
        url, patience = self._url, self._context.profile.read_deadline
        profiles = profiles_of(self._context.store.options, self._datacenter, self._silent)
        account = None
        if url.username is not None:
            account = PlainTextAuthProvider(url.username, url.password or "")
        return Cluster(
            contact_points=nodes,
            protocol_version=PROTOCOL,
            auth_provider=account,
            ssl_context=self._tls(),
            connect_timeout=patience,
            control_connection_timeout=patience,
            max_schema_agreement_wait=self._context.profile.write_deadline,
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_EVERY, None),
            idle_heartbeat_interval=HEARTBEAT_EVERY,
            idle_heartbeat_timeout=HEARTBEAT_EVERY,
            prepare_on_all_hosts=False,  # a node that does not know a statement is told when it says so
            reprepare_on_up=False,
            monitor_reporting_enabled=False,
            schema_metadata_enabled=False,  # five round trips: asked for once the connections are there
            sockopts=NO_DELAY,
            connection_class=QuickConnection,
            execution_profiles={**profiles, EXEC_PROFILE_DEFAULT: profiles["session"]},
            **more,
        )

    def _tls(self) -> ssl.SSLContext | None:
        """Verified, with the node's address checked."""
        if self._url.tls(self._context.endpoint.tls) == "off":
            return None
        query = dict(self._url.query)
        context = ssl.create_default_context(cafile=query.get("ssl_ca_certs"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "ssl_certfile" in query:
            context.load_cert_chain(query["ssl_certfile"], query.get("ssl_keyfile"))
        return context

    def _found(self) -> tuple[list[tuple[str, int]], str]:
        """Nodes of this data centre, and the cluster's name, as the first contact point that answers knows them.

        Raises:
            RegionUnavailable: it is not in the cluster, or holds nothing of the keyspace.
            ConfigurationError: the keyspace is not there, or not replicated by data centre.
        """
        asking = self._cluster(self._points[:1])
        failed: Exception | None = None
        try:
            asking.connection_class.initialize_reactor()
            for point in tuple(self._points):
                try:
                    members, name, said = _members(asking, point, str(self._url.database))
                except Exception as error:
                    # a node that refuses says more than one that is gone
                    failed = failed if failed is not None and refused(failed) else error
                    continue
                self._points.remove(point)
                self._points.insert(0, point)  # it is asked first the next time
                return self._nodes(members, said), name
        finally:
            asking.shutdown()
        assert failed is not None
        raise failed

    def _nodes(self, members: list[tuple[str, int, str]], said: dict[str, str] | None) -> list[tuple[str, int]]:
        context, here = self._context, self._datacenter
        where: dict[str, Any] = {"store": context.store.name, "region": context.endpoint.region, "retryable": False}
        nodes = [(host, port) for host, port, datacenter in members if datacenter == here]
        if not nodes:
            raise RegionUnavailable(
                f"the cluster of {context.store.name!r} has no data centre {here!r} for region {context.endpoint.region}.",
                why=f"it has: {', '.join(sorted({datacenter for _, _, datacenter in members}))}.",
                fix="give its name in datacenters = { region = name }, or leave the region out of the topology.",
                cause=f"the cluster has no data centre {here!r}",
                **where,
            )
        if here not in dict(replication_of(str(self._url.database), said)):
            raise RegionUnavailable(
                f"keyspace {self._url.database!r} of {context.store.name!r} has no replicas in data centre {here!r}.",
                fix="ALTER KEYSPACE gives it some, and nodetool rebuild fills them.",
                cause=f"the keyspace has no replicas in data centre {here!r}",
                **where,
            )
        return nodes


def _members(asking: Cluster, point: tuple[str, int], keyspace: str) -> tuple[list[tuple[str, int, str]], str, Any]:
    """(host, port, data centre) of every node, the cluster's name, and the keyspace's replication."""
    connection = asking.connection_factory(DefaultEndPoint(*point))
    try:
        questions = [
            QueryMessage("SELECT data_center, cluster_name FROM system.local", ConsistencyLevel.ONE),
            QueryMessage("SELECT native_address, native_port, data_center FROM system.peers_v2", ConsistencyLevel.ONE),
            QueryMessage("SELECT keyspace_name, replication FROM system_schema.keyspaces", ConsistencyLevel.ONE),
        ]
        local, peers, keyspaces = connection.wait_for_responses(*questions, timeout=asking.connect_timeout)
    finally:
        connection.close()
    datacenter, name = local.parsed_rows[0]
    others = [(str(host), int(port), str(where)) for host, port, where in peers.parsed_rows if host and where]
    return [(*point, datacenter), *others], name, dict(keyspaces.parsed_rows).get(keyspace)


def statement_facts(query: Any, opened: Opened) -> Facts:
    """Of any statement that the driver takes."""
    if isinstance(query, str):
        return opened.facts(query)
    if isinstance(query, PreparedStatement):
        return opened.facts(query.query_string)
    if isinstance(query, BoundStatement):
        return opened.facts(query.prepared_statement.query_string)
    if isinstance(query, SimpleStatement):
        return opened.facts(query.query_string)
    if isinstance(query, BatchStatement):
        texts = [opened.text_of(q) if prepared else q for prepared, q, _ in query._statements_and_parameters]
        if None in texts:
            raise UsageError(
                "a batch holds a statement that was prepared elsewhere.",
                why="its id does not say what it does.",
                fix="prepare it with cql.prepare(...) in the same block.",
            )
        return joined([opened.facts(text) for text in texts if text is not None])
    raise UsageError(f"{type(query).__name__} is not a statement.", fix="pass a text, or a statement of the driver's.")
