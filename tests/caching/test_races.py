"""The race rig on real servers: nothing stale stands when all is quiet, whatever the copy's lag; without protections it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .rig import Cell, Found, run

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.slow]

SECONDS = float(os.environ.get("REGIONKIT_CACHE_SECONDS", "8"))
LAGS = [float(lag) for lag in os.environ.get("REGIONKIT_CACHE_LAGS", "0,0.2").split(",")]
"""`make campaign-caching` takes 0, 30, 200 and 1,000 ms, for 30 s each."""

SLOW: dict[str, Any] = {"versioned": False, "slow": 0.6, "threads": 10}
"""Loads that cross invalidations, by the dozen."""


@pytest.fixture
def cell(pg: Any, redis_server: Any) -> Iterator[Callable[..., Found]]:
    """Runs a cell with a copy of this lag."""
    database = pg.database()
    copy = pg.replicas[0]
    urls = [node.url_for(database).replace("+psycopg", "") for node in (pg.primary, copy)]

    def runs(lag: float, seconds: float = SECONDS, **options: Any) -> Found:
        copy.lag(lag)
        name = f"r{os.urandom(6).hex()}"
        return run(Cell(*urls, redis_server.primary.url, name, seconds, **options), pg.wait_for_replicas)

    yield runs
    copy.lag(0)


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("tiers", ["both", "shared"])
def test_nothing_stale_stands_when_all_is_quiet(cell: Callable[..., Found], lag: float, tiers: str) -> None:
    """And most reads are hits: a cache that keeps nothing would prove nothing."""
    if tiers == "shared" and not lag and len(LAGS) == 2:
        pytest.skip("make campaign-caching takes the whole grid")
    found = cell(lag, tiers=tiers)
    print(f"lag {1000 * lag:.0f} ms, {tiers}: {found}")
    assert found.stale == 0
    assert found.hit_rate >= 0.85
    assert found.standing > 100
    assert found.refused > 50 or not lag


def test_nothing_stale_stands_without_versions_where_the_owner_is_read(cell: Callable[..., Found]) -> None:
    """By leases and stamps alone, with loads that take long."""
    found = cell(0.0, tiers="shared", **SLOW)
    print(f"without versions: {found}")
    assert found.stale == 0
    assert found.standing > 50  # of 200; few loads end on a busy machine


def test_plain_cache_aside_keeps_what_is_stale(cell: Callable[..., Found]) -> None:
    """The same rig sees it."""
    found = cell(0.2, 5.0, kind="plain")
    print(f"plain cache-aside, lag 200 ms: {found}")
    assert found.stale > 0


@pytest.mark.parametrize(
    ("off", "lag", "options"),
    [("the versions of floors", 0.2, {}), ("leases and stamps", 0.0, SLOW)],
)
def test_without_a_protection_something_stale_stands(
    cell: Callable[..., Found], off: str, lag: float, options: dict[str, Any]
) -> None:
    """Each matters, also on real servers."""
    found = cell(lag, 5.0, off=off, tiers="shared", **options)
    print(f"without {off}: {found}")
    assert found.stale > 0
