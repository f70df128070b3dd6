"""What MariaDB and MySQL have in common: a primary, and replicas that follow its binary log by global transaction ids (GTID).

Note that root bypasses read_only: tests write through `app_url`, the ordinary account.
"""

from __future__ import annotations

import abc
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar
from urllib.parse import SplitResult

from regionkit.testing.servers.containers import Container
from regionkit.testing.servers.nodes import Node, NotControllable, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import copy_tree, make_private, remove, write_owned
from regionkit.testing.servers.process import ServerProcess
from regionkit.testing.servers.provider import Programs

if TYPE_CHECKING:
    import pymysql

PORT = 3306
OPTIONS = (
    "log-bin=bin",
    "relay-log=relay",
    "innodb-buffer-pool-size=32M",
    "innodb-flush-method=nosync",
    "innodb-use-native-aio=0",  # the kernel's table of such requests is shared with every other server here
    "sync-binlog=0",
    "performance-schema=OFF",
    "skip-name-resolve",
    "max-connections=200",
    "character-set-server=utf8mb4",
)
TRANSIENT = (0, 1040, 1158, 1159, 1160, 1161, 2002, 2003, 2006, 2013)
"""Errors after which a replica asks its primary again."""


class Words(NamedTuple):
    """How a version calls what has to do with replication."""

    replica: str = "SLAVE"
    source: str = "MASTER"
    key: str = "Slave"


class BinlogNode(Node):
    """One server. `url` is root's, `app_url` that of an ordinary account; both in database "shop"."""

    title: ClassVar[str]
    section: ClassVar[str]
    """Of the file of options."""

    def __init__(self, name: str, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(name)
        self._following: BinlogNode | None = None
        self._programs = programs
        self._given: SplitResult | None = None
        self._server_id = 0
        self._log_binary = True
        if workspace is not None:
            self._workspace = workspace
            self.data = make_private(workspace / name)
            # a server that starts empties its temporary folder: in a shared one it takes the tables of another's
            # running query, and that server crashes (MariaDB 10.11: ha_maria::drop_table)
            self._temporary = make_private(workspace / f"{name}.tmp")
            self._options = workspace / f"{name}.cnf"
            self._lifecycle = ServerProcess(
                f"{self.title} {name}", self._command, home=workspace, log=workspace / f"{name}.log"
            )

    @classmethod
    def at(cls, name: str, url: str) -> Self:
        """A server that runs already; the account of its URL takes the place of root."""
        node = cls(name, None, None)
        node._given = address_of(url, PORT)
        node.host, node.port = node._given.hostname or "", node._given.port or PORT
        return node

    @property
    def url(self) -> str:
        """Root's URL."""
        if self._given is not None:
            return self._given._replace(scheme="mysql+pymysql").geturl()
        return f"mysql+pymysql://root@{self.host}:{self.port}/shop"

    @property
    def app_url(self) -> str:
        """The URL of the ordinary account "app", to which read_only applies."""
        return self.url_for("shop")

    def url_for(self, database: str) -> str:
        """Return the URL of the ordinary account "app" in `database`."""
        return f"mysql+pymysql://app:app@{self.host}:{self.port}/{database}"

    def sql(self, query: str, *args: object, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as root in a connection of its own, committed at once; return its rows."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(query, args or None)
            return list(cursor.fetchall())

    def _connect(self, database: str | None = None) -> pymysql.Connection[Any]:
        import pymysql

        parts = address_of(self.url, PORT)
        return pymysql.connect(
            host=self.host, port=self.port, user=parts.username or "root", password=parts.password or "",
            database=database, autocommit=True, connect_timeout=2, ssl_disabled=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start a stopped or killed server again on its port and its data; a held replica starts again unheld."""
        super().start()
        self._held = False

    def pause_replay(self) -> None:
        """Hold a replica at what it has applied; it goes on receiving."""
        self.sql(f"STOP {self._words.replica} SQL_THREAD")
        self._held = True

    def resume_replay(self) -> None:
        """Let a held replica apply again."""
        self.sql(f"START {self._words.replica} SQL_THREAD")
        self._held = False

    def promote(self) -> None:
        """Make a replica a primary; first it applies all that it has received, unless it is held or was told to stop."""
        replica, key = self._words.replica, self._words.key
        self.sql(f"STOP {replica} IO_THREAD")
        if not self._held and self._status().get(f"{key}_SQL_Running") == "Yes":
            wait_until(lambda: self._has_applied(self._status()), f"{self.name} has applied what it received")
        self.sql(f"STOP {replica}")
        self.sql(f"RESET {replica} ALL")
        self._refuse_writes(False)
        self._following, self._held = None, False
        if self._programs is not None:
            self._configure()

    def follow(self, primary: BinlogNode) -> None:
        """Make this node a replica of `primary`, whatever it was; what only it has is lost. Returns when it applies.

        A node whose history has left the primary's is emptied and replicates the primary's binary log from its start.

        Raises:
            NotControllable: The test kit did not start this server.
        """
        if self._programs is None:
            raise NotControllable(f"{self.name} was not started by the test kit and cannot be made to follow another.")
        was_primary = self._following is None
        self._following = primary
        self._configure()
        self.thaw()
        self.start()
        self.sql(f"STOP {self._words.replica}")
        self._refuse_writes(True)
        if not self._may_follow(primary, was_primary=was_primary) or not self._replicate():
            self._rebuild()

    def _replicate(self) -> bool:
        """Start replication; say whether the primary has accepted this node's position as part of its history."""
        primary, words = self._following, self._words
        assert primary is not None
        values = {"HOST": f"'{primary.host}'", "PORT": primary.port, "USER": "'root'", "PASSWORD": "''"}
        change = {**values, "CONNECT_RETRY": 1, **self._follows_by}
        self.sql(
            f"CHANGE {'MASTER' if words.source == 'MASTER' else 'REPLICATION SOURCE'} TO "
            + ", ".join(f"{words.source}_{name}={value}" for name, value in change.items())
        )
        mark = primary._mark()
        self.sql(f"START {words.replica}")
        state: dict[str, Any] = {}

        def failed() -> bool:
            return int(state.get("Last_IO_Errno", 0)) not in TRANSIENT or int(state.get("Last_SQL_Errno", 0)) != 0

        def decided() -> bool:
            state.update(self._status())
            runs = all(state.get(f"{words.key}_{thread}_Running") == "Yes" for thread in ("IO", "SQL"))
            return failed() or (runs and self._has(mark))

        wait_until(decided, f"{self.name} replicates from {primary.name}")
        return not failed()

    def _rebuild(self) -> None:
        """Begin again from the template, under a new server id: a node skips what its own id has written."""
        self.stop()
        remove(self.data)
        make_private(self.data)
        copy_tree(self._template(), self.data)
        self._server_id += 100_000
        self._configure()
        self.start()
        if not self._replicate():
            raise RuntimeError(f"{self.name} cannot replicate from its primary: {self._status()}")

    def _status(self) -> dict[str, Any]:
        import pymysql.cursors

        with self._connect() as connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(f"SHOW {self._words.replica} STATUS")
            return dict(cursor.fetchone() or {})

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, BinlogNode)
        position = primary._position()
        if not self._reaches(position, timeout):
            raise TimeoutError(f"{self.name} has not applied {position} within {timeout} s: {self._status()}")

    def _program(self, name: str) -> str:
        assert self._programs is not None
        return str(self._programs.paths[name])

    def _answers(self) -> bool:
        folder = self.sql("SELECT @@datadir")[0][0]
        return self._programs is None or Path(folder) == self.data

    def _configure(self) -> None:
        self._server_id = self._server_id or self.port or 1  # one port, one server: unique on this machine
        options = [
            f"datadir={self.data}",
            f"tmpdir={self._temporary}",
            f"socket={self.data}/s",  # short: the path of a socket holds 107 bytes
            f"pid-file={self.data}/pid",
            f"port={self.port}",
            "bind-address=127.0.0.1",
            f"server-id={self._server_id}",
            f"read-only={'OFF' if self._following is None else 'ON'}",
            *self._more_options(),
        ]
        write_owned(self._options, "\n".join([f"[{self.section}]", *options, ""]))

    @property
    @abc.abstractmethod
    def _words(self) -> Words:
        """Those of its version."""

    _follows_by: ClassVar[dict[str, object]]
    """What CHANGE MASTER says beside the address, without the prefix."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    @abc.abstractmethod
    def _more_options(self) -> Sequence[str]:
        """Lines of its file of options, beside those of each server."""

    @abc.abstractmethod
    def _template(self) -> Path:
        """The data folder of a server that was shut down in order; its binary log has not begun."""

    @abc.abstractmethod
    def _accounts(self, host: str) -> Sequence[str]:
        """Statements that make the account "app", where connections come from `host`, and its database."""

    @abc.abstractmethod
    def _refuse_writes(self, refused: bool) -> None:
        """From now on."""

    @abc.abstractmethod
    def _may_follow(self, primary: Any, *, was_primary: bool) -> bool:
        """Whether the primary may have all that this node has. Sets where replication begins."""

    @abc.abstractmethod
    def _position(self) -> str:
        """What a primary has committed."""

    @abc.abstractmethod
    def _mark(self) -> str:
        """A position that only those have who share this node's history."""

    @abc.abstractmethod
    def _has(self, mark: str) -> bool:
        """Whether it has applied that much."""

    @abc.abstractmethod
    def _has_applied(self, status: dict[str, Any]) -> bool:
        """Whether a replica has applied all that it has received."""

    @abc.abstractmethod
    def _reaches(self, position: str, timeout: float) -> bool:
        """Whether it has applied that much within so many seconds."""


BinlogNodeT = TypeVar("BinlogNodeT", bound=BinlogNode)


class BinlogServers(ServerSet[BinlogNodeT]):
    """A primary and its replicas."""

    node: ClassVar[type[BinlogNode]]
    _app_host = "127.0.0.1"

    def database(self, name: str | None = None) -> str:
        """Make an empty database that "app" may do anything in, wait until the replicas have it, return its name.

        Args:
            name: What to call it (an existing one of that name is dropped); by default a name never used before.
        """
        name = name or f"test_{secrets.token_hex(6)}"
        self.primary.sql(f"DROP DATABASE IF EXISTS `{name}`")
        self.primary.sql(f"CREATE DATABASE `{name}`")
        self.primary.sql(f"GRANT ALL ON `{name}`.* TO app@'{self._app_host}'")
        self.wait_for_replicas()
        return name

    def _made(self, name: str, programs: Programs | None, workspace: Path | None) -> Any:
        return self.node(name, programs, workspace)

    def _boot(self, programs: Programs, workspace: Path) -> None:
        names = ["primary", *(f"replica{number}" for number in range(1, self._wanted + 1))]
        self._nodes = [self._made(name, programs, workspace) for name in names]
        ready_made = self.primary._template()
        for replica in self.replicas:
            replica._following = self.primary

        def launch(node: BinlogNode) -> None:
            copy_tree(ready_made, node.data)
            node._launch()

        in_parallel([lambda node=node: launch(node) for node in self._nodes])  # type: ignore[misc]
        in_parallel([replica._replicate for replica in self.replicas])

    def _contain_one(self, image: str, environment: dict[str, str], options: Sequence[str]) -> None:
        """Start one as a container, with such options."""
        node = self._made("primary", None, None)
        container = Container(image, PORT, environment, [f"--{option}" for option in (*options, "server-id=1")])
        node._lifecycle, node.host, node.port = container, container.host, container.port
        self._nodes = [node]
        node.start()
        self._make_accounts()

    def _adopt(self, urls: Sequence[str]) -> None:
        for number, url in enumerate(urls):
            node: Any = self.node.at(f"replica{number}" if number else "primary", url)
            node._lifecycle = self._unmanaged(node.url)
            node._following = self._nodes[0] if number else None
            self._nodes.append(node)
        self._make_accounts()
        self.wait_for_replicas()

    def _make_accounts(self) -> None:
        """Of servers that the kit did not build from a template: connections come from the network of an engine, or any other."""
        self._app_host = "%"
        for statement in self.primary._accounts(self._app_host):
            self.primary.sql(statement)
