# Generated from test_tail_histories_async.py by scripts/twins.py. Do not edit.
"""After a promotion that lost rows of intents their numbers are given out again, and the tail is not led stray by that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit import RegionKit, RegionKitError
from regionkit.caching import Lazy
from regionkit.core.concurrency import sleep
from regionkit.embedded import SqliteRegions

pytestmark = pytest.mark.slow

PATIENCE = 20.0
"""Seconds; it takes two or three where the machine is not busy."""
LOST = 30.0
"""Seconds of lag: what is written then never arrives."""


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        sleep(0.02)


def load(key: int, store: Any) -> Any:
    with store.read(core=True) as db:
        return (db.execute(text("SELECT n FROM item"))).scalar()


def written(kit: RegionKit, statement: str) -> None:
    with kit.session() as s, s.write("orders", core=True) as db:
        db.execute(text(statement))


def test_what_was_cached_before_a_promotion_is_not_kept_for_good(tmp_path: Path) -> None:
    """Three rows are lost with their owner; the first one of the new owner has the number of the first that was lost."""
    strategy = Lazy(load=load, ttl=3600)
    with SqliteRegions(tmp_path, store="orders", primary="us", replicas=["jp"]) as regions:
        with (
            RegionKit(regions.topology, local="us") as us,
            RegionKit(regions.topology, local="jp") as jp,
        ):
            here = us.cache("items", int, store="orders", strategy=strategy)
            there = jp.cache("items", int, store="orders", strategy=strategy)
            us.create_tables()
            written(us, "CREATE TABLE item (n INTEGER)")
            written(us, "INSERT INTO item VALUES (1)")

            def arrived() -> bool:
                try:
                    return there.get(1) == 1
                except RegionKitError:
                    return False

            until(arrived)
            assert here.get(1) == 1
            sleep(1.0)  # the tail of us has begun
            regions.lag = LOST
            for _ in range(3):
                written(us, "UPDATE item SET n = n + 1")
                here.invalidate(1, session=False)
            sleep(1.0)  # it has come to the last of the three, and tells nothing any more
            assert here.get(1) == 4
            regions.kill("us")
            regions.promote("jp")
            regions.lag = 0.05

            def told() -> bool:
                try:
                    written(jp, "UPDATE item SET n = 100")
                except RegionKitError:
                    return False
                there.invalidate(1, session=False)
                return True

            until(told)

            def seen() -> bool:
                try:
                    return here.get(1) == 100
                except RegionKitError:  # the kit is about to find out that us is gone
                    return False

            until(seen)
