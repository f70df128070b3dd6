"""What tests of caches share: SQL engines with an application's table, and servers for the shared tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from regionkit.caching import Local, Shared

ASYNC_DRIVERS = {
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql+pymysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}
MADE = "CREATE TABLE accounts (id VARCHAR(40) PRIMARY KEY, n INTEGER NOT NULL)"


class Engines:
    """One database with the table `accounts`: engines for threads and for asyncio.

    Attributes:
        url: of it, with the sync driver.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url)
        with self.engine.begin() as db:
            db.execute(text(MADE))

    def make(self, *, is_async: bool) -> Any:
        """An engine."""
        if not is_async:
            return create_engine(self.url)
        driver, rest = self.url.split("://", 1)
        return create_async_engine(f"{ASYNC_DRIVERS[driver]}://{rest}")

    def value(self, key: str) -> int | None:
        """What the table says."""
        with self.engine.connect() as db:
            found: int | None = db.execute(text("SELECT n FROM accounts WHERE id = :id"), {"id": key}).scalar()
            return found

    def rows(self, kind: str) -> int:
        """How many intents of a kind stand."""
        with self.engine.connect() as db:
            counted = text("SELECT count(*) FROM regionkit_rk_cache_intent WHERE kind = :kind")
            return int(db.execute(counted, {"kind": kind}).scalar_one())


def made(name: str, request: pytest.FixtureRequest, folder: Path) -> Engines:
    """A database of its own on a server."""
    if name == "sqlite":
        return Engines(f"sqlite:///{folder}/accounts.db")
    server = request.getfixturevalue("pg" if name == "postgresql" else name)
    return Engines(server.primary.url_for(server.database()))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mysql"])
def accounts(request: pytest.FixtureRequest, data_path: Path) -> Iterator[Engines]:
    """A database of its own on each SQL server."""
    engines = made(request.param, request, data_path)
    yield engines
    engines.engine.dispose()


class Tiered(NamedTuple):
    """A database, and the tiers of a cache over it."""

    accounts: Engines
    tiers: list[Any]


@pytest.fixture(params=["sqlite-local", "sqlite-shared", "postgresql-both", "mariadb-both"])
def tiered(request: pytest.FixtureRequest, data_path: Path, shared_url: Callable[[], str]) -> Iterator[Tiered]:
    """Databases and tiers, pairwise."""
    name, _, word = request.param.partition("-")
    engines = made(name, request, data_path)
    shared = Shared(shared_url(), timeout=2.0)  # a busy machine is no dead server
    tiers = {"local": [Local()], "shared": [shared], "both": [Local(), shared]}[word]
    yield Tiered(engines, tiers)
    engines.engine.dispose()


@pytest.fixture
def shared_url(redis_server: Any) -> Callable[[], str]:
    """The shared Redis server, emptied; the same URL each time."""
    import redis

    url: str = redis_server.primary.url
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return lambda: url
