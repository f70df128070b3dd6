"""The folder of one store: a file per region, and beside them what every process has to agree on.

    data/orders.us-east-1.db     a link to today's file of the region
    data/.orders/                those files, the state, two locks, a mark for each region that is down

1. A region's file is replaced as a whole only by pointing its link elsewhere: SQLite resolves links when it opens, so an
   open connection keeps its own file with its own WAL, and never mixes it with the new one's.
2. The state changes, and a copy lands, only under the lock `change`. The lock `ship` is held by the one process that ships.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import msgspec

from regionkit.errors import ConfigurationError

__all__ = ["BUSY_WAIT", "Folder", "State", "connect"]

BUSY_WAIT = 1.0
"""How long a connection of ours waits for a file's writer, seconds."""
_FILES_KEPT = 2
"""Files kept of a region, today's included: connections that are still open on the one before may still look at its path."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the processes agree on.

    Attributes:
        namespace: prefix of regionkit's tables.
        regions: names in the order given, with their jurisdictions.
        owner: the region that the others copy.
        epoch: of the newest promotion; 1 before the first.
        lag: seconds from a snapshot to its arrival.
    """

    namespace: str
    regions: dict[str, str | None]
    owner: str
    epoch: int
    lag: float


class Folder:
    """Paths, state and locks of one store. Safe to share between threads."""

    def __init__(self, root: Path, store: str) -> None:
        self.root = root.absolute()
        self.store = store
        self.inner = self.root / f".{store}"
        self._prefix = f"{self.inner}{os.sep}"
        self._state_path = self.inner / "state.json"
        self._known: tuple[tuple[int, int], State] | None = None

    def path(self, region: str) -> Path:
        """Where a region's database is opened: a link."""
        return self.root / f"{self.store}.{region}.db"

    def outage(self, region: str) -> Path:
        """The file whose presence takes a region down."""
        return self.inner / f"{region}.down"

    def is_down(self, region: str) -> bool:
        """Whether a region was killed."""
        return os.path.exists(f"{self._prefix}{region}.down")  # noqa: PTH110  # looked at 200 times a second

    def file(self, region: str) -> str:
        """Today's file of a region, as its link names it; another text, another file."""
        return os.readlink(f"{self.root}{os.sep}{self.store}.{region}.db")  # noqa: PTH115  # likewise

    def url(self, region: str) -> str:
        """What an endpoint connects with."""
        return f"sqlite:///{quote(str(self.path(region)))}?outage={quote(str(self.outage(region)), safe='')}"

    def state(self) -> State | None:
        """What is agreed on now; None where the store was never made. Read again only when it changed."""
        try:
            stat = self._state_path.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns)
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, msgspec.json.decode(self._state_path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"{self._state_path} cannot be read: {error}.", fix="use another folder, or remove this one."
            ) from error
        return self._known[1]

    def known(self) -> State:
        """The state of a store that was made.

        Raises:
            ConfigurationError: its folder was removed under our feet.
        """
        state = self.state()
        if state is None:
            raise ConfigurationError(f"the folder of store {self.store!r} is gone.", fix="create the regions again.")
        return state

    def save(self, state: State) -> None:
        """Replace the state as a whole. The caller holds `changing()`."""
        draft = self.inner / "state.new"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
        draft.replace(self._state_path)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock `change`: against other processes and, as each holder opens the file anew, other threads."""
        with (self.inner / "change").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def lead(self) -> IO[str] | None:
        """The lock `ship`, when it is free; closing it gives it back."""
        lock = (self.inner / "ship").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
        return lock

    def create(self, region: str) -> None:
        """Make an empty database for a region that has none."""
        if not self.path(region).exists():
            path = self._next_file(region)
            connect(path).close()
            self.point(region, path)

    def draft(self, region: str) -> Path:
        """A path for the next file of a region."""
        path = self._next_file(region)
        _remove(path)  # left over by a process that was killed while it made one
        return path

    def point(self, region: str, path: Path) -> None:
        """Let the region be this file from now on, and remove all but the one before."""
        link = self.inner / f"{region}.link"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(path, self.root))
        link.replace(self.path(region))
        for old in self._files(region)[:-_FILES_KEPT]:
            _remove(old)

    def _files(self, region: str) -> list[Path]:
        """The files of a region, oldest first."""
        return sorted(self.inner.glob(f"{region}.*.db"), key=lambda path: int(path.suffixes[-2][1:]))

    def _next_file(self, region: str) -> Path:
        files = self._files(region)
        today = self.path(region).resolve()
        number = 1 + int(today.suffixes[-2][1:]) if today in files else 1
        return self.inner / f"{region}.{number}.db"


def connect(path: Path, busy_wait: float = BUSY_WAIT) -> sqlite3.Connection:
    """A connection of our own, below every kit; the database is in WAL mode, made when it is not there."""
    connection = sqlite3.connect(path, timeout=busy_wait, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # what a power cut takes is copied again
    return connection


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
