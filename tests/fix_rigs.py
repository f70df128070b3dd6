"""A rig per SQL server: three regions of one store, a replica that can be held back, tables of its own.

The contract suite runs over `rig`; so each backend passes the same tests.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from regionkit import Endpoint, Region, Role, SqlStore, Topology
from regionkit.testing import FaultProxy

REGIONS = ("us-east-1", "ap-northeast-2", "eu-west-1")
NAMESPACE = "shop"


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """One order."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(sqlalchemy.String(50))


class Rig:
    """Three regions: the primary in us-east-1, replicas in ap-northeast-2 and eu-west-1."""

    def __init__(
        self,
        server: str,
        urls: list[str],
        hold: Callable[[], Any],
        release: Callable[[], Any],
        wait: Callable[[], Any],
    ) -> None:
        self.server = server
        self.urls = urls
        self.plain = urls[0]
        self.hold = hold
        self.release = release
        self.wait_for_copies = wait

    def topology(self, **store_options: Any) -> Topology:
        """The topology of the rig; keyword arguments go to the store."""
        roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
        endpoints = [Endpoint(r, role, url) for r, role, url in zip(REGIONS, roles, self.urls, strict=False)]
        store = SqlStore("orders", endpoints=endpoints, **store_options)
        return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The first replica applies nothing."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def count(self, where: str = "1 = 1") -> int:
        """Rows on the primary, asked past the library."""
        engine = sqlalchemy.create_engine(self.plain)
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text(f"SELECT count(*) FROM orders WHERE {where}")).scalar()
        engine.dispose()
        return int(found or 0)


def make_tables(url: str) -> None:
    """The application's tables on the primary."""
    engine = sqlalchemy.create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Poll until true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
    return found


_AT_FORK = threading.Lock()
"""Held while SQLite copies, and during a fork. Without it 6 of 53 forked children never came back from `sqlite3.connect`:
a thread that is inside SQLite at the fork leaves its mutexes locked in the child."""
os.register_at_fork(before=_AT_FORK.acquire, after_in_parent=_AT_FORK.release, after_in_child=_AT_FORK.release)


class _Copies:
    """SQLite copies by the backup API, twenty times a second while not held."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.is_held = False
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.copy_all()  # whoever reads a copy at once finds the tables
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.stopping.wait(0.01):
            self.copy_all()

    def copy_all(self) -> None:
        with self.lock, _AT_FORK:
            for path in self.paths[2:] if self.is_held else self.paths[1:]:
                with (
                    contextlib.closing(sqlite3.connect(self.paths[0])) as source,
                    contextlib.closing(sqlite3.connect(path, timeout=5)) as copy,
                ):
                    source.backup(copy)

    def hold(self) -> None:
        with self.lock:
            self.is_held = True

    def release(self) -> None:
        self.is_held = False


@pytest.fixture
def sqlite_rig(data_path: Path) -> Iterator[Rig]:
    """Three SQLite files."""
    paths = [data_path / f"{region}.db" for region in REGIONS]
    for path in paths:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    urls = [f"sqlite:///{path}" for path in paths]
    make_tables(urls[0])
    copies = _Copies(paths)
    yield Rig("sqlite", urls, copies.hold, copies.release, copies.copy_all)
    copies.stopping.set()
    copies.thread.join()


@pytest.fixture
def postgresql_rig(pg: Any) -> Rig:
    """PostgreSQL: the shared primary and its replicas, a database of its own, an ordinary account."""
    name = pg.database()
    urls = [pg.primary.url_for(name), *(replica.url_for(name) for replica in pg.replicas[:2])]
    make_tables(urls[0])
    pg.wait_for_replicas()
    return Rig("postgresql", urls, pg.replicas[0].pause_replay, pg.replicas[0].resume_replay, pg.wait_for_replicas)


@pytest.fixture
def mariadb_rig(mariadb: Any) -> Rig:
    """MariaDB: the shared primary and its replica, a database of its own, an ordinary account."""
    name = mariadb.database()
    urls = [mariadb.primary.url_for(name), *(replica.url_for(name) for replica in mariadb.replicas[:2])]
    make_tables(urls[0])
    mariadb.wait_for_replicas()
    return Rig(
        "mariadb", urls, mariadb.replicas[0].pause_replay, mariadb.replicas[0].resume_replay, mariadb.wait_for_replicas
    )


@pytest.fixture
def mysql_rig(mysql: Any) -> Rig:
    """MySQL: the shared primary and its replicas, a database of its own, an ordinary account."""
    name = mysql.database()
    urls = [mysql.primary.url_for(name), *(replica.url_for(name) for replica in mysql.replicas[:2])]
    make_tables(urls[0])
    mysql.wait_for_replicas()
    return Rig("mysql", urls, mysql.replicas[0].pause_replay, mysql.replicas[0].resume_replay, mysql.wait_for_replicas)


SQL_BACKENDS = ("sqlite", "postgresql", "mariadb", "mysql")


@pytest.fixture(params=SQL_BACKENDS)
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each SQL server in turn."""
    found: Rig = request.getfixturevalue(f"{request.param}_rig")
    return found


PROXIED = ("postgresql", "mariadb", "mysql")


@pytest.fixture(params=PROXIED)
def proxy(request: pytest.FixtureRequest) -> Iterator[FaultProxy]:
    """A proxy before a server with the application's tables."""
    servers = request.getfixturevalue({"postgresql": "pg", "asyncpg": "pg"}.get(request.param, request.param))
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with FaultProxy(url.replace("+psycopg:", "+asyncpg:") if request.param == "asyncpg" else url) as made:
        yield made
