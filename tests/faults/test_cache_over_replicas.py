"""Caches of two regions over a primary and a copy that lags: writers by put and by session, readers in both, nothing stale."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.caching import Local, Shared, WriteThrough

GoesOn = Callable[[], bool]
KEYS = [f"k{number}" for number in range(40)]
SECONDS = 6.0
"""At least; on a busy machine as long as it takes until each region has made `GETS`."""
GETS = 500
PATIENCE = 60.0
UPSERT = "INSERT INTO users VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n"


class Here:
    """The application in one region."""

    def __init__(self, topology: Topology, region: str, redis_url: str) -> None:
        self.loads = self.gets = 0
        self.kit = RegionKit(topology, local=region)
        strategy = WriteThrough(load=self.load, store=self.store, ttl=3600, negative_ttl=3600)
        self.cache = self.kit.cache(
            "users", int, store="users", strategy=strategy, tiers=[Local(), Shared(redis_url)], floor_life=30.0
        )

    def load(self, key: str, store: Any) -> int | None:
        self.loads += 1
        with store.read(core=True) as db:
            found: int | None = db.execute(text("SELECT n FROM users WHERE id = :id"), {"id": key}).scalar()
            return found

    @staticmethod
    def store(db: Any, key: str, value: int) -> None:
        db.execute(text(UPSERT), {"id": key, "n": value})

    def read(self, goes_on: GoesOn) -> None:
        """As most callers do: without a session."""
        while goes_on():
            self.cache.get(random.choice(KEYS), session=False)
            self.gets += 1
            if self.gets % 50 == 0:
                time.sleep(0.001)

    def put(self, goes_on: GoesOn, first: int) -> None:
        """Writes through the cache."""
        while goes_on():
            first += 1
            self.cache.put(random.choice(KEYS), first)
            time.sleep(0.01)

    def write(self, goes_on: GoesOn, first: int) -> None:
        """Writes beside it, and tells; each session sees what it wrote."""
        while goes_on():
            first += 1
            key = random.choice(KEYS)
            with self.kit.session() as session:
                with session.write("users", core=True) as db:
                    db.execute(text(UPSERT), {"id": key, "n": first})
                self.cache.invalidate(key)
                found = self.cache.get(key)
            assert found is not None
            time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 3 * PATIENCE)
def test_nothing_stale_stands_in_either_region(pg: Any, redis_server: Any) -> None:
    """A copy 200 ms behind; the second region's Redis is another database, and hears by the rows."""
    import redis

    copy, database = pg.replicas[0], pg.database()
    redis_url: str = redis_server.primary.url
    for number in (0, 1):
        with redis.Redis.from_url(f"{redis_url[:-1]}{number}") as client:
            client.flushdb()
    endpoints = [
        Endpoint("a", Role.PRIMARY, pg.primary.url_for(database)),
        Endpoint("b", Role.REPLICA, copy.url_for(database)),
    ]
    topology = Topology(regions=[Region("a"), Region("b")], stores=[SqlStore("users", endpoints=endpoints)])
    near, far = Here(topology, "a", redis_url), Here(topology, "b", f"{redis_url[:-1]}1")
    errors: list[BaseException] = []

    def run(work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def caught() -> None:
            try:
                work(*arguments)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=caught)
        thread.start()
        return thread

    try:
        with near.kit, far.kit:
            near.kit.create_tables()
            with near.kit.session() as session, session.write("users", core=True) as db:
                db.execute(text("CREATE TABLE users (id VARCHAR(9) PRIMARY KEY, n INTEGER NOT NULL)"))
            far.kit.create_tables()
            copy.lag(0.2)
            began = time.monotonic()

            def goes_on() -> bool:
                passed = time.monotonic() - began
                few = min(near.gets, far.gets) <= GETS
                return not errors and (passed < SECONDS or (few and passed < SECONDS + PATIENCE))

            jobs: list[tuple[Any, ...]] = [(near.read,), (far.read,), (near.put, 0), (near.write, 10**6)]
            jobs.append((far.put, 2 * 10**6))
            threads = [run(work, goes_on, *first) for work, *first in jobs]
            for thread in threads:
                thread.join(SECONDS + 2 * PATIENCE)
            assert errors == []
            with near.kit.session() as session, session.write("users", core=True) as db:
                rows = {row[0]: row[1] for row in db.execute(text("SELECT id, n FROM users"))}
            until = time.monotonic() + PATIENCE
            for here in (near, far):
                while (held := {key: here.cache.get(key, session=False) for key in KEYS}) != {
                    key: rows.get(key) for key in KEYS
                }:
                    assert time.monotonic() < until, {k: (v, rows.get(k)) for k, v in held.items() if v != rows.get(k)}
                    time.sleep(0.05)
            refused = near.cache.counters.refused_fills + far.cache.counters.refused_fills
            print(
                f"{near.gets + far.gets} gets, {near.loads + far.loads} loads, {len(rows)} rows, "
                f"hit rate {100 * (1 - (near.loads + far.loads) / (near.gets + far.gets)):.1f} %, {refused} refused fills"
            )
            assert near.gets > GETS and far.gets > GETS
    finally:
        copy.lag(0)
