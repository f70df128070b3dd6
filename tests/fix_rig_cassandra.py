"""The store rig of Cassandra: two regions, a data centre each, keys and values in a table of plain writes.

Its copies are the cluster's own, and none can be held back: there is no owner, and every data centre takes writes.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE

from regionkit import CassandraStore, Region, Topology

REGIONS = ("ap-northeast-2", "eu-west-1")
DATACENTERS = {"ap-northeast-2": "us-east-1"}
"""The cluster's data centres are us-east-1 and eu-west-1: the first is called otherwise than its region."""
THINGS = "CREATE TABLE things (name text PRIMARY KEY, value text)"
PUT = "INSERT INTO things (name, value) VALUES (%s, %s)"
GET = "SELECT value FROM things WHERE name = %s"
TABLES = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s"
_FREE: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()


class CassandraActions:
    """With a CassandraSession."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        db.execute(PUT, (key, value))

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value."""
        row = db.execute(GET, (key,)).one()
        return None if row is None else row.value

    @staticmethod
    def add(db: Any, key: str) -> None:
        """Add one."""
        CassandraActions.put(db, key, str(int(CassandraActions.get(db, key) or 0) + 1))


class AsyncCassandraActions:
    """With an AsyncCassandraSession."""

    @staticmethod
    async def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        await db.execute(PUT, (key, value))

    @staticmethod
    async def get(db: Any, key: str) -> Any:
        """The value."""
        row = (await db.execute(GET, (key,))).one()
        return None if row is None else row.value

    @staticmethod
    async def add(db: Any, key: str) -> None:
        """Add one."""
        await AsyncCassandraActions.put(db, key, str(int(await AsyncCassandraActions.get(db, key) or 0) + 1))


class CassandraStoreRig:
    """A keyspace of its own on a cluster of two data centres."""

    server = "cassandra"
    holds = False
    Actions = CassandraActions
    AsyncActions = AsyncCassandraActions

    def __init__(self, cluster: Any, *, datacenters: dict[str, str] | None = None, keyspace: str = "") -> None:
        self.cluster = cluster
        self.keyspace = keyspace or cluster.keyspace()
        if not keyspace:
            cluster.ddl(THINGS, keyspace=self.keyspace)
        self.datacenters = DATACENTERS if datacenters is None else datacenters

    @property
    def url(self) -> str:
        """Of the cluster, in the keyspace."""
        return str(self.cluster.url_for(self.keyspace))

    def bare(self) -> CassandraStoreRig:
        """The same in a keyspace where regionkit's tables were never made."""
        return CassandraStoreRig(self.cluster, datacenters=self.datacenters)

    def empty(self) -> bool:
        """Empty its tables; False where they are not only those that every test makes if they are not there."""
        node = self.cluster.nodes[0]
        tables = {row[0] for row in node.cql(TABLES, self.keyspace)}
        if any(table != "things" and "_rk_" not in table for table in tables) or not all(
            other._usable for other in self.cluster.nodes
        ):
            return False
        self.cluster.ddl(*(f'TRUNCATE "{table}"' for table in tables), keyspace=self.keyspace)
        return True

    def topology(self, **store_options: Any) -> Topology:
        """The topology; keyword arguments go to the store."""
        options = {"url": self.url, "datacenters": self.datacenters, **store_options}
        return Topology(
            namespace=NAMESPACE,
            regions=[Region(r) for r in REGIONS],
            stores=[CassandraStore("orders", **options)],
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """There is nothing to hold."""
        raise AssertionError("a Cassandra cluster has no copy to hold back")
        yield

    def value(self, key: str) -> Any:
        """The value at every replica."""
        from cassandra import ConsistencyLevel
        from cassandra.query import SimpleStatement

        with self.cluster.node("us-east-1").connect(self.keyspace) as session:
            row = session.execute(SimpleStatement(GET, consistency_level=ConsistencyLevel.ALL), (key,)).one()
        return None if row is None else row.value


@pytest.fixture
def cassandra_store_rig(cassandra: Any) -> Iterator[CassandraStoreRig]:
    """Cassandra. Tables take two seconds to make and a moment to empty: a keyspace serves one test after the other."""
    free = _FREE.setdefault(cassandra, [])
    rig = CassandraStoreRig(cassandra, keyspace=free.pop() if free else "")
    yield rig
    if rig.empty():
        free.append(rig.keyspace)
