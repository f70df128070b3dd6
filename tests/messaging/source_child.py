"""A consumer in a process of its own, told by lines what to do: it is stopped and killed by tests.

`fetch N SECONDS`, `ack N` (of what it holds, the first ones), `race SECONDS` (claim and acknowledge one by one).
Each answers a line.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import sqlalchemy

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.sources import RedisStream, SqlQueue


def source_of(url: str, lease: float) -> Any:
    """A member of group "billing"."""
    if url.startswith("redis"):
        return RedisStream(url, "orders", group="billing", lease=lease)
    return SqlQueue(sqlalchemy.create_engine(url), "orders", group="billing", lease=lease)


def main(url: str, lease: str) -> None:
    """Until the input ends."""
    source = source_of(url, float(lease))
    source.open(Deadline(SYSTEM_CLOCK, 30.0))
    held: list[Any] = []
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["fetch", most, seconds]:
                held += source.fetch(int(most), float(seconds))
                print(*(delivery.body.decode() for delivery in held), flush=True)
            case ["ack", count]:
                print(source.ack(held[: int(count)]), flush=True)
                del held[: int(count)]
            case ["race", seconds]:
                done, until = 0, time.monotonic() + float(seconds)
                while time.monotonic() < until:
                    done += source.ack(source.fetch(1, 0.0))
                print(done, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
