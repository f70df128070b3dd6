"""The first connection of an engine keeps the deadline of the call that needs it: SQLAlchemy asks on it, too, once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fix_rigs import NAMESPACE, Rig
from sqlalchemy import text

from regionkit import EVENTUAL, AsyncRegionKit, Endpoint, Region, RegionKitError, Role, SqlStore, Topology
from regionkit.testing import FaultProxy

RTT = 0.2
TIMEOUT = 0.3


def kit_of(url: str) -> AsyncRegionKit:
    """A kit whose one endpoint is behind the proxy."""
    store = SqlStore("orders", endpoints=[Endpoint("eu-west-1", Role.PRIMARY, url)])
    return AsyncRegionKit(
        Topology(namespace=NAMESPACE, regions=[Region("eu-west-1")], stores=[store]), local="eu-west-1"
    )


async def late(kit: AsyncRegionKit, kind: str) -> float:
    """Seconds that a cold call takes which has no time for its connection."""
    began = time.monotonic()
    with pytest.raises(RegionKitError):
        async with kit.session() as s:
            options: dict[str, Any] = {"consistency": EVENTUAL} if kind == "read" else {}
            async with getattr(s, kind)("orders", timeout=TIMEOUT, **options) as db:
                await db.execute(text("SELECT 1"))
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql"])
async def test_a_cold_call_ends_at_its_deadline(request: pytest.FixtureRequest, server: str, kind: str) -> None:
    """At 200 ms a connection takes two seconds; the call has 0.3."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    with FaultProxy(rig.urls[0]) as far:
        far.latency(RTT / 2)
        async with kit_of(far.url) as kit:
            assert await late(kit, kind) < TIMEOUT + 3 * RTT


@pytest.mark.parametrize("after", [0.3, 0.7, 1.1, 1.5])
@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql"])
async def test_a_server_that_freezes_then_holds_nobody(
    request: pytest.FixtureRequest, server: str, after: float
) -> None:
    """Whichever step of the first connection it is."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    with FaultProxy(rig.urls[0]) as far:
        far.latency(RTT / 2)
        async with kit_of(far.url) as kit:
            timer = threading.Timer(after, far.freeze)
            timer.start()
            began = time.monotonic()
            with pytest.raises(RegionKitError):
                async with kit.session() as s, s.write("orders", timeout=2.0) as db:
                    for _ in range(50):
                        await db.execute(text("SELECT 1"))
            assert time.monotonic() - began < 2.0 + 3 * RTT
            timer.join()
