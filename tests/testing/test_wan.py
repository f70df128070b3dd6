"""Distances, cuts and regions of the wide-area network, over real sockets in namespaces; skipped where none can be made."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regionkit.testing import Wan, WanUnavailable, servers, wan
from regionkit.testing.servers.kinds.cassandra import CassandraServers
from regionkit.testing.servers.nodes import wait_until
from regionkit.testing.servers.process import _runs

PATIENCE = 20.0
RTT = 0.06


@pytest.fixture(scope="module")
def net() -> Iterator[Wan]:
    """Three regions."""
    try:
        made = Wan(["us", "eu", "kr"])
    except WanUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made


@pytest.fixture
def near(net: Wan) -> Iterator[Wan]:
    """The three regions, nothing wrong between them."""
    yield net
    net.latency(0.0)
    net.heal()


@pytest.fixture(scope="module")
def echo(net: Wan) -> Iterator[tuple[str, int]]:
    """The address of something in "eu" that answers each byte with one."""
    with net.inside("eu"):
        server = socket.create_server((net.address("eu", 2), 0))
    here: tuple[str, int] = server.getsockname()

    def serve() -> None:
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(link,), daemon=True).start()

    def answer(link: socket.socket) -> None:
        with link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := link.recv(100):
                link.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield here
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def _dialled(net: Wan, region: str, where: tuple[str, int]) -> socket.socket:
    with net.inside(region):
        link = socket.create_connection(where, PATIENCE)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _asked(link: socket.socket) -> float:
    began = time.monotonic()
    link.sendall(b"x")
    assert link.recv(1) == b"x"
    return time.monotonic() - began


def _space() -> str:
    """The namespace that this thread is in."""
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_a_round_trip_takes_twice_the_latency(near: Wan, echo: tuple[str, int]) -> None:
    """Between the regions that were named, each way; others stay near."""
    near.latency(RTT / 2.0, "us", "eu")
    with _dialled(near, "us", echo) as far, _dialled(near, "kr", echo) as close:
        far_times, close_times = [_asked(far) for _ in range(9)], [_asked(close) for _ in range(9)]
    assert min(far_times) >= RTT
    assert statistics.median(close_times) < RTT < statistics.median(far_times)


def test_a_latency_without_names_is_everywhere(near: Wan, echo: tuple[str, int]) -> None:
    """Between all regions."""
    near.latency(RTT / 2.0)
    for region in ("us", "kr"):
        with _dialled(near, region, echo) as link:
            assert _asked(link) >= RTT


def test_a_cut_is_silence_until_it_heals(near: Wan, echo: tuple[str, int]) -> None:
    """What was sent meanwhile arrives after all, as TCP sends it again; others go on."""
    with _dialled(near, "us", echo) as cut, _dialled(near, "kr", echo) as whole:
        near.cut("us")
        cut.settimeout(0.3)
        cut.sendall(b"x")
        with pytest.raises(TimeoutError):
            cut.recv(1)
        _asked(whole)
        near.heal()
        cut.settimeout(PATIENCE)
        assert cut.recv(1) == b"x"


def test_what_is_started_inside_stays_there(near: Wan, echo: tuple[str, int]) -> None:
    """A thread is where it was before, threads and processes that were started inside stay there."""
    code = f"import socket; socket.create_connection({echo!r}, {PATIENCE}).close()"
    seen: list[str] = []

    def here() -> None:
        seen.append(_space())

    before = _space()
    with near.inside("us"):
        inside = _space()
        thread = threading.Thread(target=here)
        subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
        thread.start()
        thread.join()
    assert _space() == before != inside
    assert seen == [inside]


def test_addresses_are_those_of_the_region(net: Wan) -> None:
    """A region or host that is not there is an error."""
    assert (net.address("us"), net.address("kr", 9)) == ("10.77.1.1", "10.77.3.9")
    with pytest.raises(KeyError):
        net.address("mars")
    with pytest.raises(ValueError, match="host must be 1 to 9"):
        net.address("us", 10)


@pytest.mark.parametrize("regions", [[], ["us", "us"]])
def test_regions_are_checked(regions: list[str]) -> None:
    """None, or one twice."""
    with pytest.raises(ValueError, match="different names"):
        Wan(regions)


def test_where_there_are_no_namespaces_the_error_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own word, and the rights."""

    def refuse(name: str, *args: int) -> None:
        if name == "unshare":
            raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(wan, "_call", refuse)
    with pytest.raises(WanUnavailable, match=r"not permitted.*CAP_NET_ADMIN"):
        Wan(["us"])


def test_the_carrier_dies_with_a_killed_test_process(net: Wan) -> None:
    """Nothing is left behind."""
    script = "import time; from regionkit.testing import Wan; w = Wan(['us']); print(w._carrier.pid, flush=True); time.sleep(60)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as test:
        assert test.stdout is not None
        carrier = int(test.stdout.readline())
        assert _runs(carrier)
        test.send_signal(signal.SIGKILL)
    wait_until(lambda: not _runs(carrier), "the carrier has ended")


def test_cassandra_runs_in_its_regions(near: Wan, own_cassandra: Callable[..., CassandraServers]) -> None:
    """A node stands at its region's address, and is reached from other regions."""
    cluster = own_cassandra({"us": 1}, wan=near)
    assert cluster.nodes[0].host == near.address("us")
    assert cluster.nodes[0].cql("SELECT data_center FROM system.local") == [("us",)]
    with near.inside("kr"):
        socket.create_connection((cluster.nodes[0].host, cluster.nodes[0].port), PATIENCE).close()


def test_servers_of_others_are_on_no_wan(near: Wan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster given by URL is not moved into it."""
    monkeypatch.setenv("REGIONKIT_TEST_CASSANDRA_URL", "cassandra://127.0.0.1:1/test")
    with pytest.raises(servers.ServerUnavailable, match="On a Wan"):
        servers.cassandra({"us": 1}, wan=near).__enter__()
