"""A real Memcached server of this machine: started, frozen, killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fix_servers import absent

PATIENCE = 20.0
"""Seconds until a server that does not come up is given up."""


class MemcachedServer:
    """One server."""

    def __init__(self, program: str) -> None:
        self._program = program
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"memcached://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Empty."""
        words = [self._program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-u", "nobody", "-m", "64"]
        self._process = subprocess.Popen(words)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                assert time.monotonic() < until, "memcached does not listen"
                time.sleep(0.01)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        while any((task / "stat").read_text().rpartition(")")[2].split()[0] != "T" for task in tasks.iterdir()):
            time.sleep(0.001)  # its threads stop one after the other

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def say(self, line: bytes) -> bytes:
        """The answer to one line, said on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), 5.0) as made:
            made.sendall(line + b"\r\n")
            return made.recv(65_536)


@pytest.fixture(scope="module")
def memcached() -> Iterator[MemcachedServer]:
    """A server for this module."""
    program = shutil.which("memcached")
    if program is None:
        absent("there is no memcached on this machine: apt-get install memcached")
    server = MemcachedServer(program)
    yield server
    server.thaw()
    server.kill()
