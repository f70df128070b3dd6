"""Shipping: how much is copied and when, what readers do to a WAL, and several processes on one folder."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from regionkit import ConfigurationError, RegionKit, Topology
from regionkit.embedded import SqliteRegions
from regionkit.embedded import copies as copies_module
from regionkit.embedded import shipping as shipping_module
from regionkit.embedded.shipping import MOST_IN_FLIGHT

CAST = {"primary": "us", "replicas": ["kr", "jp"]}


def opened(folder: Path, region: str, store: str = "orders") -> sqlite3.Connection:
    return sqlite3.connect(folder / f"{store}.{region}.db", isolation_level=None, check_same_thread=False, timeout=5.0)


def filled(folder: Path, rows: int, store: str = "orders") -> None:
    with closing(opened(folder, "us", store)) as us:
        us.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, filling TEXT)")
        us.execute("BEGIN")
        us.executemany("INSERT INTO item (filling) VALUES (?)", [("x" * 500,) for _ in range(rows)])
        us.execute("COMMIT")


def count(folder: Path, region: str, store: str = "orders") -> int:
    with closing(opened(folder, region, store)) as connection:
        try:
            found: int = connection.execute("SELECT count(*) FROM item").fetchone()[0]
        except sqlite3.OperationalError:
            return -1
        return found


def wait_for(what: Callable[[], bool], within: float = 5.0) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def wal_size(folder: Path, region: str) -> int:
    path = (folder / f"orders.{region}.db").resolve()
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size if wal.exists() else 0


class Counted:
    """Counts copies, by way of the functions that make them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = self.landed = 0
        taken, landed = shipping_module.backed_up, copies_module.backed_up

        def count_taken(*arguments: sqlite3.Connection) -> None:
            self.taken += 1
            taken(*arguments)

        def count_landed(*arguments: sqlite3.Connection) -> None:
            self.landed += 1
            landed(*arguments)

        monkeypatch.setattr(shipping_module, "backed_up", count_taken)
        monkeypatch.setattr(copies_module, "backed_up", count_landed)


def test_nothing_is_copied_while_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipping follows changes, not the clock, however busy the readers are."""
    counted = Counted(monkeypatch)
    with SqliteRegions(tmp_path, store="orders", **CAST):
        filled(tmp_path, 10)
        wait_for(lambda: count(tmp_path, "kr") == 10 == count(tmp_path, "jp"))
        time.sleep(0.1)
        before = counted.taken, counted.landed
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            count(tmp_path, "kr")
            count(tmp_path, "us")
        assert (counted.taken, counted.landed) == before


@pytest.mark.slow
def test_a_wal_stays_small_under_a_busy_reader(tmp_path: Path) -> None:
    """Each copy writes the whole database into the WAL; it is cut back after each, beside readers in autocommit."""
    with SqliteRegions(tmp_path, store="orders", **CAST) as regions:
        filled(tmp_path, 2000)
        size = (tmp_path / "orders.us.db").resolve().stat().st_size + wal_size(tmp_path, "us")
        wait_for(lambda: count(tmp_path, "kr") == 2000)
        stop, largest, reads = threading.Event(), 0, 0

        def read() -> None:
            nonlocal reads
            with closing(opened(tmp_path, "kr")) as kr:
                while not stop.is_set():
                    kr.execute("SELECT sum(length(filling)) FROM item").fetchone()
                    reads += 1

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        with closing(opened(tmp_path, "us")) as us:
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                us.execute("INSERT INTO item (filling) VALUES ('y')")
                largest = max(largest, wal_size(tmp_path, "kr"))
                time.sleep(0.005)
            total = us.execute("SELECT count(*) FROM item").fetchone()[0]
        stop.set()
        for reader in readers:
            reader.join()
        wait_for(lambda: count(tmp_path, "kr") == total)
        assert reads > 100
        assert largest <= copies_module.SMALLEST_WAL_LIMIT + 2 * size
        wait_for(lambda: wal_size(tmp_path, "kr") <= 2 * size)
        assert regions.trouble is None


def test_a_long_reader_holds_copies_up_and_keeps_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the WAL holds several copies the next one waits for the reader, and arrives when it is gone."""
    monkeypatch.setattr(copies_module, "SMALLEST_WAL_LIMIT", 0)
    with SqliteRegions(tmp_path, store="orders", **CAST):
        filled(tmp_path, 500)
        size = (tmp_path / "orders.us.db").resolve().stat().st_size + wal_size(tmp_path, "us")
        wait_for(lambda: count(tmp_path, "kr") == 500)
        with closing(opened(tmp_path, "kr")) as reader, closing(opened(tmp_path, "us")) as us:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM item").fetchone()[0] == 500
            for _ in range(60):
                us.execute("INSERT INTO item (filling) VALUES ('y')")
                time.sleep(0.01)
            assert wal_size(tmp_path, "kr") <= (copies_module.MOST_COPIES_IN_WAL + 2) * size
            assert count(tmp_path, "kr") < 560
            assert reader.execute("SELECT count(*) FROM item").fetchone()[0] == 500
            wait_for(lambda: count(tmp_path, "jp") == 560)  # the others do not wait for it
            reader.execute("COMMIT")
            wait_for(lambda: count(tmp_path, "kr") == 560)


@pytest.mark.slow
def test_copies_under_way_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer without pause has a copy taken every eighth of the lag, not at each commit."""
    counted = Counted(monkeypatch)
    with SqliteRegions(tmp_path, store="orders", lag=0.8, **CAST):
        filled(tmp_path, 10)
        wait_for(lambda: count(tmp_path, "kr") == 10)
        before, began = counted.taken, time.monotonic()
        with closing(opened(tmp_path, "us")) as us:
            while time.monotonic() < began + 1.6:
                us.execute("INSERT INTO item (filling) VALUES ('y')")
                time.sleep(0.001)
        assert 4 <= counted.taken - before <= 2 * MOST_IN_FLIGHT + 2


def test_copies_of_a_killed_owner_are_dropped(tmp_path: Path) -> None:
    """A region that is down does not ship, not even what it had under way."""
    with SqliteRegions(tmp_path, store="orders", lag=0.3, **CAST) as regions:
        filled(tmp_path, 10)
        wait_for(lambda: count(tmp_path, "kr") == 10)
        with closing(opened(tmp_path, "us")) as us:
            us.execute("INSERT INTO item (filling) VALUES ('y')")
        time.sleep(0.1)
        regions.kill("us")
        time.sleep(0.6)
        assert count(tmp_path, "kr") == 10
        regions.revive("us")
        wait_for(lambda: count(tmp_path, "kr") == 11)


def test_two_regions_in_one_process(tmp_path: Path) -> None:
    """Two stores in one folder, and one store opened twice: each is shipped once, and goes on when one of them ends."""
    with SqliteRegions(tmp_path, store="orders", **CAST) as first, SqliteRegions(tmp_path, store="carts", **CAST):
        second = SqliteRegions(tmp_path, store="orders")
        filled(tmp_path, 10)
        filled(tmp_path, 20, "carts")
        wait_for(lambda: count(tmp_path, "kr") == 10 and count(tmp_path, "kr", "carts") == 20)
        first.close()
        first.close()
        with closing(opened(tmp_path, "us")) as us:
            us.execute("INSERT INTO item (filling) VALUES ('y')")
        wait_for(lambda: count(tmp_path, "kr") == 11)
        second.lag = 0.25
        assert first.lag == 0.25
        second.close()


def test_two_stores_in_one_kit(tmp_path: Path) -> None:
    """Topologies of several regions can be put together; an outage is one store's."""
    with (
        SqliteRegions(tmp_path / "a", store="orders", **CAST) as orders,
        SqliteRegions(tmp_path / "b", store="carts", **CAST) as carts,
    ):
        stores = [*orders.topology.stores, *carts.topology.stores]
        topology = Topology(regions=orders.topology.regions, stores=stores)
        with RegionKit(topology, local="kr") as kit:
            kit.create_tables()
            orders.kill("us")
            with kit.session() as s, s.write("carts", core=True) as db:
                db.execute(text("CREATE TABLE item (id INTEGER)"))


SECOND = """
import sys, time
from pathlib import Path
from sqlalchemy import text
from regionkit import RegionKit, RegionUnavailable, NoEligibleEndpoint
from regionkit.embedded import SqliteRegions

with SqliteRegions(sys.argv[1], store="orders") as regions, RegionKit(regions.topology, local="kr") as kit, kit.session() as s:
    with s.write("orders") as db:
        db.execute(text("INSERT INTO item (filling) VALUES ('second')"))
        print("written", flush=True)
        sys.stdin.readline()
        try:
            db.execute(text("INSERT INTO item (filling) VALUES ('more')"))
        except Exception as error:
            print(type(error).__name__, flush=True)
            raise SystemExit(0)
print("nothing failed", flush=True)
"""


def test_a_kill_is_seen_by_a_second_process(tmp_path: Path) -> None:
    """A block that is open there fails at its next statement, and nothing of it is committed."""
    with SqliteRegions(tmp_path, store="orders", **CAST) as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
        filled(tmp_path, 1)
        command = [sys.executable, "-c", SECOND, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            regions.kill("us")
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "OperationalError\n"
            assert process.wait(10) == 0
        regions.revive("us")
        assert count(tmp_path, "us") == 1


def test_another_process_ships_when_the_first_is_killed(tmp_path: Path) -> None:
    """The lock goes with the process that held it."""
    code = """
import sys, time
from regionkit.embedded import SqliteRegions
regions = SqliteRegions(sys.argv[1], store="orders", primary="us", replicas=["kr", "jp"])
while regions._shipper._lead is None: time.sleep(0.01)
print("ships", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ships\n"
        with SqliteRegions(tmp_path, store="orders"):
            filled(tmp_path, 10)
            wait_for(lambda: count(tmp_path, "kr") == 10)
            process.kill()
            with closing(opened(tmp_path, "us")) as us:
                us.execute("INSERT INTO item (filling) VALUES ('y')")
            wait_for(lambda: count(tmp_path, "kr") == 11)


def test_an_owner_that_only_its_row_tells_of_is_found(tmp_path: Path) -> None:
    """A process died between the history row of a promotion and the state: the next one to open the folder sees the row."""
    with SqliteRegions(tmp_path, store="orders", **CAST) as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
        filled(tmp_path, 1)
        wait_for(lambda: count(tmp_path, "kr") == 1)
        state = (tmp_path / ".orders" / "state.json").read_bytes()
        regions.kill("us")  # or it would be copied to, as what it was promoted to
        regions.promote("kr")
    (tmp_path / ".orders" / "state.json").write_bytes(state)
    with SqliteRegions(tmp_path, store="orders") as regions:
        assert regions.owner == "kr"


def test_a_writer_on_a_replica_does_not_stop_the_others(tmp_path: Path) -> None:
    """A file that somebody else holds is tried again; the other regions get their copy."""
    with SqliteRegions(tmp_path, store="orders", **CAST):
        filled(tmp_path, 1)
        wait_for(lambda: count(tmp_path, "kr") == 1)
        with closing(opened(tmp_path, "kr")) as kr, closing(opened(tmp_path, "us")) as us:
            kr.execute("BEGIN IMMEDIATE")
            us.execute("INSERT INTO item (filling) VALUES ('y')")
            wait_for(lambda: count(tmp_path, "jp") == 2)
            kr.execute("ROLLBACK")
            wait_for(lambda: count(tmp_path, "kr") == 2)


def test_a_state_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """Garbage, or a later version's file: a ConfigurationError with the path."""
    with SqliteRegions(tmp_path, store="orders", **CAST):
        pass
    path = tmp_path / ".orders" / "state.json"
    path.write_text('{"version": 2}')
    with pytest.raises(ConfigurationError, match=r"state\.json"):
        SqliteRegions(tmp_path, store="orders")


def test_a_folder_with_odd_letters(tmp_path: Path) -> None:
    """The path travels in URLs: blanks, percent signs and letters beyond ASCII survive that."""
    folder = tmp_path / "서울 50%?&#"
    with SqliteRegions(folder, store="orders", **CAST) as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
            regions.kill("us")
            wait_for(lambda: kit.status().endpoints[0].state != "up")
    assert sorted(p.name for p in folder.iterdir()) == [".orders", "orders.jp.db", "orders.kr.db", "orders.us.db"]
