"""A store in memory under threads, and after a fork."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from regionkit import EVENTUAL, RegionKit, TransactionRolledBack
from regionkit.embedded import MemoryRegions

THREADS = 8
ROUNDS = 60


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    """Two regions without lag."""
    with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
        yield regions


def test_no_update_of_many_threads_and_kits_is_lost(regions: MemoryRegions) -> None:
    """Each read-and-add either counts or is rolled back, over two kits."""
    with RegionKit(regions.topology, local="us") as here, RegionKit(regions.topology, local="kr") as there:
        here.create_tables()

        def add(number: int) -> int:
            rolled_back = 0
            with (here, there)[number % 2].session() as s:
                for _ in range(ROUNDS):
                    while True:
                        try:
                            with s.write("orders") as db:
                                db["n"] = db.get("n", 0) + 1
                                db[f"of {number}"] = db.get(f"of {number}", 0) + 1
                            break
                        except TransactionRolledBack:
                            rolled_back += 1
            return rolled_back

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(add, range(THREADS)))
    wanted = {"n": THREADS * ROUNDS} | {f"of {number}": ROUNDS for number in range(THREADS)}
    assert regions.contents("us") == regions.contents("kr") == wanted


def test_a_snapshot_is_one_state_while_others_write(regions: MemoryRegions) -> None:
    """Two values whose sum never changes, read one after the other, at the owner and at the copy."""
    with RegionKit(regions.topology, local="kr") as kit:
        kit.create_tables()
        with kit.session() as s, s.write("orders") as db:
            db.update(a=500, b=500)

        def move() -> None:
            with kit.session() as s:
                for number in range(300):
                    with s.write("orders") as db:
                        db["a"] -= number
                        db["b"] += number

        def look() -> set[int]:
            sums = set()
            with kit.session() as s:
                for _ in range(300):
                    with s.read("orders", consistency=EVENTUAL, snapshot=True) as db:
                        first = db["a"]
                        sums.add(first + sum(db[key] for key in db if key != "a"))
            return sums

        with ThreadPoolExecutor(3) as pool:
            moving = pool.submit(move)
            found = [pool.submit(look) for _ in range(2)]
            moving.result()
            assert [f.result() for f in found] == [{1000}, {1000}]


SCRIPT = """
import os, threading
from regionkit import RegionKit
from regionkit.embedded import MemoryRegions

regions = MemoryRegions(store="orders", primary="us")
kit = RegionKit(regions.topology, local="us")

def put(key):
    with kit.session() as s, s.write("orders") as db:
        db[key] = 1

kit.create_tables()
put("before")
held = threading.Event()
def hold():
    with regions._world.lock:
        held.set()
        threading.Event().wait(1.0)
threading.Thread(target=hold, daemon=True).start()
held.wait()
pid = os.fork()  # while another thread holds the lock
if pid == 0:
    put("child")
    assert regions.contents("us") == {"before": 1, "child": 1}
    kit.close()
    os._exit(0)
put("parent")
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert regions.contents("us") == {"before": 1, "parent": 1}
kit.close()
print("both worked")
"""


def test_parent_and_child_have_stores_of_their_own() -> None:
    """The child begins with a copy, and no lock that nobody will give back."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "both worked\n", done.stderr


def test_memory_loads_no_driver() -> None:
    """Tests of an application with memory stores need none."""
    script = (
        "import sys; from regionkit import RegionKit; from regionkit.embedded import MemoryRegions\n"
        "r = MemoryRegions(store='orders', primary='us'); RegionKit(r.topology, local='us').create_tables()\n"
        "print([m for m in ('sqlalchemy', 'sqlite3', 'redis', 'pymongo', 'cassandra') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
