# Generated from test_hospital_mongo_async.py by scripts/twins.py. Do not edit.
"""The error hospital beside a MongoDB inbox: the same as beside one in SQL."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pymongo
import pytest
from fix_plain import plain_of
from pymongo.errors import PyMongoError

from regionkit.core.concurrency import sleep, spawn
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.envelope import NOTHING_BEFORE, decode, encode
from regionkit.messaging.hospital import Hospital
from regionkit.messaging.hospital_rules import NoSuchCase, NotPossible
from regionkit.messaging.inboxes.mongo import MongoInbox
from regionkit.messaging.inboxes.redis import RedisInbox
from regionkit.messaging.sources import MemoryQueue

from .hospital_rig import Poison, Ward, numbered, soon, the_due


class MongoWard(Ward):
    """The same ward over a database of MongoDB's."""

    def __init__(self, url: str) -> None:
        self.client: Any = pymongo.MongoClient(url)
        self.db = self.client.get_default_database()
        self.past: Any = pymongo.MongoClient(url)
        self.seen = self.past.get_default_database()
        self.hospital = Hospital(self.db, who="ann")
        self.inbox: Any = MongoInbox(self.db)  # type: ignore[assignment]
        self.queue = MemoryQueue("orders", group="billing")
        self.attempts = 1
        self.options = {"order": "key", "concurrency": 4, "gap_wait": 0.3}
        self.runs, self.told, self.mended = [], [], False

    def __enter__(self) -> MongoWard:
        self.inbox.create_tables()
        self.db.create_collection("ledger")
        self.inbox.open(soon())
        return self

    def __exit__(self, *_: object) -> None:
        self.queue.close()
        self.inbox.close()
        self.hospital.close()
        self.client.drop_database(self.db.name)
        self.client.close()
        self.past.close()

    def consumer(self) -> Consumer:
        """One that poisons break."""
        made = Consumer(self.queue, inbox=self.inbox, hospital=self.hospital, **self.options)

        @made.handler("order.placed", attempts=self.attempts)
        def place(message: Any, db: Any) -> None:
            self.runs.append(message.payload)
            values = {"k": message.key, "n": message.payload["n"], "id": message.id, "at": len(self.runs)}
            db.ledger.insert_one(values)
            if message.payload.get("poison") and not self.mended:
                raise Poison(f"cannot take {message.payload['n']}")

        return made

    def ledger(self, key: str) -> list[int]:
        return [row["n"] for row in self.seen.ledger.find({"k": key}, sort=[("at", 1)])]

    def rows(self, table: str) -> int:
        return int(self.seen[f"regionkit_rk_{table}"].count_documents({}))


@pytest.fixture
def ward(mongo: Any) -> Iterator[MongoWard]:
    with MongoWard(mongo.url_for(mongo.database())) as made:
        yield made


def poison(key: str, n: int, **more: Any) -> Any:
    """The n-th message of a key, which its handler cannot take."""
    return numbered(key, n, {"n": n, "poison": True}, **more)


def parked(ward: MongoWard, key: str = "a") -> Any:
    """A key with a poison as its second message, and three that wait behind it; the case."""
    ward.take(numbered(key, 1), poison(key, 2), *(numbered(key, n) for n in (3, 4, 5)))
    assert ward.ledger(key) == [1]
    return ward.the_case(key=key)


def test_edited_and_retried_a_key_goes_on_in_order(ward: MongoWard) -> None:
    """What waits behind it is applied after it; the trail tells who did what; a copy of the old one changes nothing."""
    case = parked(ward)
    assert (case.status, case.reason, case.key, case.attempts) == ("admitted", "failed", "a", 1)
    shown = ward.hospital.show(case.id)
    assert shown.message.payload == {"n": 2, "poison": True}
    assert [held.n for held in shown.held] == [3, 4, 5] and shown.held_count == 3
    assert "Poison" in shown.case.error_type and "cannot take 2" in shown.case.error
    assert (ward.hospital.edit(case.id, {"n": 2}, reason="a typo")).status == "admitted"
    assert (ward.treat()).applied == 0, "it waits until it is retried"
    assert (ward.hospital.retry(case.id, dry_run=True)).status == "retrying"
    assert (ward.the_case()).status == "admitted"
    ward.hospital.retry(case.id)
    assert (ward.treat()).applied == 4
    assert ward.ledger("a") == [1, 2, 3, 4, 5] and ward.rows("held") == 0
    summary = ward.take(numbered("a", 6), poison("a", 2))
    assert (summary.applied, summary.duplicates) == (1, 1)
    over = ward.hospital.show(case.id)
    assert over.case.status == "discharged"
    assert over.message.headers["amends"] == shown.message.id != over.message.id
    told = [(line.what, line.who) for line in over.trail]
    assert told == [("admitted", "consumer"), ("edited", "ann"), ("retried", "ann"), ("discharged", "consumer")]
    assert over.trail[1].was is not None and over.trail[1].was.payload == shown.message.payload


def test_buried_or_released_a_key_goes_on_without_it(ward: MongoWard) -> None:
    """A case, or the gap before what waits; nothing can be done with what is over."""
    case = parked(ward)
    with pytest.raises(UsageError):
        ward.hospital.bury(case.id, reason="")
    assert (ward.hospital.bury(case.id, reason="cancelled")).status == "buried"
    ward.treat()
    assert ward.ledger("a") == [1, 3, 4, 5]
    with pytest.raises(NotPossible):
        ward.hospital.retry(case.id)
    with pytest.raises(NoSuchCase):
        ward.hospital.show("nobody")

    parked(ward, "b")
    (done,) = ward.hospital.release("b", reason="never mind")
    assert (done.gap, done.held, done.case.status) == (False, 3, "buried")
    ward.take(numbered("c", 1), *(numbered("c", n) for n in (3, 4)))
    (done,) = ward.hospital.release("c", dry_run=True)
    assert (ward.the_case(reason="gap")).status == "admitted"
    (done,) = ward.hospital.release("c", reason="2 is lost")
    assert (done.gap, done.held) == (True, 2)
    ward.treat()
    assert (ward.ledger("b"), ward.ledger("c")) == ([1, 3, 4, 5], [1, 3, 4])
    with pytest.raises(NoSuchCase):
        ward.hospital.release("c")


def test_a_message_is_redirected(ward: MongoWard) -> None:
    """It is elsewhere with its id and without its number; its key goes on."""
    case, other = parked(ward), MemoryQueue("dead", group="people")
    other.open(soon())
    before = ward.hospital.show(case.id)
    assert (ward.hospital.redirect(case.id, other, reason="by hand")).status == "redirected"
    [there] = [decode(one.body) for one in other.fetch(10, 1.0)]
    assert (there.id, there.number, there.prev, there.key) == (before.message.id, None, NOTHING_BEFORE, "a")
    ward.treat()
    assert ward.ledger("a") == [1, 3, 4, 5]
    other.close()


def test_a_run_under_way_is_not_disturbed(ward: MongoWard) -> None:
    """Whoever comes while it runs is told to come again; a run beyond its time is not, and its effect is rolled back."""
    case = parked(ward)
    ward.hospital.retry(case.id)
    due = the_due(ward.inbox)
    running = ward.inbox.begin_treatment(due, ward.inbox.now() + 30.0, soon())
    assert running is not None
    for act in (
        lambda: ward.hospital.retry(case.id),
        lambda: ward.hospital.bury(case.id, reason="x"),
        lambda: ward.hospital.release("a"),
    ):
        with pytest.raises(NotPossible) as told:
            act()
        assert told.value.retryable
    ward.seen.regionkit_rk_hospital.update_one({}, {"$set": {"due_at": 1.0}})
    ward.hospital.bury(case.id, reason="it hangs")
    with ward.inbox.unit(soon()) as unit:
        assert not ward.inbox.discharge(unit, running)
    assert (ward.hospital.show(case.id)).case.status == "buried"


def test_what_meets_another_change_is_done_again(ward: MongoWard) -> None:
    """Somebody else's transaction has the case: the hospital waits for its end, and goes by what stands then."""
    case = parked(ward)
    with ward.past.start_session() as session:
        session.start_transaction()
        change = {"$set": {"error.text": "seen"}}
        ward.seen.regionkit_rk_hospital.update_one({"id": case.id}, change, session=session)

        def retry() -> None:
            ward.hospital.retry(case.id)

        retrying = spawn("retry", retry)
        sleep(0.3)
        assert (ward.the_case()).status == "admitted"
        session.commit_transaction()
    retrying.ended(60.0)
    found = ward.the_case()
    assert (found.status, found.error) == ("retrying", "seen")


def test_groups_listings_and_counts(ward: MongoWard) -> None:
    """Pages by the last id, filters, groups that run again at a rate, counts and exports that agree."""
    hospital = ward.hospital
    for n in range(5):
        ward.take(poison(f"k{n}", 1))
    ward.take(numbered("g", 1), numbered("g", 3))
    every = hospital.cases()
    assert [case.id for case in every] == sorted(case.id for case in every) and len(every) == 6
    first = hospital.cases(limit=4)
    assert first + hospital.cases(limit=4, after=first[-1].id) == every
    assert len(hospital.cases(key="k3", consumer="billing", type="order.placed", reason="failed")) == 1
    assert hospital.cases(consumer="other") == []
    group = next(one for one in hospital.groups() if one.reason == "failed")
    assert (group.count, group.waiting, group.error_type.rpartition(".")[2]) == (5, 5, "Poison")
    assert group.example in {case.id for case in every} and "cannot take" in group.error
    stats = hospital.stats()
    assert (stats.open, stats.waiting, stats.held, stats.parked) == (6, 6, 1, 6)
    done = hospital.retry_group(group.group, rate=2.0, max=4)
    assert (done.retried, done.left) == (4, 1)
    due = [case.due_at for case in hospital.cases(status="retrying")]
    assert [round(later - due[0], 3) for later in due] == [0.0, 0.5, 1.0, 1.5]
    lines = [json.loads(line) for line in hospital.export()]
    assert [line["case"]["id"] for line in lines] == [case.id for case in every]


def test_where_it_cannot_be(ward: MongoWard) -> None:
    """Beside the same database, in any object of it; without collections it says so; a cipher is refused."""
    assert Hospital(ward.client[ward.db.name]).is_beside(ward.inbox)
    assert not Hospital(ward.client["other"]).is_beside(ward.inbox)
    nothing = Hospital(ward.db, namespace="elsewhere")
    with pytest.raises((ConfigurationError, PyMongoError), match="create_tables"):
        nothing.stats()
    nothing.close()
    with pytest.raises(ConfigurationError, match="cipher"):
        Hospital(ward.db, cipher=object())  # type: ignore[arg-type]


def test_cases_of_an_inbox_of_claims(ward: MongoWard, redis_server: Any) -> None:
    """A database of MongoDB's keeps the cases of messages whose claims are in Redis."""
    with plain_of(SimpleNamespace(server="redis", urls=[redis_server.primary.url])) as client:  # type: ignore[arg-type]
        inbox = RedisInbox(client, hospital=ward.db, namespace=f"m{os.urandom(4).hex()}")
        inbox.create_tables()
        queue = MemoryQueue("mails", group="post")
        consumer = Consumer(queue, inbox=inbox, order=None)

        def send(message: Any, context: Any) -> None:
            raise Poison("no such address")

        consumer.handler("order.placed", effect="external", attempts=1, on_in_doubt="hospital")(send)
        queue.publish([(None, encode(numbered("a", 1)))], soon())
        done = consumer.run(until_idle=0.5)
        hospital = Hospital(ward.db, namespace=inbox.cases.backing.namespace)
        [case] = hospital.cases()
        hospital.close()
        queue.close()
        assert (done.parked, case.reason) == (1, "failed") and "no such address" in case.error
        inbox.close()
