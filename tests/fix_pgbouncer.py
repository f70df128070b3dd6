"""PgBouncer in transaction mode, in front of servers of the tests: few server connections, shared by all of its clients."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fix_rigs import wait_until
from fix_servers import absent

from regionkit.testing.servers.places import make_private, new_workspace, remove, write_owned
from regionkit.testing.servers.process import ServerProcess, ServerStartError, free_port

POOL_SIZE = 2
"""Server connections for each database and account: fewer than the tests' clients."""
READER = "shop_reader"
SETTINGS = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "trust",
    "pool_mode": "transaction",
    "default_pool_size": str(POOL_SIZE),
    "ignore_startup_parameters": "options",
}
MOST_STARTS = 5
"""Another process may take the free port first."""


class Bouncer:
    """One PgBouncer. `url_for` gives the URL of an account."""

    def __init__(self, folder: Path, program: str, target: int, settings: dict[str, str]) -> None:
        self._folder = make_private(folder)
        self._target = target
        self._settings = settings
        self.port = 0
        words = [program, str(folder / "pgbouncer.ini")]
        self.process = ServerProcess(
            "PgBouncer", lambda: words, home=folder, log=folder / "pgbouncer.log", stop_signal=signal.SIGINT
        )
        write_owned(folder / "users.txt", "".join(f'"{name}" "{name}"\n' for name in ("app", READER, "postgres")))
        for number in range(MOST_STARTS):
            try:
                self._start()
                break
            except ServerStartError as error:
                if not error.port_taken or number == MOST_STARTS - 1:
                    raise

    def _start(self) -> None:
        self.port = free_port()
        self._write()
        self.process.start(self._answers)

    def _write(self) -> None:
        settings = {**SETTINGS, **self._settings, "listen_port": str(self.port)}
        settings["auth_file"] = str(self._folder / "users.txt")
        lines = ["[databases]", f"* = host=127.0.0.1 port={self._target}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        write_owned(self._folder / "pgbouncer.ini", "\n".join(lines) + "\n")

    def lead_to(self, node: Any) -> None:
        """Another server from now on; its clients stay connected."""
        self._target = node.port
        self._write()
        process = self.process._process
        assert process is not None
        process.send_signal(signal.SIGHUP)
        wait_until(self._answers, 20)

    def _answers(self) -> bool:
        """Whether it leads where it should."""
        try:
            with psycopg.connect(
                host="127.0.0.1", port=self.port, user="app", dbname="postgres", connect_timeout=2
            ) as client:
                found = client.execute("SELECT current_setting('port')").fetchone()
        except psycopg.Error:
            return False
        return found == (str(self._target),)

    def url_for(self, database: str, user: str = "app") -> str:
        """Through it, to a database of the server."""
        return f"postgresql+psycopg://{user}:{user}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def bouncer_of(pg: Any) -> Iterator[Callable[..., Bouncer]]:
    """Makes a PgBouncer in front of a node of the shared PostgreSQL; keyword arguments are settings of its own."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin:/opt/homebrew/bin")
    if program is None:
        absent("no pgbouncer: apt-get install pgbouncer")
    if not pg.primary.sql("SELECT 1 FROM pg_roles WHERE rolname = %s", READER):
        pg.primary.sql(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER}' IN ROLE pg_read_all_data")
        pg.primary.sql(f"ALTER ROLE {READER} SET default_transaction_read_only = on")
    workspace, made = new_workspace("pgbouncer"), []

    def make(node: Any, **settings: str) -> Bouncer:
        bouncer = Bouncer(workspace / str(len(made)), program, node.port, settings)
        made.append(bouncer)
        return bouncer

    yield make
    for bouncer in made:
        bouncer.process.close()
    remove(workspace)


@pytest.fixture(scope="module")
def bouncers(pg: Any, bouncer_of: Callable[..., Bouncer]) -> tuple[Bouncer, Bouncer]:
    """In front of the primary, and of the first replica."""
    return bouncer_of(pg.primary), bouncer_of(pg.replicas[0])
