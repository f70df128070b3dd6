"""An endpoint by an application's own Cassandra session: it is used as it is, stays open, and keeps its own ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, RoundRobinPolicy, TokenAwarePolicy
from fix_rig_cassandra import GET, NAMESPACE, PUT, CassandraStoreRig
from record_cases_async import soon, versions_decide

from regionkit.backends.cassandra.endpoint_async import AsyncCassandraEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow
from regionkit.facts.position import Levels
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import CassandraStore, Endpoint, Role, profile

IS_ASYNC = True
HERE = "us-east-1"
STAMP = "SELECT writetime(value) FROM things WHERE name = %s"
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0}


def endpoint_of(session: Any) -> AsyncCassandraEndpoint:
    """What a backing makes of an application's session."""
    endpoint = Endpoint("here", Role.PRIMARY, client=session)
    return AsyncCassandraEndpoint(
        EndpointContext(
            NAMESPACE, CassandraStore("orders"), endpoint, profile(PATIENT), SYSTEM_CLOCK, is_async=IS_ASYNC
        )
    )


def cluster_of(rig: CassandraStoreRig, policy: Any, **options: Any) -> Cluster:
    """An application's cluster object."""
    node = rig.cluster.node(HERE)
    ways = ExecutionProfile(load_balancing_policy=policy, consistency_level=ConsistencyLevel.ONE, request_timeout=20.0)
    return Cluster(
        [node.host], node.port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: ways}, **options
    )


@pytest.fixture
def session(cassandra_store_rig: CassandraStoreRig) -> Iterator[Any]:
    """The application's session; its own writes are stamped far in the past."""
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(HERE))
    made = cluster_of(cassandra_store_rig, policy, timestamp_generator=lambda: 1000)
    yield made.connect(cassandra_store_rig.keyspace)
    made.shutdown()


async def in_block(endpoint: AsyncCassandraEndpoint, kind: Kind) -> tuple[Any, Any]:
    """A handle that has its checkout, and the checkout."""
    checkout = await endpoint.check_out(kind, soon(), 10.0)

    async def taken() -> Any:
        return checkout

    handle = endpoint.handle(kind, taken, BlockMode(), lambda: Request(kind=kind))
    await handle.begin(checkout)
    return handle, checkout


async def test_it_writes_reads_and_keeps_records(session: Any, cassandra_store_rig: CassandraStoreRig) -> None:
    """With regionkit's levels and time stamps; the application's own statements keep theirs, then and afterwards."""
    endpoint = endpoint_of(session)
    await endpoint.create_tables(soon(120.0), lambda origin: HistoryRow("h", None, None, 1, origin))
    await versions_decide(endpoint.records)
    handle, checkout = await in_block(endpoint, Kind.WRITE)
    assert (handle.native.datacenter, handle.native.keyspace) == (HERE, cassandra_store_rig.keyspace)
    prepared = await handle.native.prepare("INSERT INTO things (name, value) VALUES (?, ?)")
    await handle.native.execute(prepared, ("a", "tea"))
    session.execute(PUT, ("b", "the application's own"))
    await handle.finish()
    await handle.close()
    assert isinstance(handle.position, Levels)
    assert handle.position.writes == ((HERE, "LOCAL_QUORUM"),)
    assert session.execute(STAMP, ("a",)).one()[0] == handle.position.stamp
    assert session.execute(STAMP, ("b",)).one()[0] == 1000
    handle, checkout = await in_block(endpoint, Kind.READ)
    assert (await handle.native.execute(GET, ("a",))).one().value == "tea"
    seen = await checkout.observe()
    assert seen.shown == Levels(reads=((HERE, "LOCAL_QUORUM"),))
    assert seen.lineage is not None
    assert seen.lineage.rows[-1].history == "h"
    await handle.finish()
    await handle.close()
    other = endpoint_of(session)  # a second one adds no profiles
    assert (await other.probe(5.0, 20.0)).incarnation == seen.incarnation
    await other.close()
    await endpoint.close()
    assert not session.is_shutdown
    session.execute(PUT, ("c", "afterwards"))
    assert session.execute(STAMP, ("c",)).one()[0] == 1000
    assert cassandra_store_rig.value("c") == "afterwards"


async def test_a_keyspace_that_changes_is_noticed(session: Any, cassandra_store_rig: CassandraStoreRig) -> None:
    """The next call is refused: it would look for its tables elsewhere."""
    endpoint = endpoint_of(session)
    await endpoint.probe(5.0, 20.0)
    session.set_keyspace("system")
    with pytest.raises(ConfigurationError, match="keyspace was"):
        await endpoint.records.get(soon(), "home", "k")
    session.set_keyspace(cassandra_store_rig.keyspace)
    await endpoint.probe(5.0, 20.0)
    await endpoint.close()


async def test_what_can_not_serve_is_refused_by_name(session: Any, cassandra_store_rig: CassandraStoreRig) -> None:
    """No session, no keyspace, no local data centre, settings of the old kind, and one that is shut down."""
    with pytest.raises(ConfigurationError, match="is not a session"):
        endpoint_of(session.cluster)
    with pytest.raises(ConfigurationError, match="no keyspace"):
        endpoint_of(session.cluster.connect())
    node = cassandra_store_rig.cluster.node(HERE)
    with pytest.warns(DeprecationWarning, match="Legacy"):
        legacy = Cluster(
            [node.host], node.port, protocol_version=5, load_balancing_policy=DCAwareRoundRobinPolicy(HERE)
        )
    for cluster, why in (
        (legacy, "bars execution profiles"),
        (cluster_of(cassandra_store_rig, RoundRobinPolicy()), "no local data centre"),
    ):
        made = cluster.connect(cassandra_store_rig.keyspace)
        with pytest.raises(ConfigurationError, match=why):
            endpoint_of(made)
        cluster.shutdown()
        with pytest.raises(ConfigurationError, match="shut down"):
            endpoint_of(made)
