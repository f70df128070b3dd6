# Generated from test_handle_async.py by scripts/twins.py. Do not edit.
"""What is special to MongoDB: one session in every command, levels of reads and writes, what is refused before it is sent."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from bson import Timestamp
from fix_rig_mongo import MongoRig
from fix_store_rigs import NAMESPACE, REGIONS
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.operations import InsertOne, UpdateOne
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.database import Database
from pymongo.write_concern import WriteConcern
from waiting import seen

from regionkit import (
    EVENTUAL,
    SESSION,
    STRONG,
    InvalidBookmark,
    MongoStore,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Residency,
    StaleRead,
    Topology,
    UsageError,
)
from regionkit.backends.mongo.client import BlockSession
from regionkit.backends.mongo.endpoint import MongoEndpoint
from regionkit.backends.mongo.observation import as_timestamp, position_of
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SystemClock
from regionkit.core.concurrency import gather, sleep
from regionkit.errors import ConfigurationError, NoEligibleEndpoint, ResidencyViolation
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.routing.monitor import Monitor
from regionkit.testing import FaultProxy
from regionkit.topology import profile

KEY = "a key of more than sixteen characters"
PATIENT = {"base": "balanced", "probe_timeout": 3.0, "trip_probes": 20, "open_first": 0.1, "open_longest": 0.2}
"""A busy machine is no dead server."""


@pytest.fixture
def kit(mongo_store_rig: MongoRig) -> Iterator[RegionKit]:
    """A kit in ap-northeast-2, its collections made, every member seen."""
    with RegionKit(mongo_store_rig.topology(), local="ap-northeast-2", bookmark_keys=[KEY]) as kit:
        yield seen(kit)


def test_uuids_dates_and_the_name_of_the_application_are_as_asked(mongo_store_rig: MongoRig) -> None:
    """Options of the store, and what the URL passes on; without them a UUID is refused and a date is naive, as in PyMongo."""
    rig, made, now = mongo_store_rig, uuid.uuid4(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    options = {"uuid_representation": "standard", "tz_aware": True}
    rig.url = f"{rig.url}&appName=shop&retryWrites=true&w=majority"
    with RegionKit(rig.topology(options=options), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as db:
            db.people.insert_one({"_id": made, "at": now})
        with s.read("orders", consistency=STRONG) as db:
            assert db.people.find_one() == {"_id": made, "at": now}
        with rig.servers.primary.client() as client:
            names = {op.get("appName") for op in client.admin.aggregate([{"$currentOp": {"idleConnections": True}}])}
            assert "shop" in names
    with RegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        with s.write("orders") as db:
            with pytest.raises(ValueError, match="UuidRepresentation"):
                db.people.insert_one({"_id": uuid.uuid4()})
            assert (db.people.find_one({}, {"_id": 0}))["at"].tzinfo is None


def primary_behind(proxy: FaultProxy, rig: MongoRig) -> Topology:
    """The primary alone, reached through a proxy."""
    address = proxy.url.split("//")[1].split("/")[0]
    store = MongoStore("orders", url=f"mongodb://{address}/{rig.database}?{rig.url.split('?')[1]}")
    return Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])


def test_tables_are_made_on_a_member_that_is_slow_to_speak(mongo_store_rig: MongoRig) -> None:
    """Until it speaks there is no primary; it is asked again, each time with more patience, within the call's own time."""
    with FaultProxy(mongo_store_rig.servers.primary.url) as proxy:
        topology = primary_behind(proxy, mongo_store_rig)
        with RegionKit(topology, local=REGIONS[0], profile="aggressive") as kit:
            kit._monitor = Monitor([])  # which would ask beside it
            proxy.freeze()
            healing = threading.Timer(2.0, proxy.heal)  # the first question gets 1.5 s
            healing.start()
            kit.create_tables()
            healing.join()


def test_the_monitor_has_a_connection_of_its_own(mongo_store_rig: MongoRig) -> None:
    """What blocks do to their connections costs its question nothing: it has no time to make one, and need not."""
    with FaultProxy(mongo_store_rig.servers.primary.url) as proxy:
        with RegionKit(primary_behind(proxy, mongo_store_rig), local=REGIONS[0]) as kit:
            kit.create_tables()
            kit._monitor.stop()
            backend: Any = kit._store("orders").shards[0].backends[0]
            with kit.session() as s, s.read("orders", consistency=STRONG) as db:
                db.people.find_one()
            backend.probe(5.0, 5.0)  # the monitor's last round may have been cut short with its connection
            proxy.latency(0.2)
            backend.evict()
            assert backend._parts().members.is_watched and not backend._parts().members.is_warm
            backend.probe(1.0, 1.0)  # two round trips of 0.4 s; a new connection takes three more


def profiled(rig: MongoRig, region: str) -> list[dict[str, Any]]:
    """Commands that a member has run in the rig's database, as its own profiler saw them."""
    with rig.servers.node(region).client() as client:
        found = client[rig.database]["system.profile"].find({"appName": "regionkit"}).to_list()
        return [entry for entry in found if "_rk_" not in entry["ns"]]


def profile_all(rig: MongoRig, region: str) -> None:
    """Let a member note every command in the rig's database."""
    with rig.servers.node(region).client() as client:
        client[rig.database].command("profile", 2)


def test_every_command_runs_in_the_blocks_session(kit: RegionKit, mongo_store_rig: MongoRig) -> None:
    """Whatever sends a command, clones and cursors and other tasks or threads too: the server sees one session, at a majority."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_many([{"_id": n, "n": n} for n in range(300)])
        profile_all(mongo_store_rig, "us-east-1")
        with s.write("orders") as db:
            assert isinstance(db, Database)
            clone = db.get_collection("things").with_options(write_concern=WriteConcern("majority", j=True))
            clone.update_one({"_id": 1}, {"$set": {"a": 1}})
            db.things.bulk_write([InsertOne({"_id": "b"}), UpdateOne({"_id": 2}, {"$set": {"a": 1}})])
            db.things.find_one_and_update({"_id": 3}, {"$set": {"a": 1}})
            db.things.delete_one({"_id": "b"})
            assert len(db.things.find({}, batch_size=50).to_list()) == 300
            assert len((db.things.aggregate([{"$match": {"n": {"$lt": 5}}}], batchSize=2)).to_list()) == 5
            assert db.things.count_documents({}) == 300
            assert db.things.estimated_document_count() == 300
            assert len(db.things.distinct("n")) == 300
            assert db.list_collection_names()
            assert (db.things.list_indexes()).to_list()
            db.command("find", "things", filter={"_id": 1})
            db.client[db.name].things.find_one({"_id": 1})
            (db.things.watch(max_await_time_ms=1)).close()
            gather([lambda: db.things.find_one({"_id": 4})] * 4)
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


def test_writes_of_several_at_once_are_all_in_the_bookmark(kit: RegionKit, mongo_store_rig: MongoRig) -> None:
    """Threads or tasks share a block: its position is before none of their writes, and a reader elsewhere sees all."""
    with kit.session() as s:
        with s.write("orders", timeout=20) as db:
            done = gather([lambda n=n: db.things.insert_one({"_id": n}) for n in range(32)])  # type: ignore[misc]
        assert [error for error in done if isinstance(error, BaseException)] == []
        [entry] = s._state.bookmark.entries("orders", "")
        bookmark = s.bookmark()
    with mongo_store_rig.servers.primary.client() as client:
        inserted = client.local["oplog.rs"].find({"op": "i", "ns": f"{mongo_store_rig.database}.things"}).to_list()
    assert len(inserted) == 32
    assert isinstance(entry.position, int)
    assert entry.position >= max(position_of(record["ts"]) for record in inserted)
    with RegionKit(mongo_store_rig.topology(), local="eu-west-1", bookmark_keys=[KEY]) as other:
        with other.session(bookmark=bookmark) as s, s.read("orders", timeout=20) as db:
            found = gather([lambda n=n: db.things.find_one({"_id": n}) for n in range(32)])  # type: ignore[misc]
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
def test_a_read_block_sends_no_write(kit: RegionKit, mongo_store_rig: MongoRig, write: Any) -> None:
    """Refused here, by name, on the owner too; the server hears nothing of it."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": "there"})
        with pytest.raises(UsageError):
            with s.read("orders", consistency=STRONG) as db:
                write(db)
    with mongo_store_rig.servers.primary.client() as client:
        database = client[mongo_store_rig.database]
        assert [d["_id"] for d in database.things.find()] == ["there"]
        assert "x" not in database.list_collection_names()


def test_what_is_the_blocks_is_refused_elsewhere_and_the_other_way_round(
    kit: RegionKit, mongo_store_rig: MongoRig
) -> None:
    """Sessions from outside, a session made inside, closing, w=0, and a database or cursor after its block."""
    with pymongo.MongoClient[dict[str, Any]](mongo_store_rig.url) as other, kit.session() as s:
        with other.start_session() as foreign, s.write("orders") as db:
            with pytest.raises(UsageError, match="passed its own session"):
                db.things.insert_one({"_id": 1}, session=foreign)
            with pytest.raises(UsageError, match="passed its own session"):
                db.things.find_one({}, session=foreign)
            with pytest.raises(UsageError, match="start_session"):
                db.client.start_session()
            with pytest.raises(UsageError, match="close"):
                db.client.close()
            with pytest.raises(UsageError, match="unacknowledged"):
                db.things.with_options(write_concern=WriteConcern(0)).insert_many([{}, {}])
            db.things.insert_many([{} for _ in range(5)])
            cursor = db.things.find({}, batch_size=2)
            cursor.next()
        with pytest.raises(UsageError, match="after its block"):
            db.things.find_one({})
        with pytest.raises(UsageError, match="after its block"):
            cursor.to_list()


def test_a_write_below_majority_is_read_from_the_owner(kit: RegionKit) -> None:
    """Its position proves nothing after an election: the session, or whoever has its bookmark, reads the owner, and sees it."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.with_options(write_concern=WriteConcern(1)).insert_one({"_id": "weak"})
        bookmark = s.bookmark()
    with kit.session(bookmark=bookmark) as s:
        assert OWNER_ONLY in s._state.bookmark.entries("orders", "")
        with s.read("orders") as db:
            assert db.things.find_one({"_id": "weak"}) is not None
        assert s.last_route is not None
        assert s.last_route.region == "us-east-1"


def test_an_application_error_after_a_weak_write_stays_itself(kit: RegionKit) -> None:
    """A write below majority changes the bookmark, not the error that ends the block."""
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders") as db:
                db.things.with_options(write_concern=WriteConcern(1)).insert_one({"_id": "weak"})
                raise ZeroDivisionError
        assert OWNER_ONLY in s._state.bookmark.entries("orders", "")


def test_a_refused_insert_is_no_commit(kit: RegionKit) -> None:
    """A duplicate key changes nothing: the driver's own error, no position, nothing said of a part that was committed."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError) as caught:
            with s.write("orders") as db:
                db.things.insert_one({"_id": 1})
        assert not hasattr(caught.value, "__notes__")


def test_a_read_concern_below_the_promise_is_refused(kit: RegionKit) -> None:
    """What it would show, the session's next read may not."""
    with kit.session() as s:
        for level in ("local", "available"):
            with pytest.raises(UsageError, match="read concern"):
                with s.read("orders", consistency=EVENTUAL) as db:
                    db.things.with_options(read_concern=ReadConcern(level)).find_one({})
        with pytest.raises(UsageError, match="read concern"):
            with s.read("orders", consistency=STRONG) as db:
                db.things.with_options(read_concern=ReadConcern("majority")).distinct("a")


def test_what_was_seen_is_asked_of_the_server_too(kit: RegionKit, mongo_store_rig: MongoRig) -> None:
    """A signed bookmark goes along as afterClusterTime: the server would wait, even if our own proof were wrong."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": 1})
        bookmark = s.bookmark()
        position = s._state.bookmark.entries("orders", "")[0].position
    profile_all(mongo_store_rig, "us-east-1")
    with kit.session(bookmark=bookmark) as s:
        with s.read("orders", consistency=SESSION, prefer=None, on_stale="primary") as db:
            db.things.find_one({"_id": 1})
        with s.write("orders") as db:
            db.things.find_one({"_id": 1})
        with s.read("orders", consistency=STRONG) as db:
            db.things.find_one({"_id": 1})
    found = [e["command"]["readConcern"] for e in profiled(mongo_store_rig, "us-east-1") if "find" in e["command"]]
    assert isinstance(position, int)
    after = [concern["afterClusterTime"] for concern in found if concern["level"] == "majority" and len(concern) > 1]
    assert all(position_of(at) >= position for at in after)
    assert {"level": "linearizable"} in [{"level": c["level"]} for c in found if "afterClusterTime" not in c]


def test_an_invented_time_moves_no_clock(mongo_store_rig: MongoRig) -> None:
    """An unsigned bookmark of a far future is refused, and no member's clock has heard of it."""
    topology = mongo_store_rig.topology()
    with RegionKit(topology, local="ap-northeast-2") as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db.things.insert_one({"_id": 1})
            entry = s._state.bookmark.entries("orders", "")[0]
            assert isinstance(entry.position, int)
            ahead = as_timestamp(entry.position).time + 30 * 86_400
            s._state.bookmark = type(s._state.bookmark)().add(
                "orders", type(entry)(entry.history, entry.epoch, ahead << 32, False)
            )
            forged = s.bookmark()
        with kit.session(bookmark=forged) as s:
            with pytest.raises((InvalidBookmark, StaleRead)):
                with s.read("orders") as db:
                    db.things.find_one({})
    for region in ("us-east-1", "ap-northeast-2", "eu-west-1"):
        clock = mongo_store_rig.servers.node(region).admin("hello")["$clusterTime"]["clusterTime"]
        assert clock < Timestamp(ahead - 86_400, 0)


def test_a_transaction_commits_or_leaves_nothing(kit: RegionKit, mongo_store_rig: MongoRig) -> None:
    """With transaction=True an exception rolls back, what is read in it is one snapshot, and the bookmark covers the commit."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": "a", "value": "1"})
        with pytest.raises(ZeroDivisionError):
            with s.write("orders", transaction=True) as db:
                db.things.update_one({"_id": "a"}, {"$set": {"value": "2"}})
                db.things.insert_one({"_id": "b", "value": "1"})
                raise ZeroDivisionError
        assert mongo_store_rig.value("a") == "1"
        assert mongo_store_rig.value("b") is None
        with s.write("orders", transaction=True) as db:
            db.things.insert_many([{"_id": "b", "value": "1"}, {"_id": "c", "value": "1"}])
            assert db.things.count_documents({}) == 3
            db.things.bulk_write([UpdateOne({"_id": "a"}, {"$set": {"value": "2"}})])
        assert mongo_store_rig.value("a") == "2"
        with s.read("orders") as db:
            assert db.things.find_one({"_id": "c"}) is not None


@pytest.mark.parametrize("key", [None, "k"])
def test_a_commit_whose_reply_is_lost_is_one_effect_and_unknown(
    mongo_store_rig: MongoRig, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The server has committed: nobody says that it failed, nothing runs again, and under a key it can be found out."""
    rig, primary = mongo_store_rig, mongo_store_rig.servers.primary
    runs = []

    def add(db: Any) -> None:
        runs.append(1)
        db.things.update_one({"_id": "n"}, {"$inc": {"value": 1}})

    with FaultProxy(primary.address) as proxy:
        store = MongoStore("orders", url=rig.url.replace(primary.address, proxy.url))
        topology = Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])
        commit = BlockSession.commit_transaction

        def lost(session: BlockSession) -> None:
            proxy.drop_replies()
            commit(session)

        with RegionKit(topology, local="us-east-1", profile=PATIENT) as kit:
            kit.create_tables()
            with kit.session() as s:
                with s.write("orders") as db:
                    db.things.insert_one({"_id": "n", "value": 0})
                monkeypatch.setattr(BlockSession, "commit_transaction", lost)
                with pytest.raises(OutcomeUnknown) as caught:
                    s.execute_write("orders", add, idempotency_key=key, transaction=True, timeout=3.0)
            assert proxy.dropped > 0
            assert (caught.value.committed, caught.value.idempotency_key, len(runs)) == ("unknown", key, 1)
            proxy.heal()
    if key is not None:
        with RegionKit(rig.topology(), local="us-east-1", profile=PATIENT) as kit:
            assert kit.resolve(caught.value) == "yes"
    assert rig.value("n") == 1


def test_a_conflict_is_run_again(kit: RegionKit, mongo_store_rig: MongoRig) -> None:
    """The server proves the rollback of one of two that collide; execute_write runs it again."""
    runs = []

    def add(db: Any) -> None:
        runs.append(1)
        found = db.things.find_one({"_id": "n"})
        if len(runs) == 1:
            with mongo_store_rig.servers.primary.client() as client:
                client[mongo_store_rig.database].things.update_one({"_id": "n"}, {"$set": {"value": 10}})
        db.things.update_one({"_id": "n"}, {"$set": {"value": found["value"] + 1}})

    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": "n", "value": 0})
        s.execute_write("orders", add, transaction=True, timeout=20)
    assert len(runs) == 2
    assert mongo_store_rig.value("n") == 11


def test_an_abandoned_transaction_lets_go(kit: RegionKit) -> None:
    """A block whose deadline passes in a transaction has it aborted by the next probe: its locks do not stay for a minute."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": "n", "value": 0})
        with pytest.raises(Exception, match=r"deadline|too long|did not end"):
            with s.write("orders", transaction=True, timeout=0.3) as db:
                db.things.update_one({"_id": "n"}, {"$set": {"value": 1}})
                sleep(0.4)
                db.things.find_one({})
        with s.write("orders", timeout=15) as db:
            db.things.update_one({"_id": "n"}, {"$inc": {"value": 5}})
            found = db.things.find_one({"_id": "n"})
            assert found["value"] == 5


def test_a_slow_command_ends_at_the_deadline(kit: RegionKit) -> None:
    """The server gives up first and answers, so the connection stays; the block says DeadlineExceeded."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.things.insert_one({"_id": 1})
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            with s.read("orders", consistency=STRONG, timeout=0.6) as db:
                db.things.find_one({"$where": "for (;;) {}"})
        assert time.monotonic() - began < 2.0
        with s.read("orders", consistency=STRONG) as db:
            assert db.things.find_one({}) == {"_id": 1}


def test_an_outer_limit_of_the_users_own_holds(kit: RegionKit) -> None:
    """pymongo.timeout() around a block, or in it, can only shorten."""
    with kit.session() as s:
        with pymongo.timeout(600):
            with pytest.raises(TimeoutError):
                with s.read("orders", timeout=0.3) as db:
                    sleep(0.35)
                    db.things.find_one({})
        with s.read("orders", consistency=EVENTUAL) as db:
            with pymongo.timeout(0.000001), pytest.raises(pymongo.errors.PyMongoError):
                db.things.find_one({})


def test_more_commands_than_connections_wait_their_turn(mongo_store_rig: MongoRig) -> None:
    """pool_size bounds a member's connections; the monitor's question does not wait behind them."""
    topology = mongo_store_rig.topology(options={"pool_size": 2})
    with RegionKit(topology, local="us-east-1") as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db.things.insert_one({"_id": 1})

            def late() -> None:
                sleep(1.0)
                with kit.session() as other, other.read("orders", timeout=0.5, consistency=EVENTUAL) as db:
                    db.things.find_one({})

            with s.read("orders", timeout=6, consistency=EVENTUAL) as db:
                slow = {"$where": "sleep(60000) || true"}
                first, second, third = gather(
                    [lambda: db.things.find_one(slow), lambda: db.things.find_one(slow), late]
                )
            assert isinstance(first, PyMongoError)
            assert isinstance(second, PyMongoError)
            assert isinstance(third, TimeoutError)
            assert "connections to" in str(third)
        assert kit.status().endpoints[0].read_breaker == "closed"


def test_an_account_that_is_refused(mongo_store_rig: MongoRig) -> None:
    """A wrong password is told as the server's own words, without the password; nothing in a repr has it either."""
    host = mongo_store_rig.servers.node("us-east-1").address
    url = f"mongodb://app:s3cr3t-word@{host}/{mongo_store_rig.database}"
    endpoint = endpoint_of(MongoStore("orders", url=url))
    with pytest.raises(RegionUnavailable, match="Authentication failed") as caught:
        endpoint.probe(5.0, 5.0)
    assert not caught.value.retryable
    shown = [repr(caught.value), str(caught.value), repr(endpoint.member.client), repr(caught.value.__cause__)]
    assert "s3cr3t-word" not in "".join(shown)
    endpoint.close()


def test_a_server_without_tls_is_refused(mongo_store_rig: MongoRig) -> None:
    """TLS that is required and not available: no connection, no plain text."""
    host = mongo_store_rig.servers.node("us-east-1").address
    endpoint = endpoint_of(MongoStore("orders", url=f"mongodb://{host}/test?tls=true"))
    with pytest.raises(RegionUnavailable):
        endpoint.probe(5.0, 5.0)
    endpoint.close()


def test_another_replica_set_at_the_address(mongo_store_rig: MongoRig) -> None:
    """A member of another set than the URL names is a mistake of the topology, told as one."""
    host = mongo_store_rig.servers.node("us-east-1").address
    endpoint = endpoint_of(MongoStore("orders", url=f"mongodb://{host}/test?replicaSet=other"))
    with pytest.raises(ConfigurationError, match="replicaSet=other"):
        endpoint.probe(5.0, 5.0)
    endpoint.close()


def test_nothing_connects_before_first_use_and_close_comes_twice(mongo_store_rig: MongoRig) -> None:
    """A kit of a store that is never used opens nothing."""
    endpoint = endpoint_of(MongoStore("orders", url="mongodb://192.0.2.1/test", tls="off"))
    endpoint.evict()
    endpoint.close()
    endpoint.close()
    kit = RegionKit(mongo_store_rig.topology(), local="us-east-1")
    kit.close()
    kit.close()


def test_regions_that_residency_refuses_are_not_read(mongo_store_rig: MongoRig) -> None:
    """A member learns its region from its tag; one outside of the residency is not used from then on."""
    topology = mongo_store_rig.topology(residency=Residency(allow=["us-east-1", "eu-west-1"]))
    with RegionKit(topology, local="ap-northeast-2") as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db.things.insert_one({"_id": 1})
            for _ in range(5):
                with s.read("orders") as db:
                    db.things.find_one({})
                assert s.last_route is not None
                assert s.last_route.region != "ap-northeast-2"
    store = MongoStore("orders", url=mongo_store_rig.url)
    nowhere = Topology(namespace="shop", regions=[Region("sa-east-1")], stores=[store])
    with RegionKit(nowhere, local="sa-east-1") as kit:
        end = time.monotonic() + 30
        while True:
            with pytest.raises((ResidencyViolation, NoEligibleEndpoint)) as caught:
                with kit.session() as s, s.read("orders") as db:
                    db.things.find_one({})
            if isinstance(caught.value, ResidencyViolation):
                break
            assert time.monotonic() < end, "no member has said where it stands"


def endpoint_of(store: MongoStore) -> MongoEndpoint:
    """The backend of a store's first member, without a kit."""
    endpoint = store.shards([])[0].endpoints[0]
    return MongoEndpoint(EndpointContext("shop", store, endpoint, profile("balanced"), SystemClock(), is_async=True))


def test_an_operation_failure_passes_as_it_is(kit: RegionKit) -> None:
    """The application's own mistake says nothing of the member."""
    with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        with pytest.raises(OperationFailure):
            db.things.find_one({"$nonsense": 1})
    assert all(e.read_breaker == "closed" for e in kit.status().endpoints)
