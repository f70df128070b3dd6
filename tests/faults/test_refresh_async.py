"""Asking a whole store at once: whoever comes while it is being asked joins, and nobody decides on what is half known."""

from __future__ import annotations

import time
from typing import Any

from fix_rigs import NAMESPACE

from regionkit import AsyncRegionKit, Endpoint, Region, Role, SqlStore, Topology
from regionkit.core.concurrency_async import agather, asleep
from regionkit.testing import FaultProxy


def one_region(url: str) -> Topology:
    """A store with one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)])
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


async def test_a_second_call_joins_the_one_under_way(pg: Any) -> None:
    """Both return with the answer in: the second does not go on with what was known before."""
    with FaultProxy(pg.primary.url_for(pg.database())) as proxy:
        async with AsyncRegionKit(one_region(proxy.url), local="us-east-1") as kit:
            store = kit._store("orders")  # no session yet, so no monitor: nobody else asks
            proxy.latency(0.05)

            async def ask() -> bool:
                await store.refresh()
                return store.state.snapshot.endpoints[0].observation is not None

            assert await agather([ask, ask, ask]) == [True, True, True]
            asked_at = store.state.snapshot.endpoints[0].observation
            assert not await store.refresh()  # all answers came a moment ago
            assert store.state.snapshot.endpoints[0].observation is asked_at


async def test_joining_ends_with_the_callers_own_time(pg: Any) -> None:
    """The one under way may take longer than the caller has."""
    with FaultProxy(pg.primary.url_for(pg.database())) as proxy:
        async with AsyncRegionKit(one_region(proxy.url), local="us-east-1") as kit:
            store = kit._store("orders")
            proxy.freeze()
            took: list[float] = []

            async def join() -> None:
                await asleep(0.2)  # the patient one is asking by then
                began = time.monotonic()
                await store.refresh(0.1)
                took.append(time.monotonic() - began)

            await agather([store.refresh, join])  # type: ignore[list-item]  # their results are not looked at
            assert took[0] < 1.5  # connecting to a frozen server is waited for twice as long


async def test_a_call_without_time_answers_for_nobody(pg: Any) -> None:
    """What an impatient caller did not wait for is asked again by the next one."""
    with FaultProxy(pg.primary.url_for(pg.database())) as proxy:
        async with AsyncRegionKit(one_region(proxy.url), local="us-east-1") as kit:
            store = kit._store("orders")
            proxy.freeze()
            await store.refresh(0.02)
            proxy.heal()
            assert await store.refresh()
            assert store.state.snapshot.endpoints[0].observation is not None
