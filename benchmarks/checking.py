"""The session checker on a store with lagging copies and correct routing; and what recording costs a test."""

from __future__ import annotations

import heapq
import itertools
import random
import tempfile
import time
from bisect import bisect_right
from pathlib import Path

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin
from regionkit.testing import History, Recorder, check_sessions
from regionkit.testing.history import Operation

MOST = 2.0
"""Microseconds an operation: 500,000 operations a second."""
SIZES = (50_000, 500_000)
SESSIONS, KEYS, COPIES = 16, 1000, 3
SHARE_OF_WRITES = 0.3
LONGEST_LAG = 0.05
BULK = 100


def history(size: int) -> History:
    """Sessions over one owner and copies that trail it; a session moves only to copies that have what it saw."""
    chance = random.Random(1)
    commits: list[tuple[list[float], list[int]]] = [([0.0], [0]) for _ in range(KEYS)]
    newest, positions, indexes = [0] * KEYS, [0.0] * SESSIONS, [0] * SESSIONS
    made = []
    queue = [(chance.random() / 1000, session) for session in range(SESSIONS)]  # the moment at which the store answers
    for _ in range(size):
        now, session = queue[0]
        key = int(KEYS * chance.random() ** 2)  # some keys are hotter
        indexes[session] += 1
        times, versions = commits[key]
        if chance.random() < SHARE_OF_WRITES:
            newest[key] += 1
            times.append(now)
            versions.append(newest[key])
            positions[session], kind, version = now, "write", newest[key]
        else:
            reached = now - LONGEST_LAG * chance.random() * chance.randrange(COPIES) / COPIES
            positions[session] = reached = reached if reached >= positions[session] else now
            kind, version = "read", versions[bisect_right(times, reached) - 1]
        trip = chance.uniform(0.0002, 0.002)
        name = f"s{session}"
        made.append(Operation(name, indexes[session], "p1", kind, f"key-{key}", version, now - trip, now + trip))
        heapq.heapreplace(queue, (now + 2 * trip + chance.uniform(0.002, 0.003), session))
    return History(made, clocks=["bench"])


def timed(found: History) -> float:
    """Seconds of one check."""
    began = time.perf_counter()
    violations = check_sessions(found)
    took = time.perf_counter() - began
    if violations:
        raise RuntimeError(f"a correct store was found wrong: {violations[0]}")
    return took


def run(settings: Settings) -> list[Report]:
    """Rows: the four guarantees per operation at two sizes; one record, in memory, as a block, in a file."""
    pin()
    checking = Report("checking", "Checking the four session guarantees of a history", settings)
    for size in SIZES:
        found = history(settings.ops(size))
        name = f"check_sessions of {len(found):,} operations"
        rows = [Row(name, name, way="time", most=MOST, unit=(len(found), "us an operation"))]
        spreads = measure([Candidate(name, lambda f=found: timed(f), own=True)], settings, 1)
        checking.add(rows, spreads)
        rate = len(found) / (rows[0].value(spreads) * len(found)) * 1e6
        checking.note(f"{name}: {rate:,.0f} operations a second; the candidate's figures are of the whole check.")
    return [checking, recording(settings)]


def recording(settings: Settings) -> Report:
    """What a test pays for each operation."""
    report = Report("recording", "Recording an operation", settings)
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder, Recorder("file", Path(folder) / "history") as in_file:
        memory = Recorder("memory")
        kept, filed = memory.session(), in_file.session()

        def block() -> None:
            with memory_session.write("key", next(numbers)):
                pass

        memory_session = memory.session()
        calls = {
            "record, in memory": lambda: kept.record("read", "key", 1, 1.0, 2.0),
            "a block, in memory": block,
            "record, in a file": lambda: filed.record("read", "key", 1, 1.0, 2.0),
        }
        candidates = [Candidate(name, call, bulk=BULK) for name, call in calls.items()]
        report.add([Row(name, name, way="time") for name in calls], measure(candidates, settings, 20))
    return report
