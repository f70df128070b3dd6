"""Documents of a write-back cache in MongoDB: the guard, tombstones, epochs, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from fix_plain import async_plain_of

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.rules import version_of
from regionkit.caching.back.sinks.mongo_async import AsyncMongoSink
from regionkit.errors import CacheError, ConfigurationError

from .sql_places_async import APPLIED, CACHE, CONFLICT, SUPERSEDED, User, gone, put


class Place:
    """A database, and a sink of its collection `users`."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.users = database["users"]
        self.sink = AsyncMongoSink(database, "users", type=User)

    async def shown(self) -> dict[str, Any]:
        """What is not deleted, by key."""
        return {d["_id"]: d["name"] async for d in self.users.find({"rk_gone": {"$exists": False}})}


class Owner:
    """A database of its own, as `async_plain_of` takes it."""

    server = "mongodb"

    def __init__(self, servers: Any) -> None:
        self.url = servers.url_for(servers.database())


@pytest.fixture
async def place(mongo: Any) -> AsyncIterator[Place]:
    """With epoch 1 given out."""
    owner: Any = Owner(mongo)
    async with async_plain_of(owner) as database:
        made = Place(database)
        await made.sink.create_tables()
        await made.sink.check()
        assert await made.sink.raise_epoch(CACHE, 0) == 1
        yield made
        await made.sink.close()
        await database.client.drop_database(database.name)


async def test_the_guard_holds(place: Place) -> None:
    """Zombies are superseded; another writer's version is a conflict; documents without one are written."""
    sink = place.sink
    await place.users.insert_one({"_id": "old", "name": "theirs", "extra": 1})
    assert await sink.flush(CACHE, 1, [put("b", 5), put("a", 6), put("old", 7)]) == [APPLIED] * 3
    assert await sink.flush(CACHE, 1, [put("a", 1), put("b", 2), put("c", 3)]) == [SUPERSEDED, SUPERSEDED, APPLIED]
    assert await place.shown() == {"a": "v6", "b": "v5", "c": "v3", "old": "v7"}
    assert (await place.users.find_one({"_id": "old"}))["extra"] == 1
    await place.users.update_one({"_id": "a"}, {"$set": {"rk_ver": version_of(70, 0), "name": "theirs"}})
    assert await sink.flush(CACHE, 1, [put("a", 8), put("b", 9)]) == [CONFLICT, APPLIED]
    assert await sink.flush(CACHE, 1, [gone("a", 10)]) == [CONFLICT]
    assert (await place.shown())["a"] == "theirs"
    assert await sink.flush(CACHE, 1, []) == []


async def test_the_latest_counts_in_any_order(place: Place) -> None:
    """Put, delete, put; and delete, put, delete. Tombstones go when they are forgotten."""
    sink = place.sink
    for n, order in enumerate(permutations((1, 2, 3))):
        a, b = f"a{n}", f"b{n}"
        for step in order:
            changes = [gone(a, step) if step == 2 else put(a, step), put(b, step) if step == 2 else gone(b, step)]
            assert CONFLICT not in await sink.flush(CACHE, 1, changes)
        found = await sink.load(a)
        assert found is not None and (found.value, found.version) == (User("v3", 3), version_of(1, 3))
        assert await sink.load(b) is None
    assert await sink.forget_marks(CACHE, version_of(1, 3)) == 0
    assert await sink.forget_marks(CACHE, version_of(1, 4)) == 6
    assert len(await place.shown()) == await place.users.count_documents({}) == 6


async def test_epochs_rise_and_fence(place: Place) -> None:
    """A flusher of an older one writes nothing; a database that lost its epoch learns it from a flush."""
    sink = place.sink
    assert [await sink.raise_epoch(CACHE, 0), await sink.raise_epoch(CACHE, 40), await sink.raise_epoch(CACHE, 7)] == [
        2,
        41,
        42,
    ]
    with pytest.raises(SinkDown, match="another flusher"):
        await sink.flush(CACHE, 41, [put("a", 1)])
    assert await place.shown() == {}
    await place.database["regionkit_rk_wb_epoch"].delete_many({})
    assert await sink.flush(CACHE, 42, [put("a", 1)]) == [APPLIED]
    assert await sink.raise_epoch(CACHE, 0) == 43


async def test_what_will_never_fit_is_refused_and_nothing_is_written(place: Place) -> None:
    """A unique index, what BSON does not have, a document that is too large, keys of several parts."""
    sink = place.sink
    await place.users.create_index("email", unique=True, sparse=True)
    await sink.flush(CACHE, 1, [put("a", 1, {"name": "x", "email": "a@x"})])
    for bad in (
        {"name": "x", "email": "a@x"},
        {"name": object()},
        {"name": 2**70},
        {"name": "x" * 17_000_000},
        {"name": "x", "_id": "other"},
        17,
    ):
        with pytest.raises(SinkRefused):
            await sink.flush(CACHE, 1, [put("good", 2), put("poison", 3, bad), put("a", 4)])
    with pytest.raises(SinkRefused):
        await sink.flush(CACHE, 1, [put(("eu", 1), 4)])
    assert await place.shown() == {"a": "x"}


async def test_values_come_back_as_they_were(place: Place) -> None:
    """Numbers, times, documents, NaN; what is no value of the type is told."""

    class Thing(msgspec.Struct):
        price: Decimal
        seen: datetime
        parts: list[dict[str, int]]
        words: str = "a\0'ü😀"
        nothing: int | None = None

    sink = AsyncMongoSink(place.database, "things", type=Thing)
    value = Thing(Decimal("12.3400"), datetime(2026, 1, 2, 3, 4, 5, 678000, UTC), [{"a": 1}])
    assert await sink.flush(CACHE, 1, [put(7, 1, value)]) == [APPLIED]
    found = await sink.load(7)
    assert found is not None and found.value == value
    await place.database["things"].update_one({"_id": 7}, {"$set": {"price": "no"}})
    with pytest.raises(CacheError):
        await sink.load(7)
    assert await sink.load(8) is None
    await sink.close()


async def test_a_document_that_another_holds_is_tried_again(place: Place) -> None:
    """Its transaction is open: the server rolls the flush back, nothing was written."""
    sink = place.sink
    await sink.flush(CACHE, 1, [put("a", 1)])
    async with place.database.client.start_session() as session, await session.start_transaction():
        await place.users.update_one({"_id": "a"}, {"$set": {"name": "held"}}, session=session)
        with pytest.raises(SinkDown):
            await sink.flush(CACHE, 1, [put("a", 2), put("b", 3)])
        await session.abort_transaction()
    assert await place.shown() == {"a": "v1"}
    assert await sink.flush(CACHE, 1, [put("a", 2), put("b", 3)]) == [APPLIED] * 2


async def test_a_view_is_refused(place: Place) -> None:
    """It cannot be written."""
    await place.database.create_collection("seen", viewOn="users", pipeline=[])
    sink = AsyncMongoSink(place.database, "seen")
    with pytest.raises(ConfigurationError, match="is a view"):
        await sink.check()
    await sink.close()
