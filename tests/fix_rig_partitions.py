"""Rigs of partitioned stores: two home regions, each with a copy in the other, on real servers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy
from fix_rig_memory import MemoryStoreRig
from fix_rig_mongo import MongoRig
from fix_rig_redis import RedisRig
from fix_rig_sql import GET, AsyncSqlActions, SqlActions
from sqlalchemy import text

from regionkit import (
    Endpoint,
    MemoryStore,
    MongoStore,
    RedisStore,
    Region,
    Role,
    SqlStore,
    Store,
    Topology,
    WritePartitioning,
)
from regionkit.embedded import MemoryRegions

HOMES = ("us-east-1", "ap-northeast-2")
REGIONS = (*HOMES, "eu-west-1")


class PartitionRig:
    """Store "carts": `urls[home]` is (owner, copy in the other home region). Store "orders" keeps directories."""

    Actions: Any = SqlActions
    AsyncActions: Any = AsyncSqlActions

    def __init__(self, server: str, urls: dict[str, tuple[str, str]], hold: Callable[[str], Any]) -> None:
        self.server = server
        self.urls = urls
        self.hold = hold
        for owner, _ in urls.values():
            engine = sqlalchemy.create_engine(owner)
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE things (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100))"))
            engine.dispose()

    def endpoints(self) -> list[Endpoint]:
        """Two primaries and a copy of each."""
        us, kr = HOMES
        return [
            Endpoint(us, Role.PRIMARY, self.urls[us][0]),
            Endpoint(kr, Role.PRIMARY, self.urls[kr][0]),
            Endpoint(kr, Role.REPLICA, self.urls[us][1], of=us),
            Endpoint(us, Role.REPLICA, self.urls[kr][1], of=kr),
        ]

    def carts(self, home: Any) -> Store:
        """The partitioned store."""
        return SqlStore("carts", strategy=WritePartitioning(home), endpoints=self.endpoints())

    def orders(self) -> Store:
        """The store that keeps directories: the owner of us-east-1 and its copy."""
        us = HOMES[0]
        return SqlStore(
            "orders",
            endpoints=[
                Endpoint(us, Role.PRIMARY, self.urls[us][0]),
                Endpoint(HOMES[1], Role.REPLICA, self.urls[us][1]),
            ],
        )

    @property
    def directory_url(self) -> str:
        """A database that can keep a directory."""
        return self.urls[HOMES[0]][0]

    def topology(self, home: Any) -> Topology:
        """Both stores; "orders" is the control store."""
        regions = [Region(region) for region in REGIONS]
        stores = [self.carts(home), self.orders()]
        return Topology(namespace="shop", control="orders", regions=regions, stores=stores)

    def value(self, home: str, key: str) -> Any:
        """The value at a home's owner, asked past the library."""
        engine = sqlalchemy.create_engine(self.urls[home][0])
        with engine.connect() as connection:
            found = connection.execute(GET, {"key": key}).scalar()
        engine.dispose()
        return found


@pytest.fixture
def sqlite_partition_rig(data_path: Path) -> Iterator[PartitionRig]:
    """Four SQLite files, copied by the backup API."""
    from fix_rigs import _Copies

    urls, copies = {}, {}
    for home in HOMES:
        paths = [data_path / f"{home}.db", data_path / f"copy-of-{home}.db"]
        for path in paths:
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        urls[home] = (f"sqlite:///{paths[0]}", f"sqlite:///{paths[1]}")
        copies[home] = _Copies(paths)

    @contextlib.contextmanager
    def hold(home: str) -> Iterator[None]:
        copies[home].hold()
        try:
            yield
        finally:
            copies[home].release()

    yield PartitionRig("sqlite", urls, hold)
    for copy in copies.values():
        copy.stopping.set()
        copy.thread.join()


def _of_one_primary(server: str, servers: Any) -> PartitionRig:
    """Two databases of one primary, each a home; its first two replicas are the copies, so each is held by itself."""
    urls, copies = {}, dict(zip(HOMES, servers.replicas, strict=False))
    for home, replica in copies.items():
        name = servers.database()
        urls[home] = (servers.primary.url_for(name), replica.url_for(name))

    @contextlib.contextmanager
    def hold(home: str) -> Iterator[None]:
        copies[home].pause_replay()
        try:
            yield
        finally:
            copies[home].resume_replay()

    rig = PartitionRig(server, urls, hold)
    servers.wait_for_replicas()
    return rig


@pytest.fixture
def postgresql_partition_rig(pg: Any) -> PartitionRig:
    """PostgreSQL."""
    return _of_one_primary("postgresql", pg)


@pytest.fixture
def mariadb_partition_rig(mariadb: Any) -> PartitionRig:
    """MariaDB."""
    return _of_one_primary("mariadb", mariadb)


@pytest.fixture
def mysql_partition_rig(mysql: Any) -> PartitionRig:
    """MySQL."""
    return _of_one_primary("mysql", mysql)


class ClientPartitionRig(PartitionRig):
    """The same on a server that is no SQL server: "orders" is a SQLite file, so the topology is a mixed one."""

    def __init__(
        self, rig: Any, store: type[Store], endpoints: list[Endpoint], values: dict[str, Any], hold: Any, file: Path
    ) -> None:
        self.server = rig.server
        self.Actions, self.AsyncActions = rig.Actions, rig.AsyncActions
        self.store = store
        self.hold = hold
        self._endpoints = endpoints
        self._values = values
        self._file = file

    def endpoints(self) -> list[Endpoint]:
        """Two primaries and a copy of each."""
        return self._endpoints

    def carts(self, home: Any) -> Store:
        """The partitioned store."""
        return self.store("carts", strategy=WritePartitioning(home), endpoints=self._endpoints)

    def orders(self) -> Store:
        """A file."""
        return SqlStore("orders", endpoints=[Endpoint(HOMES[0], Role.PRIMARY, self.directory_url)])

    @property
    def directory_url(self) -> str:
        """A file."""
        return f"sqlite:///{self._file}"

    def value(self, home: str, key: str) -> Any:
        """The value at a home's owner."""
        return self._values[home](key)


@pytest.fixture
def redis_partition_rig(redis_server: Any, data_path: Path) -> ClientPartitionRig:
    """Two databases of one Redis primary, each a home; its two replicas are the copies."""
    endpoints, values = [], {}
    for number, (home, replica) in enumerate(zip(HOMES, redis_server.replicas, strict=False)):
        database = 4 + number
        url = redis_server.primary.url.removesuffix("/0") + f"/{database}"
        copy = replica.url.removesuffix("/0") + f"/{database}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        endpoints += [Endpoint(home, Role.PRIMARY, url), Endpoint(HOMES[1 - number], Role.REPLICA, copy, of=home)]
        values[home] = partial(_redis_value, url)
    redis_server.wait_for_replicas()

    @contextlib.contextmanager
    def hold(home: str) -> Iterator[None]:
        replica = redis_server.replicas[HOMES.index(home)]
        replica.pause_replay()
        try:
            yield
        finally:
            replica.resume_replay()

    return ClientPartitionRig(RedisRig, RedisStore, endpoints, values, hold, data_path / "orders.db")


def _redis_value(url: str, key: str) -> Any:
    with redis.Redis.from_url(url) as client:
        return RedisRig.Actions.get(client, key)


@pytest.fixture
def memory_partition_rig(data_path: Path) -> Iterator[ClientPartitionRig]:
    """Two worlds in this process, each the owner in its home and a copy in the other."""
    us, kr = HOMES
    with (
        MemoryRegions(store="us", primary=us, replicas=[kr]) as american,
        MemoryRegions(store="kr", primary=kr, replicas=[us]) as korean,
    ):
        worlds = {us: american, kr: korean}
        endpoints = []
        for home, world in worlds.items():
            for e in world.topology.stores[0].endpoints:
                of = home if e.role is Role.REPLICA else None
                endpoints.append(Endpoint(e.region, e.role, e.url, of=of))

        @contextlib.contextmanager
        def hold(home: str) -> Iterator[None]:
            copy = kr if home == us else us
            worlds[home].pause(copy)
            try:
                yield
            finally:
                worlds[home].resume(copy)

        values = {home: partial(_memory_value, world, home) for home, world in worlds.items()}
        yield ClientPartitionRig(MemoryStoreRig, MemoryStore, endpoints, values, hold, data_path / "orders.db")


def _memory_value(world: MemoryRegions, home: str, key: str) -> Any:
    return world.contents(home).get(key)


@pytest.fixture
def mongo_partition_rig(mongo: Any, mongo_korean: Any, data_path: Path) -> ClientPartitionRig:
    """Two replica sets, the primary of each in its home, with members in the other region too."""
    sets = dict(zip(HOMES, (mongo, mongo_korean), strict=True))
    endpoints, values = [], {}
    for home, servers in sets.items():
        node = servers.node(home)
        if servers.primary is not node:
            node.promote()
        database = servers.database()
        endpoints.append(Endpoint(home, Role.PRIMARY, servers.url_for(database)))
        values[home] = partial(_mongo_value, servers, database)

    @contextlib.contextmanager
    def hold(home: str) -> Iterator[None]:
        copy = sets[home].node(HOMES[1 - HOMES.index(home)])
        copy.pause_replay()
        try:
            yield
        finally:
            copy.resume_replay()

    return ClientPartitionRig(MongoRig, MongoStore, endpoints, values, hold, data_path / "orders.db")


def _mongo_value(servers: Any, database: str, key: str) -> Any:
    with servers.primary.client() as client:
        return MongoRig.Actions.get(client[database], key)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mysql", "memory", "redis", "mongo"])
def partition_rig(request: pytest.FixtureRequest) -> PartitionRig:
    """Each server in turn."""
    found: PartitionRig = request.getfixturevalue(f"{request.param}_partition_rig")
    return found
