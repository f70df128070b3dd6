"""The file of a decision log on its disk: locked, written anew, synced. No threads here.

1. An exclusive flock is held as long as the file is open. A file that took its place (deleted, restored, written by a process
   that the lock does not reach) is noticed before each append: by its inode, its length, and the nonce in its preamble.
2. It is written anew at each opening, under another name, synced and then renamed: what was read is then on the disk, also
   after a sync that failed earlier, and a torn tail is gone. The new file is locked before it has the name.
3. A sync that failed is never tried again: the system may have dropped what it could not write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import weakref
from pathlib import Path

import msgspec

from regionkit.core.disk import inode, sync, sync_folder, unsafe_place, written
from regionkit.core.frames import NONCE, Damaged, Format
from regionkit.errors import ConfigurationError
from regionkit.transactions.logs.file_state import FileState, Made, decoded

__all__ = ["LOG", "PlacedFile", "Verified", "make", "sync", "unsafe_place", "verify"]

LOG = Format(b"RKDL", b"regionkit log 1\n", "a decision log")
"""What it is made of."""
MOST_LOOKS = 5
"""At a name whose file is being replaced."""


class Lost(Exception):
    """The file is no longer this process's. Nothing was written."""


class Verified(msgspec.Struct, frozen=True, gc=False):
    """What stands in a file. `torn`: bytes at its end that were never answered; `damage`: why it is refused, else ""."""

    id: str = ""
    rows: int = 0
    open: int = 0
    torn: int = 0
    damage: str = ""


def verify(path: str | os.PathLike[str]) -> Verified:
    """Read a log, which may be open elsewhere, and change nothing.

    Raises:
        OSError: it cannot be read.
    """
    try:
        state, torn = _read(Path(path).read_bytes())
    except Damaged as error:
        return Verified(damage=str(error))
    opened = sum(not row.done and row.decision.value == 1 for row in state.rows.values())
    return Verified(state.id, len(state.rows), opened, torn)


def make(path: Path) -> None:
    """Make an empty log, with an id, unless one is there."""
    if path.exists():
        return
    state = FileState()
    state.apply(Made(os.urandom(4).hex(), os.urandom(16).hex()))
    spare = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = written(spare, _whole(state.compacted(), "0" * NONCE))
    try:
        with contextlib.suppress(FileExistsError):  # another one was quicker
            os.link(spare, path)
        spare.unlink()
        sync_folder(path)
    finally:
        os.close(fd)


class PlacedFile:
    """One that is open. Of one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self.state = FileState()
        self._nonce = ""
        self._frames = 0
        self._end = 0
        self._inode = (0, 0)
        me = weakref.ref(self)  # a child that kept it open would keep it locked when its parent is gone
        os.register_at_fork(after_in_child=lambda: me().close() if me() else None)  # type: ignore[union-attr]

    def open(self) -> None:
        """Lock it, read it, and write it anew.

        Raises:
            ConfigurationError: it is not there, is open elsewhere, or is damaged.
        """
        fd = self._locked()
        try:
            self.state, _ = _read(os.pread(fd, os.fstat(fd).st_size, 0))
            self.write_anew(self.state.compacted())
        except Damaged as error:
            raise ConfigurationError(
                f"log {str(self._path)!r} is damaged: {error}.",
                why="a decision may be missing, and without it a branch would end otherwise than decided.",
                fix="take the file from a copy of the disk, or begin a new log and end what is in doubt by hand.",
            ) from error
        finally:
            os.close(fd)

    def _locked(self) -> int:
        for _ in range(MOST_LOOKS):
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                raise ConfigurationError(
                    f"log {str(self._path)!r} is not there.",
                    why="an empty log in its place would presume an abort of all that the lost one decided.",
                    fix="call tm.create_tables() once, or give the path of the log that was used before.",
                ) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                raise ConfigurationError(
                    f"log {str(self._path)!r} is open elsewhere.",
                    why="a file log belongs to one process, which recovers too.",
                    fix="let the other one end, or keep the log in a database.",
                ) from error
            if inode(os.fstat(fd)) == inode(self._path.stat()):
                return fd
            os.close(fd)  # it was replaced just now
        raise ConfigurationError(f"log {str(self._path)!r} is replaced all the time.", fix="see who writes there.")

    def write_anew(self, payloads: list[bytes]) -> None:
        """A file of these, in the old one's place. Errors as of `append`."""
        nonce = secrets.token_hex(16)
        spare = self._path.with_name(f".{self._path.name}.new")
        if self._fd >= 0:
            self.require_ours()
        fd = written(spare, _whole(payloads, nonce))
        try:
            spare.rename(self._path)
            sync_folder(self._path)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._nonce, self._inode = fd, nonce, inode(os.fstat(fd))
        self._end = os.fstat(fd).st_size
        self._frames = len(payloads)

    def require_ours(self) -> None:
        """Rule 1.

        Raises:
            Lost: another file has its name, or another process has written to it.
        """
        try:
            there = self._path.stat()
        except FileNotFoundError:
            raise Lost("it was deleted") from None
        if inode(there) != self._inode:
            raise Lost("another file has taken its place")
        if there.st_size != self._end or os.pread(self._fd, NONCE, LOG.nonce.start) != self._nonce.encode():
            raise Lost("another process has written to it")

    def append(self, payloads: list[bytes]) -> None:
        """Write and sync. After an OSError it is unknown what the disk has; the log must not be used any more.

        Raises:
            Lost: nothing was written.
        """
        self.require_ours()
        data = memoryview(LOG.frames(self._frames + 1, payloads))
        while data:
            written = os.pwrite(self._fd, data, self._end)
            self._end += written
            data = data[written:]
        sync(self._fd)
        self._frames += len(payloads)

    def close(self) -> None:
        """Let go of the lock. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _read(data: bytes) -> tuple[FileState, int]:
    found = LOG.scan(data)
    state = FileState()
    for number, payload in enumerate(found.payloads, 1):
        try:
            state.apply(decoded(payload))
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            raise Damaged(f"record {number} says nothing that this regionkit knows: {error}") from error
    if not state.id:
        raise Damaged("it has no id")
    return state, found.torn


def _whole(payloads: list[bytes], nonce: str) -> bytes:
    """A file of these."""
    return LOG.preamble(nonce) + LOG.frames(1, payloads)
