"""What an application hands in without a kit: one engine, client, database or session at the owner of a store rig."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import redis.asyncio
import sqlalchemy
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy
from fix_store_rigs import StoreRig
from sqlalchemy.ext.asyncio import create_async_engine

from regionkit import MemoryStore
from regionkit.topology import server_url

ASYNC_DRIVERS = {
    "mysql+pymysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Owner:
    """A database of SQL for tests that look at no copy: none is made, or waited for."""

    def __init__(self, server: str, url: str) -> None:
        self.server = server
        self.urls = [url]
        self.rig = self


def owner_of(name: str, request: pytest.FixtureRequest, folder: Path) -> Any:
    """An empty database on a SQL server; of other families the store rig."""
    if name == "sqlite":
        path = folder / "owner.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        return Owner(name, f"sqlite:///{path}")
    if name in ("postgresql", "mariadb", "mysql"):
        servers: Any = request.getfixturevalue("pg" if name == "postgresql" else name)
        return Owner(name, servers.primary.url_for(servers.database()))
    return request.getfixturevalue(f"{name}_store_rig")


@contextlib.contextmanager
def plain_of(rig: StoreRig) -> Iterator[Any]:
    """For threads."""
    any_rig: Any = rig
    match rig.server:
        case "redis":
            with redis.Redis.from_url(any_rig.urls[0]) as client:
                yield client
        case "mongodb":
            with pymongo.MongoClient(any_rig.url) as mongo:
                yield mongo.get_default_database()
        case "cassandra":
            with _cassandra(any_rig) as session:
                yield session
        case "memory":
            yield _memory(rig)
        case _:
            engine = sqlalchemy.create_engine(any_rig.rig.urls[0])
            try:
                yield engine
            finally:
                engine.dispose()


@contextlib.asynccontextmanager
async def async_plain_of(rig: StoreRig) -> AsyncIterator[Any]:
    """For asyncio."""
    any_rig: Any = rig
    match rig.server:
        case "redis":
            async with redis.asyncio.Redis.from_url(any_rig.urls[0]) as client:
                yield client
        case "mongodb":
            async with pymongo.AsyncMongoClient(any_rig.url) as mongo:
                yield mongo.get_default_database()
        case "cassandra":
            with _cassandra(any_rig) as session:
                yield session
        case "memory":
            yield _memory(rig)
        case _:
            url = sqlalchemy.make_url(any_rig.rig.urls[0])
            engine = create_async_engine(url.set(drivername=ASYNC_DRIVERS[url.drivername]))
            try:
                yield engine
            finally:
                await engine.dispose()


@contextlib.contextmanager
def _cassandra(rig: Any) -> Iterator[Any]:
    url = server_url("cassandra", rig.url)
    datacenter = rig.datacenters.get("us-east-1", "us-east-1") if rig.datacenters else "us-east-1"
    profile = ExecutionProfile(load_balancing_policy=DCAwareRoundRobinPolicy(datacenter))
    cluster = Cluster(
        [host for host, _ in url.hosts], port=url.hosts[0][1], execution_profiles={EXEC_PROFILE_DEFAULT: profile}
    )
    try:
        yield cluster.connect(url.database)
    finally:
        cluster.shutdown()


def _memory(rig: StoreRig) -> MemoryStore:
    store = rig.topology().store("orders")
    assert isinstance(store, MemoryStore)
    return MemoryStore("orders", endpoints=[store.primary])
