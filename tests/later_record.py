"""Makes a record of a write-back buffer one of a later version of regionkit: its kind is one that nobody knows here."""

from __future__ import annotations

from typing import Any

import redis

from regionkit.caching.back.record import KIND, unpacked


def later_kind(server: Any, cache: str, key: bytes) -> None:
    """Of the key, wherever its record stands: among the dirty ones, and as the last entry of the log."""
    client = redis.Redis.from_url(server.primary.url)
    [dirty] = client.keys(f"*{cache}*:dirty")
    [(name, record)] = [(name, record) for name, record in client.hgetall(dirty).items() if name.endswith(key)]
    assert unpacked(record).known
    later = record[: KIND.start] + b"w" + record[KIND.stop :]
    client.hset(dirty, name, later)
    log = dirty.removesuffix(b"dirty") + b"log"
    if entries := client.xrevrange(log, count=1):
        [(id, _)] = entries
        epoch, _, number = id.partition(b"-")
        before = b"%b-%d" % (epoch, int(number) - 1)
        client.delete(log)
        client.xadd(log, {"x": ""}, id=before)
        client.xdel(log, before)
        client.xadd(log, {"n": name, "r": later}, id=id)
    client.close()
