"""Records in MongoDB: the promises of `AsyncRecords`, ends by the server's clock, lost and late answers, a unit's transaction."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_rig_mongo import MongoRig
from fix_store_rigs import NAMESPACE
from record_cases_async import odd_keys_are_keys, one_winner_a_version, sizes_are_bounded, soon, versions_decide

from regionkit.backends.mongo.endpoint_async import AsyncMongoEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.kept_tables import HISTORY, MARKER, RECORD
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.testing import FaultProxy
from regionkit.topology import MongoStore, profile

IS_ASYNC = True
GRACE = 1.0
"""Seconds beyond a deadline, for a machine that is busy with other tests."""


def endpoint_at(rig: MongoRig, address: str) -> AsyncMongoEndpoint:
    """The endpoint of one member, which may be behind a proxy."""
    store = MongoStore("orders", url=f"mongodb://{address}/{rig.database}")
    (endpoint,) = store.shards([])[0].endpoints
    return AsyncMongoEndpoint(
        EndpointContext(NAMESPACE, store, endpoint, profile("balanced"), SYSTEM_CLOCK, is_async=IS_ASYNC)
    )


@pytest.fixture
async def endpoint(mongo_store_rig: MongoRig) -> AsyncIterator[AsyncMongoEndpoint]:
    """The primary, its collections made."""
    made = endpoint_at(mongo_store_rig, mongo_store_rig.servers.primary.address)
    await made.make_tables(soon(), [RECORD])
    yield made
    await made.close()


async def test_versions_decide(endpoint: AsyncMongoEndpoint) -> None:
    """As on every backend."""
    await versions_decide(endpoint.records)


async def test_one_winner_a_version(endpoint: AsyncMongoEndpoint) -> None:
    """As on every backend."""
    await one_winner_a_version(endpoint.records)


async def test_odd_keys_and_sizes(endpoint: AsyncMongoEndpoint) -> None:
    """As on every backend."""
    await odd_keys_are_keys(endpoint.records)
    await sizes_are_bounded(endpoint.records)


async def test_a_record_ends_by_the_servers_clock(endpoint: AsyncMongoEndpoint) -> None:
    """It is there until its end and not afterwards, long before the server sweeps it; a change to it may let it stay."""
    records = endpoint.records
    first = Record("lease", "k", b"mine", 7)
    began = time.monotonic()
    assert await records.put(soon(), first, expected=0, lasts=0.3) is first
    held = Record("lease", "k", b"theirs", 1)
    assert await records.put(soon(), held, expected=0) == first
    assert time.monotonic() - began < 0.3, "the machine was too slow for this test"
    while await records.get(soon(), "lease", "k") is not None:
        assert time.monotonic() - began < 0.3 + GRACE
        await asleep(0.01)
    assert time.monotonic() - began >= 0.3
    assert await records.put(soon(), Record("lease", "k", b"", 8), expected=7) is None
    assert await records.delete(soon(), "lease", "k", expected=7) is None
    assert await records.put(soon(), held, expected=0, lasts=0.2) is held
    stays = Record("lease", "k", b"theirs", 2)
    assert await records.put(soon(), stays, expected=1) is stays
    await asleep(0.3)
    assert await records.get(soon(), "lease", "k") == stays


async def test_a_record_within_a_unit_is_part_of_its_transaction(endpoint: AsyncMongoEndpoint) -> None:
    """It stands when the unit commits, with the rest; else nothing does. A batch that is no transaction is refused."""
    records = endpoint.records
    for ends_well in (False, True):
        checkout = await endpoint.check_out(Kind.WRITE, soon(), 5.0)

        async def taken(checkout: Any = checkout) -> Any:
            return checkout

        handle = endpoint.handle(Kind.WRITE, taken, BlockMode(transaction=True), lambda: Request(kind=Kind.WRITE))
        await handle.begin(checkout)
        await handle.native.things.insert_one({"_id": 1})
        record = Record("unit", "k", b"one", 1)
        assert await records.put(soon(), record, expected=0, within=handle.native) is record
        assert await records.put(soon(), Record("unit", "k", b"two", 1), expected=0, within=handle.native) == record
        assert await records.get(soon(), "unit", "k") is None
        await (handle.finish() if ends_well else handle.abort())
        await handle.close()
        assert await records.get(soon(), "unit", "k") == (record if ends_well else None)
    batch = endpoint.handle(Kind.WRITE, taken, BlockMode(), lambda: Request(kind=Kind.WRITE))
    with pytest.raises(ConfigurationError, match="not a transaction"):
        await records.put(soon(), Record("unit", "j", b"", 1), expected=0, within=batch.native)


async def test_an_answer_that_is_lost_is_an_unknown_outcome(mongo_store_rig: MongoRig) -> None:
    """After sending nobody can say what was done; where no connection could be had, nothing was."""
    with FaultProxy(mongo_store_rig.servers.primary.address) as proxy:
        endpoint = endpoint_at(mongo_store_rig, proxy.url)
        await endpoint.make_tables(soon(), [RECORD])
        first = Record("home", "k", b"one", 1)
        assert await endpoint.records.put(soon(), first, expected=0) is first
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown, match="no answer came"):
            await endpoint.records.put(soon(), Record("home", "k", b"two", 2), expected=1)
        proxy.heal()
        assert await endpoint.records.get(soon(), "home", "k") == Record("home", "k", b"two", 2)
        proxy.cut()
        endpoint.evict()
        with pytest.raises(RegionUnavailable):
            await endpoint.records.put(soon(), Record("home", "k", b"three", 3), expected=2)
        await endpoint.close()


async def test_a_frozen_member_costs_the_deadline_and_no_more(mongo_store_rig: MongoRig) -> None:
    """Of reads, of changes, and of a block's question where the member stands."""
    with FaultProxy(mongo_store_rig.servers.primary.address) as proxy:
        endpoint = endpoint_at(mongo_store_rig, proxy.url)
        await endpoint.make_tables(soon(), [RECORD])
        await endpoint.records.put(soon(), Record("home", "k", b"one", 1), expected=0)
        checkout = await endpoint.check_out(Kind.READ, soon(), 5.0)
        proxy.freeze()
        began = time.monotonic()
        with pytest.raises(Exception, match=r"timed out|time limit|deadline") as caught:
            await checkout.observe(0.3)
        assert 0.2 < time.monotonic() - began < 0.3 + GRACE
        assert endpoint.classify(caught.value).name == "DEADLINE"
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await endpoint.records.get(Deadline(SYSTEM_CLOCK, 0.5), "home", "k")
        with pytest.raises((OutcomeUnknown, DeadlineExceeded)):
            await endpoint.records.put(Deadline(SYSTEM_CLOCK, 0.5), Record("home", "k", b"two", 2), expected=1)
        assert time.monotonic() - began < 1.0 + 2 * GRACE
        proxy.heal()
        await endpoint.close()


async def test_only_the_primary_changes_records(mongo_store_rig: MongoRig, endpoint: AsyncMongoEndpoint) -> None:
    """A secondary shows them, and refuses to change them: nothing was done."""
    record = Record("home", "k", b"one", 1)
    await endpoint.records.put(soon(), record, expected=0)
    copy = endpoint_at(mongo_store_rig, mongo_store_rig.servers.node("eu-west-1").address)
    end = time.monotonic() + 10.0
    while await copy.records.get(soon(), "home", "k") != record:
        assert time.monotonic() < end
        await asleep(0.02)
    with pytest.raises(RegionUnavailable):
        await copy.records.put(soon(), Record("home", "k", b"two", 2), expected=1)
    with pytest.raises(RegionUnavailable):
        await copy.records.delete(soon(), "home", "k", expected=1)
    await copy.close()


async def test_tables_are_made_once_and_told_by_version(mongo_store_rig: MongoRig) -> None:
    """By eight at once; without them a record is refused, and one of another version is never taken for ours."""
    address = mongo_store_rig.servers.primary.address
    endpoints = [endpoint_at(mongo_store_rig, address) for _ in range(8)]
    with pytest.raises(ConfigurationError, match="does not have regionkit's tables"):
        await endpoints[0].records.put(soon(), Record("home", "k", b"", 1), expected=0)
    made = await agather([_made(endpoint) for endpoint in endpoints])
    assert made == [None] * 8
    with mongo_store_rig.servers.primary.client() as client:
        database = client[mongo_store_rig.database]
        noted = {row["_id"]: row["version"] for row in database[f"{NAMESPACE}_rk_tables"].find({})}
        assert noted == {"history": 1, "marker": 1, "record": 1}
        assert database[f"{NAMESPACE}_rk_record"].index_information()["ends_at_1"]["expireAfterSeconds"] == 0
    with pytest.raises(ConfigurationError, match="is of version 1, and this regionkit needs 2"):
        await endpoints[0].make_tables(soon(), [Table("routing", "record", 2, RECORD.definitions)])
    for endpoint in endpoints:
        await endpoint.close()


def _made(endpoint: AsyncMongoEndpoint) -> Any:
    return lambda: endpoint.make_tables(soon(), [HISTORY, MARKER, RECORD])
