"""What a write-back cache loses, and what it must not: power cuts, promotions, frozen flushers, a sink that is down, many keys.

A power cut is a kill, and a file that is cut to what was on disk: a library that the server is started with notes the file's
size at each fsync. `make campaign-write-back` makes it longer and larger.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import wait_until
from sqlalchemy import create_engine, text

from regionkit.caching import AsyncCache, AsyncSqlSink, Cache, Shared, SinkDown, SqlSink, WriteBack
from regionkit.caching.back import flushing_async
from regionkit.errors import Backpressure, DurabilityUnknown, RegionKitError
from regionkit.testing import FaultProxy

sys.path.insert(0, str(Path(__file__).parent))
from test_cancellation import Finished, cancelled_at
from write_back_children import table

sys.path.pop(0)

ZOMBIE = Path(__file__).with_name("write_back_zombie.py")
IN_FLIGHT = 2048
"""Bytes of a command that nobody has an answer to yet: the flusher sends some at any time."""
DOWN = float(os.environ.get("REGIONKIT_WRITE_BACK_DOWN", "3"))
"""Seconds that the sink is down."""
RATE = 2000
"""Puts a second meanwhile."""
KEYS = int(os.environ.get("REGIONKIT_WRITE_BACK_KEYS", "2000"))
"""Dirty at once."""
AOF = ("--appendonly", "yes", "--appendfsync")
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static int noted(const char *name, int fd) {
  struct stat before;
  int regular = fstat(fd, &before) == 0 && S_ISREG(before.st_mode);
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int answer = real(fd);
  const char *path = getenv("SYNCED");
  if (answer == 0 && regular && path) {
    char line[64];
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    int size = snprintf(line, sizeof line, "%llu %lld\n", (unsigned long long)before.st_ino, (long long)before.st_size);
    if (log >= 0) { if (write(log, line, size) < 0) abort(); close(log); }
  }
  return answer;
}
int fsync(int fd) { return noted("fsync", fd); }
int fdatasync(int fd) { return noted("fdatasync", fd); }
"""

pytestmark = [pytest.mark.slow, pytest.mark.redis]


@pytest.fixture
def database(data_path: Path) -> Iterator[Any]:
    """An engine with the table."""
    engine = create_engine(f"sqlite:///{data_path}/counts.db")
    table().metadata.create_all(engine)
    yield engine
    engine.dispose()


def cache_on(engine: Any, url: str, durability: str, **options: Any) -> Cache[dict[str, int]]:
    """As each process has it."""
    sink = SqlSink(engine, table(), key="id", version="rk_ver")
    strategy = WriteBack(**{"sink": sink, "durability": durability, "ttl": 300.0, "write_timeout": 5.0, **options})
    cache: Cache[dict[str, int]] = Cache("counts", dict, strategy=strategy, tiers=[Shared(url, timeout=1.0)])
    cache.create_tables()
    return cache


def rows(engine: Any) -> dict[str, int]:
    """Of the table."""
    with engine.connect() as db:
        return {key: n for key, n in db.execute(text("SELECT id, n FROM counts"))}


def drained(cache: Cache[Any]) -> None:
    """Flush, until all is clean: the server may have just been started."""

    def clean() -> bool:
        with suppress(RegionKitError):
            return bool(cache.flush(timeout=10.0))
        return False

    wait_until(clean, 60.0)


CUTS = 5
"""Power cuts, until one costs something."""


class PowerCut:
    """A server whose file can be cut to what was on disk."""

    def __init__(self, node: Any) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            if os.environ.get("CI"):
                pytest.fail("no C compiler: what a power cut costs is not tested")
            pytest.skip("no C compiler")
        self.folder = Path(tempfile.mkdtemp(prefix="synced"))
        self.folder.chmod(0o777)  # the server may run under another account
        (self.folder / "shim.c").write_text(SHIM)
        shim = self.folder / "shim.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, self.folder / "shim.c", "-ldl"], check=True)
        self.node, self.synced = node, self.folder / "synced"
        process = node._lifecycle
        words = process._command
        start = ["/usr/bin/env", f"LD_PRELOAD={shim}", f"SYNCED={self.synced}"]
        process._command = lambda: [*start, *words()]
        node.kill()
        node.start()

    def cut(self) -> int:
        """Kill the server, cut its file, start it; how many bytes were cut."""
        self.node.kill()
        last: dict[int, int] = {}
        for line in self.synced.read_text().splitlines():
            inode, size = map(int, line.split())
            last[inode] = max(size, last.get(inode, 0))
        lost = 0
        for path in Path(self.node.data).rglob("*.incr.aof"):
            found = path.stat()
            kept = last.get(found.st_ino, 0)
            lost += found.st_size - kept
            os.truncate(path, kept)
        self.node.start()
        return lost

    def end(self) -> None:
        """Take the library away."""
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.parametrize("durability", ["aof-everysec", "aof-always"])
def test_a_power_cut_costs_what_the_mode_says(own_redis: Callable[..., Any], database: Any, durability: str) -> None:
    """`aof-always` nothing; `aof-everysec` something, of the last two seconds: or the rig is blind."""
    server = own_redis(settings=[*AOF, durability.partition("-")[2]])
    power = PowerCut(server.primary)
    try:
        with cache_on(database, server.primary.url, durability) as cache:
            for number in range(CUTS):
                acknowledged: list[tuple[str, float]] = []
                end = time.monotonic() + 1.7
                while time.monotonic() < end:
                    key = f"k{number}.{len(acknowledged)}"
                    with suppress(Backpressure):  # it has just been started
                        cache.put(key, {"n": len(acknowledged)})
                        acknowledged.append((key, time.monotonic()))
                cut, at = power.cut(), time.monotonic()
                drained(cache)
                found = rows(database)
                lost = [since for key, since in acknowledged if key not in found]
                print(f"{durability}: {len(acknowledged)} acknowledged, {cut} bytes cut, {len(lost)} lost")
                assert len(acknowledged) > 50
                if lost or durability == "aof-always":
                    break  # else it was cut just after a flush
            if durability == "aof-always":
                assert not lost and cut < IN_FLIGHT
            else:
                assert lost and at - min(lost) <= 2.5  # the kill took a moment
            cache.put("k0.0", {"n": 10**6})
            drained(cache)
            assert rows(database)["k0.0"] == 10**6
    finally:
        power.end()


@pytest.mark.parametrize(("durability", "loses"), [("replicated", False), ("aof-everysec", True)])
def test_a_promotion_of_a_replica_that_was_cut_off(
    own_redis: Callable[..., Any], database: Any, durability: str, loses: bool
) -> None:
    """What a replica had to confirm is there; what the server alone had acknowledged is gone. Later puts win all the same."""
    server = own_redis(1, settings=[*AOF, "everysec", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "3600"])
    replica = server.replicas[0]
    with server.primary.client() as client:
        wait_until(lambda: client.info("replication").get("slave0", {}).get("state") == "online", 30.0)
    with FaultProxy(server.primary.url) as proxy, cache_on(database, proxy.url, durability, wait=0.3) as cache:
        acknowledged = {}
        for number in range(60):
            if number == 40:
                replica.pause_replay()
            try:
                cache.put(f"k{number % 50}", {"n": number})
            except DurabilityUnknown as unknown:
                assert unknown.version > 0
            else:
                acknowledged[f"k{number % 50}"] = number
            if number >= 43 and durability == "replicated":
                break  # each waits for its proof
        assert all(number < 40 for number in acknowledged.values()) is not loses
        server.primary.kill()
        replica._replication_link().cut()
        replica.promote()
        with replica.client() as client:
            client.config_set("min-replicas-to-write", 0)  # it has none yet
        proxy.target(replica.url)
        drained(cache)
        found = rows(database)
        lost = [key for key, number in acknowledged.items() if found.get(key, -1) < number]
        print(f"{durability}: {len(acknowledged)} acknowledged, {len(lost)} lost by the promotion")
        assert bool(lost) is loses
        if durability != "replicated":  # that wants a replica first
            cache.put("k0", {"n": 10**6})
            drained(cache)
            assert rows(database)["k0"] == 10**6


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "unguarded"])
def test_a_flusher_that_was_frozen_changes_nothing(
    own_redis: Callable[..., Any], database: Any, data_path: Path, guard: bool
) -> None:
    """It has claimed older values, and goes on when a later put and a delete are in the table. Unguarded it undoes both."""
    server = own_redis()
    cell = {"redis": server.primary.url, "url": f"sqlite:///{data_path}/counts.db", "guard": guard}
    with cache_on(database, server.primary.url, "memory") as cache:
        for key in ("over", "gone"):
            cache.put(key, {"n": 1})
        zombie = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(ZOMBIE), json.dumps(cell)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ZOMBIE.parents[2]), str(ZOMBIE.parent)))},
        )
        try:
            wait_until(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().split()[2] == "T", 60.0)
            cache.put("over", {"n": 2})
            cache.delete("gone")
            drained(cache)
            assert rows(database) == {"over": 2}
            os.kill(zombie.pid, signal.SIGCONT)
            assert zombie.wait(60.0) == 0
        finally:
            with suppress(ProcessLookupError):
                zombie.kill()
            zombie.wait()
        assert rows(database) == ({"over": 2} if guard else {"over": 1, "gone": 1})
        if guard:
            assert (cache.get("over"), cache.get("gone")) == ({"n": 2}, None)


@pytest.mark.timeout(300 + 10 * DOWN)
def test_a_sink_that_is_down_costs_neither_memory_nor_values(own_redis: Callable[..., Any], database: Any) -> None:
    """At two thousand puts a second: errors have their type, nothing grows beyond its bound, and all is written afterwards."""
    server = own_redis()
    with cache_on(database, server.primary.url, "memory", max_dirty=300, on_full=("raise",)) as cache:
        sink: Any = cache.strategy.sink
        flush, errors = sink.flush, list[str]()
        newest: list[dict[str, int]] = [{} for _ in range(4)]

        def down(*_: Any) -> Any:
            raise SinkDown("stopped")

        def put(number: int, end: float) -> None:
            step = 0
            began = time.monotonic()
            while time.monotonic() < end:
                step += 1
                key = f"{number}-{step % 500}"
                try:
                    cache.put(key, {"n": step})
                    newest[number][key] = step
                except Backpressure as full:
                    errors.append(str(full.committed))
                except Exception as error:
                    errors.append(repr(error))
                ahead = began + step * len(newest) / RATE - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)

        cache.put("first", {"n": 1})
        drained(cache)
        sink.flush = down
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        end = time.monotonic() + DOWN
        with cache.flusher():
            threads = [threading.Thread(target=put, args=(number, end)) for number in range(len(newest))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            state = cache.buffer()
            sink.flush = flush
            drained(cache)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        done = sum(map(len, newest)) and sum(max(each.values()) for each in newest)
        print(
            f"sink down for {DOWN:g} s: {done / DOWN:.0f} puts/s of {RATE}, {len(errors)} refused, {grown:.0f} MB more"
        )
        assert state.dirty <= 300 and state.oldest > DOWN / 2
        assert set(errors) <= {"no"}
        assert grown < 64
        found = rows(database)
        assert {key: found.get(key) for each in newest for key in each} == {k: n for e in newest for k, n in e.items()}


@pytest.mark.timeout(300 + KEYS / 50)
def test_many_dirty_keys_are_all_written(own_redis: Callable[..., Any], database: Any) -> None:
    """Each once."""
    server = own_redis()
    with cache_on(database, server.primary.url, "memory", max_dirty=KEYS, max_age=600.0) as cache:
        for number in range(KEYS):
            cache.put(f"k{number}", {"n": number})
        assert cache.buffer().dirty == KEYS
        began = time.monotonic()
        assert cache.flush(timeout=60.0 + KEYS / 100).clean
        print(f"{KEYS} dirty keys: {KEYS / (time.monotonic() - began):.0f} rows/s")
        assert cache.counters.flushed == KEYS
        with database.connect() as db:
            assert tuple(db.execute(text("SELECT count(*), sum(n) FROM counts")).one()) == (
                KEYS,
                KEYS * (KEYS - 1) // 2,
            )


STRIDE = int(os.environ.get("REGIONKIT_WRITE_BACK_STRIDE", "6"))
"""Each so many awaits; `make campaign-write-back` takes each one."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for_good"])
async def test_cancelled_at_every_await(
    own_redis: Callable[..., Any], data_path: Path, for_good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a put, an update, a delete and a flush: what comes next is not disturbed, and nothing that was acknowledged is lost."""
    from sqlalchemy.ext.asyncio import create_async_engine

    monkeypatch.setattr(flushing_async, "LEASE", 3.0)  # what a cancelled flush had claimed is waited for
    plain = create_engine(f"sqlite:///{data_path}/counts.db")
    table().metadata.create_all(plain)
    engine = create_async_engine(f"sqlite+aiosqlite:///{data_path}/counts.db")
    server = own_redis()
    strategy = WriteBack(sink=AsyncSqlSink(engine, table()), durability="memory", ttl=300.0)
    tiers = [Shared(server.primary.url, timeout=5.0)]
    async with AsyncCache("counts", dict, strategy=strategy, tiers=tiers) as cache:
        await cache.create_tables()
        await cache.put("a", {"n": 0})

        async def work(number: int) -> None:
            await cache.put("a", {"n": number})
            await cache.update("a", lambda now: {"n": 10 * now["n"]})  # type: ignore[index]
            await cache.put("b", {"n": number})
            await cache.delete("b")
            await cache.flush("a")

        step, number = 1 - STRIDE, 0
        while True:
            step, number = step + STRIDE, number + 1
            try:
                with pytest.raises(asyncio.CancelledError):
                    await cancelled_at(work(number), step, for_good=for_good)
            except Finished:
                break
            number += 1
            found = await asyncio.wait_for(cache.get("a"), 10)
            assert found is not None and found["n"] in {n * k for n in range(number) for k in (1, 10)}
            await asyncio.wait_for(cache.put("c", {"n": number}), 10)
            assert await asyncio.wait_for(cache.get("c"), 10) == {"n": number}
        print(f"cancelled at {(step - 1) // STRIDE} awaits of {step - 1} or less")
        assert step > 5
        await work(10**6)
        assert (
            await cache.flush(timeout=60.0)
        ).clean  # what a cancelled flush had claimed is due when the claim is over
        assert rows(plain) == {"a": 10**7, "c": number - 1}
        audit = await cache.back._parts.buffer.audit()
        assert (audit.wrong, audit.counted) == (0, audit.bytes)
    await engine.dispose()
    plain.dispose()
