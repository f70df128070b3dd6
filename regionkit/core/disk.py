"""What a file that answers for what it holds needs of its disk: syncs, locks, and a place that does not forget. Unix only."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["UNSAFE", "inode", "sync", "sync_folder", "unsafe_place", "written"]

UNSAFE = frozenset(
    {"tmpfs", "ramfs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"}
)
"""File systems that forget at a restart, or whose locks and syncs are another machine's to keep; and all of FUSE."""


def sync(fd: int) -> None:
    """To the disk itself."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: its fsync stops at the drive's cache
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def unsafe_place(path: Path, mounts: str | None = None) -> str:
    """The kind of the file system there, where it cannot keep such a file; else "", also where nobody can tell.

    Args:
        path: of the file.
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


def written(path: Path, data: bytes) -> int:
    """A new file of these bytes, in the place of any other: locked and synced. Its descriptor.

    Raises:
        BlockingIOError: another process has it open.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        sync(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def sync_folder(path: Path) -> None:
    """What was made, renamed or deleted in the folder of `path`."""
    fd = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def inode(found: os.stat_result) -> tuple[int, int]:
    """By which a file is known, whatever its name."""
    return found.st_dev, found.st_ino
