"""What holds for all kinds of servers: they start together, leave nothing, survive lost races, die with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fix_servers import absent

from regionkit.testing import servers
from regionkit.testing.servers import process
from regionkit.testing.servers.kinds.redis import RedisServers
from regionkit.testing.servers.nodes import wait_until


@pytest.mark.postgresql
@pytest.mark.mariadb
@pytest.mark.redis
def test_a_fleet_starts_together_and_leaves_nothing() -> None:
    """All are up with their replicas, and all processes and folders are gone afterwards."""
    try:
        with servers.fleet(postgresql=2, mariadb=1, redis=1) as fleet:
            assert (len(fleet.postgresql.replicas), len(fleet.mariadb.replicas), len(fleet.redis.replicas)) == (2, 1, 1)
            folders = [Path(str(part._workspace)) for part in (fleet.postgresql, fleet.mariadb, fleet.redis)]
            nodes = [*fleet.postgresql.nodes, *fleet.mariadb.nodes, *fleet.redis.nodes]
            with pytest.raises(AttributeError, match="mongodb"):
                fleet.mongodb  # type: ignore[attr-defined]
    except servers.ServerUnavailable as error:
        absent(str(error))
    assert not any(node.alive for node in nodes)
    assert not any(folder.exists() for folder in folders)


def test_an_unknown_kind_is_refused() -> None:
    """The error lists the kinds there are."""
    with pytest.raises(TypeError, match="postgresql"), servers.fleet(oracle=1):
        pass


@pytest.mark.redis
def test_a_lost_race_for_a_port_is_run_again(
    redis_server: RedisServers, own_redis: Callable[..., RedisServers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose port was taken meanwhile starts on another one, and is not taken for the one that has it."""
    offers = iter([redis_server.primary.port, process.free_port()])
    monkeypatch.setattr("regionkit.testing.servers.nodes.free_port", lambda: next(offers))
    assert own_redis().primary.port != redis_server.primary.port


@pytest.mark.redis
def test_servers_die_with_a_killed_test_process(redis_server: RedisServers) -> None:
    """SIGKILL of the test process takes its servers with it, although they were started from a thread that ended."""
    script = """
import threading, time
from regionkit.testing import servers
made = servers.redis()
thread = threading.Thread(target=made.__enter__)
thread.start()
thread.join()
time.sleep(0.2)
print(made.primary.alive, made.primary._lifecycle._process.pid, made._workspace, flush=True)
time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as test:
        assert test.stdout is not None
        alive, pid, folder = test.stdout.readline().split()
        test.send_signal(signal.SIGKILL)
    assert alive == "True"
    wait_until(lambda: not process._runs(int(pid)), "the server has died", 5)
    subprocess.run(["rm", "-rf", folder], check=True)
