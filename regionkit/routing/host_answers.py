"""Answers of servers that the processes of one host share, so that one process asks for all of them.

1. There is one file per endpoint, in a folder that only this account can write. Without such a folder every process asks. The
   file's name is a digest of everything that an answer depends on: address, account, options, and the host's boot and network.
   So only processes that would ask the same question share, and never those of another host or container.
2. A process uses an answer while it is younger than its own interval. Times are of the host's monotonic clock; an answer from a
   process whose clocks differ is ignored. A restart of the server is not taken from others: the process asks itself.
3. The process that asks holds a file lock, which ends with the process. A process that finds it held looks again soon, and
   asks itself after `TURNS` such looks. So a process that hangs delays no other by more than one interval.
4. Only answers are shared, not failures and not connections. Each process asks itself at first, while an endpoint is in
   trouble, and every `OWN_LOOK` seconds.
5. A process ignores its own answers: several kits in one process ask separately.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.errors import ConfigurationError
from regionkit.facts.observation import Observation
from regionkit.topology.validation import shown

try:
    import fcntl
except ImportError:  # not on Windows: everybody asks there
    fcntl = None  # type: ignore[assignment]

__all__ = ["OWN_LOOK", "TURNS", "EndpointAnswers", "HostAnswers", "HostTurn", "host_answers", "own_folder"]

LOG = logging.getLogger("regionkit.host")
TURNS = 8
"""Looks at an answer that another process has asked for, within one interval."""
OWN_LOOK = 120.0
"""Seconds after which a process asks although others tell: its own way to the server stays known, and its connection open."""
LARGEST = 65_536
"""Largest shared answer, bytes; with a longer history each process asks itself."""
CLOCKS_APART = 1.0
"""Seconds by which wall and monotonic clock may have moved against each other since an answer was told."""
FORMAT = "1"
"""Of what is written, beside the shape of an answer; another one has other names."""
KEPT = 86_400.0
"""Seconds after which a file that nobody writes is taken away."""


class _Told(msgspec.Struct, array_like=True):
    process: str
    offset: float
    observation: Observation


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Told)
_OURS = re.compile(r"[0-9a-f]{32}(\.lock|\.[0-9a-f]{32}-\d+)?")
"""Names of the files written here; `sweep` removes no others."""


class _Process:
    """A unique name of this process; process ids repeat over time and between containers. A forked child gets its own."""

    def __init__(self) -> None:
        self._of, self._name = 0, ""
        self._numbers = itertools.count()

    def name(self) -> str:
        if self._of != os.getpid():
            self._of, self._name = os.getpid(), secrets.token_hex(16)
        return self._name

    def file(self) -> str:
        return f"{self.name()}-{next(self._numbers)}"


PROCESS = _Process()


@functools.cache
def _host() -> str:
    """This boot of this host, and its network as this process sees it; "" where the system does not tell."""
    words = []
    with contextlib.suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        words.append(str(Path("/proc/self/ns/net").stat().st_ino))
    return " ".join(words)


class HostTurn:
    """The right to ask for all processes. `release` may be called twice."""

    __slots__ = ("_file",)

    def __init__(self, file: int) -> None:
        self._file = file

    def release(self) -> None:
        """Let others ask. It unlocks the file also for a child that was forked meanwhile and holds a copy."""
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


class HostAnswers:
    """The answers that one host's processes share. Safe to share between threads; small files, no waits."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    @staticmethod
    def name(parts: Sequence[object]) -> str:
        """The name of what is asked: of all that its answer depends on."""
        said = "\0".join(map(str, (FORMAT, Observation.__struct_fields__, _host(), *parts)))
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def told(self, name: str, since: float) -> Observation | None:
        """What another process was answered to a question that left after the instant `since`; None."""
        if _trouble(self._folder):
            return None
        try:
            told = _DECODER.decode((self._folder / name).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        sent_at = told.observation.sent_at
        if told.process == PROCESS.name() or abs(told.offset - self._offset()) > CLOCKS_APART:
            return None
        return told.observation if since < sent_at <= self._clock.monotonic() else None

    def tell(self, name: str, observation: Observation) -> None:
        """Let others read an answer."""
        said = _ENCODER.encode(_Told(PROCESS.name(), self._offset(), observation))
        if len(said) > LARGEST or _made_own(self._folder):
            return
        made = self._folder / f"{name}.{PROCESS.file()}"
        with contextlib.suppress(OSError):  # a full disk: then everybody asks
            try:
                with made.open("xb") as file:
                    file.write(said)
                made.replace(self._folder / name)
            finally:
                made.unlink(missing_ok=True)

    def claim(self, name: str) -> HostTurn | None:
        """The right to ask for all; None while another process has it. Where there are no locks everybody has it."""
        try:
            file = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return HostTurn(-1)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            return HostTurn(-1)
        return HostTurn(file)

    def sweep(self) -> None:
        """Take away what nobody has written for a day."""
        before = self._clock.wall() - KEPT
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if _OURS.fullmatch(path.name) and path.stat().st_mtime < before:
                    path.unlink()

    def _offset(self) -> float:
        return self._clock.wall() - self._clock.monotonic()


class EndpointAnswers:
    """Those of one store's endpoints, by their index; `names` has None for one of which nothing is shared."""

    def __init__(self, answers: HostAnswers, names: Sequence[str | None]) -> None:
        self._answers = answers
        self._names = names

    def told(self, index: int, since: float) -> Observation | None:
        """What another process was answered to a question that left after `since`; None."""
        name = self._names[index]
        return None if name is None else self._answers.told(name, since)

    def tell(self, index: int, observation: Observation) -> None:
        """Let others read an answer."""
        name = self._names[index]
        if name is not None:
            self._answers.tell(name, observation)

    def sweep(self) -> None:
        """Take away what nobody has written for a day."""
        self._answers.sweep()

    def claim(self, index: int) -> HostTurn | None:
        """The right to ask for all; None while another process has it."""
        name = self._names[index]
        return HostTurn(-1) if name is None else self._answers.claim(name)


def host_answers(folder: Path | None, clock: Clock) -> HostAnswers | None:
    """Those of a kit's folder, by default of one of the account's own under the system's temporary folder; None where none can
    be had.

    A clock of the application's is not the host's: what it says means nothing to others.
    """
    if fcntl is None or clock is not SYSTEM_CLOCK:
        return None
    if folder is None:
        import tempfile  # it is slow to load, and not every kit has something to share

        try:
            folder = Path(tempfile.gettempdir()) / f"regionkit-{os.geteuid()}"
        except OSError as error:
            LOG.info("answers of servers are not shared with other processes: %s", error)
            return None
    folder = folder / "answers"
    if trouble := _made_own(folder):
        LOG.info("answers of servers are not shared with other processes: %s", trouble)
        return None
    return HostAnswers(folder, clock)


def own_folder(given: object) -> Path | None:
    """A folder that an application gave, made where it is not there; None for none.

    Raises:
        ConfigurationError: it is no path, cannot be made, or is not this account's alone.
    """
    if given is None:
        return None
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigurationError(
            f"folder={shown(given)} is not a path.", fix="give the path of a folder, or leave it out."
        )
    folder = Path(given).expanduser().absolute()
    if trouble := _made_own(folder):
        raise ConfigurationError(
            f"folder: {trouble}.",
            why="processes trust what they read there.",
            fix="give a folder that belongs to the account of the processes, and make it theirs alone: chmod 700.",
        )
    return folder


def _made_own(folder: Path) -> str:
    """Make it, and what it stands in; why it cannot serve, "" where it can."""
    if not (trouble := _trouble(folder)) or os.path.lexists(folder):
        return trouble
    try:
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return str(error)
    return _trouble(folder)


def _trouble(folder: Path) -> str:
    """Why a folder is not this account's alone; "" where it is. Looked at each time: a cleaner may have taken it away."""
    try:
        found = folder.lstat()
    except OSError as error:
        return str(error)
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is not a folder"
    if fcntl is not None and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
        return f"{folder} can be written by other accounts"
    return ""
