"""Coordinators and recoverers in processes that die: forked from this one, which has all it needs imported.

    python transaction_children.py '<cell as JSON>'

prints what became of it as JSON. Half of the coordinators die at a named point, half at a random instant; a recoverer dies too.
Not a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from regionkit.core.events import set_crash_hook
from regionkit.errors import RegionKitError
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.recovery import Recovery

NAMESPACE = "bank"
WORKERS = 4
ACCOUNTS = 2000
"""Many: who dies leaves two of them locked until recovery comes, and others shall not wait for them."""
PATIENCE = 1.5
"""Seconds; far more than a transfer takes, and recovery has to be seen at work while others transfer."""
WARM, LATEST = 3, 0.05
"""A coordinator dies at most so many seconds after it has begun so many transfers: the first ones open connections. A
transfer takes some 5 ms."""
OFTEN, SELDOM = 5, 2
"""It dies at a point when it passes there for the n-th time, n at most so many; where it passes twice a second only, fewer."""
CELL_WITHIN = 600.0
DECIDED = ("tpc.decide.after", "tpc.anchor.after", "tpc.decided", "tpc.commit", "tpc.ended")
"""Points where COMMIT is decided: what a child was at, when it died there, has to be committed."""


def sides_of(cell: dict[str, Any]) -> dict[str, str]:
    """URLs of the databases that take part: two or three."""
    return {name: cell[name] for name in ("a", "b", "c") if name in cell}


class Bank:
    """Two or three databases, a log, a manager: of one process."""

    def __init__(self, cell: dict[str, Any]) -> None:
        self.archive: str = cell.get("archive", "")
        self.urls = {*sides_of(cell).values(), cell["log"]}
        self.engines = {url: create_engine(url, poolclass=NullPool) for url in self.urls if "://" in url}
        if "://" in cell["log"]:
            self.log: Any = SqlDecisionLog(self.engines[cell["log"]], unsafe_async_replica=True)
        else:
            self.log = FileDecisionLog(cell["log"], unsafe_place=True)
        self.sides = {name: self.engines[url] for name, url in sides_of(cell).items()}
        self.participants = {
            name: participant_of(name, engine, namespace=NAMESPACE, unsafe_no_flush=True, **self.attached(name))
            for name, engine in self.sides.items()
        }
        self.tm = TransactionManager(namespace=NAMESPACE, log=self.log, participants=self.participants)

    def attached(self, name: str) -> dict[str, Any]:
        """What `b` has beside its own file, where the cell says so."""
        return {"attach": {"archive": self.archive}} if name == "b" and self.archive else {}

    def close(self) -> None:
        """All that it has opened."""
        self.tm.close()
        for part in (self.log, *self.participants.values()):
            part.close()
        for engine in self.engines.values():
            engine.dispose()

    def recovery(self, patience: float) -> Recovery:
        return Recovery(NAMESPACE, self.log, self.participants, patience=patience)


def transfer(bank: Bank, chance: random.Random, told: Any, *, fails: bool, account: int | None = None) -> None:
    """One, noted before it begins."""
    id, amount = os.urandom(8).hex(), chance.randrange(1, 100)
    told.write(f"{id}\n")
    told.flush()
    with bank.tm.begin(timeout=20, settle=20) as tx:
        for name in bank.sides:
            db = tx.session(name)
            db.execute(text("INSERT INTO moved (id, amount) VALUES (:id, :n)"), {"id": id, "n": amount})
            sign = 1 - len(bank.sides) if name == "a" else 1  # a pays all others
            moved = {"n": sign * amount, "id": chance.randrange(ACCOUNTS) if account is None else account}
            db.execute(text("UPDATE accounts SET n = n + :n WHERE id = :id"), moved)
            if bank.attached(name):
                db.execute(text("INSERT INTO archive.moved (id, amount) VALUES (:id, :n)"), {"id": id, "n": amount})
        if fails:
            raise ZeroDivisionError


def coordinate(cell: dict[str, Any], warm: Bank | None, seed: int, point: str, path: Path) -> None:
    """Transfers until it dies at the point; or until somebody kills it. `warm`: its parent's bank, or it makes its own."""
    chance, bank = random.Random(seed), warm or Bank(cell)
    left = chance.randint(1, SELDOM if "acknowledge" in point else OFTEN)
    if "://" not in cell["log"]:  # nobody else may open a file log: what the last one left is ended first
        bank.recovery(0.0).run(soon())

    def strike(at: str) -> None:
        nonlocal left
        if at == point:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    set_crash_hook(strike)
    with path.open("w") as told:
        while True:
            with contextlib.suppress(RegionKitError, ZeroDivisionError, DBAPIError):
                transfer(bank, chance, told, fails="rollback" in point or (not point and chance.random() < 0.1))


def recover(bank: Bank) -> None:
    """Again and again, until somebody kills it."""
    recovery = bank.recovery(PATIENCE)
    while True:
        with contextlib.suppress(RegionKitError):
            recovery.run(soon())
        time.sleep(0.1)


def soon() -> Any:
    from regionkit.core.clock import SYSTEM_CLOCK
    from regionkit.core.deadline import Deadline

    return Deadline(SYSTEM_CLOCK, 60.0)


def fork(work: Any) -> int:
    """A child that does it, and ends with it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


class Dying:
    """A coordinator that will die."""

    def __init__(self, cell: dict[str, Any], warm: Bank | None, chance: random.Random, point: str, path: Path) -> None:
        self.point, self.path = point, path
        seed = chance.randrange(1 << 30)
        self.pid = fork(lambda: coordinate(cell, warm, seed, point, path))
        self.dies_after = None if point else chance.uniform(0.0, LATEST)
        self.made = time.monotonic()
        self.began: float | None = None
        self.until = time.monotonic() + 60.0

    def strike(self) -> None:
        """Where its time has come."""
        now = time.monotonic()
        if self.began is None and self.path.exists() and self.path.stat().st_size >= 17 * WARM:
            self.began = now
        late = now > self.until
        if late or (self.dies_after is not None and self.began is not None and now - self.began > self.dies_after):
            os.kill(self.pid, signal.SIGKILL)

    @property
    def last(self) -> str:
        """The transfer that it was at."""
        lines = self.path.read_text().split() if self.path.exists() else []
        return lines[-1] if lines else ""


def run(cell: dict[str, Any]) -> dict[str, Any]:
    """The cell: so many kills, then recovery in peace."""
    chance, folder = random.Random(cell["seed"]), Path(cell["folder"])
    plan = [point for _ in range(cell["kills"]) for point in (chance.choice(cell["points"]), "")][: cell["kills"]]
    died: defaultdict[str, list[str]] = defaultdict(list)
    alone = "://" not in cell["log"]
    workers = 1 if alone else 2 if "sqlite" in cell["log"] else WORKERS  # writers of a SQLite file wait for each other
    bank = Bank(cell)
    bank.recovery(PATIENCE).run(soon())  # children have all imported that they need
    warm = bank if all(url.startswith(("postgresql", "mysql")) for url in bank.urls) else None
    if warm is None:  # neither SQLite nor a file log may be open in a process that forks
        bank.close()
    failed, number, recoverers = 0, 0, 0
    at_work: dict[int, Dying] = {}
    took: list[tuple[float, str]] = []
    recoverer, recoverer_dies = 0, 0.0
    until = time.monotonic() + CELL_WITHIN
    while (plan or at_work) and time.monotonic() < until and failed < 4:
        while plan and len(at_work) < workers:
            number += 1
            made = Dying(cell, warm, chance, plan.pop(), folder / f"told{number}")
            at_work[made.pid] = made
        if not recoverer and not alone:
            recoverer, recoverer_dies = (
                fork(lambda: recover(warm or Bank(cell))),
                time.monotonic() + chance.uniform(0.3, 3.0),
            )
        if recoverer and time.monotonic() > recoverer_dies:
            os.kill(recoverer, signal.SIGKILL)
            os.waitpid(recoverer, 0)
            recoverer, recoverers = 0, recoverers + 1
        for one in at_work.values():
            one.strike()
        while at_work:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == recoverer:
                recoverer, failed = 0, failed + 1
                continue
            one = at_work.pop(pid)
            failed += not os.WIFSIGNALED(status)
            died[one.point or "at random"].append(one.last)
            took.append((round(time.monotonic() - one.made, 1), one.point))
        time.sleep(0.005)
    for pid in (*at_work, *((recoverer,) if recoverer else ())):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if warm is not None:
        warm.close()
    found = {"late": len(at_work) + len(plan), "failed": failed, "recoverers": recoverers, "slowest": sorted(took)[-4:]}
    begun = sum(len(path.read_text().split()) for path in folder.glob("told*"))
    return {**found, "begun": begun, **settled(cell, died)}


def listed_by(db: Any) -> list[str]:
    """Names of prepared branches on a MariaDB or MySQL; none where the account may not list them, and so may not prepare."""
    try:
        found = [row[3] for row in db.execute(text("XA RECOVER"))]
    except DBAPIError as error:
        assert error.orig is not None
        assert error.orig.args[0] == 1401, error
        return []
    return [one if isinstance(one, str) else one.decode() for one in found]


def settled(cell: dict[str, Any], died: dict[str, list[str]]) -> dict[str, Any]:
    """After recovery: what the data says."""
    bank = Bank(cell)
    recovery = bank.recovery(0.0)
    began, runs = time.monotonic(), 0
    while True:
        report, runs = recovery.run(soon()), runs + 1
        joined = not any(recovery._remembered.cursors.values())  # all markers and rows, both ways
        if (report.clean and joined) or report.hazards or time.monotonic() - began > 60.0:
            break
        time.sleep(0.05)
    moved, totals, prepared = {}, 0, 0
    for name, engine in bank.sides.items():
        with engine.connect() as db:
            moved[name] = dict(db.execute(text("SELECT id, amount FROM moved")).all())  # type: ignore[arg-type]
            totals += db.execute(text("SELECT sum(n) FROM accounts")).scalar_one()
            if engine.dialect.name == "postgresql":
                mine = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"
                prepared += db.execute(text(mine)).scalar_one()
            elif engine.dialect.name == "mysql":
                prepared += sum(f"{NAMESPACE}." in one for one in listed_by(db))
    halves = 0
    if bank.archive:
        with contextlib.closing(sqlite3.connect(bank.archive)) as file:
            halves = len(moved["b"].items() ^ set(file.execute("SELECT id, amount FROM moved")))
    shares = {}
    for point, ids in sorted(died.items()):
        known = [id for id in ids if id]
        shares[point] = (len(ids), sum(id in moved["a"] for id in known))
    counts = Counter(point != "at random" for point, ids in died.items() for _ in ids)
    return {
        "kills": sum(len(ids) for ids in died.values()),
        "at points": counts[True],
        "at random": counts[False],
        "torn": sum(len(moved["a"].keys() ^ other.keys()) for other in moved.values()) + halves,
        "differ": sum(
            moved["a"][id] != other[id] for other in moved.values() for id in moved["a"].keys() & other.keys()
        ),
        "committed": len(moved["a"]),
        "total": int(totals),
        "prepared": prepared,
        "hazards": [str(one) for one in report.hazards],
        "clean": report.clean,
        "why": "" if report.clean else str(report),
        "recovery": round(time.monotonic() - began, 2),
        "runs": runs,
        "shares": shares,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
