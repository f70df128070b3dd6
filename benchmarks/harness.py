"""Measures candidates against each other on one core, and prints what came out beside what was wanted.

1. Client, servers and relays share one core: wall time over loopback is bimodal otherwise, and nothing hides client work.
2. Candidates take short turns, shuffled, inside each round. A row is the median over rounds of a ratio (or difference) of
   two candidates' medians in the same round, so that a slow spell of the machine falls on both.
3. The garbage collector is off while timing. The client's CPU per operation is printed too: it survives noisy neighbours.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

__all__ = ["Candidate", "Report", "Row", "Settings", "Spread", "measure", "measure_async", "pin", "pin_children"]

RESULTS = Path(__file__).parent / "results"
MICRO = 1e6
TURN = 10
"""Operations that a candidate runs in a row: few, so that a busy neighbour's spell falls on all candidates alike."""
WARM_UP = 3
"""Operations before the first round where they are so slow that a round has few."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to measure. `share` scales the operations per round."""

    rounds: int = 21
    share: float = 1.0

    def ops(self, count: int) -> int:
        """Operations of a candidate in one round."""
        return max(1, int(count * self.share))


QUICK = Settings(rounds=7, share=0.3)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing to measure: a call, or for `measure_async` a coroutine function.

    `bulk`: executions per reading of the clock, for calls that are not much longer than such a reading.
    `own`: the call measures itself, and returns the seconds that count.
    """

    name: str
    run: Callable[[], Any]
    bulk: int = 1
    own: bool = False


@dataclass(slots=True)
class Spread:
    """What one candidate took, microseconds per operation: a median and a CPU time per round, and every reading."""

    medians: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    readings: list[float] = field(default_factory=list)
    _turns: list[float] = field(default_factory=list)
    _cpu: list[float] = field(default_factory=list)

    def add(self, readings: list[float], cpu: float) -> None:
        """One turn; `cpu`: of all its operations."""
        self._turns.extend(readings)
        self._cpu.append(cpu)

    def close_round(self) -> None:
        """The turns since the last call are one round."""
        self.medians.append(statistics.median(self._turns))
        self.cpu.append(sum(self._cpu) / len(self._turns))
        self.readings.extend(self._turns)
        self.forget_round()

    def forget_round(self) -> None:
        """The turns since the last call were for warming up."""
        self._turns, self._cpu = [], []

    def percentile(self, percent: int) -> float:
        """Of all readings of all rounds."""
        ordered = sorted(self.readings)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    def summary(self) -> dict[str, float]:
        """For the results file."""
        cpu = statistics.median(self.cpu)
        return {"p50_us": self.percentile(50), "p99_us": self.percentile(99), "cpu_us": cpu, "ops": len(self.readings)}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `way`: what is done with the candidate and its peer. `most`, `least`: the target. `unit`: microseconds that count as
    one, and their name.
    """

    what: str
    candidate: str
    peer: str | None = None
    way: Literal["ratio", "difference", "time"] = "ratio"
    most: float | None = None
    unit: tuple[float, str] = (1.0, "us")
    least: float | None = None

    def missed(self, value: float) -> bool:
        """Whether `value` is not what was wanted."""
        return (self.most is not None and value > self.most) or (self.least is not None and value < self.least)

    def value(self, spreads: Mapping[str, Spread]) -> float:
        """The median over the rounds."""
        ours = spreads[self.candidate].medians
        if self.way == "time" or self.peer is None:
            return statistics.median(ours) / self.unit[0]
        pairs = zip(ours, spreads[self.peer].medians, strict=True)
        if self.way == "difference":
            return statistics.median(a - b for a, b in pairs) / self.unit[0]
        return statistics.median(a / b for a, b in pairs)


def pin(core: int | None = None) -> int:
    """Bind this process and all that it starts from now on to one core; which one.

    Call it before servers are started: their processes inherit it, also those that they start later.
    """
    if not hasattr(os, "sched_setaffinity"):
        return -1
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    for thread in Path("/proc/self/task").iterdir():
        _bind(int(thread.name), chosen)
    return chosen


def pin_children(core: int) -> None:
    """Bind every process that descends from this one: servers that ran before `pin`, their backends, the proxy's relay."""
    if core < 0:
        return
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    waiting = [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            _bind(child, core)


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):  # it has ended
        return None


def _bind(process: int, core: int) -> None:
    try:
        os.sched_setaffinity(process, {core})
    except OSError:  # it has ended
        pass


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def measure(candidates: Sequence[Candidate], settings: Settings, ops: int) -> dict[str, Spread]:
    """Measure calls: `ops` operations of each in each round."""
    spreads = {c.name: Spread() for c in candidates}
    with _no_collector():
        for plan in _rounds(candidates, settings, ops, spreads):
            for candidate, count in plan:
                spreads[candidate.name].add(*_turn(candidate, count))
    return spreads


async def measure_async(candidates: Sequence[Candidate], settings: Settings, ops: int) -> dict[str, Spread]:
    """Measure coroutine functions, one operation at a time, in the running loop."""
    spreads = {c.name: Spread() for c in candidates}
    with _no_collector():
        for plan in _rounds(candidates, settings, ops, spreads):
            for candidate, count in plan:
                spreads[candidate.name].add(*await _turn_async(candidate.run, count))
    return spreads


Plan = list[tuple[Candidate, int]]


def _rounds(
    candidates: Sequence[Candidate], settings: Settings, ops: int, spreads: Mapping[str, Spread]
) -> Iterator[Plan]:
    """What to run in each round, in order; the round before the first is for warming up."""
    shuffle, count = random.Random(1), settings.ops(ops)
    for number in range(-1, settings.rounds):
        turns = [min(TURN, count - done) for done in range(0, count, TURN)]
        if number < 0:
            turns = [TURN] if count >= TURN else [WARM_UP]
        yield [(c, turn) for turn in turns for c in shuffle.sample(candidates, len(candidates))]
        for spread in spreads.values():
            if number < 0:
                spread.forget_round()
            else:
                spread.close_round()
        gc.collect()


def _turn(candidate: Candidate, count: int) -> tuple[list[float], float]:
    clock, run, bulk = time.perf_counter, candidate.run, candidate.bulk
    readings = []
    cpu = time.process_time()
    for _ in range(count):
        began = clock()
        if bulk == 1:
            result = run()
        else:
            for _ in repeat(None, bulk):
                result = run()
        took = clock() - began
        readings.append((result if candidate.own else took) * MICRO / bulk)
    return readings, (time.process_time() - cpu) * MICRO / bulk


async def _turn_async(run: Callable[[], Awaitable[Any]], count: int) -> tuple[list[float], float]:
    clock = time.perf_counter
    readings = []
    cpu = time.process_time()
    for _ in range(count):
        began = clock()
        await run()
        readings.append((clock() - began) * MICRO)
    return readings, (time.process_time() - cpu) * MICRO


class Report:
    """What one job found: kept as JSON, printed as Markdown."""

    def __init__(self, name: str, title: str, settings: Settings) -> None:
        self._name = name
        self._title = title
        self._settings = settings
        self._lines: list[dict[str, Any]] = []
        self._candidates: dict[str, dict[str, float]] = {}
        self._notes: list[str] = []

    def add(self, rows: Sequence[Row], spreads: Mapping[str, Spread], group: str = "") -> None:
        """Rows over one set of candidates; `group` tells equal names of several sets apart."""
        prefix = f"{group}: " if group else ""
        for row in rows:
            value = row.value(spreads)
            line = {**asdict(row), "what": prefix + row.what, "value": value}
            line["missed"] = row.missed(value)
            line["candidate"], line["peer"] = prefix + row.candidate, row.peer and prefix + row.peer
            self._lines.append(line)
        self._candidates.update({prefix + name: spread.summary() for name, spread in spreads.items()})

    def figure(
        self, what: str, value: float, unit: str, *, most: float | None = None, least: float | None = None
    ) -> None:
        """A row of something that is counted, not timed. `most` or `least`: the target."""
        row = Row(what, what, way="time", most=most, unit=(1.0, unit), least=least)
        self._lines.append({**asdict(row), "value": value, "missed": row.missed(value)})

    def note(self, text: str) -> None:
        """A line under the tables."""
        self._notes.append(text)

    @property
    def missed(self) -> list[str]:
        """The rows whose target was missed."""
        return [line["what"] for line in self._lines if line["missed"]]

    def publish(self) -> None:
        """Write the results file and print the tables."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self._name}.json").write_text(json.dumps(self._document(), indent=1) + "\n")
        print(self._markdown(), flush=True)

    def _document(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "settings": asdict(self._settings),
            "machine": _machine(),
            "rows": self._lines,
            "candidates": self._candidates,
            "notes": self._notes,
        }

    def _markdown(self) -> str:
        lines = [f"## {self._title}", "", "| row | measured | target | |", "|---|---|---|---|"]
        for line in self._lines:
            target = "" if line["most"] is None else f"<= {_shown(line, line['most'])}"
            if line.get("least") is not None:
                target = f">= {_shown(line, line['least'])}"
            verdict = "**missed**" if line["missed"] else "met" if target else ""
            lines.append(f"| {line['what']} | {_shown(line, line['value'])} | {target} | {verdict} |")
        lines += ["", "| candidate | p50 us | p99 us | client CPU us |", "|---|---|---|---|"]
        for name, c in self._candidates.items():
            lines.append(f"| {name} | {_number(c['p50_us'])} | {_number(c['p99_us'])} | {_number(c['cpu_us'])} |")
        return "\n".join([*lines, "", *self._notes, ""])


def _shown(line: Mapping[str, Any], value: float) -> str:
    if line["way"] == "ratio":
        return f"{value:.3f}x"
    if line["unit"][1] != "us":
        return f"{value:.2f} {line['unit'][1]}"
    return f"{value * 1000:.0f} ns" if abs(value) < 1.0 else f"{value:.2f} us"


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 10.0 else f"{value:.1f}" if value < 1000.0 else f"{value:.0f}"


def _machine() -> dict[str, str]:
    packages = {name: version(name) for name in ("regionkit", "sqlalchemy", "psycopg", "pymysql", "msgspec")}
    system = {"python": sys.version.split()[0], "system": platform.platform(), "cores": str(os.cpu_count())}
    return {**system, **packages}
