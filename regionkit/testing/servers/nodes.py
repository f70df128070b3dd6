"""What all kinds of servers share: a node that can be killed, a set of nodes that comes and goes as one.

Roles are those at the start: `primary` and `replicas` keep naming the same nodes after a promotion.
"""

from __future__ import annotations

import abc
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from regionkit.testing.servers.places import new_workspace, remove
from regionkit.testing.servers.process import Lifecycle, ServerStartError, free_port
from regionkit.testing.servers.provider import Engine, Programs, ServerKind, resolve, variable


class NotControllable(RuntimeError):
    """The test asked to kill, freeze or rebuild a server that the test kit did not start."""


class Unmanaged:
    """The lifecycle of a server that was given by URL: it can be used, and nothing can be done to it."""

    def __init__(self, url: str, source: str) -> None:
        self._where = urlsplit(url)
        self._source = source
        self.frozen = False

    @property
    def alive(self) -> bool:
        """Whether something listens there."""
        try:
            socket.create_connection((self._where.hostname or "127.0.0.1", self._where.port or 0), 2).close()
        except OSError:
            return False
        return True

    def start(self, ready: Callable[[], bool]) -> None:
        """Refuse, unless it is already running."""
        if not ready():
            self._refuse("started")

    def stop(self) -> None:
        """Refuse."""
        self._refuse("stopped")

    def kill(self) -> None:
        """Refuse."""
        self._refuse("killed")

    def freeze(self) -> None:
        """Refuse."""
        self._refuse("frozen")

    def thaw(self) -> None:
        """Refuse."""
        self._refuse("thawed")

    def close(self) -> None:
        """Leave it running."""

    def _refuse(self, what: str) -> NoReturn:
        raise NotControllable(
            f"The server at {self._where.hostname}:{self._where.port} was given by {self._source} and cannot be {what} "
            f"by the test kit. Unset the variable to let the kit start its own servers."
        )


class Node(abc.ABC):
    """One running server. Not for use by two threads at once, except that any thread may kill or freeze it.

    Attributes:
        name: "primary", "replica1", ... as at the start.
        host: Where it listens.
        port: Where it listens; the same again after `stop()` or `kill()` and `start()`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = 0
        self._lifecycle: Lifecycle
        self._following: Node | None = None
        self._held = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.host}:{self.port}>"

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL of the account that may do everything."""

    @property
    def alive(self) -> bool:
        """Whether the server runs; a frozen one does."""
        return self._lifecycle.alive

    def kill(self) -> None:
        """SIGKILL the server with all its processes; what it has acknowledged is on its disk or lost."""
        self._lifecycle.kill()

    def freeze(self) -> None:
        """Stop the server in its tracks: connections stay open, nothing answers, no error comes."""
        self._lifecycle.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._lifecycle.thaw()

    def stop(self) -> None:
        """Shut the server down in order."""
        self._lifecycle.stop()

    def start(self) -> None:
        """Start a stopped or killed server again on its port and its data, and return when it answers."""
        self._lifecycle.start(self._answers)

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Say whether it is this very server that answers (a port may have gone to another process)."""

    @abc.abstractmethod
    def _configure(self) -> None:
        """Write the port and the role where the server will read them."""

    def _launch(self) -> None:
        """Start for the first time, on a port of its own; ports are found free, not kept free, hence the tries."""
        for attempt in range(5):
            self.port = free_port()
            self._configure()
            try:
                self.start()
                return
            except ServerStartError as error:
                if not error.port_taken or attempt == 4:
                    raise

    def _applies_from(self, primary: Node) -> bool:
        """Say whether this node is expected to apply what `primary` commits from now on."""
        return self._following is primary and not self._held and self.alive and not self._lifecycle.frozen

    @abc.abstractmethod
    def _await_position_of(self, primary: Node, timeout: float) -> None:
        """Return when this node has applied what `primary` has committed until now."""


NodeT = TypeVar("NodeT", bound=Node)


class ServerSet(abc.ABC, Generic[NodeT]):
    """A primary and its replicas, started on entry of the `with` block, ended and removed on its exit.

    Attributes:
        primary: The node that was started as the primary.
        replicas: The nodes that were started as its replicas.
    """

    kind: ServerKind

    def __init__(self, replicas: int) -> None:
        self._wanted = replicas
        self._nodes: list[NodeT] = []
        self._workspace: Path | None = None

    @property
    def nodes(self) -> list[NodeT]:
        """All nodes, the first primary first."""
        return list(self._nodes)

    @property
    def primary(self) -> NodeT:
        """The node that was started as the primary."""
        return self._nodes[0]

    @property
    def replicas(self) -> list[NodeT]:
        """The nodes that were started as replicas."""
        return self._nodes[1:]

    def __enter__(self) -> Self:
        """Start all nodes and return when replication runs.

        Raises:
            ServerUnavailable: No provider has this kind of server; the message says what to install.
            ServerStartError: A server did not come up; the message holds the end of its log.
        """
        source = resolve(self.kind, self._wanted)
        try:
            if isinstance(source, Programs):
                self._workspace = new_workspace(self.kind.name)
                self._boot(source, self._workspace)
            elif isinstance(source, Engine):
                self._contain()
            else:
                self._adopt(source.urls)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all nodes and remove their data."""
        self.close()

    def close(self) -> None:
        """End all nodes and remove their data; may be called twice."""
        in_parallel([node._lifecycle.close for node in self._nodes if hasattr(node, "_lifecycle")])
        self._sweep()
        if self._workspace is not None:
            remove(self._workspace)

    def _sweep(self) -> None:
        """Give back what a kind of server leaves outside its folder; all nodes have ended."""

    def wait_for_replicas(self, timeout: float = 10.0) -> None:
        """Return when every replica that is alive and not held has applied what the primary has committed.

        Raises:
            TimeoutError: One has not within `timeout` seconds.
        """
        for node in self.replicas:
            if node._applies_from(self.primary):
                node._await_position_of(self.primary, timeout)

    @abc.abstractmethod
    def _boot(self, programs: Programs, workspace: Path) -> None:
        """Start the nodes as processes of this machine."""

    @abc.abstractmethod
    def _contain(self) -> None:
        """Start one node as a container."""

    @abc.abstractmethod
    def _adopt(self, urls: Sequence[str]) -> None:
        """Use servers that run already."""

    def _unmanaged(self, url: str) -> Unmanaged:
        return Unmanaged(url, variable(self.kind))


def in_parallel(jobs: Sequence[Callable[[], object]]) -> None:
    """Run all jobs at once, wait for all of them, then raise the first error if there was one."""
    if not jobs:
        return
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="regionkit-servers") as pool:
        running = [pool.submit(job) for job in jobs]
    for job in running:
        job.result()


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Return when `condition()` is true.

    Raises:
        TimeoutError: It was not within `timeout` seconds; the message says what was awaited.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout} s, and it did not happen that {what}.")
        time.sleep(0.003)


def address_of(url: str, port: int) -> SplitResult:
    """Return the parts of a server's URL; the host and the port are always there.

    Raises:
        ValueError: The URL names no host.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("The URL of a server must look like scheme://user:password@host:port/database")
    if parts.port is None:
        return parts._replace(netloc=f"{parts.netloc}:{port}")
    return parts
