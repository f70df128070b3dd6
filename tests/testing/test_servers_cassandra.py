"""Cassandra under the test kit: data centres that replicate, nodes that die, freeze and come back, how it is had."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cassandra import ConsistencyLevel, ReadTimeout, Unavailable
from cassandra.query import SimpleStatement

from regionkit.testing import servers
from regionkit.testing.servers import process, provider
from regionkit.testing.servers.kinds import cassandra as kind
from regionkit.testing.servers.kinds import cassandra_install
from regionkit.testing.servers.kinds.cassandra import CassandraNode, CassandraServers
from regionkit.testing.servers.kinds.cql_wire import CqlError
from regionkit.testing.servers.nodes import wait_until

pytestmark = pytest.mark.cassandra

_TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
_READ = "SELECT v FROM t WHERE id = %s"
_WRITE = "INSERT INTO t (id, v) VALUES (%s, %s)"


@pytest.fixture(scope="module")
def pair(cassandra: CassandraServers) -> Iterator[CassandraServers]:
    """Two nodes in one data centre, each with every row, beside the shared cluster."""
    with servers.cassandra({"us-east-1": 2}, replication={"us-east-1": 2}) as pair:
        yield pair


def _table(cluster: CassandraServers) -> str:
    keyspace = cluster.keyspace()
    cluster.ddl(_TABLE, keyspace=keyspace)
    return keyspace


def _run(node: CassandraNode, keyspace: str, query: str, *args: object, level: int) -> list[tuple[object, ...]]:
    with node.connect(keyspace) as session:
        return [tuple(row) for row in session.execute(SimpleStatement(query, consistency_level=level), args)]


def test_cassandra_is_one_cluster_over_two_datacenters(cassandra: CassandraServers) -> None:
    """Each node is in the data centre that is called as its region, and knows the other one in the other."""
    us, eu = cassandra.node("us-east-1"), cassandra.node("eu-west-1")
    assert cassandra.nodes == [us, eu]
    for node, other in ((us, eu), (eu, us)):
        assert node.region == node.datacenter
        assert node.cql("SELECT data_center FROM system.local") == [(node.region,)]
        assert node.cql("SELECT peer, data_center FROM system.peers_v2") == [(other.address, other.region)]
    assert cassandra.url == f"cassandra://127.0.0.1:{us.port},127.0.0.2:{eu.port}/test"
    with pytest.raises(KeyError, match="eu-west-1"):
        cassandra.node("ap-northeast-2")


def test_cassandra_replicates(cassandra: CassandraServers) -> None:
    """What EACH_QUORUM acknowledges in one data centre is read at LOCAL_QUORUM in the other."""
    keyspace = _table(cassandra)
    for number, (here, there) in enumerate([cassandra.nodes, cassandra.nodes[::-1]]):
        _run(here, keyspace, _WRITE, number, "tea", level=ConsistencyLevel.EACH_QUORUM)
        assert _run(there, keyspace, _READ, number, level=ConsistencyLevel.LOCAL_QUORUM) == [("tea",)]


def test_cassandra_ddl_is_on_all_nodes(cassandra: CassandraServers) -> None:
    """When `ddl` returns, each node has the tables, in the order of the statements; a refusal is Cassandra's own."""
    keyspace = cassandra.keyspace()
    cassandra.ddl(_TABLE, "ALTER TABLE t ADD w text", "CREATE TABLE other (id int PRIMARY KEY)", keyspace=keyspace)
    query = "SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = %s"
    columns = [("other", "id"), ("t", "id"), ("t", "v"), ("t", "w")]
    assert [sorted(node.cql(query, keyspace)) for node in cassandra.nodes] == [columns, columns]
    with pytest.raises(CqlError, match="already existing"):
        cassandra.ddl(_TABLE, keyspace=keyspace)


def test_cassandra_keyspaces_are_fresh(cassandra: CassandraServers) -> None:
    """Asking again gives an empty one; names given by the kit differ; copies are one a data centre, or as asked for."""
    for _ in range(2):
        assert cassandra.keyspace("again") == "again"
        cassandra.ddl(_TABLE, keyspace="again")
    one, two = cassandra.keyspace(), cassandra.keyspace(replication={"eu-west-1": 2})
    query = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
    factors = [dict(cassandra.nodes[0].cql(query, name)[0][0]) for name in ("test", one, two)]
    for each in factors:
        assert each.pop("class").endswith("NetworkTopologyStrategy")
    assert factors == [{"us-east-1": "1", "eu-west-1": "1"}] * 2 + [{"eu-west-1": "2"}]


def test_cassandra_kill_and_restart(pair: CassandraServers) -> None:
    """The others give a killed node up; it comes back on its port with what it had acknowledged alone."""
    keyspace = _table(pair)
    killed, other = pair.node("us-east-1"), pair.node("us-east-1", 1)
    url = killed.url
    other.freeze()
    try:
        killed.cql(_WRITE, 1, "alone", keyspace=keyspace)
        killed.kill()
    finally:
        other.thaw()
    assert (killed.alive, other.alive) == (False, True)
    pair.wait_until_down(killed)
    with pytest.raises(Unavailable):
        _run(other, keyspace, _WRITE, 2, "all", level=ConsistencyLevel.ALL)
    pair.ddl("CREATE TABLE meanwhile (id int PRIMARY KEY)", keyspace=keyspace)
    killed.start()
    assert (killed.alive, killed.url) == (True, url)
    assert _run(other, keyspace, _READ, 1, level=ConsistencyLevel.ALL) == [("alone",)]
    _run(other, keyspace, _WRITE, 2, "all", level=ConsistencyLevel.ALL)
    assert killed.cql("SELECT id FROM meanwhile", keyspace=keyspace) == []


def test_cassandra_stop_and_start(pair: CassandraServers) -> None:
    """A node that is shut down in order says so to the others, and counts again as soon as `start` returns."""
    keyspace = _table(pair)
    stopped, other = pair.nodes
    _run(other, keyspace, _WRITE, 1, "kept", level=ConsistencyLevel.ALL)
    stopped.stop()
    assert not stopped.alive
    pair.wait_until_down(stopped)
    stopped.start()
    assert _run(stopped, keyspace, _READ, 1, level=ConsistencyLevel.ALL) == [("kept",)]


def test_cassandra_freeze_is_silence(pair: CassandraServers) -> None:
    """A frozen node lives and answers nobody; thawed, it answers again, and its peers count it again."""
    keyspace = _table(pair)
    frozen, other = pair.nodes
    other.cql(_WRITE, 1, "kept", keyspace=keyspace)
    answers: list[object] = []
    with frozen.connect(keyspace) as session:

        def ask() -> None:
            with contextlib.suppress(ReadTimeout):  # the time that it was frozen may count for it
                answers.append(session.execute("SELECT v FROM t", timeout=60).one())
                return
            answers.append(session.execute("SELECT v FROM t", timeout=60).one())

        frozen.freeze()
        try:
            asking = threading.Thread(target=ask)
            asking.start()
            pair.wait_until_down(frozen)
            assert (frozen.alive, answers) == (True, [])
        finally:
            frozen.thaw()
        asking.join(60)
    assert answers == [("kept",)]
    pair.wait_until_up()
    assert _run(other, keyspace, _READ, 1, level=ConsistencyLevel.ALL) == [("kept",)]


def test_cassandra_finds_other_ports(
    cassandra: CassandraServers, own_cassandra: Callable[..., CassandraServers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster whose port for its own nodes was taken meanwhile starts again, empty, on others."""
    taken, free = cassandra.nodes[0]._settings, kind._free_ports(["127.0.0.1"])
    offers = iter([(taken.storage_port, free[1]), free])
    monkeypatch.setattr(kind, "_free_ports", lambda addresses: next(offers))
    own = own_cassandra({"us-east-1": 1})
    assert (own.nodes[0]._settings.storage_port, own.nodes[0].port) == free
    assert own.nodes[0].cql("SELECT peer FROM system.peers_v2") == []
    assert list(offers) == []


def test_cassandra_dies_with_a_killed_test_process(cassandra: CassandraServers) -> None:
    """SIGKILL of the test process takes the JVM with it."""
    script = """
import time
from regionkit.testing import servers
made = servers.cassandra({"us-east-1": 1}).__enter__()
print(made.nodes[0]._lifecycle._process.pid, made._workspace, flush=True)
time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as test:
        assert test.stdout is not None
        pid, folder = test.stdout.readline().split()
        assert process._runs(int(pid))
        test.send_signal(signal.SIGKILL)
    wait_until(lambda: not process._runs(int(pid)), "the server has died", 5)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_cassandra_settings_reach_the_server(
    cassandra: CassandraServers, own_cassandra: Callable[..., CassandraServers]
) -> None:
    """An entry of the test's own goes into cassandra.yaml: one that there is not ends the start in Cassandra's words."""
    with pytest.raises(servers.ServerStartError, match="no_such_setting"):
        own_cassandra({"us-east-1": 1}, settings={"no_such_setting": "1"})


def test_cassandra_by_url(cassandra: CassandraServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster given by URL is used, is left running, cannot be killed, and must have the data centres asked for."""
    monkeypatch.setenv("REGIONKIT_TEST_CASSANDRA_URL", cassandra.url)
    with servers.cassandra({"us-east-1": 1, "eu-west-1": 1}) as given:
        assert given.url == cassandra.url
        given.ddl(_TABLE, keyspace=given.keyspace())
        with pytest.raises(servers.NotControllable, match="REGIONKIT_TEST_CASSANDRA_URL"):
            given.node("eu-west-1").kill()
        given.node("eu-west-1").start()  # it runs already: nothing to do
    with pytest.raises(servers.ServerUnavailable, match=r"no node in mars; found are eu-west-1, us-east-1"):
        servers.cassandra({"us-east-1": 1, "mars": 1}).__enter__()
    assert all(node.alive for node in cassandra.nodes)


@pytest.mark.parametrize("datacenters", [{}, {"us-east-1": 0}, {"us-east-1": 17}])
def test_cassandra_datacenters_have_nodes(datacenters: dict[str, int]) -> None:
    """An empty cluster, an empty data centre and one larger than this machine are refused before anything starts."""
    with pytest.raises(ValueError, match="datacenters"):
        servers.cassandra(datacenters)


def test_cassandra_that_is_nowhere_names_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jars, and with jars but without Java 17, the message says what to run."""
    monkeypatch.setattr(CassandraServers, "kind", dataclasses.replace(kind.KIND, folders=(str(tmp_path / "bin"),)))
    monkeypatch.setattr(provider, "docker_answers", lambda: False)
    monkeypatch.delenv("REGIONKIT_TEST_CASSANDRA_URL", raising=False)
    command = cassandra_install.COMMAND
    with pytest.raises(servers.ServerUnavailable, match=f"No Cassandra .* run: .*{command}"):
        servers.cassandra({"us-east-1": 1}).__enter__()
    program = tmp_path / "bin" / cassandra_install.PROGRAM
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(cassandra_install, "java_17", lambda: None)
    with pytest.raises(servers.ServerUnavailable, match=f"Java 17 is not.*{command}"):
        servers.cassandra({"us-east-1": 1}).__enter__()


def test_cassandra_is_fetched_once(cassandra: CassandraServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything here, installing runs nothing and needs no Maven."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(cassandra_install, "_fetch_jars", lambda home: pytest.fail("fetched again"))
    if cassandra_install.java_17() is None:
        pytest.skip("no cluster of this kit's own making")
    assert cassandra_install.missing() == []
    assert os.access(cassandra_install.install(), os.X_OK)


def test_cassandra_install_names_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has nothing, installing says which packages come first, and leaves nothing behind."""
    monkeypatch.setenv("REGIONKIT_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(cassandra_install, "java_17", lambda: None)
    assert cassandra_install.missing() == ["openjdk-17-jre-headless", "maven"]
    with pytest.raises(cassandra_install.InstallError, match="openjdk-17-jre-headless maven"):
        cassandra_install.install()
    assert not (tmp_path / "cache").exists()
