"""The session of a context, and one session in several hands: one block at a time, or a fork for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from regionkit import AsyncRegionKit, UsageError
from regionkit.core.concurrency_async import AsyncFlag, agather, asleep, spawn_async
from regionkit.embedded import AsyncMemoryRegions

KEY = "a key of more than sixteen characters"


@pytest.fixture
async def kit() -> AsyncIterator[AsyncRegionKit]:
    """Two regions in memory."""
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
        async with AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
            await made.create_tables()
            yield made


async def test_the_innermost_session_is_the_current_one(kit: AsyncRegionKit) -> None:
    """And none before and after; a session that is not entered is none."""
    assert kit.current_session() is None
    kit.session()
    assert kit.current_session() is None
    async with kit.session() as outer:
        assert kit.current_session() is outer
        async with kit.session() as inner:
            assert kit.current_session() is inner
        assert kit.current_session() is outer
    assert kit.current_session() is None


async def test_each_kit_has_its_own(kit: AsyncRegionKit) -> None:
    """Two kits in one application do not take each other's."""
    async with AsyncMemoryRegions(store="orders", primary="us") as regions:
        async with AsyncRegionKit(regions.topology, local="us") as other, kit.session() as s:
            assert kit.current_session() is s and other.current_session() is None
            async with other.session() as theirs:
                assert other.current_session() is theirs and kit.current_session() is s


async def test_two_blocks_at_once_from_two_places_are_refused(kit: AsyncRegionKit) -> None:
    """The error says what to do; once the other has ended, the session may be used again."""
    opened, go_on = AsyncFlag(), AsyncFlag()
    async with kit.session() as s:

        async def elsewhere() -> None:
            async with s.read("orders") as db:
                db.get("a")
                opened.set()
                await go_on.wait(5.0)

        task = spawn_async("elsewhere", elsewhere)
        assert await opened.wait(5.0)
        with pytest.raises(UsageError, match=r"s\.fork\(\)"):
            async with s.write("orders") as db:
                db["a"] = 1
        go_on.set()
        await task.ended(5.0)
        async with s.write("orders") as db:
            db["a"] = 2


async def test_a_fork_begins_with_what_was_seen_and_is_taken_back(kit: AsyncRegionKit) -> None:
    """The child reads the parent's write, and the parent reads the child's after the merge."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            db["a"] = 1
        child = await s.fork()
        async with child.read("orders") as db:
            assert db["a"] == 1
        async with child.write("orders") as db:
            db["b"] = 2
        before = await s.bookmark()
        await s.merge(child)
        assert await s.bookmark() != before
        async with s.read("orders") as db:
            assert db["b"] == 2


async def test_forks_work_side_by_side(kit: AsyncRegionKit) -> None:
    """Eight children at once, all taken back: the parent sees every one's write."""
    async with kit.session() as s:
        children = [await s.fork() for _ in range(8)]

        async def work(number: int) -> None:
            async with children[number].write("orders") as db:
                await asleep(0.001)
                db[f"k{number}"] = number

        done = await agather([lambda n=n: work(n) for n in range(8)])  # type: ignore[misc]  # a default binds the loop's value
        assert done == [None] * 8
        for child in children:
            await s.merge(child)
        async with s.read("orders") as db:
            assert sorted(db) == [f"k{n}" for n in range(8)]
