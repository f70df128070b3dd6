# Generated from test_file_log_async.py by scripts/twins.py. Do not edit.
"""The file log: its lock, its place, its sync, and what it says when the disk or somebody else gets in the way."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regionkit.core.concurrency import gather, sleep
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionUnavailable, UsageError
from regionkit.transactions.logs import file_place
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.file_place import unsafe_place, verify
from regionkit.transactions.protocol import Decision

from .log_rigs import NAMESPACE, OLD, new_gtrid, soon

COMMIT = Decision.COMMIT


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Any]:
    made = FileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    made.create_tables(NAMESPACE, soon())
    made.open(NAMESPACE, soon())
    yield made
    made.close()


def decided(log: Any, ago: float = 0.0) -> str:
    gtrid = new_gtrid(ago)
    assert log.decide(gtrid, COMMIT, ["a", "b"], "host:1", soon()) is COMMIT
    return gtrid


def test_a_second_one_is_refused_while_it_is_open(log: Any, tmp_path: Path) -> None:
    """And not after that."""
    second = FileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    with pytest.raises(ConfigurationError, match="open elsewhere"):
        second.open(NAMESPACE, soon())
    gtrid = decided(log)
    log.close()
    second.open(NAMESPACE, soon())
    assert (second.row(gtrid, soon())).decision is COMMIT
    second.close()


def test_a_missing_file_is_not_begun_anew(log: Any, tmp_path: Path) -> None:
    """An empty log would presume an abort of what the lost one decided."""
    with pytest.raises(ConfigurationError, match="not there"):
        FileDecisionLog(tmp_path / "elsewhere", unsafe_place=True).open(NAMESPACE, soon())
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FileDecisionLog(tmp_path / "no" / "folder", unsafe_place=True).create_tables(NAMESPACE, soon())


@pytest.mark.parametrize("how", ["deleted", "replaced", "written"])
def test_a_file_that_somebody_else_touched_is_given_up(log: Any, tmp_path: Path, how: str) -> None:
    """Nothing is written any more: the answer would be worth nothing."""
    decided(log)
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
            log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon())
        assert not caught.value.retryable


def test_one_sync_serves_all_that_wait(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is answered before it."""
    syncs, going, real = [], threading.Event(), file_place.sync

    def sync(fd: int) -> None:
        going.wait(30)
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr(file_place, "sync", sync)
    answered: list[Any] = []

    def one() -> None:
        answered.append(log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon()))

    def release() -> None:
        while len(log._state.rows) < 20:
            sleep(0.01)
        assert answered == []
        going.set()

    results = gather([release, *[one] * 20])
    assert [error for error in results if error is not None] == []
    assert answered == [COMMIT] * 20
    assert len(syncs) <= 2  # one for all others, and the first one's own unless all came before the writer woke


def test_a_failed_sync_is_the_end(log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is unknown what it was for, and it is never tried again."""
    kept = decided(log)

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(file_place, "sync", fails)
        with pytest.raises(OutcomeUnknown):
            log.decide(new_gtrid(), COMMIT, ["a"], "host:1", soon())
    with pytest.raises(RegionUnavailable):
        decided(log)
    assert [finding.level for finding in log.doctor(soon())] == ["refused"] or unsafe_place(tmp_path / "x")
    log.close()
    again = FileDecisionLog(tmp_path / "decisions", unsafe_place=True)
    again.open(NAMESPACE, soon())
    assert (again.row(kept, soon())).decision is COMMIT
    again.close()


def test_a_slow_sync_is_unknown_and_goes_on(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline ends the wait, not the write; whoever asks later hears what stands."""
    going, real = threading.Event(), file_place.sync

    def sync(fd: int) -> None:
        going.wait(30)
        real(fd)

    monkeypatch.setattr(file_place, "sync", sync)
    gtrid = new_gtrid()
    with pytest.raises(OutcomeUnknown):
        log.decide(gtrid, COMMIT, ["a"], "host:1", soon(0.2))
    with pytest.raises(RegionUnavailable):  # the row is in memory, and nobody may act on it
        log.row(gtrid, soon(0.2))
    going.set()
    assert log.decide(gtrid, Decision.ABORT, [], "r", soon()) is COMMIT


def test_it_is_written_anew_when_most_of_it_is_dead(log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And says the same."""
    monkeypatch.setattr(f"{type(log).__module__}.WRITE_ANEW", 10)
    path = tmp_path / "decisions"
    for _ in range(20):
        gtrid = decided(log, ago=OLD + 60)
        log.acknowledge({gtrid: {"a": "h", "b": "h"}}, soon())
    kept = decided(log)
    before, inode = path.stat().st_size, path.stat().st_ino
    assert log.sweep(new_gtrid(OLD + 30), 100, soon()) == 20
    assert path.stat().st_ino != inode
    assert path.stat().st_size < before / 3
    late = decided(log)
    log.close()
    assert (verify(path).rows, verify(path).open, verify(path).damage) == (2, 2, "")
    (again := FileDecisionLog(path, unsafe_place=True)).open(NAMESPACE, soon())
    assert set(again.rows([kept, late], soon())) == {kept, late}
    again.close()


def test_damage_is_refused_and_a_torn_tail_is_not(log: Any, tmp_path: Path) -> None:
    """`verify` says which, and changes nothing."""
    gtrids = [decided(log) for _ in range(3)]
    log.close()
    path = tmp_path / "decisions"
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert verify(path).torn > 0
    log.open(NAMESPACE, soon())
    assert set(log.rows(gtrids, soon())) == set(gtrids[:2])
    log.close()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    path.write_bytes(changed)
    assert verify(path).damage
    with pytest.raises(ConfigurationError, match="damaged"):
        log.open(NAMESPACE, soon())
    assert path.read_bytes() == changed


def test_a_child_neither_uses_it_nor_keeps_it_locked(log: Any, tmp_path: Path) -> None:
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
        log.close()
        second = FileDecisionLog(tmp_path / "decisions", unsafe_place=True)
        second.open(NAMESPACE, soon())
        second.close()
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


def test_a_place_that_forgets_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless it is asked for."""
    monkeypatch.setattr(f"{FileDecisionLog.__module__}.unsafe_place", lambda path: "tmpfs")
    with pytest.raises(ConfigurationError, match="tmpfs"):
        FileDecisionLog(tmp_path / "log").create_tables(NAMESPACE, soon())
    log = FileDecisionLog(tmp_path / "log", unsafe_place=True)
    log.create_tables(NAMESPACE, soon())
    assert [finding.level for finding in log.doctor(soon())] == ["warning"]
