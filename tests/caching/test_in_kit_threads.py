"""Caches of a kit with many threads: one cache a name, and sessions that see what they wrote, under load and lag."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import text
from waiting import seen

from regionkit import RegionKit
from regionkit.caching import Lazy
from regionkit.embedded import SqliteRegions
from regionkit.errors import ConfigurationError

US, KR = "us-east-1", "ap-northeast-2"
THREADS = 4
SECONDS = 3.0


def test_of_two_threads_one_makes_the_cache(tmp_path: Path) -> None:
    """The other hears that it is there; two would not hear of each other's writes."""
    with SqliteRegions(tmp_path, store="users", primary=US) as regions, RegionKit(regions.topology, local=US) as kit:
        for number in range(30):
            gate = threading.Barrier(THREADS)

            def make(name: str, gate: threading.Barrier = gate) -> bool:
                gate.wait()
                try:
                    kit.cache(name, int, store="users", strategy=Lazy(load=lambda key, store: 1, ttl=60))
                except ConfigurationError:
                    return False
                return True

            with ThreadPoolExecutor(THREADS) as pool:
                assert sum(pool.map(make, [f"c{number}"] * THREADS)) == 1


def test_sessions_see_their_writes_while_copies_lag(tmp_path: Path) -> None:
    """Each thread writes in one region, and gets through the other's cache by its bookmark, at once, among the others."""
    with (
        SqliteRegions(tmp_path, store="users", primary=US, replicas=[KR], lag=0.3) as regions,
        RegionKit(regions.topology, local=US) as us,
        RegionKit(regions.topology, local=KR) as kr,
    ):

        def load(key: str, store: Any) -> Any:
            with store.read(core=True) as db:
                return db.execute(text("SELECT n FROM users WHERE id = :id"), {"id": key}).scalar()

        in_us, in_kr = (kit.cache("users", int, store="users", strategy=Lazy(load=load, ttl=300)) for kit in (us, kr))
        with us.session() as s, s.write("users", core=True) as db:
            db.execute(text("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)"))
        seen(us)
        seen(kr)
        end, wrong, rounds = time.monotonic() + SECONDS, [], [0] * THREADS

        def work(number: int) -> None:
            key = f"k{number}"
            while time.monotonic() < end:
                rounds[number] += 1
                with us.session() as s:
                    with s.write("users", core=True) as db:
                        db.execute(
                            text("INSERT OR REPLACE INTO users VALUES (:id, :n)"), {"id": key, "n": rounds[number]}
                        )
                    if rounds[number] % 2:
                        in_us.invalidate(key)
                    bookmark = s.bookmark()
                with kr.session(bookmark=bookmark):
                    found = in_kr.get(key)
                if found != rounds[number]:
                    wrong.append((key, rounds[number], found))
                for other in range(THREADS):
                    in_kr.get(f"k{other}", session=False)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(THREADS)))
        assert wrong == []
        assert min(rounds) > 3, rounds
        print(f"{sum(rounds)} writes, each got through the other region's cache")
