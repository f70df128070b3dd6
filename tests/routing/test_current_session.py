# Generated from test_current_session_async.py by scripts/twins.py. Do not edit.
"""The session of a context, and one session in several hands: one block at a time, or a fork for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regionkit import RegionKit, UsageError
from regionkit.core.concurrency import Flag, gather, sleep, spawn
from regionkit.embedded import MemoryRegions

KEY = "a key of more than sixteen characters"


@pytest.fixture
def kit() -> Iterator[RegionKit]:
    """Two regions in memory."""
    with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
            made.create_tables()
            yield made


def test_the_innermost_session_is_the_current_one(kit: RegionKit) -> None:
    """And none before and after; a session that is not entered is none."""
    assert kit.current_session() is None
    kit.session()
    assert kit.current_session() is None
    with kit.session() as outer:
        assert kit.current_session() is outer
        with kit.session() as inner:
            assert kit.current_session() is inner
        assert kit.current_session() is outer
    assert kit.current_session() is None


def test_each_kit_has_its_own(kit: RegionKit) -> None:
    """Two kits in one application do not take each other's."""
    with MemoryRegions(store="orders", primary="us") as regions:
        with RegionKit(regions.topology, local="us") as other, kit.session() as s:
            assert kit.current_session() is s and other.current_session() is None
            with other.session() as theirs:
                assert other.current_session() is theirs and kit.current_session() is s


def test_two_blocks_at_once_from_two_places_are_refused(kit: RegionKit) -> None:
    """The error says what to do; once the other has ended, the session may be used again."""
    opened, go_on = Flag(), Flag()
    with kit.session() as s:

        def elsewhere() -> None:
            with s.read("orders") as db:
                db.get("a")
                opened.set()
                go_on.wait(5.0)

        task = spawn("elsewhere", elsewhere)
        assert opened.wait(5.0)
        with pytest.raises(UsageError, match=r"s\.fork\(\)"):
            with s.write("orders") as db:
                db["a"] = 1
        go_on.set()
        task.ended(5.0)
        with s.write("orders") as db:
            db["a"] = 2


def test_a_fork_begins_with_what_was_seen_and_is_taken_back(kit: RegionKit) -> None:
    """The child reads the parent's write, and the parent reads the child's after the merge."""
    with kit.session() as s:
        with s.write("orders") as db:
            db["a"] = 1
        child = s.fork()
        with child.read("orders") as db:
            assert db["a"] == 1
        with child.write("orders") as db:
            db["b"] = 2
        before = s.bookmark()
        s.merge(child)
        assert s.bookmark() != before
        with s.read("orders") as db:
            assert db["b"] == 2


def test_forks_work_side_by_side(kit: RegionKit) -> None:
    """Eight children at once, all taken back: the parent sees every one's write."""
    with kit.session() as s:
        children = [s.fork() for _ in range(8)]

        def work(number: int) -> None:
            with children[number].write("orders") as db:
                sleep(0.001)
                db[f"k{number}"] = number

        done = gather([lambda n=n: work(n) for n in range(8)])  # type: ignore[misc]  # a default binds the loop's value
        assert done == [None] * 8
        for child in children:
            s.merge(child)
        with s.read("orders") as db:
            assert sorted(db) == [f"k{n}" for n in range(8)]
