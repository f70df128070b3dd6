"""Consumers in processes that die: forked from this one, which has all it needs imported, and made again until all is done.

    python consumer_children.py '<cell as JSON>'

prints what became of it as JSON. Not a test.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from consumer_effects import effects_of
from sqlalchemy import create_engine

from regionkit.messaging.consumer import Consumer
from regionkit.messaging.sources import RedisStream, SqlQueue
from regionkit.testing import crash_points

LEASE = 0.6
WORKERS = 2
CELL_WITHIN = 120.0
GAP_WAIT = 2.0 * CELL_WITHIN
"""Seconds: never over. What comes first of a key may die with its consumer a dozen times, and the transaction of each of them
stands for seconds on MongoDB; a key that has waited long enough begins without it, as it should."""


def die(how: str) -> None:
    """At once."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        ctypes.string_at(0)
    os._exit(9)


def source_of(cell: dict[str, Any]) -> Any:
    """The source of a cell."""
    kind, _, url = cell["source"].partition(" ")
    if kind == "redis":
        return RedisStream(url, "orders", group="billing", lease=LEASE)
    return SqlQueue(create_engine(url), "orders", group="billing", lease=LEASE)


def consume(cell: dict[str, Any], *, dies: bool, chance: random.Random) -> dict[str, int]:
    """Until nothing comes; or until it dies at the cell's point, after some messages."""
    many = cell["point"] == "message.acknowledged"  # one acknowledgement is of many messages
    left, how = chance.randrange(1, 3 if many else 12), chance.choice(("kill", "exit", "segfault"))

    def strike() -> None:
        nonlocal left
        left -= 1
        if dies and left <= 0:
            die(how)

    effects = effects_of(cell)
    inbox = effects.inbox()
    if cell.get("without_inbox"):
        effects.forget_claims(inbox)
    consumer = Consumer(source_of(cell), inbox=inbox, order=effects.order, concurrency=4, gap_wait=GAP_WAIT)

    def inside() -> None:
        if cell["point"] == "in the effect":
            strike()
        if many:
            time.sleep(0.003)  # of few, on a fast machine, too

    effects.register(consumer, inside)
    with crash_points({cell["point"]: strike}):
        return asdict(consumer.run(until_idle=effects.idle))


def fork(cell: dict[str, Any], seed: int, *, dies: bool) -> tuple[int, int]:
    """A child; its pid, and where its summary comes."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:
            found = consume(cell, dies=dies, chance=random.Random(seed))
            os.write(writer, json.dumps(found).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    return pid, reader


def run(cell: dict[str, Any]) -> dict[str, Any]:
    """The cell: children die `kills` times in all; then the last ones end in peace."""
    chance, until = random.Random(cell["seed"]), time.monotonic() + CELL_WITHIN
    kills, failed, total, children = 0, 0, Counter[str](), {}
    for _ in range(WORKERS):
        pid, reader = fork(cell, chance.randrange(1 << 30), dies=True)
        children[pid] = reader
    while children and time.monotonic() < until:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.01)
            continue
        reader = children.pop(pid)
        told = os.read(reader, 1 << 16)
        os.close(reader)
        if told:
            total.update(json.loads(told))
            continue
        died = os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 9
        kills, failed = kills + died, failed + (not died)
        pid, reader = fork(cell, chance.randrange(1 << 30), dies=kills < cell["kills"])
        children[pid] = reader
        if failed > 3:
            break
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {"kills": kills, "failed": failed, "late": len(children), **total}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
