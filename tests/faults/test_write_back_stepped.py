"""Write-back in processes that fork while they put, and on a server whose clock is set an hour forward and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import wait_until
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).parent))
from write_back_children import cache_of, table

sys.path.pop(0)

FORKS = Path(__file__).with_name("write_back_forks.py")
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long step(void) {
  char text[32] = {0};
  const char *path = getenv("STEP");
  int fd = path ? open(path, O_RDONLY) : -1;
  if (fd < 0) return 0;
  if (read(fd, text, 31) < 0) text[0] = 0;
  close(fd);
  return atol(text);
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  int (*real)(struct timeval *, void *) = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
  int answer = real(at, zone);
  if (answer == 0 && at) at->tv_sec += step();
  return answer;
}
int clock_gettime(clockid_t of, struct timespec *at) {
  int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(of, at);
  if (answer == 0 && of == CLOCK_REALTIME) at->tv_sec += step();
  return answer;
}
"""

pytestmark = [pytest.mark.slow, pytest.mark.redis]


def cell_of(server: Any, durability: str, folder: Path) -> dict[str, Any]:
    """With its table."""
    cell = {"redis": server.primary.url, "url": f"sqlite:///{folder}/counts.db", "durability": durability}
    cell["folder"] = str(folder)
    engine = create_engine(cell["url"])
    table().metadata.create_all(engine)
    engine.dispose()
    with cache_of(cell) as cache:
        cache.create_tables()
    return cell


def rows(cell: dict[str, Any]) -> dict[str, int]:
    """Of the table."""
    engine = create_engine(cell["url"])
    with engine.connect() as db:
        found = {key: n for key, n in db.execute(text("SELECT id, n FROM counts"))}
    engine.dispose()
    return found


@pytest.mark.timeout(180)
@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_children_that_fork_while_puts_are_under_way(
    own_redis: Callable[..., Any], tmp_path: Path, durability: str
) -> None:
    """Parent and children put on: each has connections, jobs and a journal of its own, and nothing is lost."""
    server = own_redis()
    cell = cell_of(server, durability, tmp_path)
    paths = os.pathsep.join((str(FORKS.parents[2]), str(FORKS.parent)))
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(FORKS), json.dumps(cell)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=150,
    )
    lines = [line.split(maxsplit=2) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert not [words for words in lines if words[0] in ("misread", "error")]
    assert {words[2] for words in lines if words[0] == "exit"} == {"0"}
    if durability == "journal":  # what processes left behind is all there is
        server.primary.kill()
        server.primary.start()
    with cache_of(cell) as cache:
        wait_until(lambda: bool(cache.flush(timeout=20.0)), 60.0)
    newest = {words[1]: int(words[2]) for words in lines if words[0] == "ok"}
    assert {key[0] for key in newest} == {"t", "c"}
    found = rows(cell)
    assert {key: found.get(key) for key in newest} == newest


@pytest.fixture
def stepped(own_redis: Callable[..., Any]) -> Iterator[tuple[Any, Callable[[int], None]]]:
    """A server, and what sets its clock, by seconds from the real one."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler: what a clock that is set does is not tested")
        pytest.skip("no C compiler")
    folder = Path(tempfile.mkdtemp(prefix="clock"))
    folder.chmod(0o777)  # the server may run under another account
    (folder / "shim.c").write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    server = own_redis()
    process = server.primary._lifecycle
    words = process._command
    process._command = lambda: ["/usr/bin/env", f"LD_PRELOAD={folder / 'shim.so'}", f"STEP={folder / 'step'}", *words()]
    server.primary.kill()
    server.primary.start()

    def step(seconds: int) -> None:
        (folder / "next").write_text(str(seconds))
        (folder / "next").rename(folder / "step")
        with server.primary.client() as client:
            assert abs(client.time()[0] - time.time() - seconds) < 60, "the server has its own clock still"

    yield server, step
    shutil.rmtree(folder)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("hour", [3600, -3600])
def test_a_clock_that_is_set_changes_neither_order_nor_ages(stepped: Any, tmp_path: Path, hour: int) -> None:
    """Versions rise, readers see the last put, a claim ends in its time, and no row is said to be an hour behind."""
    server, step = stepped
    step(0)
    cell = cell_of(server, "memory", tmp_path)
    with cache_of(cell) as cache:
        before = cache.put("a", {"n": 1})
        buffer = cache.back._parts.buffer  # type: ignore[union-attr]
        [claimed] = buffer.claim(10, 1.0, 20.0, os.urandom(16)).records
        cache.put("b", {"n": 1})
        step(hour)
        after = cache.put("a", {"n": 2})
        assert after.version > before.version
        assert cache.get("a") == {"n": 2}
        assert cache.buffer().oldest < 60.0
        assert buffer.ack([claimed])[0].value == "again"
        names = {one.record.key for one in buffer.claim(10, 1.0, 20.0, os.urandom(16)).records}
        assert names == {"a", "b"}

        def due() -> bool:
            return {one.record.key for one in buffer.claim(10, 1.0, 20.0, os.urandom(16)).records} == {"a", "b"}

        wait_until(due, 20.0)  # not after an hour
        step(0)
        last = cache.put("a", {"n": 3})
        assert last.version > after.version
        assert cache.buffer().oldest < 60.0
        wait_until(lambda: bool(cache.flush(timeout=5.0)), 40.0)
        assert rows(cell) == {"a": 3, "b": 1}
        assert cache.get("a") == {"n": 3}
