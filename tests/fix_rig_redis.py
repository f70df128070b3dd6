"""The Redis rig: the shared primary and its two replicas, a database number of its own, emptied for each test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fix_store_rigs import NAMESPACE, REGIONS

from regionkit import Endpoint, RedisStore, Region, Role, Topology

DATABASE = 1


class RedisActions:
    """Plain keys."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        db.set(key, value)

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value; None when there is none."""
        found = db.get(key)
        return None if found is None else found.decode()

    @staticmethod
    def add(db: Any, key: str) -> None:
        """Add one."""
        db.incr(key)


class AsyncRedisActions:
    """The same with `redis.asyncio`."""

    @staticmethod
    async def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        await db.set(key, value)

    @staticmethod
    async def get(db: Any, key: str) -> Any:
        """The value; None when there is none."""
        found = await db.get(key)
        return None if found is None else found.decode()

    @staticmethod
    async def add(db: Any, key: str) -> None:
        """Add one."""
        await db.incr(key)


class RedisRig:
    """The primary in us-east-1, replicas in the other regions."""

    server = "redis"
    Actions = RedisActions
    AsyncActions = AsyncRedisActions

    def __init__(self, servers: Any) -> None:
        self.servers = servers
        self.urls = [node.url.removesuffix("/0") + f"/{DATABASE}" for node in servers.nodes[:3]]
        with self.client() as client:
            client.flushdb()
        servers.wait_for_replicas()

    def client(self, index: int = 0, **options: Any) -> redis.Redis:
        """A client past the library."""
        return redis.Redis.from_url(self.urls[index], **options)

    def topology(self, **store_options: Any) -> Topology:
        """The topology; keyword arguments go to the store."""
        roles = (Role.PRIMARY, Role.REPLICA, Role.REPLICA)
        endpoints = [Endpoint(r, role, url) for r, role, url in zip(REGIONS, roles, self.urls, strict=False)]
        store = RedisStore("orders", endpoints=endpoints, **store_options)
        return Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The copy in ap-northeast-2 applies nothing."""
        node = self.servers.replicas[0]
        node.pause_replay()
        try:
            yield
        finally:
            node.resume_replay()

    def value(self, key: str) -> Any:
        """The value at the primary, asked past the library; None when there is none."""
        with self.client() as client:
            return RedisActions.get(client, key)


@pytest.fixture
def redis_store_rig(redis_server: Any) -> RedisRig:
    """Redis: the shared primary and replicas."""
    return RedisRig(redis_server)
