"""Who inherits the current session: tasks, and threads that are given the context."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from regionkit import AsyncRegionKit, RegionKit
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions


async def test_tasks_and_pooled_threads_inherit_it() -> None:
    """As a sync handler under ASGI does."""
    async with AsyncMemoryRegions(store="orders", primary="us") as regions:
        async with AsyncRegionKit(regions.topology, local="us") as kit, kit.session() as s:

            async def child() -> object:
                return kit.current_session()

            assert await asyncio.create_task(child()) is s
            assert await asyncio.to_thread(kit.current_session) is s


def test_a_bare_thread_has_none_and_one_with_the_context_has() -> None:
    """A thread begins with an empty context unless it is given one."""
    with MemoryRegions(store="orders", primary="us") as regions, RegionKit(regions.topology, local="us") as kit:
        with kit.session() as s:
            found: list[object] = []
            bare = threading.Thread(target=lambda: found.append(kit.current_session()))
            context = contextvars.copy_context()
            given = threading.Thread(target=lambda: found.append(context.run(kit.current_session)))
            for thread in (bare, given):
                thread.start()
                thread.join()
            assert found == [None, s]
