"""A MongoDB outbox through elections, and relays that are killed: nothing is lost, and each key is in order.

REGIONKIT_OUTBOX_EVENTS=20000 for a campaign.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError
from regionkit.messaging import MongoOutbox, Relay
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import decode
from regionkit.testing.servers.nodes import wait_until

from .landing import Judge, Landing, payloads

pytestmark = pytest.mark.slow

EVENTS = int(os.environ.get("REGIONKIT_OUTBOX_EVENTS", "1000"))
WRITERS = 4
AT_ONCE = 2
"""Events of a transaction."""
KEYS = 10
KILLS = 3
ELECTIONS = 2


class Written:
    """Writers; what they committed stands in `orders`."""

    def __init__(self, url: str) -> None:
        self.client: Any = pymongo.MongoClient(url)
        self.db = self.client.get_default_database()
        self.outbox = MongoOutbox(self.db)
        self.outbox.create_tables()
        self.db.create_collection("orders")
        self.errors: list[BaseException] = []
        self.count = 0

    def write(self, writer: int) -> None:
        chance = random.Random(writer)
        try:
            for first in range(writer * AT_ONCE, EVENTS, WRITERS * AT_ONCE):
                events = range(first, min(first + AT_ONCE, EVENTS))
                keys = [f"k{chance.randrange(KEYS)}" for _ in events]
                with self.client.start_session() as session:
                    session.with_transaction(lambda s, e=events, k=keys: self.one(s, e, k))
                self.count += len(events)
        except BaseException as error:
            self.errors.append(error)

    def one(self, session: Any, events: range, keys: list[str]) -> None:
        for event, key in zip(events, keys, strict=True):
            self.db.orders.insert_one({"_id": event}, session=session)
            self.outbox.publish(session, "made", event, key=key)

    def left(self) -> int:
        return int(self.db.regionkit_rk_outbox.count_documents({}))


def test_nothing_is_lost_by_elections_and_killed_relays(own_mongo: Any, tmp_path: Path) -> None:
    """What is committed is applied once, in order, by a consumer with gates."""
    servers, landed = own_mongo(), tmp_path / "landed"
    written = Written(servers.url)
    command = [sys.executable, str(Path(__file__).parent / "relay_mongo_child.py"), servers.url, str(landed)]
    writers = [threading.Thread(target=written.write, args=(writer,)) for writer in range(WRITERS)]
    kills, elections, came, began = 0, 0, 0, time.monotonic()
    relay = subprocess.Popen(command)
    for thread in writers:
        thread.start()
    nodes = [servers.node(region) for region in ("ap-northeast-2", "us-east-1")]
    try:
        while True:
            writing = any(thread.is_alive() for thread in writers)
            with contextlib.suppress(PyMongoError):
                if not writing and not written.left():
                    break
            time.sleep(0.01)
            size = landed.stat().st_size if landed.exists() else 0
            if kills < KILLS and size > came:  # it has just published
                relay.kill()
                relay.wait()
                kills, came = kills + 1, landed.stat().st_size
                relay = subprocess.Popen(command)
            if elections < ELECTIONS and written.count > (elections + 1) * EVENTS // (ELECTIONS + 2):
                nodes[elections].promote()
                elections += 1
            assert time.monotonic() - began < 150.0 + EVENTS / 20.0
    finally:
        relay.kill()
        relay.wait()
    assert written.errors == []
    envelopes = [decode(bytes.fromhex(line[:-1])) for line in landed.read_text().splitlines() if line.endswith(".")]
    consumer = Judge()
    for envelope in envelopes:
        consumer.take(envelope)
    applied = sorted(event for events in consumer.applied.values() for event in events)  # type: ignore[type-var]
    epochs = {envelope.number.epoch for envelope in envelopes if envelope.number}
    print(
        f"{EVENTS} events, {kills} kills, {elections} elections, {len(envelopes) - EVENTS} copies, {len(epochs)} epochs, "
        f"{time.monotonic() - began:.0f} s"
    )
    assert [order["_id"] for order in written.db.orders.find({}, sort=[("_id", 1)])] == list(range(EVENTS))
    assert applied == list(range(EVENTS))
    assert set(consumer.verdicts) <= {Verdict.APPLY, Verdict.DUPLICATE}, "no gaps: each key came in order"
    assert len(envelopes) > EVENTS, "no kill has hit a relay between publishing and settling"
    assert len(epochs) == 1 + ELECTIONS
    written.outbox.close()
    written.client.close()


def test_what_an_election_undoes_was_never_published(own_mongo: Any) -> None:
    """A commit that a majority never had: its number is given out again, and only the second one goes out."""
    servers, landing = own_mongo(), Landing()
    client: Any = pymongo.MongoClient(servers.url)
    outbox = MongoOutbox(client.get_default_database())
    outbox.create_tables()
    relay = Relay(outbox, to=landing, send_timeout=1.0)

    def publish(payload: str, **options: Any) -> None:
        with client.start_session() as session, session.start_transaction(**options):
            outbox.publish(session, "made", payload, key="a")

    publish("kept")
    relay.run_once()
    first = servers.primary
    others = [node for node in servers.nodes if node is not first]
    for node in others:
        node.kill()
    publish("undone", write_concern=WriteConcern(1))
    outbox.deadline = lambda seconds=0.0: Deadline(SYSTEM_CLOCK, 2.0)  # type: ignore[method-assign]
    with pytest.raises(RegionKitError):
        relay.run_once()
    assert payloads(landing.came) == ["kept"], "a majority does not have it"
    del outbox.deadline  # type: ignore[method-assign]
    first.kill()
    for node in others:
        node.start()

    def after() -> bool:
        try:
            publish("after")
        except PyMongoError:
            return False
        return True

    wait_until(after, "another one takes writes", 60.0)

    def came() -> bool:
        with contextlib.suppress(RegionKitError):
            relay.run_once()
        return len(landing.came) > 1

    wait_until(came, "the relay has found it", 60.0)
    first.start()
    wait_until(lambda: client.admin.command("replSetGetStatus")["members"][0]["health"] == 1, "it is back", 60.0)
    relay.run_once()
    assert payloads(landing.came) == ["kept", "after"]
    numbers = [envelope.number for envelope in landing.came if envelope.number]
    assert [number.n for number in numbers] == [1, 2] and numbers[1].epoch > numbers[0].epoch
    consumer = Judge()
    assert [consumer.take(envelope) for envelope in landing.came] == [Verdict.APPLY] * 2
    relay.stop()
    outbox.close()
    client.close()
