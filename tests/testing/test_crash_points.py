"""Crash points strike where they say: before COMMIT nothing is committed, after it everything is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import Rig

from regionkit.core.events import crash_point
from regionkit.testing import crash_points

SCRIPT = """
import sys
from sqlalchemy import text
from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.testing import crash_points

store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, sys.argv[1])])
kit = RegionKit(Topology(namespace="shop", regions=[Region("us-east-1")], stores=[store]), local="us-east-1")
with kit.session() as s, crash_points({sys.argv[2]: sys.argv[3]}), s.write("orders") as db:
    db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
"""


def start(rig: Rig, point: str, action: str) -> subprocess.Popen[bytes]:
    """A process that writes one order and is struck at the point."""
    command: list[Any] = [sys.executable, "-c", SCRIPT, rig.urls[0], point, action]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("point", "rows"), [("write.before_commit", 0), ("write.commit_sent", 1)])
def test_a_killed_process_committed_what_it_had_sent(rig: Rig, point: str, rows: int) -> None:
    """kill is SIGKILL to the process itself, at the named point."""
    process = start(rig, point, "kill")
    assert process.wait(30) == -signal.SIGKILL
    assert rig.count() == rows


def test_a_frozen_process_stands_still(postgresql_rig: Rig) -> None:
    """freeze is SIGSTOP; thawed it goes on, and commits."""
    process = start(postgresql_rig, "write.before_commit", "freeze")
    status = f"/proc/{process.pid}/stat"
    end = time.monotonic() + 30
    while True:
        with open(status) as file:  # noqa: PTH123 - not a path of ours
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                break
        assert time.monotonic() < end
        time.sleep(0.01)
    assert postgresql_rig.count() == 0
    process.send_signal(signal.SIGCONT)
    assert process.wait(30) == 0
    assert postgresql_rig.count() == 1


IN_A_THREAD = """
import os, threading
from regionkit.core.events import crash_point
from regionkit.testing import crash_points

def work():
    for _ in range(20):
        crash_point("here")
        os.write(1, b"x")

with crash_points({"here": "freeze"}):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""


def test_a_thread_that_freezes_the_process_goes_no_further(tmp_path: Path) -> None:
    """Not even to its next statement, though other threads would take the signal."""
    with (tmp_path / "written").open("wb") as written:
        process = subprocess.Popen([sys.executable, "-c", IN_A_THREAD], stdout=written)
    for count in range(20):
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert (tmp_path / "written").stat().st_size == count
        process.send_signal(signal.SIGCONT)
    assert process.wait(30) == 0


def test_points_count_and_end_with_the_block() -> None:
    """What was reached is counted; outside of the block a point does nothing; any function may be an action."""
    seen = []
    with crash_points({"here": lambda: seen.append(1), "there": "drop_reply"}) as reached:
        crash_point("here")
        crash_point("here")
        crash_point("elsewhere")
        with pytest.raises(ConnectionError):
            crash_point("there")
    crash_point("here")
    assert reached == {"here": 2, "there": 1}
    assert len(seen) == 2
