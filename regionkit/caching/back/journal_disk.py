"""The files of one process's journal on their disk. What they hold is in `journal_rules`. Unix only; no threads here.

    FOLDER/NAMESPACE.CACHE.PROCESS/lock, 00000001.rkj, 00000002.rkj ...

1. The lock is held as long as the process uses the folder: one whose lock is free is of a process that ended.
2. A file begins with what it is of. It is appended to and synced; a full one is closed, and the next is begun.
3. A sync that failed is never tried again: the system may have dropped what it could not write.
4. A write that finds no room is cut off, and the cut synced: else a crash would bring back what was refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

import msgspec

from regionkit.caching.back.journal_rules import Meta, meta_in
from regionkit.caching.back.refusals import JournalFull
from regionkit.core.disk import sync, sync_folder, written
from regionkit.core.frames import HEADER, NONCE, PREAMBLE, Damaged, Format

__all__ = ["JOURNAL", "SEGMENT", "JournalDisk", "Left"]

JOURNAL = Format(b"RKWB", b"regionkit wb 1\n", "a journal of a write-back cache")
SEGMENT = 8 << 20
"""Bytes of a file, about: some seconds of puts, and little to read at once."""
SUFFIX = ".rkj"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a write for which there is no room."""


class Left(msgspec.Struct):
    """What a process that ended has left behind; it is locked.

    Attributes:
        folder: of it.
        lock: descriptor.
        payloads: of all its files, in order, but for what they are of.
        newest: seconds since 1970 when the last was written.
    """

    folder: Path
    lock: int
    payloads: list[bytes]
    newest: float

    def let_go(self, *, delete: bool) -> None:
        """Unlock it; `delete`: it is not needed any more."""
        if delete:
            _delete(self.folder)
        os.close(self.lock)


class JournalDisk:
    """Of one thread at a time.

    Attributes:
        sizes: bytes of the files, by number, the oldest first; the last is the one that is appended to.
    """

    def __init__(self, root: Path, namespace: str, cache: str) -> None:
        self._root = root
        self._of = (namespace, cache)
        self.folder = root / f"{namespace}.{cache}.{secrets.token_hex(8)}"
        self.sizes: dict[int, int] = {}
        self._lock = self._fd = -1
        self._frames = 0
        me = weakref.ref(self)  # a child that kept them open would keep them locked when its parent is gone
        os.register_at_fork(after_in_child=lambda: me().close() if me() else None)  # type: ignore[union-attr]

    def open(self) -> None:
        """Make its folder, and lock it.

        Raises:
            OSError: it cannot be made.
        """
        while True:
            self.folder.mkdir(mode=0o700)
            try:
                self._lock = written(self.folder / "lock", b"")
                break
            except BlockingIOError:  # another process took it for a folder that was left behind
                self.folder = self.folder.with_name(f"{self._of[0]}.{self._of[1]}.{secrets.token_hex(8)}")
        sync_folder(self.folder)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(self.sizes.values())

    def append(self, payloads: Iterable[bytes], epoch: int) -> list[tuple[int, int]]:
        """Write and sync; the file and the byte of each payload.

        Raises:
            JournalFull: the disk has no room. None of them stands there.
            OSError: it is unknown what the disk has.
        """
        data, places = bytearray(), []
        payloads = list(payloads)
        if not self.sizes or self.sizes[self._number] >= SEGMENT:
            self._begin(epoch)
        number, end = self._number, self.sizes[self._number]
        for payload in payloads:
            self._frames += 1
            places.append((number, end + len(data) + HEADER))
            data += JOURNAL.frame(self._frames, payload)
        left = memoryview(data)
        try:
            while left:
                done = os.pwrite(self._fd, left, end)
                end, left = end + done, left[done:]
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            os.ftruncate(self._fd, self.sizes[number])
            sync(self._fd)
            self._frames -= len(payloads)
            raise JournalFull(f"its disk has no room: {error}") from error
        sync(self._fd)
        self.sizes[number] = end
        return places

    @property
    def _number(self) -> int:
        return next(reversed(self.sizes))

    def _begin(self, epoch: int) -> None:
        number = self._number + 1 if self.sizes else 1
        meta = msgspec.json.encode(Meta(*self._of, epoch, time.time()))
        whole = JOURNAL.preamble(secrets.token_hex(NONCE // 2)) + JOURNAL.frame(1, meta)
        try:
            fd = written(self._path(number), whole)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._path(number).unlink(missing_ok=True)
            raise JournalFull(f"its disk has no room: {error}") from error
        try:
            sync_folder(self._path(number))
        except BaseException:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._frames, self.sizes[number] = fd, 1, len(whole)

    def read(self, number: int, at: int, size: int) -> bytes:
        """A payload."""
        with self._path(number).open("rb") as file:
            file.seek(at)
            return file.read(size)

    def closed(self) -> list[int]:
        """The files that are not appended to."""
        return list(self.sizes)[:-1]

    def delete(self, number: int) -> None:
        """A closed file that is not needed."""
        self._path(number).unlink(missing_ok=True)
        del self.sizes[number]

    def others(self) -> list[Path]:
        """Folders of other processes of this cache."""
        mine = f"{self._of[0]}.{self._of[1]}."
        return sorted(path for path in self._root.glob(f"{mine}*") if path.is_dir() and path != self.folder)

    def left_in(self, folder: Path) -> Left | None:
        """What a process has left there; None: it runs, or another took it.

        Raises:
            Damaged: a file cannot be trusted. The folder stays as it is.
            OSError: it cannot be read.
        """
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # its process died before it could write, or it is just being made
                if time.time() - folder.stat().st_mtime > 60.0:
                    folder.rmdir()
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            payloads, newest = self._whole(folder)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        return Left(folder, lock, payloads, newest)

    def _whole(self, folder: Path) -> tuple[list[bytes], float]:
        payloads: list[bytes] = []
        newest = 0.0
        paths = sorted(folder.glob(f"*{SUFFIX}"))
        for path in paths:
            data = path.read_bytes()
            if len(data) < PREAMBLE and path is paths[-1]:
                continue  # its process died while it began it
            try:
                found = JOURNAL.scan(data)
                if not found.payloads:
                    if path is paths[-1]:
                        continue
                    raise Damaged("it does not say what it is of")
                if (meta := meta_in(found.payloads[0])) and (meta.namespace, meta.cache) != self._of:
                    raise Damaged(f"it is of cache {meta.cache!r} in namespace {meta.namespace!r}")
                if found.torn and path is not paths[-1]:
                    raise Damaged("its end is missing, and a later file follows")
            except Damaged as error:
                raise Damaged(f"{path}: {error}") from error
            except ValueError as error:
                raise Damaged(f"{path}: its first record says nothing that this regionkit knows: {error}") from error
            payloads += found.payloads[1:]
            newest = max(newest, path.stat().st_mtime)
        return payloads, newest

    def close(self, *, delete: bool = False) -> None:
        """Let go of the lock; `delete`: nothing there is needed. May be called twice."""
        if delete and self._lock >= 0:
            _delete(self.folder)
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{SUFFIX}"


def _delete(folder: Path) -> None:
    """The lock goes last: who finds the folder without files finds nothing to take."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        path.unlink(missing_ok=True)
    (folder / "lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
