"""What a Redis server says of itself: INFO and the history key as one observation. Pure.

1. A position is a replication offset. It counts only in the replication id (`master_replid`) that the newest history row
   was written under: that id is the row's origin.
2. What is known is known of one run *and* one replication id: a server that was demoted and promoted again keeps its
   `run_id`, and may have lost what it had.
3. A promotion is proved by the server itself: its second replication id is the origin of the parent row, and its
   `second_repl_offset` is the first offset that is not shared, so the fork is one less.
4. An id also changes without a promotion: when the first replica is attached, and when all were away for
   `repl-backlog-ttl`. Then there is no second id. The same run as that of the parent row lost nothing.
5. After a restart from an append-only file there is another run and no second id, and offsets start again. The data are complete
   up to the last mark in them; what came later is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from regionkit.core.deadline import FOREVER
from regionkit.facts.history import HistoryRow, lineage_of
from regionkit.facts.observation import Observation
from regionkit.topology import Role

__all__ = [
    "NO_ID",
    "Distance",
    "StoredRow",
    "fork_of",
    "info_of",
    "marked_in",
    "observation_of",
    "position_in",
    "row_of",
    "rows_of",
    "stored",
]

NO_ID = "0" * 40
"""What a server says for a second replication id that it does not have."""


class Distance:
    """How far a server is, for all connections to it. `rtt`: the least that a round trip has taken, seconds.

    A busy client takes it for farther than it is: one reading of one connection says little.
    """

    __slots__ = ("rtt",)

    def __init__(self) -> None:
        self.rtt = FOREVER


class StoredRow(msgspec.Struct, frozen=True):
    """A history row in its key. `run`: the run of the server that it was written on."""

    history: str
    parent: str | None
    fork: int | None
    epoch: int
    origin: str
    run: str


def stored(row: HistoryRow, run: str) -> bytes:
    """A row as it is kept."""
    assert row.fork is None or isinstance(row.fork, int)
    return msgspec.json.encode(StoredRow(row.history, row.parent, row.fork, row.epoch, row.origin, run))


def rows_of(values: Iterable[bytes]) -> list[StoredRow]:
    """The rows in the values of the history key."""
    return [msgspec.json.decode(value, type=StoredRow) for value in values]


def row_of(row: StoredRow) -> HistoryRow:
    """A kept row as routing knows it."""
    return HistoryRow(row.history, row.parent, row.fork, row.epoch, row.origin)


def info_of(text: bytes) -> dict[str, str]:
    """The fields of an INFO reply."""
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def position_in(info: dict[str, str]) -> int | None:
    """The offset a server has come to; None before a replica was ever attached."""
    primary = info.get("role") == "master"
    offset = int(info.get("master_repl_offset" if primary else "slave_repl_offset", "0"))
    return offset or None


def observation_of(info: dict[str, str], rows: list[StoredRow], run: str, sent_at: float, rtt: float) -> Observation:
    """One answer of a server about itself; `rows` were read just before `info`.

    What it may have shown is what it has for sure: it counts a command in the same step in which it shows it.
    """
    origin, reached = info.get("master_replid", ""), position_in(info)
    return Observation(
        role=Role.PRIMARY if info.get("role") == "master" else Role.REPLICA,
        incarnation=f"{run}/{origin}",
        lineage=lineage_of([row_of(row) for row in rows]),
        origin=origin,
        reached=reached,
        sent_at=sent_at,
        rtt=rtt,
        shown=reached,
    )


def fork_of(info: dict[str, Any], run: str, parent: StoredRow) -> int | None:
    """Up to where the history of `parent` survived on this primary; None when the server does not prove it."""
    if info.get("role") != "master":
        return None
    second, offset = info.get("master_replid2", NO_ID), int(info.get("second_repl_offset", "-1"))
    if second == parent.origin and offset > 0:
        return offset - 1
    if second == NO_ID and run == parent.run:
        return position_in(info) or 0
    return None


def marked_in(mark: bytes | None, origin: str) -> int:
    """Up to which offset of a replication id the data are whole, by the mark in them; 0 where it says nothing of that id."""
    words = (mark or b"").decode("ascii", "replace").split()
    return int(words[1]) if len(words) == 4 and words[0] == origin and words[1].isdigit() else 0
