"""MariaDB: a primary with replicas by global transaction id (GTID), in strict mode, row format.

Note that root bypasses read_only, and that one write of root on a replica ends its replication: tests write through
`app_url`, the ordinary account.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionkit.testing.servers.nodes import Node, NotControllable, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import copy_tree, make_private, remove, template, write_owned
from regionkit.testing.servers.process import ServerProcess, run_tool
from regionkit.testing.servers.provider import Programs, ServerKind

if TYPE_CHECKING:
    import pymysql

KIND = ServerKind(
    name="mariadb",
    title="MariaDB",
    programs=(("mariadbd",), ("mariadb-install-db",)),
    folders=("/opt/homebrew/opt/mariadb*/bin", "/usr/local/opt/mariadb*/bin"),
    wheel="",
    together=False,
    tree=1,
    package="mariadb-server-core mariadb-client-core",
    formula="mariadb",
)
VERSION_PROGRAM = "mariadbd"
IMAGE = "mariadb:11.4"

_OPTIONS = (
    "log-bin=bin",
    "log-slave-updates=ON",
    "gtid-strict-mode=ON",
    "binlog-format=ROW",
    "relay-log=relay",
    "innodb-buffer-pool-size=32M",
    "innodb-log-file-size=16M",
    "innodb-flush-method=nosync",
    "innodb-use-native-aio=0",  # the kernel's table of such requests is shared with every other server here
    "sync-binlog=0",
    "performance-schema=OFF",
    "skip-name-resolve",
    "slave-net-timeout=4",
    "max-connections=200",
    "character-set-server=utf8mb4",
)
_ACCOUNTS = (
    "CREATE USER IF NOT EXISTS app@'{host}' IDENTIFIED BY 'app'",
    "CREATE DATABASE IF NOT EXISTS shop",
    "GRANT ALL ON shop.* TO app@'{host}'",
)


class MariadbNode(Node):
    """One MariaDB server. `url` is root's, `app_url` that of an ordinary account; both in database "shop"."""

    def __init__(self, name: str, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(name)
        self._following: MariadbNode | None = None
        self._programs = programs
        self._server_id = 0
        self._log_binary = True
        if workspace is not None:
            self._workspace = workspace
            self.data = make_private(workspace / name)
            # a server that starts empties its temporary folder: in a shared one it takes the tables of another's
            # running query, and that server crashes (10.11: ha_maria::drop_table)
            self._temporary = make_private(workspace / f"{name}.tmp")
            self._options = workspace / f"{name}.cnf"
            self._lifecycle = ServerProcess(
                f"MariaDB {name}",
                lambda: [self._program("mariadbd"), f"--defaults-file={self._options}", "--console"],
                home=workspace,
                log=workspace / f"{name}.log",
            )

    @property
    def url(self) -> str:
        """Root's URL."""
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

        parts = address_of(self.url, 3306)
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
        self.sql("STOP SLAVE SQL_THREAD")
        self._held = True

    def resume_replay(self) -> None:
        """Let a held replica apply again."""
        self.sql("START SLAVE SQL_THREAD")
        self._held = False

    def promote(self) -> None:
        """Make a replica a primary; first it applies all that it has received, unless it is held or was told to stop."""
        self.sql("STOP SLAVE IO_THREAD")
        if not self._held and self._status().get("Slave_SQL_Running") == "Yes":
            wait_until(self._has_applied_what_it_received, f"{self.name} has applied what it received")
        self.sql("STOP SLAVE")
        self.sql("RESET SLAVE ALL")
        self.sql("SET GLOBAL read_only = 0")
        self._following, self._held = None, False
        if self._programs is not None:
            self._configure()

    def follow(self, primary: MariadbNode) -> None:
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
        self.sql("STOP SLAVE")
        self.sql("SET GLOBAL read_only = 1")
        if was_primary:
            self.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
        if not self._replicate():
            self._rebuild()

    def _replicate(self) -> bool:
        """Start replication; say whether the primary has accepted this node's position as part of its history."""
        primary = self._following
        assert primary is not None
        self.sql(
            f"CHANGE MASTER TO master_host='{primary.host}', master_port={primary.port}, master_user='root', "
            f"master_password='', master_use_gtid=slave_pos, master_connect_retry=1"
        )
        if primary._following is None:
            # a transaction that the primary has made after all else: who has it shares the history
            primary.sql("FLUSH USER_RESOURCES")
        mark = str(primary.sql("SELECT @@gtid_binlog_pos")[0][0])
        self.sql("START SLAVE")
        state: dict[str, Any] = {}

        def decided() -> bool:
            state.update(self._status())
            return _failed(state) or (_runs(state) and _reached(self._position(), mark))

        wait_until(decided, f"{self.name} replicates from {primary.name}")
        return not _failed(state)

    def _rebuild(self) -> None:
        """Begin again from the template, under a new server id: a node skips what its own id has written."""
        self.stop()
        remove(self.data)
        make_private(self.data)
        assert self._programs is not None
        copy_tree(_template(self._programs, self._workspace), self.data)
        self._server_id += 100_000
        self._configure()
        self.start()
        if not self._replicate():
            raise RuntimeError(f"{self.name} cannot replicate from its primary: {self._status()}")

    def _status(self) -> dict[str, Any]:
        import pymysql.cursors

        with self._connect() as connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SHOW SLAVE STATUS")
            return dict(cursor.fetchone() or {})

    def _position(self) -> str:
        return str(self.sql("SELECT @@gtid_slave_pos")[0][0])

    def _has_applied_what_it_received(self) -> bool:
        return str(self._status().get("Gtid_IO_Pos", "")) in ("", self._position())

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, MariadbNode)
        position = primary.sql("SELECT @@gtid_binlog_pos")[0][0]
        if self.sql("SELECT master_gtid_wait(%s, %s)", position, timeout)[0][0] != 0:
            raise TimeoutError(f"{self.name} has not applied {position} within {timeout} s: {self._status()}")

    def _program(self, name: str) -> str:
        assert self._programs is not None
        return str(self._programs.paths[name])

    def _answers(self) -> bool:
        folder = self.sql("SELECT @@datadir")[0][0]
        return self._programs is None or Path(folder) == self.data

    def _configure(self) -> None:
        self._server_id = self._server_id or self.port  # one port, one server: unique on this machine
        options = [
            f"datadir={self.data}",
            f"tmpdir={self._temporary}",
            f"socket={self.data}/s",  # short: the path of a socket holds 107 bytes
            f"pid-file={self.data}/pid",
            f"port={self.port}",
            "bind-address=127.0.0.1",
            f"server-id={self._server_id}",
            f"read-only={'OFF' if self._following is None else 'ON'}",
            *(option for option in _OPTIONS if self._log_binary or not option.startswith("log-")),
        ]
        write_owned(self._options, "\n".join(["[mariadbd]", *options, ""]))


class MariadbServers(ServerSet[MariadbNode]):
    """A MariaDB primary and its replicas; see `servers.mariadb`."""

    kind = KIND
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

    def _boot(self, programs: Programs, workspace: Path) -> None:
        ready_made = _template(programs, workspace)
        names = ["primary", *(f"replica{number}" for number in range(1, self._wanted + 1))]
        self._nodes = [MariadbNode(name, programs, workspace) for name in names]
        for replica in self.replicas:
            replica._following = self.primary

        def launch(node: MariadbNode) -> None:
            copy_tree(ready_made, node.data)
            node._launch()

        in_parallel([lambda node=node: launch(node) for node in self._nodes])  # type: ignore[misc]
        in_parallel([replica._replicate for replica in self.replicas])

    def _contain(self) -> None:
        from regionkit.testing.servers.containers import Container

        node = MariadbNode("primary", None, None)
        words = [f"--{option}" for option in (*_OPTIONS, "server-id=1")]
        container = Container(IMAGE, 3306, {"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1"}, words)
        node._lifecycle, node.host, node.port = container, container.host, container.port
        self._nodes = [node]
        self._app_host = "%"  # the engine's bridge is where connections come from
        node.start()
        self._make_accounts()

    def _adopt(self, urls: Sequence[str]) -> None:
        for number, url in enumerate(urls):
            node = _AdoptedNode(f"replica{number}" if number else "primary", url)
            node._lifecycle = self._unmanaged(node.url)
            node._following = self._nodes[0] if number else None
            self._nodes.append(node)
        self._app_host = "%"
        self._make_accounts()
        self.wait_for_replicas()

    def _make_accounts(self) -> None:
        for statement in _ACCOUNTS:
            self.primary.sql(statement.format(host=self._app_host))


class _AdoptedNode(MariadbNode):
    """A server given by URL; its account takes the place of root."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, None, None)
        self._parts = address_of(url, 3306)
        self.host, self.port = self._parts.hostname or "", self._parts.port or 3306

    @property
    def url(self) -> str:
        return self._parts._replace(scheme="mysql+pymysql").geturl()


def _template(programs: Programs, workspace: Path) -> Path:
    """Return the data folder of a server that was shut down in order; its binary log has not begun."""

    def build(folder: Path) -> None:
        node = MariadbNode("template", programs, folder)
        node._log_binary = False  # accounts are the same everywhere and belong to no history
        node._configure()
        words = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        run_tool([programs.paths["mariadb-install-db"], f"--defaults-file={node._options}", *words], workspace)
        node._launch()
        try:
            for statement in _ACCOUNTS:
                node.sql(statement.format(host="127.0.0.1"))
        finally:
            node.stop()

    version = run_tool([programs.paths["mariadbd"], "--version"], workspace)
    return template("mariadb", f"{version} {programs.paths['mariadbd']} {_OPTIONS}", build) / "template"


def _runs(status: dict[str, Any]) -> bool:
    return bool(status.get("Slave_IO_Running") == "Yes" and status.get("Slave_SQL_Running") == "Yes")


def _failed(status: dict[str, Any]) -> bool:
    """Say whether replication has ended with an error; one that is retried (1040, 2003, 2013) does not count."""
    transient = (0, 1040, 1158, 1159, 1160, 1161, 2002, 2003, 2006, 2013)
    return int(status.get("Last_IO_Errno", 0)) not in transient or int(status.get("Last_SQL_Errno", 0)) != 0


def _reached(position: str, mark: str) -> bool:
    """Say whether `position` is `mark` or a later one of the same server (positions read domain-server-sequence)."""
    if not mark:
        return True
    reached = {tuple(gtid.split("-")[:2]): int(gtid.split("-")[2]) for gtid in position.split(",") if gtid}
    wanted = [gtid.split("-") for gtid in mark.split(",")]
    return all(reached.get((domain, server), -1) >= int(sequence) for domain, server, sequence in wanted)
