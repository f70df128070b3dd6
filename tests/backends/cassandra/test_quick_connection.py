"""What a process asks before its first answer: each question is a round trip, and far data centres are 300 ms away."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.connection import Connection
from fix_rig_cassandra import GET, NAMESPACE, REGIONS, CassandraStoreRig

from regionkit import EVENTUAL, RegionKit
from regionkit.backends.cassandra import quick_connection
from regionkit.backends.cassandra.datacenter import Datacenter
from regionkit.backends.cassandra.quick_connection import QuickConnection
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.topology import profile

HERE = "ap-northeast-2"
NEEDED = (
    *("Startup", "cluster_name", "native_port", "replication"),
    *("Startup", "Register", "* FROM system.peers", "system.local WHERE"),
    *("Startup", "USE"),
)
"""Who is there, of the first contact point; then two connections to a node of the data centre. Questions in a row: one trip."""
PATIENCE = 20.0


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All that is sent on connections of ours: the kind of a message, or its text."""
    texts: list[str] = []
    send = Connection.send_msg

    def note(self: Any, message: Any, *args: Any, **options: Any) -> Any:
        if isinstance(self, QuickConnection):
            texts.append(getattr(message, "query", None) or type(message).__name__)
        return send(self, message, *args, **options)

    monkeypatch.setattr(Connection, "send_msg", note)
    yield texts


def test_a_data_centre_is_opened_in_ten_round_trips(cassandra_store_rig: CassandraStoreRig, sent: list[str]) -> None:
    """Two more make an answer. The schema, by which the driver knows who has a row, is asked for behind that."""
    store = cassandra_store_rig.topology().stores[0]
    endpoint = store.shards(REGIONS)[0].endpoints[0]
    context: Any = EndpointContext(NAMESPACE, store, endpoint, profile("gentle"), SYSTEM_CLOCK, is_async=False)
    datacenter = Datacenter(context)
    opened = datacenter.opened(Deadline(SYSTEM_CLOCK, PATIENCE))
    try:
        assert [word for word, text in zip(NEEDED, sent) if word not in text] == []
        end = time.monotonic() + PATIENCE
        while cassandra_store_rig.keyspace not in opened.cluster.metadata.keyspaces:
            assert time.monotonic() < end, "the schema is not learnt"
            time.sleep(0.02)
        assert opened.cluster.schema_metadata_enabled
        for pool in opened.session.get_pools():  # else the second of two questions waits for a word on the first
            assert pool._connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        datacenter.close()


def test_a_compression_that_is_there_is_still_asked_for(
    cassandra_store_rig: CassandraStoreRig, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the application installed one, the node says whether it has it, too; one that it has not is left out."""
    nothing = (lambda data: data, lambda data: data)
    monkeypatch.setattr(quick_connection, "locally_supported_compressions", {"none of the node's": nothing})
    with RegionKit(cassandra_store_rig.topology(), local=HERE) as kit, kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as cql:
            assert cql.execute(GET, ("a",)).one() is None
    assert "OptionsMessage" in sent
