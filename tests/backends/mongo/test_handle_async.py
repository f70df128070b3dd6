"""What is special to MongoDB: one session in every command, levels of reads and writes, what is refused before it is sent."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from bson import Timestamp
from fix_rig_mongo import MongoRig
from fix_store_rigs import NAMESPACE, REGIONS
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.operations import InsertOne, UpdateOne
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from waiting_async import seen

from regionkit import (
    EVENTUAL,
    SESSION,
    STRONG,
    AsyncRegionKit,
    InvalidBookmark,
    MongoStore,
    OutcomeUnknown,
    Region,
    RegionUnavailable,
    Residency,
    StaleRead,
    Topology,
    UsageError,
)
from regionkit.backends.mongo.client_async import AsyncBlockSession
from regionkit.backends.mongo.endpoint_async import AsyncMongoEndpoint
from regionkit.backends.mongo.observation import as_timestamp, position_of
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SystemClock
from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError, NoEligibleEndpoint, ResidencyViolation
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.routing.monitor_async import AsyncMonitor
from regionkit.testing import FaultProxy
from regionkit.topology import profile

KEY = "a key of more than sixteen characters"
PATIENT = {"base": "balanced", "probe_timeout": 3.0, "trip_probes": 20, "open_first": 0.1, "open_longest": 0.2}
"""A busy machine is no dead server."""


@pytest.fixture
async def kit(mongo_store_rig: MongoRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit in ap-northeast-2, its collections made, every member seen."""
    async with AsyncRegionKit(mongo_store_rig.topology(), local="ap-northeast-2", bookmark_keys=[KEY]) as kit:
        yield await seen(kit)


async def test_uuids_dates_and_the_name_of_the_application_are_as_asked(mongo_store_rig: MongoRig) -> None:
    """Options of the store, and what the URL passes on; without them a UUID is refused and a date is naive, as in PyMongo."""
    rig, made, now = mongo_store_rig, uuid.uuid4(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    options = {"uuid_representation": "standard", "tz_aware": True}
    rig.url = f"{rig.url}&appName=shop&retryWrites=true&w=majority"
    async with AsyncRegionKit(rig.topology(options=options), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders") as db:
            await db.people.insert_one({"_id": made, "at": now})
        async with s.read("orders", consistency=STRONG) as db:
            assert await db.people.find_one() == {"_id": made, "at": now}
        with rig.servers.primary.client() as client:
            names = {op.get("appName") for op in client.admin.aggregate([{"$currentOp": {"idleConnections": True}}])}
            assert "shop" in names
    async with AsyncRegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        async with s.write("orders") as db:
            with pytest.raises(ValueError, match="UuidRepresentation"):
                await db.people.insert_one({"_id": uuid.uuid4()})
            assert (await db.people.find_one({}, {"_id": 0}))["at"].tzinfo is None


def primary_behind(proxy: FaultProxy, rig: MongoRig) -> Topology:
    """The primary alone, reached through a proxy."""
    address = proxy.url.split("//")[1].split("/")[0]
    store = MongoStore("orders", url=f"mongodb://{address}/{rig.database}?{rig.url.split('?')[1]}")
    return Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])


async def test_tables_are_made_on_a_member_that_is_slow_to_speak(mongo_store_rig: MongoRig) -> None:
    """Until it speaks there is no primary; it is asked again, each time with more patience, within the call's own time."""
    with FaultProxy(mongo_store_rig.servers.primary.url) as proxy:
        topology = primary_behind(proxy, mongo_store_rig)
        async with AsyncRegionKit(topology, local=REGIONS[0], profile="aggressive") as kit:
            kit._monitor = AsyncMonitor([])  # which would ask beside it
            proxy.freeze()
            healing = threading.Timer(2.0, proxy.heal)  # the first question gets 1.5 s
            healing.start()
            await kit.create_tables()
            healing.join()


async def test_the_monitor_has_a_connection_of_its_own(mongo_store_rig: MongoRig) -> None:
    """What blocks do to their connections costs its question nothing: it has no time to make one, and need not."""
    with FaultProxy(mongo_store_rig.servers.primary.url) as proxy:
        async with AsyncRegionKit(primary_behind(proxy, mongo_store_rig), local=REGIONS[0]) as kit:
            await kit.create_tables()
            await kit._monitor.stop()
            backend: Any = kit._store("orders").shards[0].backends[0]
            async with kit.session() as s, s.read("orders", consistency=STRONG) as db:
                await db.people.find_one()
            await backend.probe(5.0, 5.0)  # the monitor's last round may have been cut short with its connection
            proxy.latency(0.2)
            backend.evict()
            assert backend._parts().members.is_watched and not backend._parts().members.is_warm
            await backend.probe(1.0, 1.0)  # two round trips of 0.4 s; a new connection takes three more


def profiled(rig: MongoRig, region: str) -> list[dict[str, Any]]:
    """Commands that a member has run in the rig's database, as its own profiler saw them."""
    with rig.servers.node(region).client() as client:
        found = client[rig.database]["system.profile"].find({"appName": "regionkit"}).to_list()
        return [entry for entry in found if "_rk_" not in entry["ns"]]


def profile_all(rig: MongoRig, region: str) -> None:
    """Let a member note every command in the rig's database."""
    with rig.servers.node(region).client() as client:
        client[rig.database].command("profile", 2)


async def test_every_command_runs_in_the_blocks_session(kit: AsyncRegionKit, mongo_store_rig: MongoRig) -> None:
    """Whatever sends a command, clones and cursors and other tasks or threads too: the server sees one session, at a majority."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_many([{"_id": n, "n": n} for n in range(300)])
        profile_all(mongo_store_rig, "us-east-1")
        async with s.write("orders") as db:
            assert isinstance(db, AsyncDatabase)
            clone = db.get_collection("things").with_options(write_concern=WriteConcern("majority", j=True))
            await clone.update_one({"_id": 1}, {"$set": {"a": 1}})
            await db.things.bulk_write([InsertOne({"_id": "b"}), UpdateOne({"_id": 2}, {"$set": {"a": 1}})])
            await db.things.find_one_and_update({"_id": 3}, {"$set": {"a": 1}})
            await db.things.delete_one({"_id": "b"})
            assert len(await db.things.find({}, batch_size=50).to_list()) == 300
            assert len(await (await db.things.aggregate([{"$match": {"n": {"$lt": 5}}}], batchSize=2)).to_list()) == 5
            assert await db.things.count_documents({}) == 300
            assert await db.things.estimated_document_count() == 300
            assert len(await db.things.distinct("n")) == 300
            assert await db.list_collection_names()
            assert await (await db.things.list_indexes()).to_list()
            await db.command("find", "things", filter={"_id": 1})
            await db.client[db.name].things.find_one({"_id": 1})
            await (await db.things.watch(max_await_time_ms=1)).close()
            await agather([lambda: db.things.find_one({"_id": 4})] * 4)
    seen = [e for e in profiled(mongo_store_rig, "us-east-1") if "lsid" in e["command"] or e["op"] != "none"]
    kinds = {next(iter(e["command"])) for e in seen} - {"q"} | {
        e["op"] for e in seen if e["op"] in ("update", "remove")
    }
    assert {"insert", "update", "remove", "findAndModify", "find", "getMore", "aggregate", "count", "distinct"} <= kinds
    without = [e["command"] for e in seen if "lsid" not in e["command"] and e["op"] not in ("update", "remove")]
    assert without == []
    assert len({e["command"]["lsid"]["id"] for e in seen if "lsid" in e["command"]}) == 1
    levels = {e["command"].get("readConcern", {}).get("level") for e in seen if "find" in e["command"]}
    assert levels == {"majority"}


async def test_writes_of_several_at_once_are_all_in_the_bookmark(
    kit: AsyncRegionKit, mongo_store_rig: MongoRig
) -> None:
    """Threads or tasks share a block: its position is before none of their writes, and a reader elsewhere sees all."""
    async with kit.session() as s:
        async with s.write("orders", timeout=20) as db:
            done = await agather([lambda n=n: db.things.insert_one({"_id": n}) for n in range(32)])  # type: ignore[misc]
        assert [error for error in done if isinstance(error, BaseException)] == []
        [entry] = s._state.bookmark.entries("orders", "")
        bookmark = await s.bookmark()
    with mongo_store_rig.servers.primary.client() as client:
        inserted = client.local["oplog.rs"].find({"op": "i", "ns": f"{mongo_store_rig.database}.things"}).to_list()
    assert len(inserted) == 32
    assert isinstance(entry.position, int)
    assert entry.position >= max(position_of(record["ts"]) for record in inserted)
    async with AsyncRegionKit(mongo_store_rig.topology(), local="eu-west-1", bookmark_keys=[KEY]) as other:
        async with other.session(bookmark=bookmark) as s, s.read("orders", timeout=20) as db:
            found = await agather([lambda n=n: db.things.find_one({"_id": n}) for n in range(32)])  # type: ignore[misc]
    assert found == [{"_id": n} for n in range(32)]


@pytest.mark.parametrize(
    "write",
    [
        lambda db: db.things.insert_one({"_id": "x"}),
        lambda db: db.things.insert_many([{"_id": "x"}]),
        lambda db: db.things.bulk_write([InsertOne({"_id": "x"})]),
        lambda db: db.things.replace_one({"_id": "x"}, {}, upsert=True),
        lambda db: db.things.find_one_and_update({"_id": "x"}, {"$set": {"a": 1}}, upsert=True),
        lambda db: db.things.aggregate([{"$match": {}}, {"$out": "x"}]),
        lambda db: db.things.aggregate([{"$match": {}}, {"$merge": {"into": "x"}}]),
        lambda db: db.command("insert", "things", documents=[{"_id": "x"}]),
        lambda db: db.command({"aggregate": "things", "pipeline": [{"$out": "x"}], "cursor": {}}),
        lambda db: db.create_collection("x"),
        lambda db: db.things.create_index("a"),
        lambda db: db.things.drop(),
        lambda db: db.client.drop_database(db.name),
        lambda db: db.things.with_options(write_concern=WriteConcern(0)).insert_one({"_id": "x"}),
        lambda db: db.things.with_options(write_concern=WriteConcern(0)).insert_many([{"_id": "x"}]),
    ],
)
async def test_a_read_block_sends_no_write(kit: AsyncRegionKit, mongo_store_rig: MongoRig, write: Any) -> None:
    """Refused here, by name, on the owner too; the server hears nothing of it."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": "there"})
        with pytest.raises(UsageError):
            async with s.read("orders", consistency=STRONG) as db:
                await write(db)
    with mongo_store_rig.servers.primary.client() as client:
        database = client[mongo_store_rig.database]
        assert [d["_id"] for d in database.things.find()] == ["there"]
        assert "x" not in database.list_collection_names()


async def test_what_is_the_blocks_is_refused_elsewhere_and_the_other_way_round(
    kit: AsyncRegionKit, mongo_store_rig: MongoRig
) -> None:
    """Sessions from outside, a session made inside, closing, w=0, and a database or cursor after its block."""
    async with pymongo.AsyncMongoClient[dict[str, Any]](mongo_store_rig.url) as other, kit.session() as s:
        async with other.start_session() as foreign, s.write("orders") as db:
            with pytest.raises(UsageError, match="passed its own session"):
                await db.things.insert_one({"_id": 1}, session=foreign)
            with pytest.raises(UsageError, match="passed its own session"):
                await db.things.find_one({}, session=foreign)
            with pytest.raises(UsageError, match="start_session"):
                db.client.start_session()
            with pytest.raises(UsageError, match="close"):
                await db.client.close()
            with pytest.raises(UsageError, match="unacknowledged"):
                await db.things.with_options(write_concern=WriteConcern(0)).insert_many([{}, {}])
            await db.things.insert_many([{} for _ in range(5)])
            cursor = db.things.find({}, batch_size=2)
            await cursor.next()
        with pytest.raises(UsageError, match="after its block"):
            await db.things.find_one({})
        with pytest.raises(UsageError, match="after its block"):
            await cursor.to_list()


async def test_a_write_below_majority_is_read_from_the_owner(kit: AsyncRegionKit) -> None:
    """Its position proves nothing after an election: the session, or whoever has its bookmark, reads the owner, and sees it."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.with_options(write_concern=WriteConcern(1)).insert_one({"_id": "weak"})
        bookmark = await s.bookmark()
    async with kit.session(bookmark=bookmark) as s:
        assert OWNER_ONLY in s._state.bookmark.entries("orders", "")
        async with s.read("orders") as db:
            assert await db.things.find_one({"_id": "weak"}) is not None
        assert s.last_route is not None
        assert s.last_route.region == "us-east-1"


async def test_an_application_error_after_a_weak_write_stays_itself(kit: AsyncRegionKit) -> None:
    """A write below majority changes the bookmark, not the error that ends the block."""
    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders") as db:
                await db.things.with_options(write_concern=WriteConcern(1)).insert_one({"_id": "weak"})
                raise ZeroDivisionError
        assert OWNER_ONLY in s._state.bookmark.entries("orders", "")


async def test_a_refused_insert_is_no_commit(kit: AsyncRegionKit) -> None:
    """A duplicate key changes nothing: the driver's own error, no position, nothing said of a part that was committed."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError) as caught:
            async with s.write("orders") as db:
                await db.things.insert_one({"_id": 1})
        assert not hasattr(caught.value, "__notes__")


async def test_a_read_concern_below_the_promise_is_refused(kit: AsyncRegionKit) -> None:
    """What it would show, the session's next read may not."""
    async with kit.session() as s:
        for level in ("local", "available"):
            with pytest.raises(UsageError, match="read concern"):
                async with s.read("orders", consistency=EVENTUAL) as db:
                    await db.things.with_options(read_concern=ReadConcern(level)).find_one({})
        with pytest.raises(UsageError, match="read concern"):
            async with s.read("orders", consistency=STRONG) as db:
                await db.things.with_options(read_concern=ReadConcern("majority")).distinct("a")


async def test_what_was_seen_is_asked_of_the_server_too(kit: AsyncRegionKit, mongo_store_rig: MongoRig) -> None:
    """A signed bookmark goes along as afterClusterTime: the server would wait, even if our own proof were wrong."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": 1})
        bookmark = await s.bookmark()
        position = s._state.bookmark.entries("orders", "")[0].position
    profile_all(mongo_store_rig, "us-east-1")
    async with kit.session(bookmark=bookmark) as s:
        async with s.read("orders", consistency=SESSION, prefer=None, on_stale="primary") as db:
            await db.things.find_one({"_id": 1})
        async with s.write("orders") as db:
            await db.things.find_one({"_id": 1})
        async with s.read("orders", consistency=STRONG) as db:
            await db.things.find_one({"_id": 1})
    found = [e["command"]["readConcern"] for e in profiled(mongo_store_rig, "us-east-1") if "find" in e["command"]]
    assert isinstance(position, int)
    after = [concern["afterClusterTime"] for concern in found if concern["level"] == "majority" and len(concern) > 1]
    assert all(position_of(at) >= position for at in after)
    assert {"level": "linearizable"} in [{"level": c["level"]} for c in found if "afterClusterTime" not in c]


async def test_an_invented_time_moves_no_clock(mongo_store_rig: MongoRig) -> None:
    """An unsigned bookmark of a far future is refused, and no member's clock has heard of it."""
    topology = mongo_store_rig.topology()
    async with AsyncRegionKit(topology, local="ap-northeast-2") as kit:
        await kit.create_tables()
        async with kit.session() as s:
            async with s.write("orders") as db:
                await db.things.insert_one({"_id": 1})
            entry = s._state.bookmark.entries("orders", "")[0]
            assert isinstance(entry.position, int)
            ahead = as_timestamp(entry.position).time + 30 * 86_400
            s._state.bookmark = type(s._state.bookmark)().add(
                "orders", type(entry)(entry.history, entry.epoch, ahead << 32, False)
            )
            forged = await s.bookmark()
        async with kit.session(bookmark=forged) as s:
            with pytest.raises((InvalidBookmark, StaleRead)):
                async with s.read("orders") as db:
                    await db.things.find_one({})
    for region in ("us-east-1", "ap-northeast-2", "eu-west-1"):
        clock = mongo_store_rig.servers.node(region).admin("hello")["$clusterTime"]["clusterTime"]
        assert clock < Timestamp(ahead - 86_400, 0)


async def test_a_transaction_commits_or_leaves_nothing(kit: AsyncRegionKit, mongo_store_rig: MongoRig) -> None:
    """With transaction=True an exception rolls back, what is read in it is one snapshot, and the bookmark covers the commit."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": "a", "value": "1"})
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders", transaction=True) as db:
                await db.things.update_one({"_id": "a"}, {"$set": {"value": "2"}})
                await db.things.insert_one({"_id": "b", "value": "1"})
                raise ZeroDivisionError
        assert mongo_store_rig.value("a") == "1"
        assert mongo_store_rig.value("b") is None
        async with s.write("orders", transaction=True) as db:
            await db.things.insert_many([{"_id": "b", "value": "1"}, {"_id": "c", "value": "1"}])
            assert await db.things.count_documents({}) == 3
            await db.things.bulk_write([UpdateOne({"_id": "a"}, {"$set": {"value": "2"}})])
        assert mongo_store_rig.value("a") == "2"
        async with s.read("orders") as db:
            assert await db.things.find_one({"_id": "c"}) is not None


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_commit_whose_reply_is_lost_is_one_effect_and_unknown(
    mongo_store_rig: MongoRig, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The server has committed: nobody says that it failed, nothing runs again, and under a key it can be found out."""
    rig, primary = mongo_store_rig, mongo_store_rig.servers.primary
    runs = []

    async def add(db: Any) -> None:
        runs.append(1)
        await db.things.update_one({"_id": "n"}, {"$inc": {"value": 1}})

    with FaultProxy(primary.address) as proxy:
        store = MongoStore("orders", url=rig.url.replace(primary.address, proxy.url))
        topology = Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])
        commit = AsyncBlockSession.commit_transaction

        async def lost(session: AsyncBlockSession) -> None:
            proxy.drop_replies()
            await commit(session)

        async with AsyncRegionKit(topology, local="us-east-1", profile=PATIENT) as kit:
            await kit.create_tables()
            async with kit.session() as s:
                async with s.write("orders") as db:
                    await db.things.insert_one({"_id": "n", "value": 0})
                monkeypatch.setattr(AsyncBlockSession, "commit_transaction", lost)
                with pytest.raises(OutcomeUnknown) as caught:
                    await s.execute_write("orders", add, idempotency_key=key, transaction=True, timeout=3.0)
            assert proxy.dropped > 0
            assert (caught.value.committed, caught.value.idempotency_key, len(runs)) == ("unknown", key, 1)
            proxy.heal()
    if key is not None:
        async with AsyncRegionKit(rig.topology(), local="us-east-1", profile=PATIENT) as kit:
            assert await kit.resolve(caught.value) == "yes"
    assert rig.value("n") == 1


async def test_a_conflict_is_run_again(kit: AsyncRegionKit, mongo_store_rig: MongoRig) -> None:
    """The server proves the rollback of one of two that collide; execute_write runs it again."""
    runs = []

    async def add(db: Any) -> None:
        runs.append(1)
        found = await db.things.find_one({"_id": "n"})
        if len(runs) == 1:
            with mongo_store_rig.servers.primary.client() as client:
                client[mongo_store_rig.database].things.update_one({"_id": "n"}, {"$set": {"value": 10}})
        await db.things.update_one({"_id": "n"}, {"$set": {"value": found["value"] + 1}})

    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": "n", "value": 0})
        await s.execute_write("orders", add, transaction=True, timeout=20)
    assert len(runs) == 2
    assert mongo_store_rig.value("n") == 11


async def test_an_abandoned_transaction_lets_go(kit: AsyncRegionKit) -> None:
    """A block whose deadline passes in a transaction has it aborted by the next probe: its locks do not stay for a minute."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": "n", "value": 0})
        with pytest.raises(Exception, match=r"deadline|too long|did not end"):
            async with s.write("orders", transaction=True, timeout=0.3) as db:
                await db.things.update_one({"_id": "n"}, {"$set": {"value": 1}})
                await asleep(0.4)
                await db.things.find_one({})
        async with s.write("orders", timeout=15) as db:
            await db.things.update_one({"_id": "n"}, {"$inc": {"value": 5}})
            found = await db.things.find_one({"_id": "n"})
            assert found["value"] == 5


async def test_a_slow_command_ends_at_the_deadline(kit: AsyncRegionKit) -> None:
    """The server gives up first and answers, so the connection stays; the block says DeadlineExceeded."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await db.things.insert_one({"_id": 1})
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with s.read("orders", consistency=STRONG, timeout=0.6) as db:
                await db.things.find_one({"$where": "for (;;) {}"})
        assert time.monotonic() - began < 2.0
        async with s.read("orders", consistency=STRONG) as db:
            assert await db.things.find_one({}) == {"_id": 1}


async def test_an_outer_limit_of_the_users_own_holds(kit: AsyncRegionKit) -> None:
    """pymongo.timeout() around a block, or in it, can only shorten."""
    async with kit.session() as s:
        with pymongo.timeout(600):
            with pytest.raises(TimeoutError):
                async with s.read("orders", timeout=0.3) as db:
                    await asleep(0.35)
                    await db.things.find_one({})
        async with s.read("orders", consistency=EVENTUAL) as db:
            with pymongo.timeout(0.000001), pytest.raises(pymongo.errors.PyMongoError):
                await db.things.find_one({})


async def test_more_commands_than_connections_wait_their_turn(mongo_store_rig: MongoRig) -> None:
    """pool_size bounds a member's connections; the monitor's question does not wait behind them."""
    topology = mongo_store_rig.topology(options={"pool_size": 2})
    async with AsyncRegionKit(topology, local="us-east-1") as kit:
        await kit.create_tables()
        async with kit.session() as s:
            async with s.write("orders") as db:
                await db.things.insert_one({"_id": 1})

            async def late() -> None:
                await asleep(1.0)
                async with kit.session() as other, other.read("orders", timeout=0.5, consistency=EVENTUAL) as db:
                    await db.things.find_one({})

            async with s.read("orders", timeout=6, consistency=EVENTUAL) as db:
                slow = {"$where": "sleep(60000) || true"}
                first, second, third = await agather(
                    [lambda: db.things.find_one(slow), lambda: db.things.find_one(slow), late]
                )
            assert isinstance(first, PyMongoError)
            assert isinstance(second, PyMongoError)
            assert isinstance(third, TimeoutError)
            assert "connections to" in str(third)
        assert kit.status().endpoints[0].read_breaker == "closed"


async def test_an_account_that_is_refused(mongo_store_rig: MongoRig) -> None:
    """A wrong password is told as the server's own words, without the password; nothing in a repr has it either."""
    host = mongo_store_rig.servers.node("us-east-1").address
    url = f"mongodb://app:s3cr3t-word@{host}/{mongo_store_rig.database}"
    endpoint = endpoint_of(MongoStore("orders", url=url))
    with pytest.raises(RegionUnavailable, match="Authentication failed") as caught:
        await endpoint.probe(5.0, 5.0)
    assert not caught.value.retryable
    shown = [repr(caught.value), str(caught.value), repr(endpoint.member.client), repr(caught.value.__cause__)]
    assert "s3cr3t-word" not in "".join(shown)
    await endpoint.close()


async def test_a_server_without_tls_is_refused(mongo_store_rig: MongoRig) -> None:
    """TLS that is required and not available: no connection, no plain text."""
    host = mongo_store_rig.servers.node("us-east-1").address
    endpoint = endpoint_of(MongoStore("orders", url=f"mongodb://{host}/test?tls=true"))
    with pytest.raises(RegionUnavailable):
        await endpoint.probe(5.0, 5.0)
    await endpoint.close()


async def test_another_replica_set_at_the_address(mongo_store_rig: MongoRig) -> None:
    """A member of another set than the URL names is a mistake of the topology, told as one."""
    host = mongo_store_rig.servers.node("us-east-1").address
    endpoint = endpoint_of(MongoStore("orders", url=f"mongodb://{host}/test?replicaSet=other"))
    with pytest.raises(ConfigurationError, match="replicaSet=other"):
        await endpoint.probe(5.0, 5.0)
    await endpoint.close()


async def test_nothing_connects_before_first_use_and_close_comes_twice(mongo_store_rig: MongoRig) -> None:
    """A kit of a store that is never used opens nothing."""
    endpoint = endpoint_of(MongoStore("orders", url="mongodb://192.0.2.1/test", tls="off"))
    endpoint.evict()
    await endpoint.close()
    await endpoint.close()
    kit = AsyncRegionKit(mongo_store_rig.topology(), local="us-east-1")
    await kit.close()
    await kit.close()


async def test_regions_that_residency_refuses_are_not_read(mongo_store_rig: MongoRig) -> None:
    """A member learns its region from its tag; one outside of the residency is not used from then on."""
    topology = mongo_store_rig.topology(residency=Residency(allow=["us-east-1", "eu-west-1"]))
    async with AsyncRegionKit(topology, local="ap-northeast-2") as kit:
        await kit.create_tables()
        async with kit.session() as s:
            async with s.write("orders") as db:
                await db.things.insert_one({"_id": 1})
            for _ in range(5):
                async with s.read("orders") as db:
                    await db.things.find_one({})
                assert s.last_route is not None
                assert s.last_route.region != "ap-northeast-2"
    store = MongoStore("orders", url=mongo_store_rig.url)
    nowhere = Topology(namespace="shop", regions=[Region("sa-east-1")], stores=[store])
    async with AsyncRegionKit(nowhere, local="sa-east-1") as kit:
        end = time.monotonic() + 30
        while True:
            with pytest.raises((ResidencyViolation, NoEligibleEndpoint)) as caught:
                async with kit.session() as s, s.read("orders") as db:
                    await db.things.find_one({})
            if isinstance(caught.value, ResidencyViolation):
                break
            assert time.monotonic() < end, "no member has said where it stands"


def endpoint_of(store: MongoStore) -> AsyncMongoEndpoint:
    """The backend of a store's first member, without a kit."""
    endpoint = store.shards([])[0].endpoints[0]
    return AsyncMongoEndpoint(
        EndpointContext("shop", store, endpoint, profile("balanced"), SystemClock(), is_async=True)
    )


async def test_an_operation_failure_passes_as_it_is(kit: AsyncRegionKit) -> None:
    """The application's own mistake says nothing of the member."""
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        with pytest.raises(OperationFailure):
            await db.things.find_one({"$nonsense": 1})
    assert all(e.read_breaker == "closed" for e in kit.status().endpoints)
