"""The disk of a decision log is full: nothing is half done, callers get an error, and a new process ends what was left.

The limit of a process's files (RLIMIT_FSIZE) stands for the disk: a write beyond it fails after a part of it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.testing import VirtualClock
from regionkit.transactions import FileDecisionLog, FilesParticipant, TransactionManager

CHILD = """
import resource, signal, sys
from pathlib import Path
from regionkit.errors import RegionUnavailable, TransactionInDoubt
from test_full_disk import NAMES, manager, put

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails as on a full disk
folder, room = Path(sys.argv[1]), int(sys.argv[2])
shop = manager(folder)
put(shop, "before")
resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "log").stat().st_size + room, resource.RLIM_INFINITY))
said = []
for number in range(4):
    try:
        put(shop, f"full{number}")
        said.append("done")
    except TransactionInDoubt:
        said.append("in doubt")
    except RegionUnavailable as error:
        assert error.committed == "no"
        said.append("refused")
print(*said, sep=",")
"""
NAMES = ("one", "two")


def manager(folder: Path, clock: Clock = SYSTEM_CLOCK) -> TransactionManager:
    """Two folders of documents, and a log on a file."""
    for name in NAMES:
        (folder / name).mkdir(exist_ok=True)
    made = TransactionManager(
        namespace="shop",
        log=FileDecisionLog(folder / "log"),
        participants={name: FilesParticipant(name, folder / name) for name in NAMES},
        clock=clock,
    )
    made.create_tables()
    return made


def put(shop: TransactionManager, what: str) -> None:
    """The same document in both."""
    with shop.begin(timeout=10.0) as tx:
        for name in NAMES:
            tx.session(name).put(what, b"x")


@pytest.mark.parametrize("room", [0, 10, 250])
def test_a_full_disk_under_the_decision_log(tmp_path: Path, room: int) -> None:
    """Nothing of a record fits, a part of one, or a whole one: what was acknowledged stands, the rest is in both or in none."""
    run = [sys.executable, "-c", CHILD, str(tmp_path), str(room)]
    ended = subprocess.run(run, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120.0, check=False)
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.strip().splitlines()[-1].split(",")
    assert said[-1] == "refused" and "in doubt" in said, "the disk was not full"
    clock = VirtualClock(wall=time.time())
    with manager(tmp_path, clock) as shop:
        shop.recover(timeout=30.0)
        clock.advance(600.0)  # by now its coordinator is no more
        shop.recover(timeout=30.0)
        assert not shop.in_doubt(timeout=30.0)
        put(shop, "after")
    found = [{path.name for path in (tmp_path / name).iterdir() if path.is_file()} for name in NAMES]
    assert found[0] == found[1]
    assert {"before", "after", *(f"full{n}" for n, what in enumerate(said) if what == "done")} <= found[0]
    assert not {f"full{n}" for n, what in enumerate(said) if what == "refused"} & found[0]
