"""Rigs of partitioned stores: two home regions, each with a copy in the other, on real servers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from fix_rig_sql import GET, AsyncSqlActions, SqlActions
from sqlalchemy import text

from regionkit import Endpoint, Region, Role, SqlStore, Topology, WritePartitioning

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

    def topology(self, home: Any, **store_options: Any) -> Topology:
        """The topology; a directory is kept in "orders", which is the owner of us-east-1 and its copy."""
        us = HOMES[0]
        carts = SqlStore("carts", strategy=WritePartitioning(home), endpoints=self.endpoints(), **store_options)
        orders = SqlStore(
            "orders",
            endpoints=[
                Endpoint(us, Role.PRIMARY, self.urls[us][0]),
                Endpoint(HOMES[1], Role.REPLICA, self.urls[us][1]),
            ],
        )
        regions = [Region(region) for region in REGIONS]
        return Topology(namespace="shop", control="orders", regions=regions, stores=[carts, orders])

    def value(self, home: str, key: str) -> Any:
        """The value at a home's owner, asked past the library."""
        engine = sqlalchemy.create_engine(self.urls[home][0])
        with engine.connect() as connection:
            found = connection.execute(GET, {"key": key}).scalar()
        engine.dispose()
        return found


@pytest.fixture
def sqlite_partition_rig(tmp_path: Path) -> Iterator[PartitionRig]:
    """Four SQLite files, copied by the backup API."""
    from fix_rigs import _Copies

    urls, copies = {}, {}
    for home in HOMES:
        paths = [tmp_path / f"{home}.db", tmp_path / f"copy-of-{home}.db"]
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


@pytest.fixture
def postgresql_partition_rig(pg: Any) -> PartitionRig:
    """Two databases of one PostgreSQL primary, each a home; its two replicas are the copies."""
    urls = {}
    for home, replica in zip(HOMES, pg.replicas, strict=False):
        name = pg.database()
        urls[home] = (pg.primary.url_for(name), replica.url_for(name))

    @contextlib.contextmanager
    def hold(home: str) -> Iterator[None]:
        replica = pg.replicas[HOMES.index(home)]
        replica.pause_replay()
        try:
            yield
        finally:
            replica.resume_replay()

    rig = PartitionRig("postgresql", urls, hold)
    pg.wait_for_replicas()
    return rig


@pytest.fixture(params=["sqlite", "postgresql"])
def partition_rig(request: pytest.FixtureRequest) -> PartitionRig:
    """Each server in turn."""
    found: PartitionRig = request.getfixturevalue(f"{request.param}_partition_rig")
    return found
