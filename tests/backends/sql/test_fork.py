"""A kit that was used before a fork works in parent and child, each on connections of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from fix_rigs import Rig

SCRIPT = """
import os, sys, time, warnings
warnings.simplefilter("error", ResourceWarning)
from sqlalchemy import text
from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology

store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, sys.argv[1])])
kit = RegionKit(Topology(namespace="shop", regions=[Region("us-east-1")], stores=[store]), local="us-east-1")
ASK = {"postgresql": "SELECT pg_backend_pid()", "sqlite": "SELECT 1"}.get(sys.argv[2], "SELECT CONNECTION_ID()")

def backends(count):
    found = set()
    for _ in range(count):
        with kit.session() as s:
            with s.read("orders") as db:
                found.add(db.execute(text(ASK)).scalar())
            with s.write("orders") as db:
                found.add(db.execute(text(ASK)).scalar())
                db.execute(text("UPDATE orders SET item = 'x' WHERE id = -1"))
    return found

kit.create_tables()
mine = backends(5)
pid = os.fork()
if pid == 0:
    theirs = backends(20)
    assert sys.argv[2] == "sqlite" or not mine & theirs, (mine, theirs)
    time.sleep(0.6)  # the monitor asks in the child too
    assert kit.status().endpoints[0].state == "up", kit.status()
    assert kit.status().endpoints[0].lag == 0.0
    kit.close()
    os._exit(0)
again = backends(20)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
again |= backends(5)  # the child's end broke nothing here
assert sys.argv[2] == "sqlite" or len(again - mine) <= 1, (mine, again)
kit.close()
print("both worked")
"""


def test_parent_and_child_share_no_connection(rig: Rig) -> None:
    """The child never speaks on the parent's sockets, and has a monitor of its own."""
    command: list[Any] = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, rig.urls[0], rig.server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "both worked\n", done.stderr
