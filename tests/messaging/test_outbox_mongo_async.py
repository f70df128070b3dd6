"""An outbox in MongoDB: what is published is there exactly when its transaction committed, and is relayed as from any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from regionkit import AsyncRegionKit, MongoStore, Region, Topology
from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import NOTHING_BEFORE
from regionkit.messaging.events import RelayTookOver
from regionkit.messaging.inboxes.mongo_async import AsyncMongoInbox
from regionkit.messaging.outbox_mongo_async import AsyncMongoOutbox
from regionkit.messaging.relay_async import AsyncRelay
from regionkit.messaging.sources import AsyncMemoryQueue

from .landing_async import AsyncLanding, Judge, payloads

REGIONS = ("us-east-1", "ap-northeast-2", "eu-west-1")


class Rig:
    """A database, an outbox of two destinations, a relay, and where its messages land."""

    def __init__(self, url: str) -> None:
        self.client: Any = pymongo.AsyncMongoClient(url)
        self.db = self.client.get_default_database()
        self.outbox = AsyncMongoOutbox(self.db, destinations=["first", "second"])
        self.first, self.second = AsyncLanding(), AsyncLanding()
        self.relay = self.made()

    def made(self, **options: Any) -> AsyncRelay:
        """Another relay to the same places."""
        return AsyncRelay(self.outbox, to={"first": self.first, "second": self.second}, **options)

    async def publish(self, *events: tuple[str, Any, str | None], **options: Any) -> None:
        """In one transaction: (type, payload, key)."""

        async def work(session: Any) -> None:
            for type, payload, key in events:
                await self.outbox.publish(session, type, payload, key=key, **options)

        async with self.client.start_session() as session:
            await session.with_transaction(work)

    async def count(self, name: str) -> int:
        """Documents of a collection of the outbox."""
        return int(await self.db[f"regionkit_rk_{name}"].count_documents({}))


@pytest.fixture
async def rig(mongo: Any) -> AsyncIterator[Rig]:
    name = mongo.database()
    made = Rig(mongo.url_for(name))
    await made.outbox.create_tables()
    yield made
    await made.relay.stop()
    await made.outbox.close()
    await made.client.drop_database(name)
    await made.client.close()


async def test_a_commit_publishes_and_an_abort_does_not(rig: Rig) -> None:
    """Effect and event commit together; a session is as it was when its transaction is over."""
    async with rig.client.start_session() as session:
        for number, ends in ((1, "commit"), (2, "abort"), (3, "commit")):
            async with await session.start_transaction():
                await rig.db.orders.insert_one({"_id": number}, session=session)
                await rig.outbox.publish(session, "made", {"n": number}, key="a")
                await getattr(session, f"{ends}_transaction")()
        assert not {"commit_transaction", "abort_transaction"} & set(vars(session))
        await rig.relay.run_once()
    assert payloads(rig.first.came) == [{"n": 1}, {"n": 3}]
    assert [order["_id"] async for order in rig.db.orders.find({}, sort=[("_id", 1)])] == [1, 3]


async def test_a_transaction_that_is_rolled_back_is_run_again(rig: Rig) -> None:
    """Two publish for one key at once: one is rolled back, `with_transaction` runs it again, and nothing is there twice."""
    tries = []

    async def work(session: Any) -> None:
        await rig.db.orders.insert_one({"by": len(tries)}, session=session)
        tries.append(1)
        await rig.outbox.publish(session, "made", 2, key="a")
        if len(tries) == 1:
            await rig.publish(("made", 1, "a"))  # committed after this one's snapshot

    async with rig.client.start_session() as session:
        await session.with_transaction(work)
    await rig.relay.run_once()
    assert payloads(rig.first.came) == [1, 2] and len(tries) == 2
    assert await rig.db.orders.count_documents({}) == 1


async def test_a_conflict_ends_a_transaction_that_nobody_runs_again(rig: Rig) -> None:
    """The commit raises what the server said, and nothing of it stands."""
    async with rig.client.start_session() as session:
        with pytest.raises(OperationFailure) as raised:
            async with await session.start_transaction():
                await rig.db.orders.insert_one({"_id": 1}, session=session)
                await rig.publish(("made", 1, "a"))
                await rig.outbox.publish(session, "made", 2, key="a")
        assert raised.value.has_error_label("TransientTransactionError")
        assert not session.in_transaction
    await rig.relay.run_once()
    assert payloads(rig.first.came) == [1]
    assert await rig.db.orders.count_documents({}) == 0


async def test_numbers_of_each_key_and_destination(rig: Rig) -> None:
    """No holes, whoever takes them at once; `prev` is the one before; what has no key has none; one payload for two rows."""

    async def write(writer: int) -> None:
        for number in range(4):
            await rig.publish(("made", (writer, number), "b"), ("made", (writer, number), "a"), ("told", number, None))
            await rig.publish(("made", (writer, number), "b"), to=["first", "second"])

    await agather([lambda writer=writer: write(writer) for writer in range(4)])
    assert await rig.count("outbox_payload") == 16
    await rig.relay.run_once()
    assert await rig.count("outbox_payload") == 0, "what nobody waits for any more goes"
    for landing, key, last in ((rig.first, "a", 16), (rig.first, "b", 32), (rig.second, "b", 16)):
        came, before = [envelope for envelope in landing.came if envelope.key == key], NOTHING_BEFORE
        for n, envelope in enumerate(came, 1):
            assert envelope.number is not None and (envelope.number.n, envelope.prev) == (n, before)
            before = envelope.number
        assert len(came) == last
    assert all(envelope.number is None for envelope in rig.first.came if envelope.key is None)
    assert len({envelope.lineage for envelope in (*rig.first.came, *rig.second.came) if envelope.key}) == 1


async def test_flush_and_send(rig: Rig) -> None:
    """`flush` takes the numbers at once; `send` is a transaction of its own, run again where it conflicts."""
    async with rig.client.start_session() as session, await session.start_transaction():
        await rig.outbox.publish(session, "made", 1, key="a")
        assert await rig.outbox.flush(session) == 1
        assert await rig.outbox.flush(session) == 0
        await rig.outbox.publish(session, "made", 2, key="a")
    await agather([lambda n=n: rig.outbox.send("first", n, key="a") for n in range(3, 9)])
    await rig.relay.run_once()
    assert payloads(rig.first.came)[:2] == [1, 2] and len(rig.first.came) == 8
    assert [envelope.number.n for envelope in rig.first.came if envelope.number] == list(range(1, 9))


async def test_delayed_and_expired(rig: Rig) -> None:
    """A number is taken when it is due; what had one and expired leaves a tombstone."""
    await rig.outbox.send("first", "late", key="a", delay=1.0)
    await rig.outbox.send("first", "gone", key="a", delay=0.5, expires_in=0.01)
    await rig.outbox.send("first", "over", key="a", expires_in=0.001)
    await rig.outbox.send("first", "over too", expires_in=0.001)
    await asleep(0.01)
    done = await rig.relay.run_once()
    assert (done.published, done.tombstones, done.dropped) == (1, 1, 1)
    moved = 0
    while moved < 2:
        moved += (await rig.relay.run_once()).moved
    assert payloads(rig.first.came) == ["expired", "late"]
    assert rig.first.came[1].number is not None
    assert (rig.first.came[1].number.n, rig.first.came[1].prev) == (2, rig.first.came[0].number)


async def test_a_stuck_key_waits_and_goes_on_in_order(rig: Rig) -> None:
    """What is refused for good is a case; its key waits, others go on; released or buried, what waited follows."""
    rig.first.refuses = {"odd"}
    await rig.publish(("odd", 1, "a"), ("made", 2, "a"), ("odd", 3, "a"), ("made", 4, "a"), ("made", 5, "b"))
    assert (await rig.relay.run_once()).refused == 1
    assert payloads(rig.first.came) == [5]
    [case] = await rig.outbox.cases()
    assert (case.key, case.type, case.attempts, case.error) == ("a", "odd", 1, "odd is refused")
    report = await rig.outbox.doctor()
    assert (report.backlogs[0].rows, report.backlogs[0].stuck) == (4, 1) and len(report.findings) == 1
    assert await rig.outbox.release(case.id, reason="once more")
    await rig.relay.run_once()
    [case] = await rig.outbox.cases()
    assert case.attempts == 2
    assert await rig.outbox.bury(case.id, reason="too odd")
    assert not await rig.outbox.bury(case.id, reason="too odd")
    await rig.relay.run_once()
    assert payloads(rig.first.came) == [5, "buried", 2]
    rig.first.refuses = set()
    [case] = await rig.outbox.cases()
    await rig.outbox.release(case.id)
    await rig.relay.run_once()
    assert payloads(rig.first.came) == [5, "buried", 2, 3, 4]
    assert [envelope.number.n for envelope in rig.first.came if envelope.key == "a" and envelope.number] == [1, 2, 3, 4]


async def test_a_zombie_deletes_nothing(rig: Rig) -> None:
    """It stands still between poll and settling; another one takes over, and what it settles then stays."""
    slow = rig.made(send_timeout=0.1, lease=1.5)
    rig.first.silent = {"made"}
    await rig.publish(("made", 1, "a"))
    await _published(slow)
    [lane, _] = slow._lanes
    await asleep(2.0)
    rig.first.silent = set()
    other, told = rig.made(), []
    other.subscribe(told.append)
    assert await _published(other) == 1
    assert [event.epoch for event in told if isinstance(event, RelayTookOver)] == [2, 2]
    await rig.publish(("made", 2, "a"))
    [row] = [row async for row in rig.db.regionkit_rk_outbox.find({})]
    lane._settled = [(await lane._settle_and_poll(0))[0].rows[0].seq]
    await lane._settle_and_poll(0)
    assert await rig.count("outbox") == 1 and row["n"] == 2
    assert await lane.round(lane.done) is False, "it has lost the lease"
    await other.stop()


async def _published(relay: AsyncRelay) -> int:
    """Messages that it published, in one go, as one that runs: it keeps its leases."""
    for lane in relay._lanes:
        while await lane.round(lane.done):
            pass
    return relay.counts.published


async def test_an_old_run_that_somebody_has_in_mind_does_no_harm(rig: Rig) -> None:
    """A key never goes back to an earlier epoch: a consumer with a gate applies all of it, once."""
    await rig.publish(("made", 1, "a"))
    old = rig.outbox._run
    assert old is not None
    await rig.db.regionkit_rk_record.delete_one({"_id": {"kind": "outbox", "key": "outbox"}})
    rig.outbox._run = None
    await asleep(1.1)  # an epoch is a time
    await rig.publish(("made", 2, "a"))
    rig.outbox._run = old
    await rig.publish(("made", 3, "a"))
    await rig.relay.run_once()
    numbers = [envelope.number for envelope in rig.first.came if envelope.number]
    assert [number.n for number in numbers] == [1, 2, 3]
    first, second, third = ((number.epoch, number.history) for number in numbers)
    assert first == (old.run.epoch, old.run.history) < second == third
    consumer = Judge()
    assert [consumer.take(envelope) for envelope in rig.first.came] == [Verdict.APPLY] * 3


async def test_in_a_block_of_a_kit(mongo: Any) -> None:
    """The block's own transaction; also where it does nothing else. Without `transaction=True` it is refused."""
    name = mongo.database()
    store = MongoStore("orders", url=mongo.url_for(name))
    topology = Topology(namespace="shop", regions=[Region(region) for region in REGIONS], stores=[store])
    async with AsyncRegionKit(topology, local="ap-northeast-2") as kit:
        outbox, landing = AsyncMongoOutbox(kit, store="orders"), AsyncLanding()
        await kit.create_tables()
        relay = AsyncRelay(outbox, to=landing)
        async with kit.session() as s:
            async with s.write("orders", transaction=True, timeout=20) as db:
                await db.orders.insert_one({"_id": 1})
                await outbox.publish(db, "made", 1, key="a")
            async with s.write("orders", transaction=True, timeout=20) as db:
                await outbox.publish(db, "made", 2, key="a")
            with pytest.raises(KeyError):
                async with s.write("orders", transaction=True, timeout=20) as db:
                    await outbox.publish(db, "made", 3, key="a")
                    raise KeyError
            async with s.write("orders", timeout=20) as db:
                with pytest.raises(UsageError, match="transaction=True"):
                    await outbox.publish(db, "made", 4)
        await relay.run_once()
        assert payloads(landing.came) == [1, 2]
        assert "undoes nothing that was published" in str(relay.explain())
        await relay.stop()
        await outbox.close()
    with mongo.primary.client() as client:
        assert client[name].orders.count_documents({}) == 1
        client.drop_database(name)


async def test_a_handler_publishes_with_its_effect(rig: Rig) -> None:
    """Claim, effect and event commit together: what raises leaves none of the three."""
    inbox, queue, tries = AsyncMongoInbox(rig.db), AsyncMemoryQueue("orders", group="billing"), []
    await inbox.create_tables()
    consumer = AsyncConsumer(queue, inbox=inbox, order="key")

    async def apply(message: Any, db: Any) -> None:
        tries.append(message.payload)
        await rig.outbox.publish(db, "paid", message.payload, key="b", to="second")
        if len(tries) == 1:
            raise RuntimeError("not yet")

    consumer.handler("made")(apply)
    await rig.publish(("made", 1, "a"), ("made", 2, "a"))
    into = AsyncRelay(rig.outbox, to={"first": queue})
    await into.run_once()
    await into.stop()
    assert (await consumer.run(until_idle=0.5)).applied == 2
    await rig.relay.run_once()
    assert payloads(rig.second.came) == [1, 2] and tries == [1, 1, 2]
    await inbox.close()


async def test_what_cannot_be_joined_is_refused(rig: Rig, mongo: Any) -> None:
    """No transaction, another client's, no transaction at all; what is no MongoDB; a target that is none."""
    async with rig.client.start_session() as session:
        with pytest.raises(UsageError, match="no transaction"):
            await rig.outbox.publish(session, "made", 1)
        async with await session.start_transaction():
            with pytest.raises(UsageError, match="no destination 'third'"):
                await rig.outbox.publish(session, "made", 1, to="third")
    for wrong in (object(), rig.db, rig.client):
        with pytest.raises(ConfigurationError, match="no transaction that can be joined"):
            await rig.outbox.publish(wrong, "made", 1)
    other: Any = pymongo.AsyncMongoClient(mongo.url, appname="another")
    elsewhere: Any = pymongo.AsyncMongoClient(mongo.primary.url)
    async with elsewhere, other, other.start_session() as session, await session.start_transaction():
        await rig.outbox.publish(session, "made", 1)  # the same servers
        await session.abort_transaction()
        async with elsewhere.start_session() as far, await far.start_transaction():
            with pytest.raises(UsageError, match="another database"):
                await rig.outbox.publish(far, "made", 1)
