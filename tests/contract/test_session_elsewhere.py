"""A session used in another process or event loop than its kit was: by a fork it goes on, into another loop it does not."""

from __future__ import annotations

import asyncio
import os
import traceback

import pytest
from fix_store_rigs import StoreRig

from regionkit import AsyncRegionKit, RegionKit, UsageError
from regionkit.embedded import AsyncMemoryRegions

HERE = "us-east-1"


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "redis"])
def test_a_session_that_came_by_a_fork_speaks_on_connections_of_its_own(
    request: pytest.FixtureRequest, server: str
) -> None:
    """The parent's pooled ones stay the parent's: both go on at once, and what each was told is its own."""
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    do = rig.Actions
    with RegionKit(rig.topology(), local=HERE) as kit:
        kit.create_tables()
        s = kit.session()

        def turns(key: str) -> None:
            for number in range(20):
                with s.write("orders") as db:
                    do.put(db, key, f"{key} {number}")
                with s.read("orders") as db:
                    assert do.get(db, key) == f"{key} {number}"

        turns("before")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                turns("child")
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        turns("parent")
        assert os.waitpid(child, 0)[1] == 0
        turns("after")
        assert [rig.value(key) for key in ("child", "parent")] == ["child 19", "parent 19"]


def test_another_event_loop_is_refused() -> None:
    """The kit's connections live in the first one; a session of it says so before anything is sent."""

    async def begin() -> tuple[AsyncRegionKit, AsyncMemoryRegions, object]:
        regions = AsyncMemoryRegions(store="orders", primary="us")
        kit = AsyncRegionKit(regions.topology, local="us")
        await kit.create_tables()
        return kit, regions, kit.session()

    async def go_on(s: object) -> None:
        with pytest.raises(UsageError, match="another event loop"):
            async with s.read("orders"):  # type: ignore[attr-defined]  # an AsyncRegionSession
                pass

    first = asyncio.new_event_loop()
    try:
        kit, _, s = first.run_until_complete(begin())
        asyncio.run(go_on(s))
        first.run_until_complete(kit.close())
    finally:
        first.close()
