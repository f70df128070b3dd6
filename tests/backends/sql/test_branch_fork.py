"""Branches and a fork: the child ends nothing of the parent's, and has connections of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fix_rigs import Rig

SCRIPT = """
import os, sys
import sqlalchemy
from regionkit import UsageError
from regionkit.contract.backing import backing_of
from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

within = lambda: Deadline(SYSTEM_CLOCK, 20.0)
ASK = {"postgresql": "SELECT pg_backend_pid()"}.get(sys.argv[2], "SELECT CONNECTION_ID()")
backing = backing_of(sqlalchemy.create_engine(sys.argv[1]), namespace="shop")
endpoint = backing.backend(deadline=within())

def backend():
    branch = endpoint.branch(within(), 10.0)
    [answer] = branch.message([Statement(ASK)])
    return branch, answer.rows[0][0]

idle, first = backend()
idle.release()
held, second = backend()
assert first == second
pid = os.fork()
if pid == 0:
    try:
        held.message([Statement(ASK)])
        os._exit(1)
    except UsageError:
        pass
    branch, third = backend()
    assert third != first
    branch.release()
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
[answer] = held.message([Statement(ASK)])
assert answer.rows[0][0] == second
held.release()
again, fourth = backend()
assert fourth == first
again.discard()
backing.close()
print("both worked")
"""


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_a_branch_is_of_the_process_that_opened_it(server: str, request: pytest.FixtureRequest) -> None:
    """The child is refused before anything is sent; the parent goes on."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    command: list[Any] = [sys.executable, "-W", "ignore", "-c", SCRIPT, rig.urls[0], server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "both worked\n", done.stderr
