"""What a stream's scripts answer, and what is handed to them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from regionkit.messaging.sources.values import Delivery

__all__ = ["Receipt", "in_order", "notes_of", "read"]

Receipt = tuple[bytes, int]
"""An entry's id, and which of its deliveries it is."""


def read(flat: Sequence[Any]) -> list[Delivery]:
    """Deliveries of (id, count, body or fields). What has no field "rk" is nobody's envelope, and its fields are the body."""
    return [
        Delivery(
            (id, int(count)),
            body if isinstance(body, bytes) else msgspec.msgpack.encode(body),
            int(count) - 1,
            id.decode(),
        )
        for id, count, body in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ]


def in_order(receipts: Sequence[Receipt]) -> list[Receipt]:
    """In the order of the stream."""
    return sorted(receipts, key=lambda receipt: tuple(map(int, receipt[0].split(b"-"))))


def notes_of(told: Sequence[bytes]) -> tuple[str, ...]:
    """What INFO (server, memory, persistence) says that is not covered."""
    info = dict(line.split(":", 1) for text in told for line in text.decode().splitlines() if ":" in line)
    notes = []
    policy = info.get("maxmemory_policy", "")
    if info.get("maxmemory", "0") != "0" and policy.startswith("allkeys"):
        notes.append(f"maxmemory-policy {policy}: the server may evict the whole stream; set noeviction")
    if info.get("aof_enabled") != "1":
        notes.append("no append-only file: a restart loses what came after the last snapshot, or all")
    else:
        notes.append("a crash of the server loses what appendfsync has not written, normally one second")
    if int(info.get("redis_version", "0").partition(".")[0]) < 7:
        notes.append("before Redis 7 a trim of undelivered entries goes unnoticed")
    return tuple(notes)
