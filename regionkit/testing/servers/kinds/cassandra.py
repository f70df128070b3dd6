"""Cassandra: one cluster over several data centres, each node on a loopback address of its own. No accounts.

A data centre is called as its region. Nodes are equals, so `primary` is just the first of them. Whether a node holds
another one for alive is in no table: it is read off its log.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regionkit.testing.servers.kinds import cassandra_install, cassandra_settings
from regionkit.testing.servers.kinds.cql_wire import ask
from regionkit.testing.servers.nodes import Node, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import make_private, remove
from regionkit.testing.servers.process import ServerProcess, ServerStartError
from regionkit.testing.servers.provider import Programs, ServerKind, ServerUnavailable, install_command, variable

if TYPE_CHECKING:
    from cassandra.cluster import Session

    from regionkit.testing.wan import Wan

KIND = ServerKind(
    name="cassandra",
    title="Cassandra",
    programs=((cassandra_install.PROGRAM,),),
    folders=(str(cassandra_install.folder() / "bin"),),
    wheel="",
    together=True,
    tree=1,
    package=f"{cassandra_install.JAVA_PACKAGE} {cassandra_install.MAVEN_PACKAGE} && {cassandra_install.COMMAND}",
    formula=f"openjdk@17 maven && {cassandra_install.COMMAND}",
)
VERSION_PROGRAM = cassandra_install.PROGRAM
IMAGE = "cassandra:5.0"

_PORTS = range(15_000, 32_000)  # below those that systems give to outgoing connections, so a dead node's stays free
_PORTS_ON_WAN = (7000, 9042)  # nobody else is in the namespaces
_MOST_NODES = 16  # 400 MB each, and 127.0.0.1 to 127.0.0.16
_STORAGE_PORT_TAKEN = "is in use by another process"
_DDL_TIMEOUT = 30.0
_AGREEMENT_TIMEOUT = 60.0
_PATIENCE = 20.0  # the driver's own 2 to 5 s end while a busy machine starts
_SEEN = re.compile(r"/([\d.]+):\d+ (?:(?P<up>is now UP|has restarted, now UP)|is now DOWN)")


class CassandraNode(Node):
    """One node.

    Attributes:
        region: The region that it is in.
        datacenter: Its data centre, which is called as the region.
    """

    def __init__(
        self, name: str, region: str, programs: Programs | None, workspace: Path | None, wan: Wan | None = None
    ) -> None:
        super().__init__(name)
        self.region = self.datacenter = region
        self._programs = programs
        self._cluster = ""
        self._peers: Sequence[CassandraNode] = ()
        self._log: Path | None = None
        self._marks: dict[CassandraNode, int] = {}
        self._inside: Callable[[], AbstractContextManager[None]] = nullcontext
        if workspace is not None:
            self.data = make_private(workspace / name)
            self._log = workspace / f"{name}.log"
            self._settings: cassandra_settings.NodeSettings
            self._inside = nullcontext if wan is None else partial(wan.inside, region)
            self._lifecycle = ServerProcess(
                f"Cassandra {name}", self._command, home=workspace, log=self._log, inside=self._inside
            )

    @property
    def address(self) -> str:
        """The address that the cluster knows this node by."""
        return self.host

    @property
    def url(self) -> str:
        """A URL with this node alone to begin with, in keyspace "test"."""
        return self.url_for("test")

    def url_for(self, keyspace: str) -> str:
        """Return a URL with this node alone to begin with, in `keyspace`."""
        return f"cassandra://{self.host}:{self.port}/{keyspace}"

    @contextmanager
    def connect(self, keyspace: str | None = None, **options: Any) -> Iterator[Session]:
        """Open a session of the driver whose statements this node coordinates, without retries.

        Args:
            keyspace: The keyspace that its statements are in.
            options: More of the driver's `Cluster`.
        """
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
        from cassandra.policies import FallthroughRetryPolicy, WhiteListRoundRobinPolicy

        profile = ExecutionProfile(WhiteListRoundRobinPolicy([self.host]), retry_policy=FallthroughRetryPolicy())
        patience = {"connect_timeout": _PATIENCE, "control_connection_timeout": _PATIENCE}
        options = {"execution_profiles": {EXEC_PROFILE_DEFAULT: profile}, "protocol_version": 5, **patience, **options}
        with self._inside(), Cluster([self.host], self.port, **options) as cluster:
            yield cluster.connect(keyspace)

    def cql(self, query: str, *args: object, keyspace: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement at LOCAL_ONE in a session of its own, with this node as coordinator; return its rows."""
        with self.connect(keyspace, schema_metadata_enabled=False, token_metadata_enabled=False) as session:
            return [tuple(row) for row in session.execute(query, args or None)]

    def start(self) -> None:
        """Start a stopped or killed node again on its data; return when it serves together with its live peers."""
        if not self.alive:
            for peer in self._others():
                peer._marks[self] = peer._log_size()  # earlier lines about this node do not concern this run
                self._marks[peer] = self._log_size()
        super().start()

    def sees_up(self, peer: CassandraNode) -> bool:
        """Say whether this node holds `peer` for alive; the last thing that its log says decides."""
        if self._log is None:
            return True
        with self._log.open("rb") as log:
            log.seek(self._marks.get(peer, 0))
            said = [found for found in _SEEN.finditer(log.read().decode(errors="replace")) if found[1] == peer.host]
        return bool(said) and said[-1]["up"] is not None

    def _knows(self, peer: CassandraNode) -> bool:
        """Say whether this node has the place of `peer` on the ring; before that, DDL does not reach it."""
        rows = self._ask("SELECT JSON peer, tokens FROM system.peers_v2")
        return any(row["peer"] == peer.host and row["tokens"] for row in rows)

    def _others(self) -> list[CassandraNode]:
        return [peer for peer in self._peers if peer is not self]

    @property
    def _usable(self) -> bool:
        return self.alive and not self._lifecycle.frozen

    def _answers(self) -> bool:
        peers = [peer for peer in self._others() if peer._usable]
        if not all(
            self.sees_up(peer) and peer.sees_up(self) for peer in peers
        ):  # logs first: reading costs nodes nothing
            return False
        (local,) = self._ask("SELECT JSON cluster_name, schema_version FROM system.local")
        if self._programs is not None and local["cluster_name"] != self._cluster:
            return False
        schema = local["schema_version"]
        return all(self._knows(peer) and peer._knows(self) and peer._schema() == schema for peer in peers)

    def _ask(self, *statements: str, timeout: float = 5.0) -> list[dict[str, Any]]:
        with self._inside():
            return ask(self.host, self.port, *statements, timeout=timeout)

    def _schema(self) -> str:
        (local,) = self._ask("SELECT JSON schema_version FROM system.local")
        return str(local["schema_version"])

    def _log_size(self) -> int:
        return self._log.stat().st_size if self._log and self._log.exists() else 0

    def _command(self) -> list[str]:
        assert self._programs is not None
        return [str(self._programs.paths[cassandra_install.PROGRAM]), *cassandra_settings.words(self.data)]

    def _configure(self) -> None:
        cassandra_settings.write(self.data, self._settings)

    def _empty(self) -> None:
        remove(self.data)
        make_private(self.data)
        if self._log is not None:
            self._log.unlink(missing_ok=True)
        self._marks.clear()

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        raise NotImplementedError("Cassandra's nodes are equals: none follows another")


class CassandraServers(ServerSet[CassandraNode]):
    """A Cassandra cluster; see `servers.cassandra`."""

    kind = KIND

    def __init__(
        self,
        datacenters: Mapping[str, int],
        *,
        replication: Mapping[str, int] | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        wan: Wan | None = None,
    ) -> None:
        if not datacenters or min(datacenters.values()) < 1 or sum(datacenters.values()) > _MOST_NODES:
            raise ValueError(
                f"datacenters must say how many nodes each data centre has, {_MOST_NODES} in all at most; "
                f"it is {dict(datacenters)!r}"
            )
        super().__init__(sum(datacenters.values()) - 1)
        self._datacenters = dict(datacenters)
        self._replication = dict(replication) if replication is not None else dict.fromkeys(datacenters, 1)
        self._settings = dict(settings)
        self._wan = wan

    @property
    def url(self) -> str:
        """The URL of the cluster with all its nodes, in keyspace "test"."""
        return self.url_for("test")

    def url_for(self, keyspace: str) -> str:
        """Return the URL of the cluster in `keyspace`."""
        return f"cassandra://{','.join(f'{node.host}:{node.port}' for node in self._nodes)}/{keyspace}"

    def node(self, region: str, number: int = 0) -> CassandraNode:
        """Return a node of `region`, by default the first."""
        nodes = [node for node in self._nodes if node.region == region]
        if not 0 <= number < len(nodes):
            raise KeyError(f"No node {number} is in {region}; there are {self._datacenters}")
        return nodes[number]

    def ddl(self, *statements: str, keyspace: str | None = None) -> None:
        """Run statements that change the schema, and return when all nodes that run have it.

        A driver waits for the same about a second after each statement, because it listens to what nodes say of
        their peers; here each node is asked for its own schema, in a few milliseconds.

        Raises:
            CqlError: One of them is refused; those before it are done.
            TimeoutError: The nodes do not agree.
        """
        usable = [node for node in self._nodes if node._usable]
        first = usable[0]
        use = [f'USE "{keyspace}"'] if keyspace else []
        first._ask(*use, *statements, timeout=_DDL_TIMEOUT)
        agreed = lambda: len({node._schema() for node in usable}) == 1  # noqa: E731
        wait_until(agreed, "all nodes have the schema", _AGREEMENT_TIMEOUT)

    def keyspace(self, name: str | None = None, *, replication: Mapping[str, int] | None = None) -> str:
        """Make an empty keyspace, wait until all nodes that run have it, and return its name.

        Args:
            name: What to call it (an existing one of that name is dropped); by default a name never used before.
            replication: How many copies each data centre holds, by default as in keyspace "test".
        """
        drop = [f'DROP KEYSPACE IF EXISTS "{name}"'] if name else []
        name = name or f"test_{secrets.token_hex(6)}"
        factors = {"class": "NetworkTopologyStrategy", **(self._replication if replication is None else replication)}
        self.ddl(*drop, f'CREATE KEYSPACE "{name}" WITH replication = {factors!r}')
        return name

    def wait_until_up(self, timeout: float = _AGREEMENT_TIMEOUT) -> None:
        """Return when the nodes that run hold each other for alive, as they must before a frozen one counts again.

        Raises:
            TimeoutError: They did not within `timeout` seconds.
        """
        wait_until(self._together, "all nodes serve together", timeout)

    def wait_until_down(self, node: CassandraNode, timeout: float = _AGREEMENT_TIMEOUT) -> None:
        """Return when the other nodes have given `node` up, which takes them 4 to 7 s; then they refuse at once.

        Raises:
            TimeoutError: They did not within `timeout` seconds.
        """
        others = [peer for peer in node._others() if peer._usable]
        wait_until(lambda: not any(peer.sees_up(node) for peer in others), f"{node.name} is held for dead", timeout)

    def _together(self) -> bool:
        return all(node._answers() for node in self._nodes if node._usable)

    def _boot(self, programs: Programs, workspace: Path) -> None:
        if cassandra_install.java_17() is None:
            raise ServerUnavailable(f"Cassandra is here and Java 17 is not. Run: {install_command(KIND)}")
        for region, count in self._datacenters.items():
            names = [region] if count == 1 else [f"{region}-{number}" for number in range(1, count + 1)]
            self._nodes += [CassandraNode(name, region, programs, workspace, self._wan) for name in names]
        for node in self._nodes:
            node._peers, node._cluster = self._nodes, workspace.name
        for attempt in range(5):  # ports are found free, not kept free
            self._place()
            try:
                in_parallel([node.start for node in self._nodes])
                break
            except ServerStartError as error:
                if not (error.port_taken or _STORAGE_PORT_TAKEN in str(error)) or attempt == 4:
                    raise
            for node in self._nodes:
                node.kill()
                node._empty()
        wait_until(self._together, "all nodes serve together", _AGREEMENT_TIMEOUT)
        self.keyspace("test")

    def _place(self) -> None:
        """Give the nodes their addresses, ports and places on the ring: an equal share of it within a data centre."""
        storage_port, port = _PORTS_ON_WAN
        if self._wan is not None:
            addresses = [self._wan.address(node.region, 1 + self._place_of(node)) for node in self._nodes]
        else:
            addresses = [f"127.0.0.{number}" for number in range(1, len(self._nodes) + 1)]
            storage_port, port = _free_ports(addresses)
        for node, address in zip(self._nodes, addresses):
            node.host, node.port = address, port
            regions = list(self._datacenters)
            share = 2**64 // self._datacenters[node.region]
            token = -(2**63) + 1 + self._place_of(node) * share + regions.index(node.region)
            node._settings = cassandra_settings.NodeSettings(
                node._cluster, node.datacenter, address, tuple(addresses), storage_port, port, token, self._settings
            )
            node._configure()

    def _place_of(self, node: CassandraNode) -> int:
        """Which one of its data centre a node is, from 0."""
        return [peer for peer in self._nodes if peer.region == node.region].index(node)

    def _contain(self) -> None:
        self._refuse_wan()
        from regionkit.testing.servers.containers import Container

        (region,) = self._datacenters
        variables = {"CASSANDRA_DC": region, "CASSANDRA_ENDPOINT_SNITCH": "GossipingPropertyFileSnitch"}
        container = Container(IMAGE, 9042, {**variables, "MAX_HEAP_SIZE": "512M"}, ["cassandra", "-f"])
        node = CassandraNode(region, region, None, None)
        node._lifecycle, node.host, node.port = container, container.host, container.port
        self._nodes = [node]
        node.start()
        self.keyspace("test")

    def _adopt(self, urls: Sequence[str]) -> None:
        """Use the cluster of a URL that names its nodes; its commas have been taken for those of a list."""
        self._refuse_wan()
        for url in urls:
            where = address_of(url if "://" in url else f"cassandra://{url}", 9042)
            host, port = where.hostname or "", where.port or 9042
            (local,) = ask(host, port, "SELECT JSON data_center FROM system.local")
            node = CassandraNode(f"{local['data_center']}-{host}", local["data_center"], None, None)
            node.host, node.port = host, port
            node._lifecycle = self._unmanaged(node.url)
            self._nodes.append(node)
        found = {node.region for node in self._nodes}
        if absent := self._datacenters.keys() - found:
            raise ServerUnavailable(
                f"{variable(KIND)} names no node in {' or '.join(sorted(absent))}; found are {', '.join(sorted(found))}. "
                f"Add one, or leave url out of REGIONKIT_TEST_PROVIDERS."
            )
        for node in self._nodes:
            node._peers = self._nodes
        self.keyspace("test")

    def _refuse_wan(self) -> None:
        if self._wan is not None:
            raise ServerUnavailable(f"On a Wan runs only a Cassandra of this machine's. Run: {install_command(KIND)}")


def _free_ports(addresses: Sequence[str]) -> tuple[int, int]:
    """Return two ports that nobody listens on now at any of the addresses."""
    while True:
        first, second = secrets.choice(_PORTS), secrets.choice(_PORTS)
        if first != second and all(_is_free(address, port) for address in addresses for port in (first, second)):
            return first, second


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
