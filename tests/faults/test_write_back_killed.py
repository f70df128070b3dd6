"""Write-back under kill -9 of writers, flushers and the server: what was acknowledged, or a later value, is in the table.

Values of a key rise, and each has one writer. `make campaign-write-back` kills far more.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import wait_until
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).parent))
from write_back_children import Cache, cache_of, moves, table

sys.path.pop(0)

CHILDREN = Path(__file__).with_name("write_back_children.py")
KILLS = int(os.environ.get("REGIONKIT_WRITE_BACK_KILLS", "60"))
"""In all cells together, that of log mode among them."""
WRITERS, FLUSHERS = 2, 2
TAIL = 65_536
"""Bytes of a journal's end that surely have a step."""
AOF: dict[str, tuple[str, ...]] = {
    "memory": (),
    "journal": (),  # what it forgets at a kill, the journal has
    "sql-journal": (),
    "aof-everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "aof-always": ("--appendonly", "yes", "--appendfsync", "always"),
}
CELLS = [
    ("aof-everysec", "sqlite"),
    ("aof-always", "postgresql"),
    ("journal", "sqlite"),
    ("sql-journal", "postgresql"),
]

pytestmark = [pytest.mark.slow, pytest.mark.redis]


class Rig:
    """Writers, flushers, a server, a table; and what became of each put."""

    def __init__(self, server: Any, url: str, durability: str, folder: Path, *, log: bool = False) -> None:
        self.server, self.url, self.folder = server, url, folder
        self.cell = {"redis": server.primary.url, "url": url, "durability": durability, "folder": str(folder)}
        self.cell["log"] = log
        engine = create_engine(url)
        table().metadata.create_all(engine)
        moves().metadata.create_all(engine)
        engine.dispose()
        with cache_of(self.cell) as cache:
            cache.create_tables()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(CHILDREN), json.dumps(self.cell)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(CHILDREN.parents[2]), str(CHILDREN.parent)))},
        )
        self.pids: dict[tuple[str, int], int] = {}
        self.counted, self.seen = [0] * WRITERS, 0
        for number in range(WRITERS):
            self.start("writer", number)
        for number in range(FLUSHERS):
            self.start("flusher", number)

    def start(self, what: str, number: int) -> None:
        """Fork one; a writer goes on where the one before it was."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what} {number} {self.last_step(number) if what == 'writer' else 0}\n")
        self.process.stdin.flush()
        self.pids[what, number] = int(self.process.stdout.readline())

    def kill(self, what: str, number: int) -> None:
        """And have another take its place."""
        os.kill(self.pids[what, number], signal.SIGKILL)
        self.start(what, number)

    def lines(self, number: int, kind: str) -> list[list[str]]:
        """Of a writer's journal."""
        path = self.folder / f"journal-{number}"
        if not path.exists():
            return []
        found = [line.split(maxsplit=3) for line in path.read_text().splitlines()]
        return [words[1:] for words in found if words[0] == kind]

    def tried(self, number: int) -> list[tuple[str, int, bool]]:
        """Key, value, whether it was a delete."""
        return [(key, int(value), deletes == "1") for key, value, deletes in self.lines(number, "t")]

    def last_step(self, number: int) -> int:
        """That a writer has tried: read from the end, as a journal grows with each kill."""
        path = self.folder / f"journal-{number}"
        if not path.exists():
            return 0
        with path.open("rb") as journal:
            journal.seek(max(0, path.stat().st_size - TAIL))
            found = [line.split() for line in journal.read().splitlines()[1:] if line.startswith(b"t ")]
        return int(found[-1][2]) if found else max((step for _, step, _ in self.tried(number)), default=0)

    def acknowledged(self) -> int:
        """Of all writers: what their journals have beyond what was counted last."""
        for number in range(WRITERS):
            path, at = self.folder / f"journal-{number}", self.counted[number]
            if path.exists():
                with path.open("rb") as journal:
                    journal.seek(at)
                    more, end, _ = journal.read().rpartition(b"\n")
                self.counted[number] += len(more + end)
                self.seen += sum(line.startswith(b"a ") for line in more.splitlines())
        return self.seen

    def end(self) -> None:
        """Kill what is left."""
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()

    def lost(self) -> list[str]:
        """What was acknowledged and is neither in the table nor followed by what is."""
        engine = create_engine(self.url)
        with engine.connect() as db:
            rows = {key: n for key, n in db.execute(text("SELECT id, n FROM counts"))}
        engine.dispose()
        wrong = []
        for number in range(WRITERS):
            newest: dict[str, int] = {}
            for key, value in self.lines(number, "a"):
                newest[key] = int(value)
            tried: dict[str, dict[int, bool]] = {}
            for key, step, deletes in self.tried(number):
                tried.setdefault(key, {})[step] = deletes
            for key, last in newest.items():
                row = rows.get(key)
                if row is None:  # a delete, the last acknowledged or later
                    good = any(deletes for step, deletes in tried[key].items() if step >= last)
                else:
                    good = row >= last and tried[key].get(row) is False
                if not good:
                    wrong.append(f"{key}: acknowledged {last}, in the table {row}")
        return wrong


@pytest.fixture
def rig_of(
    own_redis: Callable[..., Any], request: pytest.FixtureRequest, data_path: Path, tmp_path: Path
) -> Iterator[Callable[..., Rig]]:
    """Makes rigs."""
    made: list[Rig] = []

    def make(durability: str, sink: str, **options: Any) -> Rig:
        if sink == "sqlite":
            url = f"sqlite:///{data_path}/counts.db"
        else:
            given = request.getfixturevalue({"postgresql": "pg", "mariadb": "mariadb_alone"}[sink])
            url = given.primary.url_for(given.database())
        made.append(Rig(own_redis(settings=AOF[durability]), url, durability, tmp_path, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.end()


def drained(rig: Rig) -> Any:
    """Write what is dirty still, with nobody else at work."""
    for pid in rig.pids.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with cache_of(rig.cell) as cache:
        state: list[Any] = []

        def clean() -> bool:
            state[:] = [_flushed(cache)]
            return bool(state[0])

        wait_until(clean, 60.0)
        return cache.buffer()


def _flushed(cache: Cache[Any]) -> Any:
    try:
        return cache.flush(timeout=10.0)
    except Exception:  # the server has just been started
        return False


def killed_at_random(rig: Rig, count: int, chance: random.Random) -> dict[str, int]:
    """Kill writers, flushers and the server, and go on each time when puts are acknowledged again; how many of each."""
    kills = dict.fromkeys(("writer", "flusher", "server"), 0)
    wait_until(lambda: rig.acknowledged() > 20, 60.0)
    for number in range(count):
        before = rig.acknowledged()
        whats = ("writer", "flusher", "server")
        what = whats[number] if number < len(whats) else chance.choice((*whats, "flusher"))
        time.sleep(chance.random() * 0.2)
        if what == "server":
            rig.server.primary.kill()
            time.sleep(chance.random() * 0.1)
            rig.server.primary.start()
        else:
            rig.kill(what, chance.randrange(WRITERS))
        kills[what] += 1
        wait_until(lambda: rig.acknowledged() > before, 60.0)  # noqa: B023
    return kills


@pytest.mark.timeout(300 + 3 * KILLS)
@pytest.mark.parametrize(("durability", "sink"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_nothing_acknowledged_is_lost(rig_of: Callable[..., Rig], durability: str, sink: str) -> None:
    """Writers, flushers and the server are killed at random instants; nobody reads anything but what was put last."""
    rig = rig_of(durability, sink)
    kills = killed_at_random(rig, KILLS // (len(CELLS) + 1), random.Random(7))
    state = drained(rig)
    misread = [line for number in range(WRITERS) for line in rig.lines(number, "x")]
    if "journal" in durability:
        misread = []  # what the server forgot is read again when the journal was replayed
    print(f"{durability} {sink}: {kills} kills, {rig.acknowledged()} acknowledged, parked {state.parked}")
    assert (rig.lost(), misread, state.parked) == ([], [], 0)
    assert min(kills.values()) > 0


@pytest.mark.timeout(300 + 3 * KILLS)
@pytest.mark.parametrize("sink", ["postgresql", "sqlite"] if KILLS > 60 else ["postgresql"])
def test_in_log_mode_each_put_is_applied_once(rig_of: Callable[..., Rig], sink: str) -> None:
    """Whoever is killed: what was acknowledged stands there once, and what a writer has put in its order."""
    rig = rig_of("aof-always", sink, log=True)
    kills = killed_at_random(rig, KILLS // (len(CELLS) + 1), random.Random(11))
    state = drained(rig)
    engine = create_engine(rig.url)
    with engine.connect() as db:
        applied = [tuple(row) for row in db.execute(text("SELECT id, n FROM moves ORDER BY at"))]
    engine.dispose()
    print(
        f"log {sink}: {kills} kills, {rig.acknowledged()} acknowledged, {len(applied)} applied, parked {state.parked}"
    )
    wrong = []
    for number in range(WRITERS):
        tried = rig.tried(number)
        puts = {value for _, value, deletes in tried if not deletes}
        mine = [n for key, n in applied if key.startswith(f"{number}-") and n is not None]
        wrong += [f"twice: {n}" for n, count in Counter(mine).items() if count > 1]
        wrong += [f"out of order: {one}, {other}" for one, other in pairwise(mine) if one > other]
        missing = puts.difference(mine)
        wrong += [f"lost: {value}" for _, value in rig.lines(number, "a") if int(value) in missing]
        acknowledged = {int(value) for _, value in rig.lines(number, "a")}
        deletes = [value for _, value, deletes in tried if deletes and value in acknowledged]
        gone = [key for key, n in applied if key.startswith(f"{number}-") and n is None]
        wrong += ["a delete is lost"] * (len(gone) < len(deletes))
    misread = [line for number in range(WRITERS) for line in rig.lines(number, "x")]
    assert (wrong, misread, state.parked) == ([], [], 0)
    assert min(kills.values()) > 0


@pytest.mark.timeout(300)
def test_memory_loses_what_the_server_had(rig_of: Callable[..., Rig]) -> None:
    """Or the rig would be blind. What is put afterwards is written all the same: it has a later epoch."""
    rig = rig_of("memory", "sqlite")
    wait_until(lambda: rig.acknowledged() > 20, 60.0)
    for number in range(FLUSHERS):
        os.kill(rig.pids["flusher", number], signal.SIGKILL)
    before = rig.acknowledged()
    wait_until(lambda: rig.acknowledged() > before + 200, 60.0)
    for number in range(WRITERS):
        os.kill(rig.pids["writer", number], signal.SIGKILL)
    rig.server.primary.kill()
    rig.server.primary.start()
    with cache_of(rig.cell) as cache:
        wait_until(lambda: bool(_flushed(cache)), 60.0)
        assert rig.lost()
        receipt = cache.put("0-0", {"n": 10**9})
        cache.flush()
    engine = create_engine(rig.url)
    with engine.connect() as db:
        assert tuple(db.execute(text("SELECT n, rk_ver FROM counts WHERE id = '0-0'")).one()) == (
            10**9,
            receipt.version,
        )
    engine.dispose()
