# Generated from test_outbox_mongo_async.py by scripts/twins.py. Do not edit.
"""An outbox in MongoDB: what is published is there exactly when its transaction committed, and is relayed as from any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from regionkit import MongoStore, Region, RegionKit, Topology
from regionkit.core.concurrency import gather, sleep
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import NOTHING_BEFORE
from regionkit.messaging.events import RelayTookOver
from regionkit.messaging.inboxes.mongo import MongoInbox
from regionkit.messaging.outbox_mongo import MongoOutbox
from regionkit.messaging.relay import Relay
from regionkit.messaging.sources import MemoryQueue

from .landing import Judge, Landing, payloads

REGIONS = ("us-east-1", "ap-northeast-2", "eu-west-1")


class Rig:
    """A database, an outbox of two destinations, a relay, and where its messages land."""

    def __init__(self, url: str) -> None:
        self.client: Any = pymongo.MongoClient(url)
        self.db = self.client.get_default_database()
        self.outbox = MongoOutbox(self.db, destinations=["first", "second"])
        self.first, self.second = Landing(), Landing()
        self.relay = self.made()

    def made(self, **options: Any) -> Relay:
        """Another relay to the same places."""
        return Relay(self.outbox, to={"first": self.first, "second": self.second}, **options)

    def publish(self, *events: tuple[str, Any, str | None], **options: Any) -> None:
        """In one transaction: (type, payload, key)."""

        def work(session: Any) -> None:
            for type, payload, key in events:
                self.outbox.publish(session, type, payload, key=key, **options)

        with self.client.start_session() as session:
            session.with_transaction(work)

    def count(self, name: str) -> int:
        """Documents of a collection of the outbox."""
        return int(self.db[f"regionkit_rk_{name}"].count_documents({}))


@pytest.fixture
def rig(mongo: Any) -> Iterator[Rig]:
    name = mongo.database()
    made = Rig(mongo.url_for(name))
    made.outbox.create_tables()
    yield made
    made.relay.stop()
    made.outbox.close()
    made.client.drop_database(name)
    made.client.close()


def test_a_commit_publishes_and_an_abort_does_not(rig: Rig) -> None:
    """Effect and event commit together; a session is as it was when its transaction is over."""
    with rig.client.start_session() as session:
        for number, ends in ((1, "commit"), (2, "abort"), (3, "commit")):
            with session.start_transaction():
                rig.db.orders.insert_one({"_id": number}, session=session)
                rig.outbox.publish(session, "made", {"n": number}, key="a")
                getattr(session, f"{ends}_transaction")()
        assert not {"commit_transaction", "abort_transaction"} & set(vars(session))
        rig.relay.run_once()
    assert payloads(rig.first.came) == [{"n": 1}, {"n": 3}]
    assert [order["_id"] for order in rig.db.orders.find({}, sort=[("_id", 1)])] == [1, 3]


def test_a_transaction_that_is_rolled_back_is_run_again(rig: Rig) -> None:
    """Two publish for one key at once: one is rolled back, `with_transaction` runs it again, and nothing is there twice."""
    tries = []

    def work(session: Any) -> None:
        rig.db.orders.insert_one({"by": len(tries)}, session=session)
        tries.append(1)
        rig.outbox.publish(session, "made", 2, key="a")
        if len(tries) == 1:
            rig.publish(("made", 1, "a"))  # committed after this one's snapshot

    with rig.client.start_session() as session:
        session.with_transaction(work)
    rig.relay.run_once()
    assert payloads(rig.first.came) == [1, 2] and len(tries) == 2
    assert rig.db.orders.count_documents({}) == 1


def test_a_conflict_ends_a_transaction_that_nobody_runs_again(rig: Rig) -> None:
    """The commit raises what the server said, and nothing of it stands."""
    with rig.client.start_session() as session:
        with pytest.raises(OperationFailure) as raised:
            with session.start_transaction():
                rig.db.orders.insert_one({"_id": 1}, session=session)
                rig.publish(("made", 1, "a"))
                rig.outbox.publish(session, "made", 2, key="a")
        assert raised.value.has_error_label("TransientTransactionError")
        assert not session.in_transaction
    rig.relay.run_once()
    assert payloads(rig.first.came) == [1]
    assert rig.db.orders.count_documents({}) == 0


def test_numbers_of_each_key_and_destination(rig: Rig) -> None:
    """No holes, whoever takes them at once; `prev` is the one before; what has no key has none; one payload for two rows."""

    def write(writer: int) -> None:
        for number in range(4):
            rig.publish(("made", (writer, number), "b"), ("made", (writer, number), "a"), ("told", number, None))
            rig.publish(("made", (writer, number), "b"), to=["first", "second"])

    gather([lambda writer=writer: write(writer) for writer in range(4)])
    assert rig.count("outbox_payload") == 16
    rig.relay.run_once()
    assert rig.count("outbox_payload") == 0, "what nobody waits for any more goes"
    for landing, key, last in ((rig.first, "a", 16), (rig.first, "b", 32), (rig.second, "b", 16)):
        came, before = [envelope for envelope in landing.came if envelope.key == key], NOTHING_BEFORE
        for n, envelope in enumerate(came, 1):
            assert envelope.number is not None and (envelope.number.n, envelope.prev) == (n, before)
            before = envelope.number
        assert len(came) == last
    assert all(envelope.number is None for envelope in rig.first.came if envelope.key is None)
    assert len({envelope.lineage for envelope in (*rig.first.came, *rig.second.came) if envelope.key}) == 1


def test_flush_and_send(rig: Rig) -> None:
    """`flush` takes the numbers at once; `send` is a transaction of its own, run again where it conflicts."""
    with rig.client.start_session() as session, session.start_transaction():
        rig.outbox.publish(session, "made", 1, key="a")
        assert rig.outbox.flush(session) == 1
        assert rig.outbox.flush(session) == 0
        rig.outbox.publish(session, "made", 2, key="a")
    gather([lambda n=n: rig.outbox.send("first", n, key="a") for n in range(3, 9)])
    rig.relay.run_once()
    assert payloads(rig.first.came)[:2] == [1, 2] and len(rig.first.came) == 8
    assert [envelope.number.n for envelope in rig.first.came if envelope.number] == list(range(1, 9))


def test_delayed_and_expired(rig: Rig) -> None:
    """A number is taken when it is due; what had one and expired leaves a tombstone."""
    rig.outbox.send("first", "late", key="a", delay=1.0)
    rig.outbox.send("first", "gone", key="a", delay=0.5, expires_in=0.01)
    rig.outbox.send("first", "over", key="a", expires_in=0.001)
    rig.outbox.send("first", "over too", expires_in=0.001)
    sleep(0.01)
    done = rig.relay.run_once()
    assert (done.published, done.tombstones, done.dropped) == (1, 1, 1)
    moved = 0
    while moved < 2:
        moved += (rig.relay.run_once()).moved
    assert payloads(rig.first.came) == ["expired", "late"]
    assert rig.first.came[1].number is not None
    assert (rig.first.came[1].number.n, rig.first.came[1].prev) == (2, rig.first.came[0].number)


def test_a_stuck_key_waits_and_goes_on_in_order(rig: Rig) -> None:
    """What is refused for good is a case; its key waits, others go on; released or buried, what waited follows."""
    rig.first.refuses = {"odd"}
    rig.publish(("odd", 1, "a"), ("made", 2, "a"), ("odd", 3, "a"), ("made", 4, "a"), ("made", 5, "b"))
    assert (rig.relay.run_once()).refused == 1
    assert payloads(rig.first.came) == [5]
    [case] = rig.outbox.cases()
    assert (case.key, case.type, case.attempts, case.error) == ("a", "odd", 1, "odd is refused")
    report = rig.outbox.doctor()
    assert (report.backlogs[0].rows, report.backlogs[0].stuck) == (4, 1) and len(report.findings) == 1
    assert rig.outbox.release(case.id, reason="once more")
    rig.relay.run_once()
    [case] = rig.outbox.cases()
    assert case.attempts == 2
    assert rig.outbox.bury(case.id, reason="too odd")
    assert not rig.outbox.bury(case.id, reason="too odd")
    rig.relay.run_once()
    assert payloads(rig.first.came) == [5, "buried", 2]
    rig.first.refuses = set()
    [case] = rig.outbox.cases()
    rig.outbox.release(case.id)
    rig.relay.run_once()
    assert payloads(rig.first.came) == [5, "buried", 2, 3, 4]
    assert [envelope.number.n for envelope in rig.first.came if envelope.key == "a" and envelope.number] == [1, 2, 3, 4]


def test_a_zombie_deletes_nothing(rig: Rig) -> None:
    """It stands still between poll and settling; another one takes over, and what it settles then stays."""
    slow = rig.made(send_timeout=0.1, lease=1.5)
    rig.first.silent = {"made"}
    rig.publish(("made", 1, "a"))
    _published(slow)
    [lane, _] = slow._lanes
    sleep(2.0)
    rig.first.silent = set()
    other, told = rig.made(), []
    other.subscribe(told.append)
    assert _published(other) == 1
    assert [event.epoch for event in told if isinstance(event, RelayTookOver)] == [2, 2]
    rig.publish(("made", 2, "a"))
    [row] = [row for row in rig.db.regionkit_rk_outbox.find({})]
    lane._settled = [(lane._settle_and_poll(0))[0].rows[0].seq]
    lane._settle_and_poll(0)
    assert rig.count("outbox") == 1 and row["n"] == 2
    assert lane.round(lane.done) is False, "it has lost the lease"
    other.stop()


def _published(relay: Relay) -> int:
    """Messages that it published, in one go, as one that runs: it keeps its leases."""
    for lane in relay._lanes:
        while lane.round(lane.done):
            pass
    return relay.counts.published


def test_an_old_run_that_somebody_has_in_mind_does_no_harm(rig: Rig) -> None:
    """A key never goes back to an earlier epoch: a consumer with a gate applies all of it, once."""
    rig.publish(("made", 1, "a"))
    old = rig.outbox._run
    assert old is not None
    rig.db.regionkit_rk_record.delete_one({"_id": {"kind": "outbox", "key": "outbox"}})
    rig.outbox._run = None
    sleep(1.1)  # an epoch is a time
    rig.publish(("made", 2, "a"))
    rig.outbox._run = old
    rig.publish(("made", 3, "a"))
    rig.relay.run_once()
    numbers = [envelope.number for envelope in rig.first.came if envelope.number]
    assert [number.n for number in numbers] == [1, 2, 3]
    first, second, third = ((number.epoch, number.history) for number in numbers)
    assert first == (old.run.epoch, old.run.history) < second == third
    consumer = Judge()
    assert [consumer.take(envelope) for envelope in rig.first.came] == [Verdict.APPLY] * 3


def test_in_a_block_of_a_kit(mongo: Any) -> None:
    """The block's own transaction; also where it does nothing else. Without `transaction=True` it is refused."""
    name = mongo.database()
    store = MongoStore("orders", url=mongo.url_for(name))
    topology = Topology(namespace="shop", regions=[Region(region) for region in REGIONS], stores=[store])
    with RegionKit(topology, local="ap-northeast-2") as kit:
        outbox, landing = MongoOutbox(kit, store="orders"), Landing()
        kit.create_tables()
        relay = Relay(outbox, to=landing)
        with kit.session() as s:
            with s.write("orders", transaction=True, timeout=20) as db:
                db.orders.insert_one({"_id": 1})
                outbox.publish(db, "made", 1, key="a")
            with s.write("orders", transaction=True, timeout=20) as db:
                outbox.publish(db, "made", 2, key="a")
            with pytest.raises(KeyError):
                with s.write("orders", transaction=True, timeout=20) as db:
                    outbox.publish(db, "made", 3, key="a")
                    raise KeyError
            with s.write("orders", timeout=20) as db:
                with pytest.raises(UsageError, match="transaction=True"):
                    outbox.publish(db, "made", 4)
        relay.run_once()
        assert payloads(landing.came) == [1, 2]
        assert "undoes nothing that was published" in str(relay.explain())
        relay.stop()
        outbox.close()
    with mongo.primary.client() as client:
        assert client[name].orders.count_documents({}) == 1
        client.drop_database(name)


def test_a_handler_publishes_with_its_effect(rig: Rig) -> None:
    """Claim, effect and event commit together: what raises leaves none of the three."""
    inbox, queue, tries = MongoInbox(rig.db), MemoryQueue("orders", group="billing"), []
    inbox.create_tables()
    consumer = Consumer(queue, inbox=inbox, order="key")

    def apply(message: Any, db: Any) -> None:
        tries.append(message.payload)
        rig.outbox.publish(db, "paid", message.payload, key="b", to="second")
        if len(tries) == 1:
            raise RuntimeError("not yet")

    consumer.handler("made")(apply)
    rig.publish(("made", 1, "a"), ("made", 2, "a"))
    into = Relay(rig.outbox, to={"first": queue})
    into.run_once()
    into.stop()
    assert (consumer.run(until_idle=0.5)).applied == 2
    rig.relay.run_once()
    assert payloads(rig.second.came) == [1, 2] and tries == [1, 1, 2]
    inbox.close()


def test_what_cannot_be_joined_is_refused(rig: Rig, mongo: Any) -> None:
    """No transaction, another client's, no transaction at all; what is no MongoDB; a target that is none."""
    with rig.client.start_session() as session:
        with pytest.raises(UsageError, match="no transaction"):
            rig.outbox.publish(session, "made", 1)
        with session.start_transaction():
            with pytest.raises(UsageError, match="no destination 'third'"):
                rig.outbox.publish(session, "made", 1, to="third")
    for wrong in (object(), rig.db, rig.client):
        with pytest.raises(ConfigurationError, match="no transaction that can be joined"):
            rig.outbox.publish(wrong, "made", 1)
    other: Any = pymongo.MongoClient(mongo.url, appname="another")
    elsewhere: Any = pymongo.MongoClient(mongo.primary.url)
    with elsewhere, other, other.start_session() as session, session.start_transaction():
        rig.outbox.publish(session, "made", 1)  # the same servers
        session.abort_transaction()
        with elsewhere.start_session() as far, far.start_transaction():
            with pytest.raises(UsageError, match="another database"):
                rig.outbox.publish(far, "made", 1)
