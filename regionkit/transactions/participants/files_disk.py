"""A folder of documents that prepares and commits: its files, in one thread at a time. `files_async` is the participant over it.

1. `.regionkit/prepared/<gid>/` holds the new contents (`0`, `1`, ...), then `manifest`: with it the branch is prepared. Contents
   are synced before it, and its folder after it.
2. COMMIT renames each content into its place, syncs the folders, makes the marker, and then removes the manifest. Whoever repeats
   it finds what is still to do: a content that is gone was moved.
3. A manifest of one phase is itself the commit: whoever takes the lock next ends it. It is never listed.
4. A prepared branch holds its paths, and the folders above them, as long as its manifest stands: no file of a lock outlives it.
5. `.regionkit/done/` holds markers, empty files whose name says all. One flock orders everything that reads or writes these; it
   ends with its process.
6. A folder is opened part by part, and a symlink is never followed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.core.disk import sync
from regionkit.core.events import crash_point
from regionkit.transactions.participants.files_documents import OWN, Documents, Manifest, held_by
from regionkit.transactions.protocol import Finish
from regionkit.transactions.xid import Xid, xid_of_gid

__all__ = ["BARRED", "DocumentsFolder", "Refused"]

BARRED = 0
"""The state of a tombstone; that of a marker is its phases."""
LOCK_PAUSE = 0.003
"""Seconds between two tries: about what one sync takes."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Refused(Exception):
    """Nothing was prepared, and nothing will be."""


class Damaged(Exception):
    """A manifest is not what was written."""


class DocumentsFolder:
    """Safe to share between threads and processes of one host. Its methods block, for the lock until the deadline.

    Raises, besides what is said: OSError; Refused, if the lock could not be taken.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prepared = root / OWN / "prepared"
        self._done = root / OWN / "done"
        self._id = root / OWN / "id"

    def create(self, deadline: Deadline) -> None:
        """Make it, with an id, unless it is there."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.root / OWN, self._prepared, self._done):
            folder.mkdir(mode=0o700, exist_ok=True)
        with self.locked(deadline):
            if not self._id.exists():
                spare = self._id.with_name("id.new")
                spare.unlink(missing_ok=True)
                _write(spare, os.urandom(16).hex().encode())
                spare.rename(self._id)
                for folder in (self.root / OWN, self.root):
                    _sync_folder(folder)

    def identity(self) -> tuple[str, str]:
        """Its id, and that of its history: a folder that was copied or restored has another history."""
        found = self._id.stat()
        return self._id.read_text(), f"{found.st_ino:x}-{found.st_ctime_ns:x}"

    def prepare(self, xid: Xid, documents: Documents, phases: int, at: float, deadline: Deadline) -> None:
        """Phases 2: prepare. Phases 1: commit.

        Raises:
            Refused: NO. After any other error the outcome is unknown.
        """
        place = self._prepared / xid.gid
        manifest = Manifest(xid.gid, phases, list(documents.puts), list(documents.deletes), at)
        try:
            place.mkdir(mode=0o700)
        except OSError as error:
            raise Refused(f"{error}") from error
        try:
            for number, content in enumerate(documents.puts.values()):
                _write(place / str(number), content)
            _sync_folder(place)
            _sync_folder(self._prepared)
            crash_point("files.staged")
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise Refused(f"{error}") from error
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.locked(deadline))
                self._require_free(xid, manifest)
                data = msgspec.json.encode(manifest)
                _write(place / "manifest.new", hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
            except (OSError, Refused) as error:
                shutil.rmtree(place, ignore_errors=True)
                raise Refused(f"{error}") from error
            (place / "manifest.new").rename(place / "manifest")
            _sync_folder(place)
            crash_point("files.prepared")
            if phases == 1:
                self._commit(manifest, xid)

    def _require_free(self, xid: Xid, manifest: Manifest) -> None:
        if self._marker(xid) is not None:
            raise Refused("a marker stands under its name")
        mine = held_by(manifest.paths)
        if sum(mine.values()) != len(manifest.paths):
            raise Refused("two of its paths differ in case only")
        if any(mine[above] for path in mine for above in map(str, PurePosixPath(path).parents)):
            raise Refused("one of its paths is a document and a folder")
        for gid, other in self._manifests().items():
            if other is None:
                raise Refused(f"the manifest of {gid} is damaged: nobody knows which documents it holds")
            for path, whole in held_by(other.paths).items():
                if path in mine and (whole or mine[path]):
                    raise Refused(f"{path!r} is held by branch {gid}, which is prepared")
        for path in manifest.paths:
            with contextlib.suppress(FileNotFoundError), self._parent(path) as (fd, name):
                if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    raise Refused(f"{path!r} is a folder")

    def listed(self, deadline: Deadline) -> dict[str, float | None]:
        """gids of what is prepared, and since when."""
        with self.locked(deadline):
            found = self._manifests().items()
        return {gid: None if one is None else one.at for gid, one in found if one is None or one.phases == 2}

    def finish(self, xid: Xid, commit: bool, deadline: Deadline) -> Finish:
        """End what is prepared. UNKNOWN: there is no manifest."""
        with self.locked(deadline):
            try:
                manifest = self._read(xid.gid)
            except FileNotFoundError:
                return Finish.UNKNOWN
            except Damaged:
                return Finish.BLOCKED
            begun = self._marker(xid) is not None or not all(
                (self._prepared / xid.gid / str(number)).exists() for number in range(len(manifest.puts))
            )
            if manifest.phases == 1 or (begun and not commit):
                return Finish.BLOCKED  # a commit that has begun is only ever repeated
            try:
                if commit:
                    self._commit(manifest, xid)
                else:
                    self._remove(xid.gid)
            except (PermissionError, NotADirectoryError, IsADirectoryError):
                return Finish.BLOCKED
        return Finish.DONE

    def marked(self, xid: Xid, deadline: Deadline) -> int | None:
        """The state of its marker; None: there is none.

        Raises:
            Refused: its commit has begun, and cannot be ended.
        """
        with self.locked(deadline):
            state = self._marker(xid)
            if state is None and (one := self._manifests().get(xid.gid)) is not None and one.phases == 1:
                raise Refused("its commit in one phase cannot be ended")
            return state

    def bar(self, xid: Xid, deadline: Deadline) -> int:
        """Make a tombstone unless a marker stands there; its state.

        Raises:
            Refused: it is prepared.
        """
        with self.locked(deadline):
            if (state := self._marker(xid)) is not None:
                return state
            if (self._prepared / xid.gid / "manifest").exists():
                raise Refused("it is prepared")
            self._mark(xid, BARRED)
            return BARRED

    def markers(self, log: str, above: str, most: int) -> list[tuple[str, str, int]]:
        """gtrid, branch and phases, of this log, in order of gtrid."""
        found = sorted(one for one in self._names() if one[0] == log and one[1] > above and one[3] != BARRED)
        return [one[1:] for one in found[:most]]

    def sweep(self, log: str, floor: str, most: int, deadline: Deadline) -> int:
        """Delete markers and tombstones, and contents that were never prepared, at or below the floor."""
        with self.locked(deadline):
            kept = set()
            for gid in [place.name for place in self._prepared.iterdir()]:
                xid = xid_of_gid(gid)
                if (self._prepared / gid / "manifest").exists():
                    kept.add(xid and (xid.log, xid.gtrid, xid.branch))
                elif xid is not None and xid.log == log and xid.gtrid <= floor:
                    shutil.rmtree(self._prepared / gid, ignore_errors=True)
            old = sorted(one for one in self._names() if one[0] == log and one[1] <= floor and one[:3] not in kept)
            for one in old[:most]:
                (self._done / ".".join(map(str, one))).unlink()
            _sync_folder(self._done)
        return len(old[:most])

    def damaged(self) -> list[str]:
        """gids of manifests that cannot be read."""
        return [gid for gid, one in self._manifests().items() if one is None]

    @contextlib.contextmanager
    def locked(self, deadline: Deadline) -> Iterator[None]:
        """Nobody else changes it meanwhile; what was to commit in one phase has (rule 3)."""
        fd = os.open(self.root / OWN / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if deadline.remaining() <= 0.0:
                        raise Refused("the folder was locked by others all the time") from None
                time.sleep(LOCK_PAUSE)
            for gid, manifest in self._manifests().items():
                xid = xid_of_gid(gid)
                if manifest is not None and manifest.phases == 1 and xid is not None:
                    with contextlib.suppress(OSError):  # it stays; `marked` says so
                        self._commit(manifest, xid)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # also for a child that was forked meanwhile
            os.close(fd)

    def _commit(self, manifest: Manifest, xid: Xid) -> None:
        for number, path in enumerate(manifest.puts):
            content = self._prepared / manifest.gid / str(number)
            if content.exists():
                with self._parent(path, make=True) as (fd, name):
                    os.rename(content, name, dst_dir_fd=fd)
            crash_point("files.commit.document")
        for path in manifest.deletes:
            with contextlib.suppress(FileNotFoundError), self._parent(path) as (fd, name):
                os.unlink(name, dir_fd=fd)
            crash_point("files.commit.document")
        for folder in {str(above) for path in manifest.paths for above in PurePosixPath(path).parents}:
            with contextlib.suppress(FileNotFoundError), self._parent(f"{folder}/x") as (fd, _):
                os.fsync(fd)
        crash_point("files.commit.synced")
        self._mark(xid, manifest.phases)
        crash_point("files.commit.marked")
        self._remove(manifest.gid)
        crash_point("files.commit.ended")

    def _remove(self, gid: str) -> None:
        place = self._prepared / gid
        (place / "manifest").unlink()
        _sync_folder(place)
        shutil.rmtree(place, ignore_errors=True)  # what stays is swept

    def _marker(self, xid: Xid) -> int | None:
        return next((n for n in (BARRED, 1, 2) if (self._done / _marker_name(xid, n)).exists()), None)

    def _mark(self, xid: Xid, state: int) -> None:
        (self._done / _marker_name(xid, state)).touch(mode=0o600)
        _sync_folder(self._done)

    def _names(self) -> Iterator[tuple[str, str, str, int]]:
        for file in self._done.iterdir():
            log, gtrid, branch, state = file.name.split(".")
            yield log, gtrid, branch, int(state)

    def _manifests(self) -> dict[str, Manifest | None]:
        """By gid; None: it is damaged."""
        found: dict[str, Manifest | None] = {}
        for gid in [place.name for place in self._prepared.iterdir()]:
            try:
                found[gid] = self._read(gid)
            except FileNotFoundError:  # it is not prepared yet, or no more
                continue
            except Damaged:
                found[gid] = None
        return found

    def _read(self, gid: str) -> Manifest:
        sum_, _, data = (self._prepared / gid / "manifest").read_bytes().partition(b"\n")
        if sum_ != hashlib.sha256(data).hexdigest().encode():
            raise Damaged(gid)
        return msgspec.json.decode(data, type=Manifest)

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder of a document, open, and the document's name in it (rule 6)."""
        *above, name = PurePosixPath(path).parts
        fd = os.open(self.root, _FOLDER)
        try:
            disk = os.fstat(fd).st_dev
            for part in above:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=fd)
                below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = below
                if os.fstat(fd).st_dev != disk:
                    raise OSError(errno.EXDEV, "another disk: files cannot be renamed to it", path)
            yield fd, name
        finally:
            os.close(fd)


def _marker_name(xid: Xid, state: int) -> str:
    return f"{xid.log}.{xid.gtrid}.{xid.branch}.{state}"


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        sync(fd)
    finally:
        os.close(fd)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, _FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
