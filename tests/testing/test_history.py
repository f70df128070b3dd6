"""Recording: what happened is what is kept, in memory and in files, over threads, processes and their deaths."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from regionkit import BOUNDED, STRONG, OutcomeUnknown, RegionUnavailable, UsageError
from regionkit.errors import ConfigurationError, RegionKitError
from regionkit.testing import Guarantee, History, Operation, Recorder, VirtualClock, check, check_sessions
from regionkit.testing.history import Mark

CHILD = """
import sys
from regionkit.testing import Recorder, crash_points
from regionkit.core.events import crash_point
with Recorder("child", sys.argv[1]) as recorder:
    session = recorder.session(after=sys.argv[2])
    with session.read("x") as seen:
        seen.version = int(sys.argv[3])
    with session.write("x", 3), crash_points({"here": sys.argv[4]} if sys.argv[4] else {}):
        crash_point("here")
"""


@pytest.fixture(params=["memory", "file"])
def recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Both ways of keeping."""
    clock = VirtualClock(monotonic=10.0)
    with Recorder("p1", tmp_path / "history" if request.param == "file" else None, clock=clock) as made:
        made.advance = clock.advance  # type: ignore[attr-defined]
        yield made


def test_what_happened_is_what_is_kept(recorder: Any) -> None:
    """Order, times, versions, levels: by blocks and by record alike."""
    session = recorder.session("s1")
    with session.write("x", 1):
        recorder.advance(0.5)
    with session.read("x", BOUNDED(2.0)) as seen:
        recorder.advance(0.25)
        seen.version = None
    session.record("read", 7, 4, 11.0, 12.0, consistency=STRONG)
    with session.write("y") as written:
        written.version = 9
    made = recorder.history()
    assert [str(o) for o in made] == [
        "s1 wrote version 1 of 'x' (operation 1, process p1, 10.000000 to 10.500000 s)",
        "s1 read version 0 of 'x' (operation 2, process p1, 10.500000 to 10.750000 s, BOUNDED(2))",
        "s1 read version 4 of 7 (operation 3, process p1, 11.000000 to 12.000000 s, STRONG)",
        "s1 wrote version 9 of 'y' (operation 4, process p1, 10.750000 to 10.750000 s)",
    ]
    assert len(made) == 4
    assert len(made.clocks) == 1


@pytest.mark.parametrize(
    ("error", "write"),
    [
        (OutcomeUnknown("?"), "unknown"),
        (RegionUnavailable("no"), "failed"),
        (RegionKitError("late", committed="yes"), "ok"),
        (ConnectionError("lost"), "unknown"),
        (KeyboardInterrupt(), "unknown"),
    ],
)
def test_a_block_that_raises_has_the_outcome_of_its_error(recorder: Any, error: BaseException, write: str) -> None:
    """A write is failed only where the error proves it; a read that raised saw nothing; the error goes on."""
    session = recorder.session()
    with pytest.raises(type(error)), session.write("x", 1):
        raise error
    with pytest.raises(type(error)), session.read("x"):
        raise error
    assert [o.outcome for o in recorder.history()] == [write, "failed"]


def test_the_block_may_say_the_outcome_itself(recorder: Any) -> None:
    """Where it caught what went wrong."""
    with recorder.session().write("x", 1) as written:
        written.outcome = "unknown"
    assert [o.outcome for o in recorder.history()] == ["unknown"]


def test_a_version_is_asked_for(recorder: Any) -> None:
    """A read that forgot to say what it saw, and a write of version 0, are errors; an unknown write of no version is nothing."""
    session = recorder.session()
    with pytest.raises(UsageError, match="without a version"), session.read("x"):
        pass
    with pytest.raises(UsageError, match="version 0"), session.write("x") as written:
        written.version = 0
    with pytest.raises(ConnectionError), session.write("x"):
        raise ConnectionError
    assert len(recorder.history()) == 0


def test_marks_hand_a_session_on(recorder: Any) -> None:
    """A session goes on after the last operation issued; empty marks are none, as empty bookmarks are."""
    first = recorder.session("a@b")
    assert first.mark() == "a@b@0"
    first.record("write", "x", 1, 1.0, 2.0)
    recorder.session("second", after=first.mark())
    recorder.session("third", after=["", first.mark(), "second@0"])
    recorder.session("fourth", after="")
    parents = recorder.history().parents
    assert parents["second"] == (Mark("a@b", 1),)
    assert parents["third"] == (Mark("a@b", 1), Mark("second", 0))
    assert parents["fourth"] == ()
    with pytest.raises(ConfigurationError, match="not a mark"):
        recorder.session(after="a@b")


def test_threads_lose_nothing(recorder: Any) -> None:
    """One recorder, a session each: every operation is there once, whole."""

    def work() -> None:
        session = recorder.session()
        for n in range(1, 501):
            with session.write(session.name, n):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = recorder.history()
    assert sorted(len(s) for s in made.sessions.values()) == [500] * 4
    assert all([o.version for o in s] == list(range(1, 501)) for s in made.sessions.values())


def spawn(path: Path, mark: str, version: int, action: str = "") -> int:
    """A process that goes on from the mark, reads, and writes."""
    return subprocess.run([sys.executable, "-c", CHILD, str(path), mark, str(version), action], check=False).returncode


@pytest.mark.parametrize(("version", "broken"), [(2, []), (1, [Guarantee.READ_YOUR_WRITES])])
def test_a_session_is_followed_into_another_process(tmp_path: Path, version: int, broken: list[Guarantee]) -> None:
    """Two files, one history: what the other process read is held to what this one wrote."""
    with Recorder("parent", tmp_path / "parent") as recorder:
        session = recorder.session()
        for n in (1, 2):
            with session.write("x", n):
                pass
        assert spawn(tmp_path / "child", session.mark(), version) == 0
    made = History.load(tmp_path / "parent", tmp_path / "child")
    assert len(made.clocks) == 1
    assert [v.guarantee for v in check(made, {"x": 3})] == broken
    merged = History.merge(recorder.history(), made.only(lambda o: o.process == "child" and o.session != session.name))
    assert set(merged) == set(made)
    assert merged.parents == made.parents


def test_a_write_that_died_with_its_process_is_unknown(tmp_path: Path) -> None:
    """It was noted before it was sent, so whoever sees it later saw something known."""
    with Recorder("parent", tmp_path / "parent") as recorder:
        session = recorder.session("s")
        session.record("write", "x", 2, 0.0, 0.1)
    assert spawn(tmp_path / "child", session.mark(), 2, "kill") == -signal.SIGKILL
    made = History.load(tmp_path / "parent", tmp_path / "child")
    (*_, last) = (o for o in made if o.process == "child")
    assert (last.kind, last.version, last.outcome, last.ended) == ("write", 3, "unknown", math.inf)
    assert check(made, {"x": 2}) == check(made, {"x": 3}) == []


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    """A full disk costs the last line, not the history."""
    path = tmp_path / "history"
    with Recorder("p", path) as recorder:
        session = recorder.session()
        session.record("read", "x", 1, 0.0, 0.1)
        session.record("read", "x", 2, 0.2, 0.3)
    path.write_bytes(path.read_bytes()[:-5])
    assert [o.version for o in History.load(path)] == [1]


@pytest.mark.parametrize("text", ["", "nothing\n", '["session","s",[]]\n', '["regionkit-history",99,"c"]\n'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """By name, with the reason."""
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="other is not a history"):
        History.load(path)


def test_a_file_belongs_to_one_recorder(tmp_path: Path) -> None:
    """What is there is not written over; a closed recorder takes nothing more."""
    recorder = Recorder("p", tmp_path / "history")
    with pytest.raises(FileExistsError):
        Recorder("p", tmp_path / "history")
    session = recorder.session()
    recorder.close()
    recorder.close()
    with pytest.raises(OSError, match="Bad file"):
        session.record("read", "x", 1, 0.0, 0.1)


def operation(session: str, index: int, **options: Any) -> Operation:
    return Operation(session, index, "p", "read", "x", 0, index, index + 0.5, **options)


def test_operations_are_put_in_order() -> None:
    """A session's order is that of its indexes, however its operations come."""
    made = History([operation("a", 3), operation("b", 1), operation("a", 1)])
    assert [o.index for o in made.sessions["a"]] == [1, 3]


@pytest.mark.parametrize(
    ("operations", "parents", "message"),
    [
        ([operation("a", 1), operation("a", 1)], {}, "there twice"),
        ([operation("a", 1)], {"a": [Mark("gone", 1)]}, "gone, which does not exist"),
        ([operation("a", 1), operation("b", 1)], {"a": [Mark("b", 1)], "b": [Mark("a", 1)]}, "circle"),
    ],
)
def test_what_can_not_be_is_refused(operations: list[Operation], parents: Any, message: str) -> None:
    """One name for two sessions, a file that was forgotten, a session before itself."""
    with pytest.raises(ConfigurationError, match=message):
        _ = History(operations, parents).order


def test_a_part_keeps_its_sessions_and_forks() -> None:
    """Keys of one store: gaps in the indexes do not matter, a session without operations still hands on."""
    write = Operation("a", 1, "p", "write", "x", 1, 0.0, 0.1)
    other = Operation("b", 1, "p", "read", "y", 0, 0.2, 0.3)
    read = Operation("c", 1, "p", "read", "x", 0, 0.4, 0.5)
    whole = History([write, other, read], {"b": [Mark("a", 1)], "c": [Mark("b", 1)]}, ["one"])
    part = whole.only(lambda o: o.key == "x")
    assert set(part) == {write, read}
    assert part.clocks == {"one"}
    assert [v.operations for v in check_sessions(part)] == [(write, read)]
