"""The chapter "all or none": an order in SQLite, its invoice in a folder. Processes die between prepare and commit; no server.

Nothing here happens by luck: `python -m regionkit.demo.transactions FOLDER ORDER POINT` kills itself at that point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.demo.narration import Narrator
from regionkit.transactions import FilesParticipant, SqlDecisionLog, TransactionManager

__all__ = ["tell_transactions"]

METADATA = MetaData()
ORDER = Table("orders", METADATA, Column("id", Integer, primary_key=True))
WHOLE, UNDECIDED, DECIDED = 1, 2, 3
"""Orders: one that nobody interrupts; one whose process dies before the decision; one whose process dies after it."""
PREPARED, COMMITTED = "tpc.anchor.before", "tpc.anchor.after"
"""Points of a commit: the decision is part of SQLite's own COMMIT."""
LONGEST = 30.0
"""Seconds that a process is waited for."""


class Office:
    """Orders in a database, invoices in a folder, and the manager over both."""

    def __init__(self, folder: Path) -> None:
        self.engine = create_engine(f"sqlite:///{folder}/office.db")
        self.folder = folder / "invoices"
        invoices = FilesParticipant("invoices", self.folder, unsafe_place=True)  # a temporary folder may be in memory
        self.log = SqlDecisionLog(self.engine)
        self.tm = TransactionManager(
            namespace="office",
            log=self.log,
            participants={"orders": self.engine, "invoices": invoices},
        )

    def bill(self, order: int) -> None:
        """The order and its invoice, or neither."""
        with self.tm.begin() as tx:
            tx.session("orders").execute(ORDER.insert(), {"id": order})
            tx.session("invoices").put(f"{order}.txt", f"order {order}: 7.50".encode())

    @property
    def rows(self) -> list[int]:
        """Orders in the database."""
        with self.engine.connect() as db:
            return list(db.scalars(select(ORDER.c.id).order_by(ORDER.c.id)))

    @property
    def files(self) -> list[int]:
        """Orders whose invoice is in the folder."""
        return sorted(int(file.stem) for file in self.folder.glob("*.txt"))

    def close(self) -> None:
        """The manager, then the connections."""
        self.tm.close()
        self.engine.dispose()


def tell_transactions(say: Narrator) -> dict[str, Any]:
    """Tell the chapter; its figures."""
    with tempfile.TemporaryDirectory(prefix="regionkit-demo-") as name:
        office = Office(Path(name))
        try:
            METADATA.create_all(office.engine)
            office.tm.create_tables()
            _written(say, office)
            return _killed(say, office, Path(name)) | _recovered(say, office)
        finally:
            office.close()


def _written(say: Narrator, office: Office) -> None:
    began = time.monotonic()
    office.bill(WHOLE)
    say.step(
        f"All or none: order {WHOLE} is a row in SQLite, its invoice a file in a folder.",
        'with tm.begin() as tx: tx.session("invoices").put("1.txt", ...); ...',
        time.monotonic() - began,
    )
    _show(say, office)


def _killed(say: Narrator, office: Office, folder: Path) -> dict[str, Any]:
    processes = [_dies(folder, UNDECIDED, PREPARED), _dies(folder, DECIDED, COMMITTED)]
    try:
        codes = [process.wait(LONGEST) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if codes != [-signal.SIGKILL] * len(processes):
        raise RuntimeError(f"the processes ended by themselves, with {codes}")
    half = sorted({*office.rows} ^ {*office.files})
    say.step(
        f"One process is killed before the decision on order {UNDECIDED}, another right after that on order {DECIDED}: "
        f"{len(half) or 'neither'} of them {'is' if len(half) < 2 else 'are'} half done.",
        "os.kill(pid, SIGKILL)  # between prepare and commit",
    )
    _show(say, office)
    return {"killed_in_commit": len(codes), "half_done_after_kill": half}


def _dies(folder: Path, order: int, point: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "regionkit.demo.transactions", str(folder), str(order), point]
    return subprocess.Popen(command)


def _recovered(say: Narrator, office: Office) -> dict[str, Any]:
    began = time.monotonic()
    report = office.tm.recover()
    seconds = time.monotonic() - began
    say.step(
        f"Recovery finds the decision in SQLite: {report.committed} branch is committed. {len(report.in_doubt)} has no "
        "decision, and is left for a while: its process may only be slow.",
        "tm.recover()  # or tm.start_recovery(), in each process",
        seconds,
    )
    _show(say, office)
    for one in report.in_doubt:
        office.tm.operator("you").rollback(one.gtrid, Deadline(SYSTEM_CLOCK, LONGEST))
    left = office.tm.in_doubt()
    half = {*office.rows} ^ {*office.files}
    say.step(
        f"You need not wait: ABORT is decided for order {UNDECIDED}. {len(half) or 'Nothing'} is half done, "
        f"{len(left) or 'nothing'} in doubt.",
        "regionkit tpc rollback ...  # or tm.operator().rollback(gtrid, deadline)",
    )
    _show(say, office)
    return {
        "recovered_branches": report.committed,
        "left_undecided": len(report.in_doubt),
        "in_doubt_at_the_end": len(left),
        "transactions": len({WHOLE, UNDECIDED, DECIDED}),
        "half_done": len(half),
        "whole_orders": sorted({*office.rows} & {*office.files}),
    }


def _show(say: Narrator, office: Office) -> None:
    rows, files = (", ".join(map(str, found)) or "none" for found in (office.rows, office.files))
    say.block(f"orders in SQLite: {rows:<8}  invoices in the folder: {files}")


def _die(folder: str, order: str, point: str) -> None:
    office = Office(Path(folder))
    set_crash_hook(lambda at: os.kill(os.getpid(), signal.SIGKILL) if at == point else None)
    office.bill(int(order))


if __name__ == "__main__":
    _die(*sys.argv[1:])
