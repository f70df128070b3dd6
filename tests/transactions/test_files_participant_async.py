"""Documents in a folder: prepared on the disk, committed by renames, ended by whoever comes after a crash at any step."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionUnavailable, UsageError
from regionkit.transactions.participants import files_disk, files_documents
from regionkit.transactions.participants.files_async import AsyncFilesParticipant
from regionkit.transactions.participants.participant_async import BranchOptions, Listed
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, gtrid_of, xid_of_gid

LOG = "0badcafe"


def new_xid() -> Xid:
    return Xid("shop", LOG, gtrid_of(int(time.time() * 1000), os.urandom(10)), "docs", 1)


def soon(timeout: float = 30.0) -> Deadline:
    return Deadline(SYSTEM_CLOCK, timeout)


async def opened(folder: Path) -> AsyncFilesParticipant:
    """With one document, `old`, that it did not write itself."""
    at = AsyncFilesParticipant("docs", folder, unsafe_place=True)
    await at.create_tables(soon())
    await at.open(soon())
    (folder / "old").write_text("old")
    return at


async def working(at: AsyncFilesParticipant, xid: Xid | None = None, **puts: str) -> Any:
    """A branch that deletes `old` and puts two, or these."""
    branch = await at.begin(BranchOptions(xid or new_xid()), soon())
    documents = branch.session()
    for path, content in (puts or {"new": "new", "a/b/deep": "deep"}).items():
        documents.put(path, content.encode())
    if not puts:
        documents.delete("old")
    return branch


def there(folder: Path) -> dict[str, str]:
    """What a reader of the folder sees."""
    found = [path for path in folder.rglob("*") if path.is_file() and ".regionkit" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


NONE, ALL = {"old": "old"}, {"new": "new", "a/b/deep": "deep"}


@pytest.mark.parametrize("commit", [True, False])
async def test_a_prepared_branch_is_ended_by_anybody(commit: bool, tmp_path: Path) -> None:
    """Nothing is seen before; another one lists and ends it, once; its marker says what became of it; nothing is left over."""
    branch = await working(await opened(tmp_path))
    assert there(tmp_path) == NONE
    assert (await branch.prepare(soon())).vote is Vote.YES
    await branch.close()
    assert there(tmp_path) == NONE
    other = AsyncFilesParticipant("docs", tmp_path, unsafe_place=True)
    [listed] = await other.listed(soon())
    assert listed.xid == branch.xid
    assert listed.at is not None and abs(time.time() - listed.at) < 600
    assert await AsyncFilesParticipant("bills", tmp_path, unsafe_place=True).listed(soon()) == []
    assert await other.evidence(listed.xid, soon()) is Evidence.NONE
    assert await other.finish(listed, commit, soon()) is Finish.DONE
    assert there(tmp_path) == (ALL if commit else NONE)
    assert await other.finish(listed, commit, soon()) is Finish.UNKNOWN
    assert await branch.finish(commit, soon()) is Finish.UNKNOWN
    assert await other.listed(soon()) == []
    assert await other.evidence(listed.xid, soon()) is (Evidence.COMMITTED if commit else Evidence.NONE)
    marked = [(one.gtrid, one.branch, one.phases) for one in await other.markers(LOG, "", 10, soon())]
    assert marked == ([(listed.xid.gtrid, "docs", 2)] if commit else [])
    assert list((tmp_path / ".regionkit" / "prepared").iterdir()) == []


async def test_one_phase_commits_with_its_marker(tmp_path: Path) -> None:
    """And a tombstone comes too late for it. A log cannot stand in a folder."""
    at = await opened(tmp_path)
    anchor = await working(at)
    assert (await anchor.commit_one_phase(["x"], soon())).winner is Decision.ABORT
    branch = await working(at)
    assert (await branch.commit_one_phase([], soon())).winner is Decision.COMMIT
    assert there(tmp_path) == ALL
    assert await at.bar(branch.xid, soon()) is Evidence.COMMITTED
    assert [one.phases for one in await at.markers(LOG, "", 10, soon())] == [1]


@pytest.mark.parametrize("one_phase", [True, False])
async def test_a_tombstone_bars_what_comes_late(one_phase: bool, tmp_path: Path) -> None:
    """Of a branch that nobody has heard of; it may be repeated, and it leaves nothing behind."""
    at = await opened(tmp_path)
    branch = await working(at)
    for _ in range(2):
        assert await at.bar(branch.xid, soon()) is Evidence.BARRED
    if one_phase:
        assert (await branch.commit_one_phase([], soon())).winner is Decision.ABORT
    else:
        assert (await branch.prepare(soon())).vote is Vote.NO
        assert await branch.finish(False, soon()) is Finish.DONE
    assert there(tmp_path) == NONE
    assert await at.listed(soon()) == [] == await at.markers(LOG, "", 10, soon())
    assert await at.evidence(branch.xid, soon()) is Evidence.BARRED
    assert list((tmp_path / ".regionkit" / "prepared").iterdir()) == []


async def test_a_tombstone_waits_for_a_prepared_branch(tmp_path: Path) -> None:
    """Nobody knows yet what stands there."""
    at = await opened(tmp_path)
    branch = await working(at)
    assert (await branch.prepare(soon())).vote is Vote.YES
    with pytest.raises(RegionUnavailable):
        await at.bar(branch.xid, soon())
    assert await branch.finish(True, soon()) is Finish.DONE
    assert await at.bar(branch.xid, soon()) is Evidence.COMMITTED


async def test_a_prepare_without_an_answer_may_come_late(tmp_path: Path) -> None:
    """The folder is locked by others: nobody knows; then NO, once its own deadline is over, too."""
    at = await opened(tmp_path)
    branch = await working(at)
    with files_disk.DocumentsFolder(tmp_path).locked(soon()):
        answered = await branch.prepare(soon(0.2))
    assert answered.vote in (Vote.UNANSWERED, Vote.NO)
    if answered.vote is Vote.UNANSWERED:
        assert await branch.finish(False, soon()) in (Finish.UNKNOWN, Finish.DONE)
    assert there(tmp_path) == NONE


@pytest.mark.parametrize("held", ["d/one", "d", "d/one/two", "D/ONE"])
async def test_two_branches_on_one_path(held: str, tmp_path: Path) -> None:
    """The second one votes NO: also above, below, or where only the case differs; until the first one has ended."""
    at = await opened(tmp_path)
    first, second = await working(at, **{"d/one": "1"}), await working(at, **{held: "2"})
    aside = await working(at, **{"d/three": "3"})
    assert (await first.prepare(soon())).vote is Vote.YES
    answered = await second.prepare(soon())
    assert answered.vote is Vote.NO
    assert first.xid.gid in answered.why
    assert (await aside.prepare(soon())).vote is Vote.YES
    assert await first.finish(False, soon()) is Finish.DONE
    assert await aside.finish(False, soon()) is Finish.DONE
    third = await working(at, **{held: "3"})
    assert (await third.prepare(soon())).vote is Vote.YES
    assert await third.finish(True, soon()) is Finish.DONE
    assert there(tmp_path) == NONE | {held: "3"}


async def test_a_path_stays_in_the_folder(tmp_path: Path) -> None:
    """By its name, and by what stands there when it is prepared and when it commits."""
    folder, elsewhere = tmp_path / "docs", tmp_path / "elsewhere"
    elsewhere.mkdir()
    at = await opened(folder)
    documents = (await at.begin(BranchOptions(new_xid()), soon())).session()
    for path in (
        "",
        ".",
        "/etc/x",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        ".regionkit/done/x",
        ".RegionKit/x",
        "a\0",
        "x" * 2000,
    ):
        with pytest.raises(UsageError):
            documents.put(path, b"")
        with pytest.raises(UsageError):
            documents.delete(path)
    (folder / "link").symlink_to(elsewhere)
    assert (await (await working(at, **{"link/x": "1"})).prepare(soon())).vote is Vote.NO
    (folder / "sub").mkdir()
    assert (await (await working(at, sub="1")).prepare(soon())).vote is Vote.NO
    both = await working(at, **{"two": "1", "two/x": "2"})
    assert (await both.prepare(soon())).vote is Vote.NO
    late = await working(at, **{"sub/x": "1"})
    assert (await late.prepare(soon())).vote is Vote.YES
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(elsewhere)
    assert await late.finish(True, soon()) is Finish.BLOCKED
    assert list(elsewhere.iterdir()) == []
    (folder / "sub").unlink()
    assert await late.finish(True, soon()) is Finish.DONE
    assert (folder / "sub" / "x").read_text() == "1"


async def test_a_branch_has_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is declared reading does not write; one that was prepared takes nothing more; sizes are bounded."""
    at = await opened(tmp_path)
    reading = await at.begin(BranchOptions(new_xid(), reading=True), soon())
    with pytest.raises(UsageError, match="read-only"):
        reading.session().put("x", b"")
    assert reading.doomed
    assert (await reading.prepare(soon())).vote is Vote.NO
    branch = await working(at)
    assert await branch.finish(False, soon()) is Finish.DONE
    with pytest.raises(UsageError, match="TransactionClosed"):
        branch.session().put("x", b"")
    monkeypatch.setattr(files_documents, "MOST_BYTES", 3)
    monkeypatch.setattr(files_documents, "MOST_DOCUMENTS", 2)
    small = (await at.begin(BranchOptions(new_xid()), soon())).session()
    small.put("a", b"123")
    small.put("a", b"321")
    with pytest.raises(UsageError):
        small.put("b", b"1")
    small.delete("b")
    with pytest.raises(UsageError):
        small.delete("c")


CHILD = """
import os, sys, time
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.transactions.participants.files import FilesParticipant
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.xid import xid_of_gid
folder, gid, how, point, nth = sys.argv[1:]
count = int(nth)
def hook(at):
    global count
    if at == point:
        count -= 1
        if not count:
            os._exit(77)
set_crash_hook(hook)
soon = Deadline(SYSTEM_CLOCK, 60.0)
branch = FilesParticipant("docs", folder, unsafe_place=True).begin(BranchOptions(xid_of_gid(gid)), soon)
documents = branch.session()
documents.put("new", b"new")
documents.put("a/b/deep", b"deep")
documents.delete("old")
if how == "one":
    branch.commit_one_phase([], soon)
else:
    branch.prepare(soon)
    branch.finish(True, soon)
"""
STEPS = [
    ("files.staged", 1),
    ("files.prepared", 1),
    ("files.commit.document", 1),
    ("files.commit.document", 2),
    ("files.commit.document", 3),
    ("files.commit.synced", 1),
    ("files.commit.marked", 1),
    ("files.commit.ended", 1),
]


def killed(folder: Path, xid: Xid, how: str, point: str, nth: int) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(folder), xid.gid, how, point, str(nth)], check=False)
    assert done.returncode == 77


@pytest.mark.parametrize(("point", "nth"), STEPS)
async def test_killed_at_a_step_and_finished_again(point: str, nth: int, tmp_path: Path) -> None:
    """All documents or none. A commit that has begun is repeated, and not rolled back."""
    at = await opened(tmp_path)
    xid = new_xid()
    killed(tmp_path, xid, "two", point, nth)
    listed = await at.listed(soon())
    if point == "files.staged":
        assert listed == []
        assert await at.finish(Listed(xid), True, soon()) is Finish.UNKNOWN
        assert await at.evidence(xid, soon()) is Evidence.NONE
        assert there(tmp_path) == NONE
        assert await at.sweep(LOG, xid.gtrid, 10, soon()) == 0
        assert list((tmp_path / ".regionkit" / "prepared").iterdir()) == []
        return
    if point == "files.commit.ended":
        assert listed == []
    else:
        assert [one.xid for one in listed] == [xid]
        if point != "files.prepared":
            assert await at.finish(listed[0], False, soon()) is Finish.BLOCKED
        assert await at.sweep(LOG, xid.gtrid, 10, soon()) == 0
        assert await at.finish(listed[0], True, soon()) is Finish.DONE
    assert there(tmp_path) == ALL
    assert await at.evidence(xid, soon()) is Evidence.COMMITTED
    assert await at.listed(soon()) == []


@pytest.mark.parametrize(("point", "nth"), STEPS)
async def test_killed_in_one_phase_and_looked_at_again(point: str, nth: int, tmp_path: Path) -> None:
    """Its manifest is the commit: whoever looks next ends it, and nobody lists it."""
    at = await opened(tmp_path)
    xid = new_xid()
    killed(tmp_path, xid, "one", point, nth)
    committed = point != "files.staged"
    assert await at.bar(xid, soon()) is (Evidence.COMMITTED if committed else Evidence.BARRED)
    assert await at.listed(soon()) == []
    assert there(tmp_path) == (ALL if committed else NONE)


async def test_all_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents, then the manifest, then YES; documents, then the marker, then the manifest is gone."""
    at = await opened(tmp_path)
    synced: list[str] = []

    def noting(sync: Any) -> Any:
        def noted(fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().relative_to(tmp_path.resolve()).as_posix())
            sync(fd)

        return noted

    monkeypatch.setattr(os, "fsync", noting(os.fsync))
    monkeypatch.setattr(os, "fdatasync", noting(os.fdatasync))
    branch = await working(at)
    place = f".regionkit/prepared/{branch.xid.gid}"
    assert (await branch.prepare(soon())).vote is Vote.YES
    assert synced == [f"{place}/0", f"{place}/1", place, ".regionkit/prepared", f"{place}/manifest.new", place]
    synced.clear()
    assert await branch.finish(True, soon()) is Finish.DONE
    assert sorted(synced[:3]) == [".", "a", "a/b"]
    assert synced[3:] == [".regionkit/done", place]


async def test_rows_are_swept_below_the_floor_of_their_log(tmp_path: Path) -> None:
    """Some at a time; those of another log stay."""
    at = await opened(tmp_path)
    xids = sorted((new_xid() for _ in range(5)), key=lambda one: one.gtrid)
    for one in xids:
        await at.bar(one, soon())
    assert await at.sweep("ffffffff", xids[3].gtrid, 10, soon()) == 0
    assert await at.sweep(LOG, xids[3].gtrid, 3, soon()) == 3
    assert await at.sweep(LOG, xids[3].gtrid, 3, soon()) == 1
    assert await at.evidence(xids[3], soon()) is Evidence.NONE
    assert await at.evidence(xids[4], soon()) is Evidence.BARRED


async def test_what_it_is_stays_the_same(tmp_path: Path) -> None:
    """Also where it is set up again; a copy has a history of its own."""
    at = await opened(tmp_path / "docs")
    facts = await at.open(soon())
    await at.create_tables(soon())
    assert await at.open(soon()) == facts
    assert facts.prepares
    subprocess.run(["cp", "-a", tmp_path / "docs", tmp_path / "copy"], check=True)
    copied = await AsyncFilesParticipant("docs", tmp_path / "copy", unsafe_place=True).open(soon())
    assert (copied.instance, copied.history == facts.history) == (facts.instance, False)
    with pytest.raises(ConfigurationError, match="not set up"):
        await AsyncFilesParticipant("docs", tmp_path / "nowhere", unsafe_place=True).open(soon())


async def test_a_place_that_may_forget_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a log's would be."""
    monkeypatch.setattr(sys.modules[AsyncFilesParticipant.__module__], "kind_of_place", lambda path: "nfs4")
    at = AsyncFilesParticipant("docs", tmp_path)
    for call in (at.create_tables, at.open):
        with pytest.raises(ConfigurationError, match="nfs4"):
            await call(soon())
    assert list(tmp_path.iterdir()) == []
    assert [one.level for one in await (await opened(tmp_path)).doctor(soon())] == ["warning"]


async def test_a_damaged_manifest_is_listed_and_left_alone(tmp_path: Path) -> None:
    """Nobody knows which documents it holds."""
    at = await opened(tmp_path)
    branch = await working(at)
    assert (await branch.prepare(soon())).vote is Vote.YES
    [manifest] = (tmp_path / ".regionkit" / "prepared").glob("*/manifest")
    manifest.write_bytes(manifest.read_bytes().replace(b'"new"', b'"old"'))
    [listed] = await at.listed(soon())
    assert (listed.xid, listed.at) == (xid_of_gid(branch.xid.gid), None)
    for commit in (True, False):
        assert await at.finish(listed, commit, soon()) is Finish.BLOCKED
    assert (await (await working(at, aside="1")).prepare(soon())).vote is Vote.NO
    assert "refused" in {one.level for one in await at.doctor(soon())}
    assert there(tmp_path) == NONE
