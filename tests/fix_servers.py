"""Real servers as fixtures: shared ones (`pg`, `mariadb`, `mariadb_alone`, `mongo` ...), factories of own ones (`own_*`).

A server that is not available skips the test locally and fails it in continuous integration (CI=true). Tests on a
shared server take a database of their own (`pg.database()`), and leave its nodes as they found them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from fix_databases import shared_postgresql

from regionkit.testing import ServerUnavailable, servers

if TYPE_CHECKING:
    from regionkit.testing.servers.kinds.cassandra import CassandraServers
    from regionkit.testing.servers.kinds.mariadb import MariadbServers
    from regionkit.testing.servers.kinds.mongodb import MongodbServers
    from regionkit.testing.servers.kinds.mysql import MysqlServers
    from regionkit.testing.servers.kinds.postgresql import PostgresqlServers
    from regionkit.testing.servers.kinds.redis import RedisServers

MOST_KEYSPACES = 10
"""Of earlier modules, on a Cassandra cluster that a module begins with: dropping them takes longer than a new cluster."""


def pytest_report_header() -> list[str]:
    try:
        return [f"{name}: {version}" for name, version in servers.versions().items()]
    except (OSError, RuntimeError, ValueError) as error:
        return [f"servers: {error}"]


def entered(stack: ExitStack, offer: Any) -> Any:
    """Servers that run until the stack ends; a skip, or in continuous integration a failure, where none is available."""
    try:
        return stack.enter_context(offer)
    except ServerUnavailable as error:
        reason = str(error)
    return absent(reason)


def absent(reason: str) -> NoReturn:
    """A test's server is not available: a skip locally, a failure in continuous integration."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pg() -> Iterator[PostgresqlServers]:
    """A PostgreSQL primary with three replicas, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, shared_postgresql(3))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServers]:
    """A MariaDB primary with two replicas, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, servers.mariadb(2))


@pytest.fixture(scope="session")
def mariadb_alone() -> Iterator[MariadbServers]:
    """A MariaDB without replicas, shared by the session: beside them it prepares no branches."""
    with ExitStack() as stack:
        yield entered(stack, servers.mariadb(0))


@pytest.fixture(scope="session")
def mysql() -> Iterator[MysqlServers]:
    """A MySQL primary with two replicas, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, servers.mysql(2))


@pytest.fixture(scope="session")
def mysql_alone() -> Iterator[MysqlServers]:
    """A MySQL that writes no binary log, shared by the session: beside one it prepares no branches. "app" may list them."""
    with ExitStack() as stack:
        made = entered(stack, servers.mysql(0, settings=("disable-log-bin",)))
        made.primary.sql(f"GRANT XA_RECOVER_ADMIN ON *.* TO app@'{made._app_host}'")
        yield made


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServers]:
    """A Redis primary with two replicas, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, servers.redis(2))


@pytest.fixture(scope="session")
def mongo() -> Iterator[MongodbServers]:
    """A MongoDB replica set with members in three regions, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, servers.mongodb(["us-east-1", "ap-northeast-2", "eu-west-1"]))


@pytest.fixture(scope="session")
def mongo_korean() -> Iterator[MongodbServers]:
    """A second MongoDB replica set, its primary in ap-northeast-2, shared by the session."""
    with ExitStack() as stack:
        yield entered(stack, servers.mongodb(["ap-northeast-2", "us-east-1", "eu-west-1"]))


class _KeptCassandra:
    """The cluster that the next module may go on with."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._cluster: CassandraServers | None = None

    def cluster(self) -> CassandraServers:
        """The one that runs, or a new one where that has many keyspaces, or was left with a node dead or frozen."""
        if self._cluster is None or not self._is_good(self._cluster):
            self.close()
            self._cluster = entered(self._running, servers.cassandra({"us-east-1": 1, "eu-west-1": 1}))
        return self._cluster

    def close(self) -> None:
        """Stop it."""
        self._running.close()
        self._cluster = None

    @staticmethod
    def _is_good(cluster: CassandraServers) -> bool:
        if not all(node._usable for node in cluster.nodes):
            return False
        with cluster.nodes[0].connect() as session:
            found = session.execute("SELECT keyspace_name FROM system_schema.keyspaces")
            return sum(row.keyspace_name.startswith("test_") for row in found) <= MOST_KEYSPACES


@pytest.fixture(scope="session")
def kept_cassandra() -> Iterator[_KeptCassandra]:
    """A start costs as much as ten keyspaces; see `cassandra`."""
    kept = _KeptCassandra()
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def cassandra(kept_cassandra: _KeptCassandra) -> CassandraServers:
    """A Cassandra cluster with a node in each of two data centres, shared by modules (`cassandra.keyspace()`).

    Not by the whole session: hundreds of tables, a few per test, make every change of the schema take seconds.
    """
    return kept_cassandra.cluster()


@pytest.fixture
def own_pg() -> Iterator[Callable[..., PostgresqlServers]]:
    """Makes PostgreSQL servers for this test alone; arguments are those of `servers.postgresql`."""
    with ExitStack() as stack:
        yield lambda replicas=0, **options: entered(stack, servers.postgresql(replicas, **options))


@pytest.fixture
def own_mariadb() -> Iterator[Callable[..., MariadbServers]]:
    """Makes MariaDB servers for this test alone; arguments are those of `servers.mariadb`."""
    with ExitStack() as stack:
        yield lambda replicas=0, **options: entered(stack, servers.mariadb(replicas, **options))


@pytest.fixture
def own_mysql() -> Iterator[Callable[..., MysqlServers]]:
    """Makes MySQL servers for this test alone; arguments are those of `servers.mysql`."""
    with ExitStack() as stack:
        yield lambda replicas=0, **options: entered(stack, servers.mysql(replicas, **options))


@pytest.fixture
def own_redis() -> Iterator[Callable[..., RedisServers]]:
    """Makes Redis servers for this test alone; arguments are those of `servers.redis`."""
    with ExitStack() as stack:
        yield lambda replicas=0, **options: entered(stack, servers.redis(replicas, **options))


@pytest.fixture
def own_mongo() -> Iterator[Callable[..., MongodbServers]]:
    """Makes MongoDB replica sets for this test alone; arguments are those of `servers.mongodb`."""
    with ExitStack() as stack:
        yield lambda regions=("us-east-1", "ap-northeast-2", "eu-west-1"): entered(stack, servers.mongodb(regions))


@pytest.fixture
def own_cassandra() -> Iterator[Callable[..., CassandraServers]]:
    """Makes Cassandra clusters for this test alone; arguments are those of `servers.cassandra`."""
    with ExitStack() as stack:
        yield lambda datacenters, **options: entered(stack, servers.cassandra(datacenters, **options))
