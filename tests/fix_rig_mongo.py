"""The MongoDB rig: the shared replica set, a database of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_store_rigs import NAMESPACE, REGIONS
from pymongo.errors import PyMongoError

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


HEARTBEAT = 2.5
"""Seconds within which members hear of one another."""


class MongoHome:
    """What is asked of the member in us-east-1 before and after each test, by one client: a new one costs 20 ms."""

    def __init__(self, servers: Any) -> None:
        self._node = servers.node("us-east-1")
        self._client = self._node.client(maxPoolSize=1)
        self.close = self._client.close

    def be_primary(self) -> None:
        """Whoever was elected in an earlier test."""
        try:
            if self._client.admin.command("hello")["isWritablePrimary"]:
                return
        except PyMongoError:  # it was killed, or is another one's copy
            pass
        self._node.promote()

    def be_primary_again(self) -> None:
        """After it was frozen: it takes itself for the primary until it hears of another's election."""
        time.sleep(HEARTBEAT)
        self.be_primary()

    def drop(self, servers: Any, database: str) -> None:
        """A transaction whose caller was cancelled would be waited for."""
        try:
            self._client.admin.command("killAllSessions", [])
            self._client.drop_database(database)
        except PyMongoError:
            with servers.primary.client() as client:
                client.admin.command("killAllSessions", [])
                client.drop_database(database)


@pytest.fixture(scope="session")
def mongo_home(mongo: Any) -> Iterator[MongoHome]:
    """Of the shared replica set."""
    home = MongoHome(mongo)
    yield home
    home.close()


@pytest.fixture
def mongo_store_rig(mongo: Any, mongo_home: MongoHome) -> Iterator[MongoRig]:
    """MongoDB: the shared replica set with its primary in us-east-1, a database of its own."""
    mongo_home.be_primary()
    rig = MongoRig(mongo)
    yield rig
    mongo_home.drop(mongo, rig.database)
