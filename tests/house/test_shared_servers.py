"""A worker ends the servers that its tests shared once the last of these tests is done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.redis]

ROOT = Path(__file__).parents[2]
WATCH = """
import os
from pathlib import Path
from regionkit.testing.servers.process import process_tree

def pytest_runtest_teardown(item):
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in process_tree(os.getpid())]
    servers = [command for command in commands if "/redis-server" in command or "/valkey-server" in command]
    with open(os.environ["WATCHED"], "a") as log:
        log.write(f"{item.name} {len(servers)}\\n")
"""
NAMES = ("test_scripts_locks_and_transactions_of_the_driver_work", "test_wall_is_utc_seconds")
TESTS = (f"tests/backends/redis/test_client.py::{NAMES[0]}", f"tests/core/test_clock.py::{NAMES[1]}")


@pytest.mark.parametrize(("spread", "left"), [("loadgroup", "0"), ("load", "3")])
def test_no_server_idles_behind_its_last_test(tmp_path: Path, spread: str, left: str) -> None:
    """Where the tests of a server are together; elsewhere another one may follow, and a start is dear."""
    (tmp_path / "watch.py").write_text(WATCH)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = kept | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "WATCHED": str(tmp_path / "watched")}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "--dist", spread, "-p", "watch", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    counts = dict(line.split() for line in (tmp_path / "watched").read_text().splitlines())
    assert counts == dict(zip(NAMES, ("3", left), strict=True))
