"""What a worker that is killed loses: the hand-written list and worker beside a flusher of a write-back cache. Real kills.

Each worker is a process that writes to SQLite, and is killed at a moment of its own. Lost is what was accepted and is then
neither in the table nor at the server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import redis
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, create_engine

from regionkit.caching import Cache, Shared, SqlSink, WriteBack
from regionkit.testing import servers

KILLS, ROWS, BATCH = 5, 20_000, 100
FIRST_WITHIN = 30.0
"""Seconds until a worker has written its first rows."""


class Item(msgspec.Struct, frozen=True):
    """A row without its key."""

    amount: int


def lost() -> str:
    """What to say of it."""
    chance = random.Random(1)
    with servers.redis() as found, tempfile.TemporaryDirectory() as folder:
        url = found.primary.url
        by_hand = _by_hand(url, Path(folder) / "hand.db", chance)
        ours, puts = _ours(url, Path(folder) / "ours.db", chance)
    return (
        f"{KILLS} workers were killed on the way. List and worker (BRPOP, upsert of {BATCH}) lost {by_hand} of {ROWS} rows: "
        f"what is popped is nowhere until its COMMIT. The flusher lost {ours} of {puts}: what is claimed stays dirty until "
        "it is acknowledged."
    )


def _killed(target: Any, url: str, path: Path, chance: random.Random) -> None:
    """Run a worker in a process of its own, and kill it a little after it has begun to write."""
    context = multiprocessing.get_context("spawn")
    process, before = context.Process(target=target, args=(url, str(path)), daemon=True), _count(path)
    process.start()
    until = time.monotonic() + FIRST_WITHIN
    while _count(path) == before and process.is_alive() and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(chance.uniform(0.0, 0.02))
    process.kill()
    process.join()


def _count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=30.0)) as db:
        return int(db.execute("SELECT count(*) FROM items").fetchone()[0])


def _made(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
    engine = create_engine(f"sqlite:///{path}")
    _table().metadata.create_all(engine)
    engine.dispose()


def _by_hand(url: str, path: Path, chance: random.Random) -> int:
    _made(path)
    with redis.Redis.from_url(url) as client:
        for start in range(0, ROWS, BATCH):
            client.lpush("work", *range(start, start + BATCH))
        for _ in range(KILLS):
            _killed(worker, url, path, chance)
        return ROWS - _count(path) - int(client.llen("work"))  # type: ignore[arg-type]


def _ours(url: str, path: Path, chance: random.Random) -> tuple[int, int]:
    _made(path)
    puts = ROWS // 4
    with _cache(url, str(path)) as cache:
        cache.create_tables()
        for number in range(puts):
            cache.put(f"key-{number}", Item(number))
        for _ in range(KILLS):
            _killed(flusher, url, path, chance)
        with cache.flusher(drain=60.0):
            pass
    return puts - _count(path), puts


def _table() -> Table:
    version = Column("rk_ver", BigInteger, nullable=False, server_default="0")
    return Table("items", MetaData(), Column("id", String(40), primary_key=True), Column("amount", Integer), version)


def _cache(url: str, path: str) -> Cache[Item]:
    sink = SqlSink(create_engine(f"sqlite:///{path}"), _table())
    strategy = WriteBack(sink=sink, durability="memory", ttl=3600.0, max_age=60.0)
    return Cache("killed", Item, strategy=strategy, tiers=[Shared(url, timeout=5.0)])


def worker(url: str, path: str) -> None:
    """The hand-written one: it collects a batch, and upserts it."""
    client = redis.Redis.from_url(url)
    with contextlib.closing(sqlite3.connect(path, timeout=30.0)) as db:
        popped: list[int] = []
        while found := client.brpop(["work"], timeout=1):
            popped.append(int(found[1]))  # type: ignore[index]
            if len(popped) == BATCH:
                rows = [(f"key-{one}", one) for one in popped]
                db.executemany("INSERT INTO items (id, amount) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)
                db.commit()
                popped = []


def flusher(url: str, path: str) -> None:
    """Of a write-back cache."""
    with _cache(url, path) as cache, cache.flusher():
        time.sleep(FIRST_WITHIN)
