# Generated from test_own_limits_async.py by scripts/twins.py. Do not edit.
"""Time limits of the application's own: they hold, leave as its own errors, and are nobody's fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
from fix_rig_mongo import MongoRig
from pymongo.errors import ExecutionTimeout, PyMongoError

from regionkit import EVENTUAL, OutcomeUnknown, RegionKit
from regionkit.facts.request import Kind

SLOW = {"$where": "sleep(30000) || true"}
LIMIT = 100
"""Milliseconds that the application gives; the block has 20 s."""


@pytest.fixture
def kit(mongo_store_rig: MongoRig) -> Iterator[RegionKit]:
    """A kit beside the owner, with one document."""
    with RegionKit(mongo_store_rig.topology(), local="us-east-1") as kit:
        kit.create_tables()
        with kit.session() as s, s.write("orders") as db:
            db.things.insert_one({"_id": "a", "value": "old"})
        yield kit


def breakers(kit: RegionKit) -> set[int]:
    """Errors that count against any endpoint."""
    store: Any = kit._store("orders").shards[0]
    return {store.state.breaker(index, use).errors for index in range(len(store.backends)) for use in Kind}


def find(db: Any) -> Any:
    """By the cursor's own limit."""
    return db.things.find(SLOW).max_time_ms(LIMIT).to_list()


def aggregate(db: Any) -> Any:
    """By an argument of the command."""
    return (db.things.aggregate([{"$match": SLOW}], maxTimeMS=LIMIT)).to_list()


def within(db: Any) -> Any:
    """By pymongo's own context."""
    with pymongo.timeout(LIMIT / 1000):
        return db.things.find_one(SLOW)


def change_one(db: Any) -> Any:
    """A write of one document: the member says that it was not done."""
    return db.things.find_one_and_update(SLOW, {"$set": {"value": "new"}}, maxTimeMS=LIMIT)


def change_many(db: Any) -> Any:
    """A write of several, of which some may be done."""
    with pymongo.timeout(LIMIT / 1000):
        return db.things.update_many(SLOW, {"$set": {"value": "new"}})


@pytest.mark.parametrize("read", [find, aggregate, within])
def test_a_read_ends_at_the_applications_limit(kit: RegionKit, read: Callable[[Any], Any]) -> None:
    """With the driver's error; it is not run again elsewhere, and no endpoint is blamed."""
    runs = []

    def once(db: Any) -> Any:
        runs.append(db)
        return read(db)

    with kit.session() as s:
        with pytest.raises(PyMongoError):
            s.execute_read("orders", once, consistency=EVENTUAL, timeout=20.0)
    assert len(runs) == 1
    assert breakers(kit) == {0}


@pytest.mark.parametrize("transaction", [False, True])
def test_a_write_of_one_document_was_not_done(kit: RegionKit, mongo_store_rig: MongoRig, transaction: bool) -> None:
    """By itself or in a transaction: the driver's error says what the member said."""
    with kit.session() as s:
        with pytest.raises(ExecutionTimeout):
            s.execute_write("orders", change_one, timeout=20.0, transaction=transaction)
    assert breakers(kit) == {0}
    assert mongo_store_rig.value("a") == "old"


def test_a_write_of_several_has_an_unknown_outcome(kit: RegionKit) -> None:
    """Some of them may be done; nobody is blamed for it."""
    with kit.session() as s:
        with pytest.raises(OutcomeUnknown):
            s.execute_write("orders", change_many, timeout=20.0)
    assert breakers(kit) == {0}


def test_a_limit_above_ours_changes_nothing(kit: RegionKit) -> None:
    """A command with its own limit works; the deadline of the block is the smaller one."""
    with kit.session() as s, s.read("orders", timeout=20.0) as db:
        found = db.things.find({}).max_time_ms(60_000).to_list()
        assert [each["value"] for each in found] == ["old"]
        assert (db.things.find_one({}, max_time_ms=5_000))["value"] == "old"
