"""The doctor on a real Cassandra cluster: prepared faults are found; of a cluster with a node a data centre one note is left."""

from __future__ import annotations

from typing import Any

import pytest
from fix_doctor import codes, examined, kit_over, one, prepared

from regionkit import CassandraStore

REGIONS = ["us-east-1", "eu-west-1"]


def kit(url: str, regions: list[str] = REGIONS, **options: Any) -> Any:
    """Over a keyspace."""
    return kit_over(CassandraStore("events", url=url, **options), regions)


def test_a_healthy_cluster_of_two_nodes(cassandra: Any) -> None:
    """What is left is that such a cluster cannot lose a node; then its replication is changed behind regionkit's back."""
    keyspace = cassandra.keyspace()
    made = prepared(kit(cassandra.url_for(keyspace)))
    found = examined(made)
    assert [(f.code, f.severity) for f in found] == [("D441", "note"), ("D441", "note")]

    weak = examined(kit(cassandra.url_for(keyspace), options={"write_level": "ONE", "read_level": "LOCAL_ONE"}))
    assert {f.code for f in weak} == {"D441", "D443"}, "of two replicas in two places"

    one_region = examined(kit(cassandra.url_for(keyspace), ["us-east-1"]))
    assert "eu-west-1" in one(one_region, "D445").what

    cassandra.ddl(
        f"ALTER KEYSPACE {keyspace} WITH replication = "
        "{'class': 'NetworkTopologyStrategy', 'us-east-1': 3, 'eu-west-1': 1}"
    )
    changed = examined(kit(cassandra.url_for(keyspace)))
    assert one(changed, "D444").severity == "error"
    assert one(changed, "D442").subject == "events us-east-1"


@pytest.mark.slow
def test_a_data_centre_that_can_lose_a_node(own_cassandra: Any) -> None:
    """Three nodes with three replicas have nothing to mend, not even a note. A node that dies is a warning."""
    cluster = own_cassandra({"us-east-1": 3}, replication={"us-east-1": 3})
    url = cluster.url_for("test")
    assert examined(prepared(kit(url, ["us-east-1"]))) == []
    cluster.nodes[2].kill()
    cluster.wait_until_down(cluster.nodes[2])
    found = examined(kit(url, ["us-east-1"]))
    assert [(f.code, f.severity) for f in found] == [("D446", "warning")] and "1 of 3 nodes" in found[0].what


def test_missing_tables_and_a_data_centre_that_is_not_there(cassandra: Any) -> None:
    """Of the cluster once, not of each data centre; a region without one says its name."""
    url = cassandra.url_for(cassandra.keyspace())
    found = examined(kit(url, [*REGIONS, "mars"]))
    assert codes(found).count("D601") == 1
    away = next(f for f in found if f.subject == "events mars")
    assert away.code == "D201" and "no data centre 'mars'" in away.what


def test_a_keyspace_that_is_not_there(cassandra: Any) -> None:
    """Or one whose replication says nothing of data centres: it cannot be used."""
    found = examined(kit(cassandra.url_for("nowhere")))
    assert {f.code for f in found} <= {"D201", "D202"} and found
