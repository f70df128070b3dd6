# Generated from test_records_mongo_async.py by scripts/twins.py. Do not edit.
"""Records in MongoDB: the promises of `Records`, ends by the server's clock, lost and late answers, a unit's transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rig_mongo import MongoRig
from fix_store_rigs import NAMESPACE
from record_cases import odd_keys_are_keys, one_winner_a_version, sizes_are_bounded, soon, versions_decide

from regionkit.backends.mongo.endpoint import MongoEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.kept_tables import HISTORY, MARKER, RECORD
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.testing import FaultProxy
from regionkit.topology import MongoStore, profile

IS_ASYNC = False
GRACE = 1.0
"""Seconds beyond a deadline, for a machine that is busy with other tests."""


def endpoint_at(rig: MongoRig, address: str) -> MongoEndpoint:
    """The endpoint of one member, which may be behind a proxy."""
    store = MongoStore("orders", url=f"mongodb://{address}/{rig.database}")
    (endpoint,) = store.shards([])[0].endpoints
    return MongoEndpoint(
        EndpointContext(NAMESPACE, store, endpoint, profile("balanced"), SYSTEM_CLOCK, is_async=IS_ASYNC)
    )


@pytest.fixture
def endpoint(mongo_store_rig: MongoRig) -> Iterator[MongoEndpoint]:
    """The primary, its collections made."""
    made = endpoint_at(mongo_store_rig, mongo_store_rig.servers.primary.address)
    made.make_tables(soon(), [RECORD])
    yield made
    made.close()


def test_versions_decide(endpoint: MongoEndpoint) -> None:
    """As on every backend."""
    versions_decide(endpoint.records)


def test_one_winner_a_version(endpoint: MongoEndpoint) -> None:
    """As on every backend."""
    one_winner_a_version(endpoint.records)


def test_odd_keys_and_sizes(endpoint: MongoEndpoint) -> None:
    """As on every backend."""
    odd_keys_are_keys(endpoint.records)
    sizes_are_bounded(endpoint.records)


def test_a_record_ends_by_the_servers_clock(endpoint: MongoEndpoint) -> None:
    """It is there until its end and not afterwards, long before the server sweeps it; a change to it may let it stay."""
    records = endpoint.records
    first = Record("lease", "k", b"mine", 7)
    began = time.monotonic()
    assert records.put(soon(), first, expected=0, lasts=0.3) is first
    held = Record("lease", "k", b"theirs", 1)
    assert records.put(soon(), held, expected=0) == first
    assert time.monotonic() - began < 0.3, "the machine was too slow for this test"
    while records.get(soon(), "lease", "k") is not None:
        assert time.monotonic() - began < 0.3 + GRACE
        sleep(0.01)
    assert time.monotonic() - began >= 0.3
    assert records.put(soon(), Record("lease", "k", b"", 8), expected=7) is None
    assert records.delete(soon(), "lease", "k", expected=7) is None
    assert records.put(soon(), held, expected=0, lasts=0.2) is held
    stays = Record("lease", "k", b"theirs", 2)
    assert records.put(soon(), stays, expected=1) is stays
    sleep(0.3)
    assert records.get(soon(), "lease", "k") == stays


def test_a_record_within_a_unit_is_part_of_its_transaction(endpoint: MongoEndpoint) -> None:
    """It stands when the unit commits, with the rest; else nothing does. A batch that is no transaction is refused."""
    records = endpoint.records
    for ends_well in (False, True):
        checkout = endpoint.check_out(Kind.WRITE, soon(), 5.0)

        def taken(checkout: Any = checkout) -> Any:
            return checkout

        handle = endpoint.handle(Kind.WRITE, taken, BlockMode(transaction=True), lambda: Request(kind=Kind.WRITE))
        handle.begin(checkout)
        handle.native.things.insert_one({"_id": 1})
        record = Record("unit", "k", b"one", 1)
        assert records.put(soon(), record, expected=0, within=handle.native) is record
        assert records.put(soon(), Record("unit", "k", b"two", 1), expected=0, within=handle.native) == record
        assert records.get(soon(), "unit", "k") is None
        (handle.finish() if ends_well else handle.abort())
        handle.close()
        assert records.get(soon(), "unit", "k") == (record if ends_well else None)
    batch = endpoint.handle(Kind.WRITE, taken, BlockMode(), lambda: Request(kind=Kind.WRITE))
    with pytest.raises(ConfigurationError, match="not a transaction"):
        records.put(soon(), Record("unit", "j", b"", 1), expected=0, within=batch.native)


def test_an_answer_that_is_lost_is_an_unknown_outcome(mongo_store_rig: MongoRig) -> None:
    """After sending nobody can say what was done; where no connection could be had, nothing was."""
    with FaultProxy(mongo_store_rig.servers.primary.address) as proxy:
        endpoint = endpoint_at(mongo_store_rig, proxy.url)
        endpoint.make_tables(soon(), [RECORD])
        first = Record("home", "k", b"one", 1)
        assert endpoint.records.put(soon(), first, expected=0) is first
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown, match="no answer came"):
            endpoint.records.put(soon(), Record("home", "k", b"two", 2), expected=1)
        proxy.heal()
        assert endpoint.records.get(soon(), "home", "k") == Record("home", "k", b"two", 2)
        proxy.cut()
        endpoint.evict()
        with pytest.raises(RegionUnavailable):
            endpoint.records.put(soon(), Record("home", "k", b"three", 3), expected=2)
        endpoint.close()


def test_a_frozen_member_costs_the_deadline_and_no_more(mongo_store_rig: MongoRig) -> None:
    """Of reads, of changes, and of a block's question where the member stands."""
    with FaultProxy(mongo_store_rig.servers.primary.address) as proxy:
        endpoint = endpoint_at(mongo_store_rig, proxy.url)
        endpoint.make_tables(soon(), [RECORD])
        endpoint.records.put(soon(), Record("home", "k", b"one", 1), expected=0)
        checkout = endpoint.check_out(Kind.READ, soon(), 5.0)
        proxy.freeze()
        began = time.monotonic()
        with pytest.raises(Exception, match=r"timed out|time limit|deadline") as caught:
            checkout.observe(0.3)
        assert 0.2 < time.monotonic() - began < 0.3 + GRACE
        assert endpoint.classify(caught.value).name == "DEADLINE"
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            endpoint.records.get(Deadline(SYSTEM_CLOCK, 0.5), "home", "k")
        with pytest.raises((OutcomeUnknown, DeadlineExceeded)):
            endpoint.records.put(Deadline(SYSTEM_CLOCK, 0.5), Record("home", "k", b"two", 2), expected=1)
        assert time.monotonic() - began < 1.0 + 2 * GRACE
        proxy.heal()
        endpoint.close()


def test_only_the_primary_changes_records(mongo_store_rig: MongoRig, endpoint: MongoEndpoint) -> None:
    """A secondary shows them, and refuses to change them: nothing was done."""
    record = Record("home", "k", b"one", 1)
    endpoint.records.put(soon(), record, expected=0)
    copy = endpoint_at(mongo_store_rig, mongo_store_rig.servers.node("eu-west-1").address)
    end = time.monotonic() + 10.0
    while copy.records.get(soon(), "home", "k") != record:
        assert time.monotonic() < end
        sleep(0.02)
    with pytest.raises(RegionUnavailable):
        copy.records.put(soon(), Record("home", "k", b"two", 2), expected=1)
    with pytest.raises(RegionUnavailable):
        copy.records.delete(soon(), "home", "k", expected=1)
    copy.close()


def test_tables_are_made_once_and_told_by_version(mongo_store_rig: MongoRig) -> None:
    """By eight at once; without them a record is refused, and one of another version is never taken for ours."""
    address = mongo_store_rig.servers.primary.address
    endpoints = [endpoint_at(mongo_store_rig, address) for _ in range(8)]
    with pytest.raises(ConfigurationError, match="does not have regionkit's tables"):
        endpoints[0].records.put(soon(), Record("home", "k", b"", 1), expected=0)
    made = gather([_made(endpoint) for endpoint in endpoints])
    assert made == [None] * 8
    with mongo_store_rig.servers.primary.client() as client:
        database = client[mongo_store_rig.database]
        noted = {row["_id"]: row["version"] for row in database[f"{NAMESPACE}_rk_tables"].find({})}
        assert noted == {"history": 1, "marker": 1, "record": 1}
        assert database[f"{NAMESPACE}_rk_record"].index_information()["ends_at_1"]["expireAfterSeconds"] == 0
    with pytest.raises(ConfigurationError, match="is of version 1, and this regionkit needs 2"):
        endpoints[0].make_tables(soon(), [Table("routing", "record", 2, RECORD.definitions)])
    for endpoint in endpoints:
        endpoint.close()


def _made(endpoint: MongoEndpoint) -> Any:
    return lambda: endpoint.make_tables(soon(), [HISTORY, MARKER, RECORD])
