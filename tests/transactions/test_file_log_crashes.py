"""Writers of a file log that are killed: every decision that was answered is there. And the sync precedes the answer."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from fix_servers import absent

from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.file_place import verify

from .log_rigs import NAMESPACE, soon

KILLS = 10
WRITER = """
import os, sys, threading
from pathlib import Path
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs import file
from regionkit.transactions.protocol import Decision
from regionkit.transactions.xid import gtrid_of
import time
file.WRITE_ANEW = 50  # it is written anew again and again
soon = lambda: Deadline(SYSTEM_CLOCK, 30.0)
log = file.FileDecisionLog(sys.argv[1], unsafe_place=True)
log.create_tables("shop", soon())
log.open("shop", soon())
def work():
    for n in range(int(sys.argv[2])):
        gtrid = gtrid_of(int(time.time() * 1000), os.urandom(10))
        winner = log.decide(gtrid, Decision.COMMIT, ["a"], "w", soon())
        os.write(1, f"{gtrid} {winner.name}\\n".encode())
        if n % 3 == 0:
            log.hazard(gtrid, "a", "x" * n, soon())
            log.sweep("0" * 31 + "1", 10, soon())
threads = [threading.Thread(target=work, daemon=True) for _ in range(int(sys.argv[3]))]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def test_every_answered_decision_outlives_a_kill(tmp_path: Path) -> None:
    """kill -9 at a random instant, again and again, on one file."""
    path, answered = tmp_path / "decisions", set()
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), "1000000", "3"], stdout=subprocess.PIPE, env=environment()
        )
        assert writer.stdout is not None
        out = writer.stdout.fileno()
        assert select.select([out], [], [], 60)[0], "the writer answered nothing"
        data = os.read(out, 1 << 16)
        end = time.monotonic() + os.urandom(1)[0] / 1000
        while (left := end - time.monotonic()) > 0:
            if select.select([out], [], [], left)[0]:
                data += os.read(out, 1 << 16)
        writer.send_signal(signal.SIGKILL)
        while more := os.read(out, 1 << 16):
            data += more
        writer.wait()
        writer.stdout.close()
        answered |= {line.split()[0] for line in data.decode().splitlines(keepends=True) if line.endswith("COMMIT\n")}
    assert verify(path).damage == ""
    log = FileDecisionLog(path, unsafe_place=True)
    log.open(NAMESPACE, soon())
    rows = log.rows(sorted(answered), soon())
    assert len(answered) >= KILLS
    assert answered - set(rows) == set()
    log.close()


def test_the_sync_comes_before_the_answer(tmp_path: Path) -> None:
    """As the system saw it."""
    strace = shutil.which("strace")
    if strace is None:
        absent("strace is not installed")
    trace = tmp_path / "trace"
    command = [
        strace,
        "-f",
        "-s",
        "64",
        "-e",
        "trace=pwrite64,fdatasync,write,fsync",
        "-o",
        str(trace),
        sys.executable,
        "-c",
        WRITER,
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "log"), "5", "1"], capture_output=True, text=True, env=environment()
    )
    if "ptrace" in done.stderr.lower():
        absent("strace may not trace here")
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    answers = [n for n, line in enumerate(lines) if re.search(r'write\(1, "[0-9a-f]{32} COMMIT', line)]
    assert len(answers) == 5
    for n in answers:
        before = [m for m in range(n) if "RKDL" in lines[m] and "write" in lines[m]]
        between = lines[before[-1] : n]
        assert any(re.search(r"fdatasync\(\d+.*= 0|fdatasync resumed.*= 0", line) for line in between)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
