"""Time limits of the application's own: they hold, leave as its own errors, and are nobody's fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pymongo
import pytest
from fix_rig_mongo import MongoRig
from pymongo.errors import ExecutionTimeout, PyMongoError

from regionkit import EVENTUAL, AsyncRegionKit, OutcomeUnknown
from regionkit.facts.request import Kind

SLOW = {"$where": "sleep(30000) || true"}
LIMIT = 100
"""Milliseconds that the application gives; the block has 20 s."""


@pytest.fixture
async def kit(mongo_store_rig: MongoRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit beside the owner, with one document."""
    async with AsyncRegionKit(mongo_store_rig.topology(), local="us-east-1") as kit:
        await kit.create_tables()
        async with kit.session() as s, s.write("orders") as db:
            await db.things.insert_one({"_id": "a", "value": "old"})
        yield kit


def breakers(kit: AsyncRegionKit) -> set[int]:
    """Errors that count against any endpoint."""
    store: Any = kit._store("orders").shards[0]
    return {store.state.breaker(index, use).errors for index in range(len(store.backends)) for use in Kind}


async def find(db: Any) -> Any:
    """By the cursor's own limit."""
    return await db.things.find(SLOW).max_time_ms(LIMIT).to_list()


async def aggregate(db: Any) -> Any:
    """By an argument of the command."""
    return await (await db.things.aggregate([{"$match": SLOW}], maxTimeMS=LIMIT)).to_list()


async def within(db: Any) -> Any:
    """By pymongo's own context."""
    with pymongo.timeout(LIMIT / 1000):
        return await db.things.find_one(SLOW)


async def change_one(db: Any) -> Any:
    """A write of one document: the member says that it was not done."""
    return await db.things.find_one_and_update(SLOW, {"$set": {"value": "new"}}, maxTimeMS=LIMIT)


async def change_many(db: Any) -> Any:
    """A write of several, of which some may be done."""
    with pymongo.timeout(LIMIT / 1000):
        return await db.things.update_many(SLOW, {"$set": {"value": "new"}})


@pytest.mark.parametrize("read", [find, aggregate, within])
async def test_a_read_ends_at_the_applications_limit(
    kit: AsyncRegionKit, read: Callable[[Any], Awaitable[Any]]
) -> None:
    """With the driver's error; it is not run again elsewhere, and no endpoint is blamed."""
    runs = []

    async def once(db: Any) -> Any:
        runs.append(db)
        return await read(db)

    async with kit.session() as s:
        with pytest.raises(PyMongoError):
            await s.execute_read("orders", once, consistency=EVENTUAL, timeout=20.0)
    assert len(runs) == 1
    assert breakers(kit) == {0}


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_write_of_one_document_was_not_done(
    kit: AsyncRegionKit, mongo_store_rig: MongoRig, transaction: bool
) -> None:
    """By itself or in a transaction: the driver's error says what the member said."""
    async with kit.session() as s:
        with pytest.raises(ExecutionTimeout):
            await s.execute_write("orders", change_one, timeout=20.0, transaction=transaction)
    assert breakers(kit) == {0}
    assert mongo_store_rig.value("a") == "old"


async def test_a_write_of_several_has_an_unknown_outcome(kit: AsyncRegionKit) -> None:
    """Some of them may be done; nobody is blamed for it."""
    async with kit.session() as s:
        with pytest.raises(OutcomeUnknown):
            await s.execute_write("orders", change_many, timeout=20.0)
    assert breakers(kit) == {0}


async def test_a_limit_above_ours_changes_nothing(kit: AsyncRegionKit) -> None:
    """A command with its own limit works; the deadline of the block is the smaller one."""
    async with kit.session() as s, s.read("orders", timeout=20.0) as db:
        found = await db.things.find({}).max_time_ms(60_000).to_list()
        assert [each["value"] for each in found] == ["old"]
        assert (await db.things.find_one({}, max_time_ms=5_000))["value"] == "old"
