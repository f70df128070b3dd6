# Generated from test_in_kit_async.py by scripts/twins.py. Do not edit.
"""Messaging inside a kit: an outbox, a queue and an inbox of its stores, and messages whose keys have homes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sending import Numbering, envelope
from sqlalchemy import create_engine, text
from waiting import seen

from regionkit import Endpoint, Intrinsic, Region, RegionKit, Role, SqlStore, Topology, WritePartitioning
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.embedded import SqliteRegions
from regionkit.errors import ConfigurationError
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.messaging.outbox import Outbox
from regionkit.messaging.relay import Relay
from regionkit.messaging.sources.memory import MemoryQueue
from regionkit.messaging.sources.sql_queue import SqlQueue

US, KR = "us-east-1", "ap-northeast-2"
IDLE = 0.3


@pytest.fixture
def regions(data_path: Path) -> Iterator[SqliteRegions]:
    """Two regions of one store."""
    with SqliteRegions(data_path, store="orders", primary=US, replicas=[KR], lag=0.0) as made:
        yield made


def test_from_an_outbox_to_an_effect(regions: SqliteRegions) -> None:
    """All tables by the kit's create_tables; the event in the application's own block, the effect in another region."""
    kit = RegionKit(regions.topology, local=US)
    outbox = Outbox(kit, store="orders")
    queue = SqlQueue(kit, "shop", store="orders", group="billing")
    inbox = SqlInbox(kit, store="orders")
    with kit:
        kit.create_tables()
        seen(kit)
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("CREATE TABLE ledger (n INTEGER)"))
        for n in (1, 2, 3):
            with kit.session() as s, s.write("orders") as db:
                outbox.publish(db, "order.placed", {"n": n}, key="a")
        relay, published = Relay(outbox, to=queue), 0
        while published < 3:  # each waits until the other region has it, too
            published += (relay.run_once()).published
            sleep(0.01)
        consumer = Consumer(queue, inbox=inbox, order="key")

        @consumer.handler("order.placed")
        def charge(message: Any, db: Any) -> None:
            db.execute(text("INSERT INTO ledger VALUES (:n)"), message.payload)

        summary = consumer.run(until_idle=IDLE)
        with kit.session() as s, s.write("orders") as db:
            found = [n for (n,) in db.execute(text("SELECT n FROM ledger ORDER BY rowid"))]
    assert (found, summary.applied, summary.duplicates) == ([1, 2, 3], 3, 0)


# Keys with homes: the region stands in the key, and each is its own SQLite file.


class Homes:
    """Two regions, a database each; a consumer in each of them."""

    def __init__(self, folder: Path) -> None:
        self.urls = {region: f"sqlite:///{folder}/{region}.db" for region in (US, KR)}
        self.applied: list[tuple[str, str, int]] = []
        for url in self.urls.values():
            engine = create_engine(url)
            with engine.begin() as db:
                db.execute(text("CREATE TABLE ledger (k TEXT, n INTEGER)"))
            engine.dispose()
        self.queues = {region: MemoryQueue(f"orders-{region}", group="billing") for region in (US, KR)}

    def topology(self) -> Topology:
        """A store with a home in each region."""
        endpoints = [Endpoint(region, Role.PRIMARY, url) for region, url in self.urls.items()]
        strategy = WritePartitioning(home=Intrinsic(r"(?P<region>[^:]+):"))
        store = SqlStore("orders", strategy=strategy, endpoints=endpoints)
        return Topology(namespace="shop", regions=[Region(US), Region(KR)], stores=[store])

    def consumer(self, kit: RegionKit, region: str, **options: Any) -> Consumer:
        """The one of a region."""
        inbox = SqlInbox(kit, store="orders")
        consumer = Consumer(self.queues[region], inbox=inbox, order="key", concurrency=2, **options)

        @consumer.handler("moved")
        def apply(message: Any, db: Any) -> None:
            db.execute(text("INSERT INTO ledger VALUES (:k, :n)"), message.payload)
            self.applied.append((region, message.payload["k"], message.payload["n"]))

        return consumer

    def publish(self, region: str, *messages: Any) -> None:
        """Where the consumer of a region takes them from."""
        deadline = Deadline(SYSTEM_CLOCK, 30.0)
        self.queues[region].open(deadline)
        self.queues[region].publish(list(messages), deadline)

    def ledger(self, region: str) -> list[tuple[str, int]]:
        """What was applied in its database."""
        engine = create_engine(self.urls[region])
        with engine.connect() as db:
            found = [(key, n) for key, n in db.execute(text("SELECT k, n FROM ledger ORDER BY rowid"))]
        engine.dispose()
        return found


def messages(*keys: str) -> list[Any]:
    """Two of each key, in turn."""
    numbers = Numbering()
    return [numbers.message(key, {"k": key, "n": n}) for n in (1, 2) for key in keys]


def test_messages_of_other_homes_are_forwarded(data_path: Path) -> None:
    """Each is applied in the database of its home, by the consumer there, once and in order."""
    rig = Homes(data_path)
    kits = {region: RegionKit(rig.topology(), local=region) for region in (US, KR)}
    us = rig.consumer(kits[US], US, elsewhere="forward", forward_to={KR: rig.queues[KR]})
    kr = rig.consumer(kits[KR], KR, elsewhere="forward", forward_to={US: rig.queues[US]})
    for kit in kits.values():
        kit.create_tables()
    rig.publish(US, *messages(f"{US}:1", f"{KR}:1"))
    first = us.run(until_idle=IDLE)
    second = kr.run(until_idle=IDLE)
    assert (first.applied, first.forwarded, second.applied) == (2, 2, 2)
    assert rig.ledger(US) == [(f"{US}:1", 1), (f"{US}:1", 2)]
    assert rig.ledger(KR) == [(f"{KR}:1", 1), (f"{KR}:1", 2)]
    assert {region for region, key, _ in rig.applied if key == f"{KR}:1"} == {KR}
    for kit in kits.values():
        kit.close()


def test_what_is_observed_stays_until_it_was_applied_at_home(data_path: Path) -> None:
    """Before that it would be lost with the home; after it, it is shown and leaves the source."""
    rig, shown = Homes(data_path), []
    kits = {region: RegionKit(rig.topology(), local=region) for region in (US, KR)}

    def observe(message: Any) -> None:
        shown.append(message.payload["n"])

    us = rig.consumer(kits[US], US, elsewhere="observe", observe=observe)
    kr = rig.consumer(kits[KR], KR, elsewhere="skip")
    for kit in kits.values():
        kit.create_tables()
    sent = messages(f"{KR}:1")
    rig.publish(US, *sent)
    rig.publish(KR, *sent)
    before = us.run(until_idle=IDLE)
    assert (before.applied, before.seen, shown) == (0, 0, [])
    kr.run(until_idle=IDLE)
    after = us.run(until_idle=1.0)
    assert (after.applied, after.seen, sorted(shown)) == (0, 2, [1, 2])
    assert rig.ledger(KR) == [(f"{KR}:1", 1), (f"{KR}:1", 2)]
    assert rig.ledger(US) == []
    for kit in kits.values():
        kit.close()


def test_two_regions_that_disagree_do_not_play_ball(data_path: Path) -> None:
    """A message that was forwarded in this epoch already waits where it is."""
    rig = Homes(data_path)
    kit = RegionKit(rig.topology(), local=US)
    us = rig.consumer(kit, US, elsewhere="forward", forward_to={KR: rig.queues[US]})  # it comes back
    kit.create_tables()
    rig.publish(US, *messages(f"{KR}:1")[:1])
    summary = us.run(until_idle=IDLE)
    assert summary.forwarded == 1
    assert summary.given_back >= 1
    kit.close()


def test_homes_need_their_options_and_others_have_none(data_path: Path, regions: SqliteRegions) -> None:
    """Each mistake is told when the consumer is made."""
    rig = Homes(data_path)
    kit = RegionKit(rig.topology(), local=US)
    queue, inbox = rig.queues[US], SqlInbox(kit, store="orders")
    for options in ({}, {"elsewhere": "forward"}, {"elsewhere": "skip", "observe": print}, {"elsewhere": "home"}):
        with pytest.raises(ConfigurationError, match="elsewhere="):
            Consumer(queue, inbox=inbox, **options)  # type: ignore[arg-type]
    plain = RegionKit(regions.topology, local=US)
    with pytest.raises(ConfigurationError, match="keys have homes"):
        Consumer(queue, inbox=SqlInbox(plain, store="orders"), elsewhere="skip")
    with pytest.raises(ConfigurationError, match="effect="):
        Consumer(queue, inbox=inbox, elsewhere="skip").handler("a", effect="external", on_in_doubt="retry")(print)
    kit.close()
    plain.close()


def test_a_key_without_a_home_is_a_case(data_path: Path) -> None:
    """As is a message without a key; the others go on."""
    rig = Homes(data_path)
    kit = RegionKit(rig.topology(), local=US)
    us = rig.consumer(kit, US, elsewhere="skip")
    kit.create_tables()
    numbers = Numbering()
    homeless = numbers.message("mars-1:1", {"k": "mars-1:1", "n": 1})
    rig.publish(US, homeless, envelope({"k": "x", "n": 1}), *messages(f"{US}:1"))
    summary = us.run(until_idle=IDLE)
    assert (summary.applied, summary.parked) == (2, 2)
    kit.close()


def test_observing_may_fail(data_path: Path) -> None:
    """It has no effect: the message leaves the source all the same."""
    rig = Homes(data_path)
    kits = {region: RegionKit(rig.topology(), local=region) for region in (US, KR)}

    def observe(message: Any) -> None:
        raise ValueError("no")

    us = rig.consumer(kits[US], US, elsewhere="observe", observe=observe)
    kr = rig.consumer(kits[KR], KR, elsewhere="skip")
    for kit in kits.values():
        kit.create_tables()
    sent = messages(f"{KR}:1")
    rig.publish(KR, *sent)
    kr.run(until_idle=IDLE)
    rig.publish(US, *sent)
    assert (us.run(until_idle=IDLE)).seen == 2
    for kit in kits.values():
        kit.close()
