"""A writer of a write-through cache is killed at each step: readers see the old or the new value, and in the end the table's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from regionkit.caching import Cache, Local, Shared, WriteThrough

WRITER = """
import sys
from sqlalchemy import create_engine, text
from regionkit.caching import Cache, Shared, WriteThrough
from regionkit.testing import crash_points

def store(db, key, value):
    db.execute(text("UPDATE accounts SET n = :n WHERE id = :id"), {"id": key, "n": value})

url, redis, point = sys.argv[1:]
strategy = WriteThrough(load=lambda key: None, store=store, ttl=300, write_timeout=1.0)
cache = Cache("accounts", int, tiers=[Shared(redis)], backing=create_engine(url), strategy=strategy)
with crash_points({point: "kill"}):
    cache.put("a", 2)
"""
POINTS = ("cache.intended", "cache.stored", "cache.committed")
LOOKED = 2.0
"""Seconds for which a reader looks: the intent ends after one of them."""
PATIENCE = 20.0
"""Seconds until the key is cached again: the database is asked what became of the write, in milliseconds on an idle machine."""


@pytest.mark.parametrize("point", POINTS)
def test_readers_see_no_third_value_and_the_tables_in_the_end(accounts: Any, redis_server: Any, point: str) -> None:
    """By the local and the shared tier of another process."""
    url = redis_server.primary.url
    engine = create_engine(accounts.url)
    loads = 0

    def load(key: str) -> int | None:
        nonlocal loads
        loads += 1
        with engine.connect() as db:
            found: int | None = db.execute(text("SELECT n FROM accounts WHERE id = :id"), {"id": key}).scalar()
            return found

    with engine.begin() as db:
        db.execute(text("INSERT INTO accounts VALUES ('a', 1)"))
    strategy = WriteThrough(load=load, ttl=300, write_timeout=1.0)
    with Cache("accounts", int, tiers=[Local(), Shared(url)], backing=engine, strategy=strategy) as cache:
        cache.clear()
        cache.create_tables()
        assert cache.get("a") == 1
        done = subprocess.run([sys.executable, "-c", WRITER, accounts.url, url, point], capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL, done.stderr
        found, until = [], time.monotonic() + LOOKED
        while time.monotonic() < until:
            found.append(cache.get("a"))
            time.sleep(0.005)
        assert found == sorted(found), "a newer value, and then the older one"  # type: ignore[type-var]
        expected = 2 if point == "cache.committed" else 1
        assert (accounts.value("a"), found[-1]) == (expected, expected)
        end, kept = time.monotonic() + PATIENCE, -1
        while kept != loads:
            assert time.monotonic() < end, "it is not cached again"
            kept = loads
            assert cache.get("a") == expected
    engine.dispose()
