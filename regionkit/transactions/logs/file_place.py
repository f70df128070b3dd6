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

from regionkit.errors import ConfigurationError
from regionkit.transactions.logs.file_state import FileState, Made, decoded
from regionkit.transactions.logs.frames import NONCE, PREAMBLE, Damaged, frames, preamble, scan

__all__ = ["PlacedFile", "Verified", "make", "unsafe_place", "verify"]

UNSAFE = frozenset(
    {"tmpfs", "ramfs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"}
)
"""File systems that forget at a restart, or whose locks and syncs are another machine's to keep; and all of FUSE."""
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
    fd = _written(spare, state.compacted(), "0" * 32)
    try:
        with contextlib.suppress(FileExistsError):  # another one was quicker
            os.link(spare, path)
        spare.unlink()
        _sync_folder(path)
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
            if _inode(os.fstat(fd)) == _inode(self._path.stat()):
                return fd
            os.close(fd)  # it was replaced just now
        raise ConfigurationError(f"log {str(self._path)!r} is replaced all the time.", fix="see who writes there.")

    def write_anew(self, payloads: list[bytes]) -> None:
        """A file of these, in the old one's place. Errors as of `append`."""
        nonce = secrets.token_hex(16)
        spare = self._path.with_name(f".{self._path.name}.new")
        if self._fd >= 0:
            self.require_ours()
        fd = _written(spare, payloads, nonce)
        try:
            spare.rename(self._path)
            _sync_folder(self._path)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._nonce, self._inode = fd, nonce, _inode(os.fstat(fd))
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
        if _inode(there) != self._inode:
            raise Lost("another file has taken its place")
        if there.st_size != self._end or os.pread(self._fd, 32, NONCE.start) != self._nonce.encode():
            raise Lost("another process has written to it")

    def append(self, payloads: list[bytes]) -> None:
        """Write and sync. After an OSError it is unknown what the disk has; the log must not be used any more.

        Raises:
            Lost: nothing was written.
        """
        self.require_ours()
        data = memoryview(frames(self._frames + 1, payloads))
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


def sync(fd: int) -> None:
    """To the disk itself."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: its fsync stops at the drive's cache
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def unsafe_place(path: Path, mounts: str | None = None) -> str:
    """The kind of the file system there, where it cannot keep a log; else "", also where nobody can tell.

    Args:
        path: of the log.
        mounts: what the system says in /proc/self/mountinfo.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return ""
    folder, best, kind = path.resolve().parent, -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].replace("\\040", " "))
        if (folder == point or point in folder.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind if kind in UNSAFE or kind.startswith("fuse") else ""


def _read(data: bytes) -> tuple[FileState, int]:
    found = scan(data)
    state = FileState()
    for number, payload in enumerate(found.payloads, 1):
        try:
            state.apply(decoded(payload))
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            raise Damaged(f"record {number} says nothing that this regionkit knows: {error}") from error
    if not state.id:
        raise Damaged("it has no id")
    return state, found.torn


def _written(path: Path, payloads: list[bytes], nonce: str) -> int:
    """A new file, locked and synced."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = memoryview(preamble(nonce) + frames(1, payloads))
        while data:
            data = data[os.write(fd, data) :]
        sync(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _sync_folder(path: Path) -> None:
    fd = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


assert NONCE.stop <= PREAMBLE
