"""Where servers come from: the order of providers, what each refuses, and the error when nothing is found."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regionkit.testing import ServerUnavailable, servers
from regionkit.testing.servers import places, process, provider
from regionkit.testing.servers.kinds import mariadb as mariadb_kind
from regionkit.testing.servers.kinds import postgresql as postgresql_kind
from regionkit.testing.servers.kinds import redis as redis_kind
from regionkit.testing.servers.kinds.postgresql import PostgresqlServers
from regionkit.testing.servers.kinds.redis import RedisServers
from regionkit.testing.servers.pg_control import crc32c

_NOWHERE = provider.ServerKind(
    "nowhere", "Nowhere", (("no-such-program",),), (), "", together=False, tree=0, package="nowhere", formula="nowhere"
)


@pytest.fixture
def short_socket() -> Iterator[Path]:
    """A path short enough for a unix socket."""
    folder = places.new_workspace("t")
    yield folder / "s"
    shutil.rmtree(folder)


def test_nothing_found_names_one_command() -> None:
    """The message says which providers were asked and what to run."""
    with pytest.raises(ServerUnavailable, match=r"No Nowhere .* url, docker, local, wheel.* run: .*nowhere"):
        provider.resolve(_NOWHERE, 0)


def test_unknown_providers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in the variable does not pass for an absent server."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", "local,weel")
    with pytest.raises(ValueError, match="weel"):
        provider.resolve(_NOWHERE, 0)


@pytest.mark.parametrize("kind", [postgresql_kind.KIND, mariadb_kind.KIND, redis_kind.KIND])
def test_each_kind_names_a_command(kind: provider.ServerKind) -> None:
    """Every kind can say how to get it, on this system."""
    assert kind.package.split()[0] in provider.install_command(kind) or "brew" in provider.install_command(kind)


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    """Folders are ordered by number, not by letter: 18 before 9."""
    for version in ("9", "18", "10"):
        program = tmp_path / version / "bin" / "nowhered"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    kind = provider.ServerKind(
        "n", "N", (("nowhered",),), (f"{tmp_path}/*/bin",), "", together=True, tree=0, package="", formula=""
    )
    folders = [folder for folder in provider._local_folders(kind) if tmp_path in folder.parents]
    assert [folder.parent.name for folder in folders] == ["18", "10", "9"]


def test_too_few_urls_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that needs a replica does not silently run elsewhere than on the servers that were named."""
    monkeypatch.setenv("REGIONKIT_TEST_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(ServerUnavailable, match="names 1 server"):
        provider.resolve(redis_kind.KIND, 1)


@pytest.mark.redis
def test_redis_by_url(redis_server: RedisServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers given by URL are used, are left running, and say that they cannot be killed."""
    monkeypatch.setenv("REGIONKIT_TEST_REDIS_URL", ",".join(node.url for node in redis_server.nodes))
    with servers.redis(len(redis_server.replicas)) as given:
        assert [node.url for node in given.nodes] == [node.url for node in redis_server.nodes]
        for strike in (given.primary.kill, given.primary.freeze, given.replicas[0].stop):
            with pytest.raises(servers.NotControllable, match="REGIONKIT_TEST_REDIS_URL"):
                strike()
        given.primary.start()  # it runs already: nothing to do
        assert given.primary.alive
    assert redis_server.primary.alive


@pytest.mark.postgresql
def test_postgresql_by_url(pg: PostgresqlServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts and databases work on given servers as on own ones."""
    monkeypatch.setenv("REGIONKIT_TEST_POSTGRESQL_URL", f"{pg.primary.url},{pg.replicas[0].url}")
    with servers.postgresql(1) as given:
        name = given.database()
        assert given.replicas[0].sql("SELECT 1 FROM pg_database WHERE datname = %s", name) == [(1,)]
        with pytest.raises(servers.NotControllable):
            given.replicas[0].follow(given.primary)


@pytest.mark.mariadb
def test_mariadb_by_url(mariadb: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts and databases work on given servers as on own ones."""
    assert isinstance(mariadb, mariadb_kind.MariadbServers)
    monkeypatch.setenv("REGIONKIT_TEST_MARIADB_URL", ",".join(node.url for node in mariadb.nodes))
    with servers.mariadb(1) as given:
        name = given.database()
        assert given.replicas[0].sql("SHOW DATABASES LIKE %s", name) == [(name,)]


def _engine(path: Path, answer: bytes) -> Callable[[], None]:
    """A Docker engine of a kind on a unix socket; returns what stops it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(1000)
            if answer:
                connection.sendall(answer)
            else:
                time.sleep(3)

    threading.Thread(target=serve, daemon=True).start()
    return listener.close


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b"HTTP/1.1 200 OK\r\n\r\nOK", True), (b"HTTP/1.1 500 Oh\r\n\r\n", False), (b"", False)],
)
def test_the_docker_probe(
    short_socket: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, *, expected: bool
) -> None:
    """An engine counts when it answers its ping; a silent one costs two seconds, an absent one nothing."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_socket}")
    begun = time.monotonic()
    assert not provider.docker_answers.__wrapped__()
    assert time.monotonic() - begun < 1.0
    stop = _engine(short_socket, answer)
    assert provider.docker_answers.__wrapped__() is expected
    assert time.monotonic() - begun < 2.9
    stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers under another account")
def test_programs_below_a_closed_home_are_staged() -> None:
    """What the servers' account cannot reach is copied to where it can, tree and all, once."""
    home = places.new_workspace("home")
    try:
        program = home / "venv" / "bin" / "tool"
        program.parent.mkdir(parents=True)
        (home / "venv" / "share").mkdir()
        program.write_text("#!/bin/sh\ncat $(dirname $0)/../share/data\n")
        program.chmod(0o755)
        (home / "venv" / "share" / "data").write_text("reached")
        home.chmod(0o700)
        staged = places.within_reach(program, levels=1)
        assert process.run_tool([staged], Path("/")) == "reached"
        assert places.within_reach(program, levels=1) == staged
    finally:
        places.remove(home)
        places.remove(staged.parents[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers under another account")
@pytest.mark.postgresql
def test_servers_of_root_run_as_nobody(pg: PostgresqlServers) -> None:
    """The data folder and the process belong to the unprivileged account, and the folder is closed to others."""
    who = process.account()
    assert who is not None
    facts = pg.primary.data.stat()
    assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (who.uid, 0o700)


def test_a_template_is_built_once() -> None:
    """The second request finds what the first one built; a build that fails leaves nothing."""
    builds: list[Path] = []

    def build(folder: Path) -> None:
        builds.append(folder)
        (folder / "file").write_text("x")

    def broken(folder: Path) -> None:
        raise ValueError("broken build")

    key = f"{os.getpid()} {time.time_ns()}"
    made = places.template("test", key, build)
    try:
        assert (made, len(builds), (made / "file").read_text()) == (places.template("test", key, build), 1, "x")
        with pytest.raises(ValueError, match="broken build"):
            places.template("test", f"{key} broken", broken)
        assert not list(made.parent.glob(".draft-*/file"))
    finally:
        places.remove(made)


def test_crc32c_is_castagnoli() -> None:
    """The check value of RFC 3720."""
    assert crc32c(b"123456789") == 0xE3069283
