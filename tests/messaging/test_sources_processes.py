"""Consumers that are stopped, killed and set going again; brokers that go away. Real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from regionkit.errors import RegionUnavailable

from .source_child import source_of
from .source_engines import url_of
from .source_rigs import drained, soon

KINDS = ("redis", "postgresql", "mariadb", "sqlite")
LEASE = 1.0
RACE = 1.5
"""Seconds of a race for turns: some hundred of them."""


class Child:
    """A consumer in a process."""

    def __init__(self, url: str, lease: float = LEASE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.source_child", url, str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])},
        )

    def answer(self) -> str:
        """The next line; a child that died has none."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, what: str) -> None:
        """A command."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def ask(self, what: str) -> str:
        """A command, and its answer."""
        self.say(what)
        return self.answer()

    def end(self) -> None:
        """However it stands."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def children() -> Iterator[Callable[..., Child]]:
    """Makes consumers; they end with the test."""
    made: list[Child] = []

    def make(url: str, lease: float = LEASE, count: int = 1) -> Any:
        new = [Child(url, lease) for _ in range(count)]
        made.extend(new)
        assert [child.answer() for child in new] == ["ready"] * count
        return new[0] if count == 1 else new

    yield make
    for child in made:
        child.end()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, data_path: Path) -> str:
    """Of an empty queue."""
    if request.param == "redis":
        found: str = request.getfixturevalue("redis_server").primary.url
        with redis.Redis.from_url(found) as client:
            client.delete("orders")
        return found
    return prepared(url_of(request.param, request, data_path))


def prepared(url: str) -> str:
    """With its table."""
    queue = source_of(url, LEASE)
    queue.create_tables()
    queue.close()
    return url


def publish(source: Any, *bodies: bytes) -> None:
    assert all(sent.confirmed for sent in source.publish([(None, body) for body in bodies], soon()))


def test_a_process_that_slept_beyond_its_lease_changes_nothing(url: str, children: Callable[..., Any]) -> None:
    """Promise 3, by SIGSTOP and SIGCONT: another one has its message, and only that one's acknowledgement counts."""
    source = source_of(url, LEASE)
    source.open(soon())
    publish(source, b"a", b"b")
    child = children(url)
    assert child.ask("fetch 1 10") == "a"
    child.process.send_signal(signal.SIGSTOP)
    mine = drained(source, 2)
    assert sorted((delivery.body, delivery.again) for delivery in mine) == [(b"a", 1), (b"b", 0)]
    child.process.send_signal(signal.SIGCONT)
    source.extend(mine)
    assert child.ask("ack 1") == "0"
    assert source.ack(mine) == 2
    source.close()


def test_what_a_killed_process_had_comes_again(url: str, children: Callable[..., Any]) -> None:
    """Promise 1, by SIGKILL in the middle of a batch: all but what it had acknowledged."""
    source = source_of(url, LEASE)
    source.open(soon())
    publish(source, *(b"%d" % n for n in range(10)))
    child = children(url)
    assert child.ask("fetch 10 10").split() == [str(n) for n in range(10)]
    assert child.ask("ack 4") == "4"
    child.process.kill()
    child.process.wait()
    found = drained(source, 6)
    assert sorted(delivery.body for delivery in found) == [b"%d" % n for n in range(4, 10)]
    assert {delivery.again for delivery in found} == {1}
    assert source.ack(found) == 6
    source.close()


def test_four_processes_share_a_file_fairly(tmp_path: Path, children: Callable[..., Any]) -> None:
    """Rule 27: none of them starves, and no message is claimed twice."""
    url = prepared(f"sqlite:///{tmp_path / 'queue.db'}")
    source = source_of(url, 60.0)
    count = 4000
    publish(source, *(b"%d" % n for n in range(count)))
    all_four = children(url, 60.0, 4)
    for child in all_four:
        child.say(f"race {RACE}")
    done = [int(child.answer()) for child in all_four]
    assert min(done) > 0 and max(done) <= 3 * min(done), done
    left = 0
    while found := source.fetch(1000, 0.0):
        left += source.ack(found)
    assert sum(done) + left == count
    source.close()


def away(source: Any, seconds: float, back: Callable[[], Any]) -> None:
    """The broker is away: every call says so; then it is back, and the source goes on."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with pytest.raises(RegionUnavailable) as raised:
            source.fetch(1, 0.1)
        assert raised.value.retryable
        time.sleep(0.05)
    with pytest.raises(RegionUnavailable) as raised:
        source.publish([(None, b"x")], soon(2.0))
    assert raised.value.committed in ("no", "unknown")
    back()


def gone_on(source: Any, count: int) -> list[Any]:
    """So many deliveries, from the time on when the source answers again."""
    found, until = [], time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < until, found
        try:
            found += source.fetch(count, 0.5)
        except RegionUnavailable:
            time.sleep(0.1)
    return found


def test_redis_gone_for_a_while(own_redis: Callable[..., Any]) -> None:
    """Killed and started anew with its append-only file: what was pending is pending, and the group goes on where it was."""
    servers = own_redis(settings=["--appendonly", "yes", "--appendfsync", "always"])
    source, other = source_of(servers.primary.url, 2.0), source_of(servers.primary.url, 2.0)
    source.open(soon())
    other.open(soon())
    publish(source, b"a", b"b", b"c")
    first = drained(source, 1)
    servers.primary.kill()
    away(source, 2.5, servers.primary.start)
    found = gone_on(other, 3)
    assert sorted(delivery.body for delivery in found) == [b"a", b"b", b"c"]
    assert source.ack(first) == 0
    assert other.ack(found) == 3
    source.close()
    other.close()


def test_redis_frozen_for_a_while(own_redis: Callable[..., Any]) -> None:
    """It takes connections and answers nothing: a call ends all the same, and says so."""
    servers = own_redis()
    source = source_of(servers.primary.url, 30.0)
    source.open(soon())
    publish(source, b"a")
    servers.primary.freeze()
    began = time.monotonic()
    away(source, 0.1, servers.primary.thaw)
    assert time.monotonic() - began < 40.0
    found = gone_on(source, 1)
    assert found[0].body in (b"a", b"x")
    with servers.primary.client() as client:
        assert client.xlen("orders") <= 2  # what was sent and not answered was not sent again
    source.close()


def test_postgresql_gone_for_a_while(own_pg: Callable[..., Any]) -> None:
    """Killed and started anew: what was claimed comes again after its lease."""
    servers = own_pg()
    url = prepared(servers.primary.url_for(servers.database()))
    source = source_of(url, 2.0)
    source.open(soon())
    publish(source, b"a", b"b")
    first = drained(source, 1)
    servers.primary.kill()
    away(source, 2.5, servers.primary.start)
    found = gone_on(source, 2)
    assert sorted(delivery.body for delivery in found) == [b"a", b"b"]
    assert source.ack(first) == 0
    assert source.ack(found) == 2
    source.close()
