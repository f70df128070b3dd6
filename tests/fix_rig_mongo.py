"""The MongoDB rig: the shared replica set, a database of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from fix_store_rigs import NAMESPACE, REGIONS

from regionkit import MongoStore, Region, Topology

ADD_ONE = [{"$set": {"value": {"$toString": {"$add": [{"$toInt": {"$ifNull": ["$value", "0"]}}, 1]}}}}]
"""An update that adds one to a number kept as a text."""


class MongoActions:
    """Documents {_id: key, value: text} in one collection."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        db.things.replace_one({"_id": key}, {"value": value}, upsert=True)

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value; None when there is none."""
        found = db.things.find_one({"_id": key})
        return None if found is None else found["value"]

    @staticmethod
    def add(db: Any, key: str) -> None:
        """Add one."""
        db.things.update_one({"_id": key}, ADD_ONE, upsert=True)


class AsyncMongoActions:
    """The same with `AsyncDatabase`."""

    @staticmethod
    async def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        await db.things.replace_one({"_id": key}, {"value": value}, upsert=True)

    @staticmethod
    async def get(db: Any, key: str) -> Any:
        """The value; None when there is none."""
        found = await db.things.find_one({"_id": key})
        return None if found is None else found["value"]

    @staticmethod
    async def add(db: Any, key: str) -> None:
        """Add one."""
        await db.things.update_one({"_id": key}, ADD_ONE, upsert=True)


class MongoRig:
    """A member in each region, the primary in us-east-1."""

    server = "mongodb"
    Actions = MongoActions
    AsyncActions = AsyncMongoActions

    def __init__(self, servers: Any) -> None:
        self.servers = servers
        self.database = servers.database()
        self.url = servers.url_for(self.database)

    def topology(self, **store_options: Any) -> Topology:
        """The topology; keyword arguments go to the store."""
        store = MongoStore("orders", url=self.url, **store_options)
        return Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The copy in ap-northeast-2 applies nothing."""
        node = self.servers.node("ap-northeast-2")
        node.pause_replay()
        try:
            yield
        finally:
            node.resume_replay()

    def value(self, key: str) -> Any:
        """The value at the primary, asked past the library; None when there is none."""
        with self.servers.primary.client() as client:
            return MongoActions.get(client[self.database], key)


@pytest.fixture
def mongo_store_rig(mongo: Any) -> Iterator[MongoRig]:
    """MongoDB: the shared replica set with its primary in us-east-1, a database of its own."""
    home = mongo.node("us-east-1")
    if mongo.primary is not home:
        home.promote()
    rig = MongoRig(mongo)
    yield rig
    with mongo.primary.client() as client:
        client.admin.command("killAllSessions", [])  # a transaction whose caller was cancelled would be waited for
        client.drop_database(rig.database)
