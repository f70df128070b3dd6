# Generated from test_records_cassandra_async.py by scripts/twins.py. Do not edit.
"""Records in Cassandra: the promises of `Records`, ends by whole seconds, lost answers that are asked for, tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rig_cassandra import NAMESPACE, CassandraStoreRig
from record_cases import odd_keys_are_keys, one_winner_a_version, sizes_are_bounded, soon, versions_decide

from regionkit.backends.cassandra.endpoint import CassandraEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.kept_tables import HISTORY, RECORD
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown
from regionkit.facts.record import Record
from regionkit.facts.request import Kind
from regionkit.topology import CassandraStore, profile

IS_ASYNC = False
GRACE = 1.5
"""Seconds beyond a deadline, for a machine that is busy with other tests."""
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0}


def endpoint_of(rig: CassandraStoreRig, datacenter: str = "us-east-1") -> CassandraEndpoint:
    """The endpoint of a data centre."""
    store = CassandraStore("orders", url=rig.url)
    (endpoint,) = store.shards([datacenter])[0].endpoints
    return CassandraEndpoint(
        EndpointContext(NAMESPACE, store, endpoint, profile(PATIENT), SYSTEM_CLOCK, is_async=IS_ASYNC)
    )


@pytest.fixture
def endpoint(cassandra_store_rig: CassandraStoreRig) -> Iterator[CassandraEndpoint]:
    """One data centre, the table of records made."""
    made = endpoint_of(cassandra_store_rig)
    made.make_tables(soon(60.0), [RECORD])
    yield made
    made.close()


def test_versions_odd_keys_and_sizes(endpoint: CassandraEndpoint) -> None:
    """As on every backend."""
    versions_decide(endpoint.records)
    odd_keys_are_keys(endpoint.records)
    sizes_are_bounded(endpoint.records)


def test_one_winner_a_version(endpoint: CassandraEndpoint) -> None:
    """As on every backend; who won knows it; of the others some may not, as their rounds timed out."""
    one_winner_a_version(endpoint.records, doubts=True)


def test_a_record_ends_after_whole_seconds(endpoint: CassandraEndpoint) -> None:
    """Not before its time, and within two seconds after it; a change may let it stay, and then nothing of it ends."""
    records = endpoint.records
    first = Record("lease", "k", b"mine", 7)
    began = time.monotonic()
    assert records.put(soon(), first, expected=0, lasts=1.0) is first
    assert records.put(soon(), Record("lease", "k", b"theirs", 1), expected=0) in (first, None)
    while records.get(soon(), "lease", "k") is not None:
        assert time.monotonic() - began < 1.0 + 2.0 + GRACE
        sleep(0.05)
    assert time.monotonic() - began >= 1.0
    assert records.put(soon(), Record("lease", "k", b"", 8), expected=7) is None
    held, stays = Record("lease", "k", b"theirs", 1), Record("lease", "k", b"theirs", 2)
    assert records.put(soon(), held, expected=0, lasts=2.0) is held
    assert records.put(soon(), stays, expected=1) is stays
    sleep(3.2)
    assert records.get(soon(), "lease", "k") == stays
    brief = Record("lease", "k", b"brief", 3)
    assert records.put(soon(), brief, expected=2, lasts=0.2) is brief
    sleep(2.5)
    assert records.get(soon(), "lease", "k") is None
    assert records.put(soon(), held, expected=0) is held


def test_a_record_within_a_unit_is_refused(endpoint: CassandraEndpoint) -> None:
    """There is no transaction that it could be part of."""
    with pytest.raises(ConfigurationError, match="within a unit"):
        endpoint.records.put(soon(), Record("unit", "k", b"", 1), expected=0, within=object())


def test_an_answer_that_is_lost_is_asked_for(endpoint: CassandraEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done and not heard: yes. Not done: it is made now. Done and changed by others since: nobody can tell."""
    from cassandra import OperationTimedOut

    records, datacenter = endpoint.records, endpoint._datacenter
    send = type(datacenter).send
    lose: list[Any] = []

    def deaf(self: Any, *arguments: Any, **options: Any) -> Any:
        if not options.get("commit") or not lose:
            return send(self, *arguments, **options)
        kind = lose.pop()
        if kind != "never sent":
            send(self, *arguments, **options)
        if kind == "changed since":
            version = arguments[3][2]
            records.put(soon(), Record("home", "k", b"theirs", version + 1), expected=version)
        raise OperationTimedOut("the answer was lost by this test")

    monkeypatch.setattr(type(datacenter), "send", deaf)
    for version, kind in ((1, "done"), (2, "never sent")):
        lose.append(kind)
        record = Record("home", "k", kind.encode(), version)
        assert records.put(soon(), record, expected=version - 1) == record
        assert lose == []
        assert records.get(soon(), "home", "k") == record
    lose.append("changed since")
    with pytest.raises(OutcomeUnknown, match="lost by this test"):
        records.put(soon(), Record("home", "k", b"ours", 3), expected=2)
    lose.append("done")
    assert records.delete(soon(), "home", "k", expected=4) is None
    assert records.get(soon(), "home", "k") is None


def test_a_frozen_cluster_costs_the_deadline_and_no_more(
    cassandra_store_rig: CassandraStoreRig, endpoint: CassandraEndpoint
) -> None:
    """Of reads, of changes, and of a block's question where its data centre stands."""
    endpoint.records.put(soon(), Record("home", "k", b"one", 1), expected=0)
    checkout = endpoint.check_out(Kind.READ, soon(), 10.0)
    nodes = cassandra_store_rig.cluster.nodes
    for node in nodes:
        node.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(Exception, match=r"timed out|Timeout|timeout") as caught:
            checkout.observe(0.3)
        assert 0.2 < time.monotonic() - began < 0.3 + GRACE
        assert endpoint.classify(caught.value).name == "DEADLINE"
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            endpoint.records.get(Deadline(SYSTEM_CLOCK, 0.5), "home", "k")
        with pytest.raises(OutcomeUnknown):
            endpoint.records.put(Deadline(SYSTEM_CLOCK, 0.5), Record("home", "k", b"two", 2), expected=1)
        assert time.monotonic() - began < 1.0 + 2 * GRACE
    finally:
        for node in nodes:
            node.thaw()
    cassandra_store_rig.cluster.wait_until_up()


def test_tables_are_made_by_one_at_a_time_and_told_by_version(cassandra_store_rig: CassandraStoreRig) -> None:
    """By four at once in both data centres; without them a record is refused; another version is never taken for ours."""
    rig = cassandra_store_rig.bare()
    endpoints = [endpoint_of(rig, name) for name in ("us-east-1", "eu-west-1") * 2]
    with pytest.raises(ConfigurationError, match="does not have regionkit's tables"):
        endpoints[0].records.get(soon(), "home", "k")
    for error in gather([_made(endpoint) for endpoint in endpoints]):
        if error is not None:
            raise error
    node = rig.cluster.node("us-east-1")
    rows = node.cql(f'SELECT name, version, holder FROM "{NAMESPACE}_rk_tables"', keyspace=rig.keyspace)
    assert {row[0]: row[1] for row in rows if row[1] is not None} == {"history": 1, "record": 1}
    assert [row for row in rows if row[2] is not None] == []
    record = Record("home", "k", b"one", 1)
    assert endpoints[0].records.put(soon(), record, expected=0) is record
    assert endpoints[1].records.get(soon(), "home", "k") == record
    with pytest.raises(ConfigurationError, match="is of version 1, and this regionkit needs 2"):
        endpoints[0].make_tables(soon(), [Table("routing", "record", 2, RECORD.definitions)])
    for endpoint in endpoints:
        endpoint.close()


def _made(endpoint: CassandraEndpoint) -> Any:
    return lambda: endpoint.make_tables(soon(120.0), [HISTORY, RECORD])
