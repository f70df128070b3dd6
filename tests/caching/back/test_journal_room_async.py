"""A disk without room under the journal of a write-back cache: nothing is half put, and what is acknowledged later stands.

The limit of a process's files (RLIMIT_FSIZE) stands for the disk: a write beyond it fails after a part of it.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from regionkit.caching.back import journal_disk
from regionkit.caching.back.journal_disk import JournalDisk
from regionkit.caching.back.journaling_async import AsyncJournaling
from regionkit.caching.back.refusals import JournalFull
from regionkit.errors import Backpressure

from .test_journaling_async import Journaled
from .test_write_back_async import Profile

PAD = "x" * 40


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process may become longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def longest(folder: Path) -> int:
    """Bytes of the longest file of a journal there."""
    return max((path.stat().st_size for path in folder.rglob("*.rkj")), default=0)


@pytest.fixture
async def rig(request: Any, redis_server: Any, tmp_path: Path) -> AsyncIterator[Journaled]:
    """With files."""
    async with Journaled("sqlite-journal", request, redis_server, tmp_path) as made:
        yield made


async def filled(rig: Journaled, cache: Any) -> None:
    """The file of the journal is the longest one here by far: the limit is met by no other."""
    number = 0
    while longest(rig.folder) < 150_000:
        number += 1
        await cache.put(f"filler{number}", Profile(PAD, number))


@pytest.mark.parametrize("left", [0, 10, 200])
async def test_what_finds_no_room_is_surely_not_put(rig: Journaled, left: int) -> None:
    """Nothing of a record fits, or a part of it: refused, as surely not put; with room the same process goes on."""
    await rig.cache.put("a", Profile("ada", 1))
    await filled(rig, rig.cache)
    refused = 0
    with room(longest(rig.folder) + left):
        for number in range(4):
            try:
                await rig.cache.put("full", Profile(PAD, number))
            except Backpressure as error:
                assert "no room" in error.why and error.committed == "no"
                refused += 1
    assert refused >= 3
    last = await rig.cache.put("b", Profile("bob", 1))
    rig.emptied()
    assert (await rig.cache.flush()).clean
    assert (await rig.row("a"))[:2] == ("ada", 1)
    assert await rig.row("b") == ("bob", 1, last.version)
    if refused == 4:
        assert await rig.row("full") is None
    assert await rig.cache.back._parts.journaling.journal.size() == (0, longest(rig.folder))


async def test_a_crash_brings_back_nothing_that_was_refused(rig: Journaled) -> None:
    """Killed right behind the refusal: what was acknowledged before is replayed by another process, and nothing else."""
    dying = rig.another()
    await filled(rig, dying)
    await dying.put("a", Profile("ada", 1))
    with room(longest(rig.folder) + 100), pytest.raises(Backpressure):
        await dying.put("b", Profile(PAD, 1))
    await rig.dies(dying)
    await dying.close()
    rig.emptied()
    assert (await rig.cache.flush()).clean
    assert (await rig.row("a"))[:2] == ("ada", 1)
    assert await rig.row("b") is None


async def test_what_others_left_waits_for_room(rig: Journaled) -> None:
    """It is not taken over, and not lost: the process says so, and does it when there is room."""
    dying = rig.another()
    await filled(rig, dying)
    await dying.put("a", Profile("ada", 1))
    await rig.dies(dying)
    await dying.close()
    rig.emptied()
    with room(2_000), pytest.raises(Backpressure, match="did not take"):
        await rig.cache.put("b", Profile("bob", 1))
    await rig.cache.put("b", Profile("bob", 1))
    assert (await rig.cache.flush()).clean
    assert (await rig.row("a"))[:2] == ("ada", 1) and (await rig.row("b"))[:2] == ("bob", 1)


async def test_files_are_emptied_later_where_there_is_no_room(rig: Journaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed no more is forgotten all the same; a file of which little is needed stays until there is room."""
    monkeypatch.setattr(journal_disk, "SEGMENT", 20_000)
    monkeypatch.setattr(f"{AsyncJournaling.__module__}.SETTLE_EVERY", 60.0)
    receipts = [await rig.cache.put(f"k{number}", Profile(PAD, number)) for number in range(300)]
    journal = rig.cache.back._parts.journaling.journal
    files = len(list(rig.folder.rglob("*.rkj")))
    with room(1_000):
        await journal.forget([receipt.version for receipt in receipts[1:150]])
        assert len(list(rig.folder.rglob("*.rkj"))) < files, "what is not needed at all is gone"
        first = [path.name for path in rig.folder.rglob("*.rkj")]
    assert "00000001.rkj" in first
    await journal.forget([receipt.version for receipt in receipts[150:160]])
    assert "00000001.rkj" not in [path.name for path in rig.folder.rglob("*.rkj")]
    rig.emptied()
    assert (await rig.cache.flush()).clean
    assert (await rig.row("k0"))[:2] == (PAD, 0) and (await rig.row("k299"))[:2] == (PAD, 299)


def test_records_of_one_sync_stand_all_or_none(tmp_path: Path) -> None:
    """The first of them fit whole: they were refused with the rest, and no other process may read them."""
    disk, other = JournalDisk(tmp_path, "shop", "users"), JournalDisk(tmp_path, "shop", "users")
    disk.open()
    other.open()
    disk.append([b"before" * 20], 1)
    with room(disk.total + 500), pytest.raises(JournalFull):
        disk.append([b"one", b"two", b"large" * 1000], 1)
    assert longest(disk.folder) == disk.total
    with room(disk.total + 500):
        disk.append([b"after"], 1)
    disk.close()
    left = other.left_in(disk.folder)
    assert left is not None and left.payloads == [b"before" * 20, b"after"]
    left.let_go(delete=True)
    other.close(delete=True)


def test_a_file_that_finds_no_room_for_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is begun again later, and read as if nothing had been."""
    monkeypatch.setattr(journal_disk, "SEGMENT", 1000)
    disk, other = JournalDisk(tmp_path, "shop", "users"), JournalDisk(tmp_path, "shop", "users")
    disk.open()
    other.open()
    disk.append([b"x" * 2000], 1)
    with room(30), pytest.raises(JournalFull):
        disk.append([b"refused"], 1)
    disk.append([b"y" * 10], 1)
    assert len(disk.sizes) == 2
    disk.close()
    left = other.left_in(disk.folder)
    assert left is not None and left.payloads == [b"x" * 2000, b"y" * 10]
    left.let_go(delete=True)
    other.close(delete=True)
