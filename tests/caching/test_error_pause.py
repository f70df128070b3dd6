# Generated from test_error_pause_async.py by scripts/twins.py. Do not edit.
"""A load that has just failed is not tried again by the next get, as long as there is something to serve."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.caching import Cache, Lazy
from regionkit.caching.events import LoadFailed
from regionkit.core.concurrency import sleep

GETS = 20
LONG = 600.0
"""Seconds that no test lasts."""


class Database:
    """Answers once, and is away from then on."""

    def __init__(self) -> None:
        self.asked = 0

    def load(self, key: str) -> int:
        """The loader."""
        self.asked += 1
        if self.asked > 1:
            raise ConnectionError("away")
        return 1


@pytest.mark.parametrize(("pause", "tries"), [(LONG, 1), (0.0, GETS)])
def test_an_ended_value_is_served_without_asking_each_time(pause: float, tries: int) -> None:
    """One get finds out; the others are served at once. Without a pause each tries."""
    database = Database()
    strategy = Lazy(load=database.load, ttl=0.01, jitter=0.0, stale_if_error=LONG, error_pause=pause)
    with Cache("prices", int, strategy=strategy) as cache:
        told: list[Any] = []
        cache.subscribe(told.append)
        cache.get("tea")
        sleep(0.05)
        assert [cache.get("tea") for _ in range(GETS)] == [1] * GETS
        sleep(0.05)  # whatever goes on in the background
        assert database.asked - 1 == tries
        assert told == [LoadFailed("prices", "ConnectionError", True)] * tries


def test_a_refresh_that_failed_is_paused_too() -> None:
    """Between soft and hard end every get would begin another one."""
    database = Database()
    strategy = Lazy(load=database.load, ttl=LONG, soft_ttl=0.01, jitter=0.0, error_pause=LONG)
    with Cache("prices", int, strategy=strategy) as cache:
        told: list[Any] = []
        cache.subscribe(told.append)
        cache.get("tea")
        for _ in range(GETS):
            sleep(0.01)
            assert cache.get("tea") == 1
        assert database.asked == 2
        assert told == [LoadFailed("prices", "ConnectionError", False)]
