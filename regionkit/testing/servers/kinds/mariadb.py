"""MariaDB: a primary with replicas by global transaction id (GTID), in strict mode, row format.

Note that one write of root on a replica ends its replication.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from regionkit.testing.servers.kinds.binlog import OPTIONS, BinlogNode, BinlogServers, Words
from regionkit.testing.servers.places import template
from regionkit.testing.servers.process import run_tool
from regionkit.testing.servers.provider import ServerKind

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
    *OPTIONS,
    "log-slave-updates=ON",
    "gtid-strict-mode=ON",
    "binlog-format=ROW",
    "innodb-log-file-size=16M",
    "slave-net-timeout=4",
)
_ACCOUNTS = (
    "CREATE USER IF NOT EXISTS app@'{host}' IDENTIFIED BY 'app'",
    "CREATE DATABASE IF NOT EXISTS shop",
    "GRANT ALL ON shop.* TO app@'{host}'",
)


class MariadbNode(BinlogNode):
    """One MariaDB server. `url` is root's, `app_url` that of an ordinary account; both in database "shop"."""

    title = "MariaDB"
    section = "mariadbd"
    _words = Words()
    _follows_by: ClassVar[dict[str, object]] = {"USE_GTID": "slave_pos"}

    def _command(self) -> list[str]:
        return [self._program("mariadbd"), f"--defaults-file={self._options}", "--console"]

    def _more_options(self) -> Sequence[str]:
        return [option for option in _OPTIONS if self._log_binary or not option.startswith("log-")]

    def _accounts(self, host: str) -> Sequence[str]:
        return [statement.format(host=host) for statement in _ACCOUNTS]

    def _refuse_writes(self, refused: bool) -> None:
        self.sql(f"SET GLOBAL read_only = {int(refused)}")

    def _may_follow(self, primary: MariadbNode, *, was_primary: bool) -> bool:
        if was_primary:
            self.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
        return True  # strict mode says so when it replicates

    def _position(self) -> str:
        return str(self.sql("SELECT @@gtid_binlog_pos")[0][0])

    def _mark(self) -> str:
        if self._following is None:
            # a transaction that the primary has made after all else: who has it shares the history
            self.sql("FLUSH USER_RESOURCES")
        return self._position()

    def _applied(self) -> str:
        return str(self.sql("SELECT @@gtid_slave_pos")[0][0])

    def _has(self, mark: str) -> bool:
        return _reached(self._applied(), mark)

    def _has_applied(self, status: dict[str, Any]) -> bool:
        return str(status.get("Gtid_IO_Pos", "")) in ("", self._applied())

    def _reaches(self, position: str, timeout: float) -> bool:
        return bool(self.sql("SELECT master_gtid_wait(%s, %s)", position, timeout)[0][0] == 0)

    def _template(self) -> Path:
        programs, workspace = self._programs, self._workspace
        assert programs is not None

        def build(folder: Path) -> None:
            node = MariadbNode("template", programs, folder)
            node._log_binary = False  # accounts are the same everywhere and belong to no history
            node._configure()
            words = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
            run_tool([programs.paths["mariadb-install-db"], f"--defaults-file={node._options}", *words], workspace)
            node._launch()
            try:
                for statement in node._accounts("127.0.0.1"):
                    node.sql(statement)
            finally:
                node.stop()

        version = run_tool([programs.paths["mariadbd"], "--version"], workspace)
        return template("mariadb", f"{version} {programs.paths['mariadbd']} {_OPTIONS}", build) / "template"


class MariadbServers(BinlogServers[MariadbNode]):
    """A MariaDB primary and its replicas; see `servers.mariadb`."""

    kind = KIND
    node = MariadbNode

    def _contain(self) -> None:
        self._contain_one(IMAGE, {"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1"}, _OPTIONS)


def _reached(position: str, mark: str) -> bool:
    """Say whether `position` is `mark` or a later one of the same server (positions read domain-server-sequence)."""
    if not mark:
        return True
    reached = {tuple(gtid.split("-")[:2]): int(gtid.split("-")[2]) for gtid in position.split(",") if gtid}
    wanted = [gtid.split("-") for gtid in mark.split(",")]
    return all(reached.get((domain, server), -1) >= int(sequence) for domain, server, sequence in wanted)
