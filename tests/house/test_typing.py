"""What a block yields, and what a cache holds, is known to the type checker."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SNIPPET = """
from regionkit import AsyncRegionSession, RegionSession, SqlStore

ORDERS = SqlStore("orders")

def sync(s: RegionSession) -> None:
    with s.read(ORDERS) as db:
        reveal_type(db)
    with s.write(ORDERS, core=True) as db:
        reveal_type(db)
    with s.read("orders") as anything:
        reveal_type(anything)

async def asynchronous(s: AsyncRegionSession) -> None:
    async with s.write(ORDERS) as db:
        reveal_type(db)
    async with s.read(ORDERS, core=True) as db:
        reveal_type(db)
"""
REVEALED = [
    "sqlalchemy.orm.session.Session",
    "sqlalchemy.engine.base.Connection",
    "Any",
    "sqlalchemy.ext.asyncio.session.AsyncSession",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection",
]


def test_blocks_are_typed_by_their_store(checked: dict[str, str]) -> None:
    """SqlStore gives a Session or a Connection, in both forms; a plain name gives Any."""
    assert _revealed(checked["blocks"]) == REVEALED, checked


CACHES = """
from regionkit import RegionKit
from regionkit.caching import TTL, AsyncCache, Cache, Lazy, Loaded

def load(key: int) -> Loaded[str] | None:
    return Loaded("v", tags=("all",))

numbers = Cache("numbers", int, strategy=TTL(ttl=5))
names = AsyncCache("names", list[str], strategy=Lazy(load=load, ttl=5))
plain = Cache("plain", strategy=TTL(ttl=5))
either: Cache[int | str] = Cache("either", int | str, strategy=TTL(ttl=5))
reveal_type(numbers)
reveal_type(numbers.get("a"))
reveal_type(numbers.lookup("a").value)
reveal_type(numbers.get_many(["a"]))
reveal_type(names)
reveal_type(plain)

def in_kit(kit: RegionKit) -> None:
    reveal_type(kit.cache("numbers", int, store="orders", strategy=TTL(ttl=5)))
    reveal_type(kit.cache("either", store="orders", strategy=TTL(ttl=5)))
"""
HELD = [
    "regionkit.caching.cache.Cache[int]",
    "int | None",
    "int | None",
    "dict[str, int]",
    "regionkit.caching.cache_async.AsyncCache[list[str]]",
    "regionkit.caching.cache.Cache[Any]",
    "regionkit.caching.cache.Cache[int]",
    "regionkit.caching.cache.Cache[Any]",
]


def test_caches_are_typed_by_their_kind(checked: dict[str, str]) -> None:
    """Without an annotation, where a checker knows the kind as a class; and no error."""
    assert (_revealed(checked["caches"]), "error" in checked["caches"]) == (HELD, False), checked


MESSAGES = """
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from regionkit.messaging import *
from regionkit.messaging.sources import *
from regionkit.testing import ChaosSource

def sync(engine: Engine, server: Any) -> None:
    queue, stream = SqlQueue(engine, "orders"), RedisStream(server, "orders")
    consumer = Consumer(queue, inbox=SqlInbox(engine), hospital=Hospital(engine))
    Consumer(stream, inbox=MongoInbox(server))
    Consumer(stream, inbox=CassandraInbox(server))
    Consumer(MemoryQueue("orders"), inbox=RedisInbox(server))
    Consumer(ChaosSource(queue, seed=1), inbox=MemoryInbox())
    Relay(Outbox(engine), to=queue)
    Relay(Outbox(engine), to={"a": stream, "b": MemoryQueue("orders")})

    @consumer.handler("order.placed")
    def charge(message: Message, db: Session) -> None: ...
    reveal_type(charge)

async def asynchronous(engine: AsyncEngine, server: Any) -> None:
    queue, stream = AsyncSqlQueue(engine, "orders"), AsyncRedisStream(server, "orders")
    consumer = AsyncConsumer(queue, inbox=AsyncSqlInbox(engine), hospital=AsyncHospital(engine))
    AsyncConsumer(stream, inbox=AsyncMongoInbox(server))
    AsyncConsumer(stream, inbox=AsyncCassandraInbox(server))
    AsyncConsumer(AsyncMemoryQueue("orders"), inbox=AsyncRedisInbox(server))
    AsyncConsumer(AsyncMemoryQueue("orders"), inbox=AsyncMemoryInbox())
    AsyncRelay(AsyncOutbox(engine), to={"a": stream, "b": AsyncMemoryQueue("orders")})
    reveal_type(await consumer.run())
"""
FIT = [
    "def (message: regionkit.messaging.envelope.Message, db: sqlalchemy.orm.session.Session)",
    "regionkit.messaging.counters.Summary",
]


def test_each_inbox_and_source_fits_a_consumer(checked: dict[str, str]) -> None:
    """Whatever the application has: a type checker takes it where a consumer or a relay does."""
    assert (_revealed(checked["messages"]), "error" in checked["messages"]) == (FIT, False), checked


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the type checker says of each text, asked once: it reads the whole package for the first of them."""
    folder = tmp_path_factory.mktemp("typing")
    texts = {"blocks": SNIPPET, "caches": CACHES, "messages": MESSAGES}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder / "cache")]
    done = subprocess.run(
        [*command, *(str(folder / f"{name}.py") for name in texts)], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert {line.partition(".py:")[0] for line in lines} <= {str(folder / name) for name in texts}, (
        done.stdout + done.stderr
    )
    return {name: "\n".join(line for line in lines if line.startswith(f"{folder / name}.py:")) for name in texts}


def _revealed(said: str) -> list[str]:
    return [line.split('"')[1] for line in said.splitlines() if "Revealed type" in line]
