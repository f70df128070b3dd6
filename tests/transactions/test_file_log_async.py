"""The file log: its lock, its place, its sync, and what it says when the disk or somebody else gets in the way."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionUnavailable, UsageError
from regionkit.transactions.logs import file_place
from regionkit.transactions.logs.file_async import AsyncFileDecisionLog
from regionkit.transactions.logs.file_place import unsafe_place, verify
from regionkit.transactions.protocol import Decision

from .log_rigs_async import NAMESPACE, OLD, new_gtrid, soon

COMMIT = Decision.COMMIT


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Any]:
    made = AsyncFileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    await made.create_tables(NAMESPACE, soon())
    await made.open(NAMESPACE, soon())
    yield made
    await made.close()


async def decided(log: Any, ago: float = 0.0) -> str:
    gtrid = new_gtrid(ago)
    assert await log.decide(gtrid, COMMIT, ["a", "b"], "host:1", soon()) is COMMIT
    return gtrid


async def test_a_second_one_is_refused_while_it_is_open(log: Any, tmp_path: Path) -> None:
    """And not after that."""
    second = AsyncFileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    with pytest.raises(ConfigurationError, match="open elsewhere"):
        await second.open(NAMESPACE, soon())
    gtrid = await decided(log)
    await log.close()
    await second.open(NAMESPACE, soon())
    assert (await second.row(gtrid, soon())).decision is COMMIT
    await second.close()


async def test_a_missing_file_is_not_begun_anew(log: Any, tmp_path: Path) -> None:
    """An empty log would presume an abort of what the lost one decided."""
    with pytest.raises(ConfigurationError, match="not there"):
        await AsyncFileDecisionLog(tmp_path / "elsewhere", unsafe_place=True).open(NAMESPACE, soon())
    with pytest.raises(ConfigurationError, match="cannot be written"):
        await AsyncFileDecisionLog(tmp_path / "no" / "folder", unsafe_place=True).create_tables(NAMESPACE, soon())


@pytest.mark.parametrize("how", ["deleted", "replaced", "written"])
async def test_a_file_that_somebody_else_touched_is_given_up(log: Any, tmp_path: Path, how: str) -> None:
    """Nothing is written any more: the answer would be worth nothing."""
    await decided(log)
    path = tmp_path / "decisions"
    if how == "deleted":
        path.unlink()
    elif how == "replaced":
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").rename(path)
    else:
        with path.open("r+b") as file:
            file.write(file_place.LOG.preamble("f" * 32))
    for _ in range(2):
        with pytest.raises(RegionUnavailable) as caught:
            await log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon())
        assert not caught.value.retryable


async def test_one_sync_serves_all_that_wait(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is answered before it."""
    syncs, going, real = [], threading.Event(), file_place.sync

    def sync(fd: int) -> None:
        going.wait(30)
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr(file_place, "sync", sync)
    answered: list[Any] = []

    async def one() -> None:
        answered.append(await log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon()))

    async def release() -> None:
        while len(log._state.rows) < 20:
            await asleep(0.01)
        assert answered == []
        going.set()

    results = await agather([release, *[one] * 20])
    assert [error for error in results if error is not None] == []
    assert answered == [COMMIT] * 20
    assert len(syncs) <= 2  # one for all others, and the first one's own unless all came before the writer woke


async def test_a_failed_sync_is_the_end(log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is unknown what it was for, and it is never tried again."""
    kept = await decided(log)

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(file_place, "sync", fails)
        with pytest.raises(OutcomeUnknown):
            await log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon())
    with pytest.raises(RegionUnavailable):
        await decided(log)
    assert [finding.level for finding in await log.doctor(soon())] == ["refused"] or unsafe_place(tmp_path / "x")
    await log.close()
    again = AsyncFileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    await again.open(NAMESPACE, soon())
    assert (await again.row(kept, soon())).decision is COMMIT
    await again.close()


async def test_a_slow_sync_is_unknown_and_goes_on(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline ends the wait, not the write; whoever asks later hears what stands."""
    going, real = threading.Event(), file_place.sync

    def sync(fd: int) -> None:
        going.wait(30)
        real(fd)

    monkeypatch.setattr(file_place, "sync", sync)
    gtrid = new_gtrid()
    with pytest.raises(OutcomeUnknown):
        await log.decide(gtrid, COMMIT, ["a"], "host:1", soon(0.2))
    with pytest.raises(RegionUnavailable):  # the row is in memory, and nobody may act on it
        await log.row(gtrid, soon(0.2))
    going.set()
    assert await log.decide(gtrid, Decision.ABORT, [], "r", soon()) is COMMIT


async def test_it_is_written_anew_when_most_of_it_is_dead(
    log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And says the same."""
    monkeypatch.setattr(f"{type(log).__module__}.WRITE_ANEW", 10)
    path = tmp_path / "decisions"
    for _ in range(20):
        gtrid = await decided(log, ago=OLD + 60)
        await log.acknowledge({gtrid: {"a": "h", "b": "h"}}, soon())
    kept = await decided(log)
    before, inode = path.stat().st_size, path.stat().st_ino
    assert await log.sweep(new_gtrid(OLD + 30), 100, soon()) == 20
    assert path.stat().st_ino != inode
    assert path.stat().st_size < before / 3
    late = await decided(log)
    await log.close()
    assert (verify(path).rows, verify(path).open, verify(path).damage) == (2, 2, "")
    await (again := AsyncFileDecisionLog(path, unsafe_place=True)).open(NAMESPACE, soon())
    assert set(await again.rows([kept, late], soon())) == {kept, late}
    await again.close()


async def test_damage_is_refused_and_a_torn_tail_is_not(log: Any, tmp_path: Path) -> None:
    """`verify` says which, and changes nothing."""
    gtrids = [await decided(log) for _ in range(3)]
    await log.close()
    path = tmp_path / "decisions"
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert verify(path).torn > 0
    await log.open(NAMESPACE, soon())
    assert set(await log.rows(gtrids, soon())) == set(gtrids[:2])
    await log.close()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    path.write_bytes(changed)
    assert verify(path).damage
    with pytest.raises(ConfigurationError, match="damaged"):
        await log.open(NAMESPACE, soon())
    assert path.read_bytes() == changed


async def test_a_child_neither_uses_it_nor_keeps_it_locked(log: Any, tmp_path: Path) -> None:
    """After a fork the lock would be both's."""
    release, hold = os.pipe()
    ready, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)  # else it would wait for itself where the test fails
        try:
            log._require_process()
        except UsageError:
            os.write(there, b"x")  # what a fork takes over is closed by now
            os.read(release, 1)
            os._exit(7)
        os._exit(1)
    os.close(there)
    try:
        assert os.read(ready, 1) == b"x"
        await log.close()
        second = AsyncFileDecisionLog(tmp_path / "decisions", unsafe_place=True)
        await second.open(NAMESPACE, soon())
        await second.close()
    finally:
        os.close(hold)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(ready)
        os.close(release)
    assert code == 7


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/shop/log", ""),
        ("/mnt/far/log", "nfs4"),
        ("/run/log", "tmpfs"),
        ("/mnt/far/near/log", ""),
        ("/s/l", "fuse.s3fs"),
    ],
)
def test_places_that_forget_are_known(path: str, kind: str) -> None:
    """By the nearest mount."""
    mounts = """21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:24 / /run rw,nosuid - tmpfs tmpfs rw,size=800k
40 21 0:50 / /mnt/far rw - nfs4 host:/x rw
41 40 8:2 / /mnt/far/near rw master:2 - xfs /dev/sdb rw
42 21 0:51 / /s rw - fuse.s3fs s3fs rw"""
    assert unsafe_place(Path(path), mounts) == kind


async def test_a_place_that_forgets_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless it is asked for."""
    monkeypatch.setattr(f"{AsyncFileDecisionLog.__module__}.unsafe_place", lambda path: "tmpfs")
    with pytest.raises(ConfigurationError, match="tmpfs"):
        await AsyncFileDecisionLog(tmp_path / "log").create_tables(NAMESPACE, soon())
    log = AsyncFileDecisionLog(tmp_path / "log", unsafe_place=True)
    await log.create_tables(NAMESPACE, soon())
    assert [finding.level for finding in await log.doctor(soon())] == ["warning"]
