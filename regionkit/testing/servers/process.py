"""Starts, freezes and ends server processes so that none of them outlives the test process.

Two rules matter. Servers die with the test process even when that one is killed: PR_SET_PDEATHSIG fires when the
*thread* that forked ends, so one thread that never ends forks them all. Freezing and killing act on the process
*tree*, because every PostgreSQL backend calls setsid() and leaves the process group.
"""

from __future__ import annotations

import functools
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_LOG_TAIL = 3000
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0

# Runs in the child in place of preexec_fn, which Python 3.12 warns about in a process with threads. The order matters:
# a change of user clears the death signal, and a parent that died before prctl() would never be noticed.
_TRAMPOLINE = """
import ctypes, os, signal, sys
parent, uid, gid = (int(word) for word in sys.argv[1:4])
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
os.execv(sys.argv[4], sys.argv[4:])
"""


class ServerStartError(RuntimeError):
    """A server process ended, or stayed silent, instead of answering; the message holds the end of its log."""

    def __init__(self, name: str, what: str, log: str) -> None:
        super().__init__(f"{name} {what}. Its log ends with:\n{log}")
        self.port_taken = "Address already in use" in log


class Lifecycle(Protocol):
    """What can be done to one server, whatever runs it: a process here, a container, somebody else."""

    @property
    def alive(self) -> bool:
        """Whether the server runs; a frozen one does."""

    @property
    def frozen(self) -> bool:
        """Whether the server was frozen and not thawed since."""

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the server and return once `ready()` is true."""

    def stop(self) -> None:
        """Shut the server down in order."""

    def kill(self) -> None:
        """End the server at once, as a power cut would."""

    def freeze(self) -> None:
        """Keep the server from doing anything, its connections open."""

    def thaw(self) -> None:
        """Let a frozen server go on."""

    def close(self) -> None:
        """Give everything back; the server will not be needed again."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that servers run as when the tests run as root."""

    uid: int
    gid: int
    name: str


@functools.cache
def account() -> Account | None:
    """Return the account to run servers as, or None when this process is unprivileged already.

    `REGIONKIT_TEST_USER` names it; the default is "nobody". It must exist in passwd, because initdb asks for its name.
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(os.environ.get("REGIONKIT_TEST_USER", "nobody"))
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def environment(home: Path) -> dict[str, str]:
    """Return this process' environment without what would steer a server or its tools, and with a plain locale."""
    steering = ("PG", "MYSQL", "MARIADB", "LC_", "LANG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    kept.update(HOME=str(home), LC_ALL="C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8")
    if who := account():
        kept.update(USER=who.name, LOGNAME=who.name)
    return kept


def run_tool(command: Sequence[str | Path], home: Path) -> str:
    """Run a tool of a server (initdb, pg_rewind, ...) as the servers' account and return what it printed.

    Raises:
        ServerStartError: The tool failed.
    """
    words = [str(word) for word in command]
    switch = _switch_user()
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        check=False, cwd="/", env=environment(home), **switch,
    )  # fmt: skip
    if done.returncode:
        raise ServerStartError(Path(words[0]).name, f"failed with status {done.returncode}", done.stdout[-_LOG_TAIL:])
    return done.stdout


def _switch_user() -> dict[str, Any]:
    who = account()
    return {"user": who.uid, "group": who.gid, "extra_groups": []} if who else {}


def executable_by_account(program: Path) -> bool:
    """Say whether the servers' account may execute `program` (it may not below a home of mode 700)."""
    test = shutil.which("test") or "/usr/bin/test"
    return subprocess.run([test, "-x", str(program)], check=False, **_switch_user()).returncode == 0


def free_port() -> int:
    """Return a TCP port that nobody listens on now. Another process may take it first: be ready to try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Launcher(threading.Thread):
    """The thread that forks every server; it ends with the process and not before."""

    def __init__(self) -> None:
        super().__init__(name="regionkit-server-launcher", daemon=True)
        self._jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]] = (
            queue.SimpleQueue()
        )

    def run(self) -> None:
        while True:
            job, result = self._jobs.get()
            try:
                result.set_result(job())
            except BaseException as error:
                result.set_exception(error)

    def call(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        result: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, result))
        return result.result()


@functools.cache
def _launcher(process: int) -> _Launcher:
    """Return the launcher of this process; the process id is the key because threads do not survive a fork."""
    thread = _Launcher()
    thread.start()
    return thread


def _spawn(
    command: Sequence[str], log: Path, env: Mapping[str, str], inside: Callable[[], AbstractContextManager[None]]
) -> subprocess.Popen[bytes]:
    who = account()
    uid, gid = (who.uid, who.gid) if who else (-1, -1)
    words = [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, str(os.getpid()), str(uid), str(gid), *command]

    def fork() -> subprocess.Popen[bytes]:
        with inside(), log.open("ab") as output:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", env=dict(env),
                start_new_session=True,
            )  # fmt: skip

    return _launcher(os.getpid()).call(fork)


class ServerProcess:
    """One server process of this machine. Use it from one thread at a time.

    Args:
        name: How errors call it.
        command: Gives the command line at each start; the first word is an absolute path.
        home: The folder of the server set, used as HOME.
        log: The file that takes what the server prints.
        stop_signal: The signal that makes this server shut down in order.
        close_signal: The signal that ends it for good, quickly, yet lets it give shared memory back.
        inside: What the process is started within: a region of a Wan.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        *,
        home: Path,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        close_signal: signal.Signals = signal.SIGKILL,
        inside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._name = name
        self._command = command
        self._home = home
        self._log = log
        self._stop_signal = stop_signal
        self._close_signal = close_signal
        self._inside = inside
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def alive(self) -> bool:
        """Whether the process runs; a frozen one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether the process was frozen and not thawed since."""
        return self._frozen and self.alive

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the process and return once `ready()` is true; an exception out of `ready` means "not yet".

        Raises:
            ServerStartError: The process ended, or did not become ready within a minute.
        """
        if self.alive:
            return
        self._frozen = False
        self._process = _spawn(self._command(), self._log, environment(self._home), self._inside)
        deadline = time.monotonic() + _START_TIMEOUT
        trouble = "no answer"
        while True:
            if self._process.poll() is not None:
                raise ServerStartError(self._name, f"ended with status {self._process.returncode}", self._log_tail())
            try:
                if ready():
                    return
            except Exception as error:  # each driver has errors of its own for "not listening yet"
                trouble = str(error)
            if time.monotonic() > deadline:
                self.kill()
                what = f"was not ready within {_START_TIMEOUT:.0f} s ({trouble})"
                raise ServerStartError(self._name, what, self._log_tail())
            time.sleep(0.005)

    def stop(self) -> None:
        """Shut the process down in order; it is killed when that takes more than 20 s."""
        self._end(self._stop_signal, _STOP_TIMEOUT)

    def close(self) -> None:
        """End the process for good."""
        self._end(self._close_signal, 5.0)

    def _end(self, how: signal.Signals, timeout: float) -> None:
        if self._process is None or not self.alive:
            return
        if how == signal.SIGKILL:
            self.kill()
            return
        self.thaw()
        self._process.send_signal(how)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the process and everything it has started, and return when all are gone."""
        if self._process is None:
            return
        self.freeze()  # or a child that it starts meanwhile outlives it, and holds the server's memory and port
        family = process_tree(self._process.pid) if self.alive else []
        for pid in family:
            _signal(pid, signal.SIGKILL)
        self._process.wait()
        self._frozen = False
        deadline = time.monotonic() + 2
        while any(_runs(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(0.001)

    def freeze(self) -> None:
        """SIGSTOP the process and everything it has started; its sockets stay open and silent."""
        if self._process is None or not self.alive:
            return
        stopped: set[int] = set()
        while family := set(process_tree(self._process.pid)) - stopped:  # until nothing was started meanwhile
            for pid in family:
                _signal(pid, signal.SIGSTOP)
            stopped |= family
        self._frozen = True

    def thaw(self) -> None:
        """SIGCONT the process and everything it has started; children first, so that no parent misses one."""
        if self._process is None or not self.alive:
            return
        for pid in reversed(process_tree(self._process.pid)):
            _signal(pid, signal.SIGCONT)
        self._frozen = False

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-_LOG_TAIL:]


def process_tree(root: int) -> list[int]:
    """Return `root` and the ids of all its descendants, parents before children."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    family = [root]
    for pid in family:  # grows while it is walked
        family += children.get(pid, ())
    return family


def _parents() -> list[tuple[int, int]]:
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():  # macOS, BSD
        listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = (line.split() for line in listing.splitlines())
        return [(int(pid), int(parent)) for pid, parent in pairs]
    pids = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    return [(pid, int(fields[1])) for pid in pids if (fields := _stat(pid))]


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on; the name before them may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return None


def _runs(pid: int) -> bool:
    if sys.platform == "linux":
        fields = _stat(pid)
        return fields is not None and fields[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
