"""Writers and flushers of the write-back rig: forked from this warm process, as an import takes longer than they live.

    python write_back_children.py CELL        CELL as JSON; then lines `writer N` or `flusher N` on stdin, each answered by a pid

A writer appends to its journal what it is about to do and, once it is acknowledged, that it was: the operating system keeps
that whatever becomes of the process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, create_engine

from regionkit.caching import Cache, Change, FileJournal, Shared, SqlJournal, SqlLogSink, SqlSink, WriteBack
from regionkit.caching.back import flushing, log_flushing
from regionkit.errors import RegionKitError

KEYS = 12
"""Of each writer."""
LONG = 3600.0
LEASE = 3.0
"""Seconds that a claim lasts here, 20 elsewhere: what a dead flusher had claimed is waited for."""


def table() -> Table:
    """Of the rig."""
    return Table(
        "counts",
        MetaData(),
        Column("id", String(32), primary_key=True),
        Column("n", BigInteger, nullable=False),
        Column("rk_ver", BigInteger, nullable=False, server_default="0"),
    )


def moves() -> Table:
    """Of the rig in log mode: each put, in the order in which they were applied."""
    return Table(
        "moves",
        MetaData(),
        Column("at", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("id", String(32), nullable=False),
        Column("n", BigInteger),
    )


def apply(db: Any, changes: list[Change]) -> None:
    """The sink of log mode: not idempotent."""
    said = [{"id": change.key, "n": None if change.deleted else change.value["n"]} for change in changes]  # type: ignore[index]
    db.execute(moves().insert(), said)


def cache_of(cell: dict[str, Any]) -> Cache[dict[str, int]]:
    """As each process has it."""
    if cell.get("log"):
        sink: Any = SqlLogSink(create_engine(cell["url"]), apply)
    else:
        sink = SqlSink(create_engine(cell["url"]), table(), key="id", version="rk_ver")
    given: FileJournal | SqlJournal | None = None
    if cell["durability"] == "journal":
        given = FileJournal(cell["folder"], unsafe_place=True)
    elif cell["durability"] == "sql-journal":
        given = SqlJournal(create_engine(cell["url"]))
    strategy = WriteBack(
        sink=sink,
        durability=cell["durability"],
        journal=given,
        ttl=300.0,
        max_age=0.2,
        write_timeout=5.0,
        coalesce=not cell.get("log"),
    )
    return Cache("counts", dict, strategy=strategy, tiers=[Shared(cell["redis"], timeout=1.0)])


def write(cell: dict[str, Any], number: int) -> None:
    """Rising values for keys of its own, now and then a delete."""
    chance = random.Random(os.getpid())
    journal = os.open(f"{cell['folder']}/journal-{number}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    step = int(cell["steps"].get(str(number), 0)) + 1
    with cache_of(cell) as cache:
        while True:
            key, value = f"{number}-{chance.randrange(KEYS)}", step
            deletes = chance.random() < 0.15
            os.write(journal, f"t {key} {value} {int(deletes)}\n".encode())
            try:
                if deletes:
                    cache.delete(key)
                else:
                    cache.put(key, {"n": value})
                os.write(journal, f"a {key} {value}\n".encode())
                found = cache.get(key)
                if found != (None if deletes else {"n": value}):
                    os.write(journal, f"x {key} {value} {found}\n".encode())
            except RegionKitError:
                time.sleep(0.02)
            step += 1


def flush(cell: dict[str, Any]) -> None:
    """Until it is killed."""
    with cache_of(cell) as cache:
        while True:
            with suppress(RegionKitError):
                cache.flusher().start()
                time.sleep(LONG)
            time.sleep(0.05)


def main() -> None:
    """Fork what is asked for."""
    cell = json.loads(sys.argv[1])
    flushing.LEASE = log_flushing.LEASE = LEASE
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        what, number, steps = line.split()
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            cell["steps"] = {number: steps}
            write(cell, int(number)) if what == "writer" else flush(cell)
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
