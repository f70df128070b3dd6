"""The chapter on write-back: a flusher is killed in the middle of its work, then the server that buffers comes back empty.

A write-back buffer is a Redis or Valkey server: without servers the chapter only says so. The flusher is
`python -m regionkit.demo.settings FOLDER URL`: it kills itself when its rows are written and not committed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Engine, Integer, MetaData, String, Table, create_engine, func, select

from regionkit.caching import Cache, FileJournal, Shared, SqlSink, WriteBack
from regionkit.demo.narration import Narrator
from regionkit.errors import CacheError
from regionkit.testing import crash_points, servers

__all__ = ["tell_write_back"]

USERS, MOVES = 200, 3
LONGEST = 60.0
"""Seconds that the flusher may take until it is dead, and that the rows may take."""
SETTING = Table(
    "settings",
    MetaData(),
    Column("id", String(20), primary_key=True),
    Column("volume", Integer, nullable=False),
    Column("rk_ver", BigInteger, nullable=False, server_default="0"),
)


class Setting(msgspec.Struct, frozen=True):
    """What a slider says."""

    volume: int


def cache_in(folder: Path, url: str) -> tuple[Cache[Setting], Engine]:
    """As each process has it."""
    engine = create_engine(f"sqlite:///{folder}/settings.db")
    strategy = WriteBack(
        sink=SqlSink(engine, SETTING),
        durability="journal",
        journal=FileJournal(folder, unsafe_place=True),  # a temporary folder, for a demo
        ttl=300.0,
    )
    return Cache("settings", Setting, strategy=strategy, tiers=[Shared(url, timeout=2.0)]), engine


def tell_write_back(say: Narrator, *, real: bool) -> dict[str, Any]:
    """Tell the chapter; its figures."""
    if not real:
        say.step(
            "Write-back answers before the row is written. It needs a Redis or Valkey server, so it is not shown here: "
            "--real kills its flusher in the middle of its work, and empties the server.",
            "regionkit demo --real",
        )
        return {"settings_put": 0, "settings_lost": 0}
    with tempfile.TemporaryDirectory(prefix="regionkit-demo-") as name, servers.redis() as redis:
        folder = Path(name)
        cache, engine = cache_in(folder, redis.primary.url)
        with cache:
            SETTING.metadata.create_all(engine)
            cache.create_tables()
            figures = _put(say, cache) | _killed(say, engine, folder, redis.primary.url)
            redis.primary.kill()
            redis.primary.start()
            figures |= _replayed(say, cache, engine)
        engine.dispose()
        return figures


def _put(say: Narrator, cache: Cache[Setting]) -> dict[str, Any]:
    began = time.monotonic()
    for move in range(1, MOVES + 1):
        for user in range(USERS):
            receipt = cache.put(f"user-{user}", Setting(move))
    say.step(
        f"Sliders of {USERS} users move {MOVES} times. Each put answers when a Redis server and a journal on this disk have "
        f'it: "{receipt.durable_in.partition(" ")[0]}". No row is written yet.',
        'WriteBack(sink=..., durability="journal"); cache.put(user, Setting(3))',
        time.monotonic() - began,
    )
    return {"settings_put": USERS * MOVES}


def _killed(say: Narrator, engine: Engine, folder: Path, url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "regionkit.demo.settings", str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as flusher:
        try:
            code = flusher.wait(LONGEST)
        finally:
            flusher.kill()
    rows = _rows(engine)[0]
    say.step(
        f"A flusher in another process is killed (exit code {code}) when its rows are written, and not committed: the "
        f"table has {rows or 'none'} of them. And the Redis server is killed, and comes back empty.",
        "cache.flusher()  # SIGKILL",
    )
    return {"settings_rows_after_kill": rows, "settings_flusher": code}


def _replayed(say: Narrator, cache: Cache[Setting], engine: Engine) -> dict[str, Any]:
    began = time.monotonic()
    clean = _flushed(cache)
    seconds = time.monotonic() - began
    rows, least = _rows(engine)
    lost = USERS - rows if clean and least == MOVES else USERS
    say.step(
        f"The journal is replayed: {rows} of {USERS} users have a row, with the last move of each. "
        f"{lost or 'None'} of what was acknowledged is lost.",
        "cache.flush()",
        seconds,
    )
    return {"settings_lost": lost}


def _flushed(cache: Cache[Setting]) -> bool:
    """Whether all is written; the server has just been started."""
    until = time.monotonic() + LONGEST
    while True:
        try:
            return cache.flush(timeout=LONGEST).clean
        except CacheError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _rows(engine: Engine) -> tuple[int, int]:
    """How many there are, and the least of their values."""
    with engine.connect() as db:
        count, least = db.execute(select(func.count(), func.min(SETTING.c.volume))).one()
    return count, least or 0


if __name__ == "__main__":
    with crash_points({"sink.written": "kill"}):
        _cache, _engine = cache_in(Path(sys.argv[1]), sys.argv[2])
        _cache.flush(timeout=LONGEST)
