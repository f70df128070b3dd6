# Generated from journal_file_async.py by scripts/twins.py. Do not edit.
"""A journal in files of this process: one thread writes, and all that wait meanwhile share the next sync.

The rules are in `journal_rules`, the files in `journal_disk`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs

from regionkit.caching.back.journal_disk import JournalDisk, Left
from regionkit.caching.back.journal_rules import (
    OLDEST_LEFT,
    JournalState,
    Kept,
    Note,
    note_in,
    payload_of,
    withdrawal_of,
    withdrawn_in,
)
from regionkit.caching.back.refusals import JournalBroken, JournalFull
from regionkit.caching.back.rules import EPOCH
from regionkit.caching.journals import FileJournal
from regionkit.core.concurrency import Elapsed, collect
from regionkit.core.disk import unsafe_place
from regionkit.core.frames import Damaged
from regionkit.errors import ConfigurationError

__all__ = ["JournalFiles"]

T = TypeVar("T")
TAKING = 60.0
"""Seconds for reading what one process left behind, and writing what is needed of it."""
CLOSING = 30.0
"""Seconds for the last sync when it closes: a disk that takes longer has failed."""


class JournalFiles:
    """Safe to share between threads (tasks of one loop). Of one process: after a fork `renew` begins another.

    Args:
        of: where it is kept.
        timeout: seconds that a call waits for the disk.
    """

    where = "journal (this machine's disk has to come back)"

    def __init__(self, of: FileJournal, namespace: str, cache: str, timeout: float) -> None:
        self._of = of
        self._name = (namespace, cache)
        self._timeout = timeout
        self.renew()

    def renew(self) -> None:
        """After a fork: the parent's files are the parent's."""
        self._turn = threading.Condition()
        self._opening = threading.Lock()
        self._state = JournalState()
        self._disk: JournalDisk | None = None
        self._thread: threading.Thread | None = None
        self._queue: list[tuple[bytes, Note | None, Future[None]]] = []
        self._chores: list[tuple[Callable[[JournalDisk], Any], Future[Any]]] = []
        self._waiting = 0
        self._closing = False
        self._failed = ""
        self._refused: dict[Path, str] = {}

    def create_tables(self) -> None:
        """Nothing: its folder is the application's."""

    def open(self) -> None:
        """Lock a folder for this process; take over what others have left behind.

        Raises:
            ConfigurationError: the place may forget, or cannot be written; or what was left is damaged.
        """
        if self._thread is not None:
            return
        with self._opening:
            if self._thread is not None:
                return
            self._open()
        for refused in self.take_over():
            self.close()
            raise ConfigurationError(
                f"a journal of cache {self._name[1]!r} is not replayed: {refused}.",
                why="values that were acknowledged may stand there and nowhere else. Nothing was put.",
                fix="bring the file back from a copy of the disk; where only its age is wrong, see that this machine's clock is "
                "right; or move its folder away, and what only it has is lost.",
            )

    def _open(self) -> None:
        root = Path(self._of.folder)
        kind = "" if self._of.unsafe_place else unsafe_place(root / "journal")
        if kind:
            raise ConfigurationError(
                f"the journal in {str(root)!r} is on {kind}.",
                why="it may lose what was acknowledged, or another machine may write there at the same time.",
                fix="put it on a disk of this machine. Only where that may happen: FileJournal(..., unsafe_place=True).",
            )
        disk = JournalDisk(root, *self._name)
        try:
            disk.open()
        except OSError as error:
            raise ConfigurationError(
                f"no journal can be kept in {str(root)!r}.",
                why=f"{error}.",
                fix="give a folder that exists and that this account may write to.",
            ) from error
        self._disk, self._closing, self._refused = disk, False, {}
        self._thread = threading.Thread(target=self._write, args=(disk,), name="regionkit journal", daemon=True)
        self._thread.start()

    def write(self, note: Note) -> None:
        """Make a record durable."""
        note = structs.replace(note, made=time.time())
        payload, future = payload_of(note), Future[None]()
        with self._turn:
            self._require_usable()
            assert self._disk is not None
            if self._disk.total + self._waiting + len(payload) > self._of.max_bytes:
                raise JournalFull(f"its files have {self._disk.total} bytes, and {self._of.max_bytes} are allowed")
            self._waiting += len(payload)
            self._queue.append((payload, note, future))
            self._turn.notify()
        self._collected(future)

    def withdraw(self, versions: Sequence[int]) -> None:
        """These were surely not put."""
        futures: list[Future[None]] = [Future() for _ in versions]
        with self._turn:
            self._require_usable()
            self._queue += [(withdrawal_of(v), None, f) for v, f in zip(versions, futures, strict=True)]
            self._turn.notify()
        for future in futures:
            try:
                self._collected(future)
            except JournalFull as full:
                raise JournalBroken(f"{full}", sent=True) from full
        with self._turn:
            self._state.forget(versions)

    def _collected(self, future: Future[T], seconds: float | None = None) -> T:
        within = self._timeout if seconds is None else seconds
        try:
            return collect(future, within)
        except Elapsed:
            raise JournalBroken(f"the disk took longer than {within:g} s", sent=True) from None
        except OSError as error:
            raise JournalBroken(f"its disk failed: {error}", sent=True) from error

    def over(self, version: int, *, done: bool) -> None:
        """The put of a record is over."""
        with self._turn:
            self._state.over(version, done=done)

    def take_over(self) -> Sequence[str]:
        """What ended processes have left behind is this one's from here on; what could not be taken, each named once."""
        named: list[str] = []
        if self._disk is None:
            return named
        for folder in self._disk.others():
            if folder in self._refused:
                continue
            try:
                self._chore(lambda disk, of=folder: self._take(disk, of), TAKING)  # type: ignore[misc]
            except Damaged as error:
                self._refused[folder] = str(error)
                named.append(str(error))
            except JournalFull as full:
                raise JournalBroken(f"what {folder} holds is not taken over: {full}") from full
        return named

    def _take(self, disk: JournalDisk, folder: Path) -> None:
        """In the thread: rule 2 of the rules."""
        try:
            left = disk.left_in(folder)
        except OSError as error:
            raise Damaged(f"{folder} cannot be read: {error}") from error
        if left is None:
            return
        delete = False
        try:
            notes = _standing(left)
            if notes and time.time() - left.newest > OLDEST_LEFT:
                days = (time.time() - left.newest) / 86_400
                raise Damaged(f"{folder}: it was written {days:.0f} days ago by this machine's clock")
            with self._turn:
                notes = [note for note in notes if note.version not in self._state.kept]
            self._append(disk, [payload_of(note) for note in notes], notes)
            with self._turn:
                for note in notes:
                    self._state.over(note.version, done=False)
            delete = True
        finally:
            left.let_go(delete=delete)

    def unsettled(self, after: int, most: int) -> Sequence[Note]:
        """Records above a version whose puts are over."""

        def read(disk: JournalDisk) -> list[Note]:
            with self._turn:
                versions = self._state.unsettled(after, most)
                places = [self._state.kept[version] for version in versions]
            return [note_in(disk.read(kept.place, kept.at, kept.size)) for kept in places]

        return self._chore(read)

    def forget(self, versions: Sequence[int]) -> None:
        """They are not needed; files of which little is are emptied."""
        with self._turn:
            self._state.forget(versions)
        self._chore(self._tidy)

    def _tidy(self, disk: JournalDisk) -> None:
        """In the thread: rule 6."""
        for number in disk.closed():
            with self._turn:
                versions = self._state.within(number)
                sparse = self._state.is_sparse(number, disk.sizes[number])
                places = [self._state.kept[version] for version in versions]
            if not sparse or not all(kept.over for kept in places):
                continue
            notes = [note_in(disk.read(kept.place, kept.at, kept.size)) for kept in places]
            try:
                self._append(disk, [payload_of(note) for note in notes], notes)
            except JournalFull:  # it stays as it is
                continue
            with self._turn:
                for note in notes:
                    self._state.over(note.version, done=False)
                self._state.gone(number)
            disk.delete(number)

    def size(self) -> tuple[int, int]:
        """Records that are needed, and bytes of all files."""
        with self._turn:
            return len(self._state.kept), self._disk.total if self._disk else 0

    def close(self) -> None:
        """Sync what waits, and let go. A folder in which nothing is needed goes."""
        with self._opening:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._turn:
            self._closing = True
            self._turn.notify()
        thread.join(CLOSING)
        disk, self._disk = self._disk, None
        if disk is not None and not thread.is_alive():
            with contextlib.suppress(OSError):
                disk.close(delete=not self._state.kept and not self._failed)

    def _require_usable(self) -> None:
        if self._failed or self._disk is None or self._closing:
            raise JournalBroken(self._failed or "it is closed")

    def _chore(self, act: Callable[[JournalDisk], T], seconds: float | None = None) -> T:
        """What `act` gives, in the thread that has the files."""
        future: Future[T] = Future()
        with self._turn:
            self._require_usable()
            self._chores.append((act, future))
            self._turn.notify()
        return self._collected(future, seconds)

    def _append(self, disk: JournalDisk, payloads: Sequence[bytes], notes: Sequence[Note | None]) -> None:
        """In the thread: durable, and known of."""
        if not payloads:
            return
        epoch = max((note.version // EPOCH for note in notes if note is not None), default=0)
        try:
            places = disk.append(payloads, epoch)
        except JournalFull:
            raise
        except BaseException as error:
            self._failed = f"its disk failed: {error}"  # rule 4: whoever asks is refused from here on
            raise
        with self._turn:
            for payload, note, (number, at) in zip(payloads, notes, places, strict=True):
                if note is not None:
                    self._state.written(note.version, Kept(note.digest, number, at, len(payload)))

    def _write(self, disk: JournalDisk) -> None:
        """The thread: all that wait share one sync; chores in between."""
        while True:
            with self._turn:
                while not self._queue and not self._chores and not self._closing:
                    self._turn.wait()
                batch, self._queue = self._queue, []
                chores, self._chores = self._chores, []
                if not batch and not chores:
                    return
            error: BaseException | None = OSError(self._failed) if self._failed else None
            if batch and error is None:
                try:
                    self._append(disk, [payload for payload, _, _ in batch], [note for _, note, _ in batch])
                except BaseException as failed:
                    error = failed
            with self._turn:
                self._waiting -= sum(len(payload) for payload, note, _ in batch if note is not None)
            for _, _, future in batch:
                _told(future, error)
            for act, chore in chores:
                try:
                    result = act(disk)
                except BaseException as failed:
                    _told(chore, failed)
                else:
                    _told(chore, None, result)


def _told(future: Future[Any], error: BaseException | None, result: Any = None) -> None:
    """Whoever waits hears of it."""
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _standing(left: Left) -> list[Note]:
    """The records of a process that ended, but for those that it took back.

    Raises:
        Damaged: a record says nothing.
    """
    notes: dict[int, Note] = {}
    for payload in left.payloads:
        withdrawn = withdrawn_in(payload)
        if withdrawn is not None:
            notes.pop(withdrawn, None)
            continue
        try:
            note = note_in(payload)
        except ValueError as error:
            raise Damaged(f"{left.folder}: a record says nothing that this regionkit knows: {error}") from error
        notes[note.version] = note
    return list(notes.values())
