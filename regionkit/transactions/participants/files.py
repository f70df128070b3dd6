# Generated from files_async.py by scripts/twins.py. Do not edit.
"""A folder of documents as a participant: it truly prepares, and needs nothing but a disk of this host.

1. `tx.session(name)` collects `put(path, content)` and `delete(path)`; nothing is on the disk before PREPARE.
2. A branch whose document another prepared branch holds votes NO. Nobody else is kept from writing there: let transactions alone
   write to such a folder.
3. A document is replaced by a rename: readers see the old or the new one whole. Those of one transaction appear one by one.
4. The disk is asked in a thread: one that hangs costs the deadline. What it was asked then may still happen.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from regionkit.contract.unit import Committed
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import Elapsed, collect
from regionkit.core.deadline import Deadline
from regionkit.core.disk import unsafe_place as kind_of_place
from regionkit.core.given import check_flag, check_path
from regionkit.errors import ConfigurationError, RegionUnavailable, UsageError
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.files_disk import BARRED, DocumentsFolder, Refused
from regionkit.transactions.participants.files_documents import Documents
from regionkit.transactions.participants.participant import (
    Answered,
    BranchOptions,
    Listed,
    Marked,
    ParticipantFacts,
)
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, xid_of_gid

__all__ = ["FilesParticipant"]

T = TypeVar("T")


class FilesParticipant:
    """Safe to share between threads (tasks of one loop), and between processes of one host.

    Args:
        name: in names and errors.
        folder: of the documents; `create_tables` makes it. Of one namespace.
        unsafe_place: take a file system that may forget, or that other hosts write to: tmpfs, NFS, SMB, FUSE.
    """

    def __init__(self, name: str, folder: str | os.PathLike[str], *, unsafe_place: bool = False) -> None:
        self.name = name
        self.given: Any = self
        check_path("folder", folder)
        self._disk = DocumentsFolder(Path(folder).absolute())
        check_flag("unsafe_place", unsafe_place)
        self._unsafe = unsafe_place

    def create_tables(self, deadline: Deadline) -> None:
        """Make the folder, and `.regionkit` in it, unless they are there."""
        self._require_place()
        self._asked(partial(self._disk.create, deadline), deadline)

    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: it is not there, or on a file system that cannot keep it.
        """
        self._require_place()
        try:
            instance, history = self._asked(self._disk.identity, deadline)
        except RegionUnavailable as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise ConfigurationError(
                f"folder {str(self._disk.root)!r} of participant {self.name!r} was not set up.",
                why="it has no id: it is new, or its disk is not mounted.",
                fix="call tm.create_tables() once.",
            ) from error
        return ParticipantFacts("files", True, "XA", instance, history)

    def _require_place(self) -> None:
        kind = "" if self._unsafe else kind_of_place(self._disk.root / "x")
        if kind:
            raise ConfigurationError(
                f"folder {str(self._disk.root)!r} of participant {self.name!r} is on {kind}.",
                why="it may forget what is prepared, or another host may write there at the same time.",
                fix="put it on a disk of this machine. Only where that may happen: unsafe_place=True.",
            )

    def begin(self, options: BranchOptions, deadline: Deadline) -> _Branch:
        """Open a branch."""
        return _Branch(self, self._disk, options)

    def listed(self, deadline: Deadline) -> list[Listed]:
        """All prepared branches of this participant's."""
        found = self._asked(partial(self._disk.listed, deadline), deadline)
        xids = ((xid_of_gid(gid), at) for gid, at in found.items())
        return [Listed(xid, at=at) for xid, at in xids if xid is not None and xid.branch == self.name]

    def strays(self, deadline: Deadline) -> list[Xid]:
        """None: a folder is one participant's."""
        return []

    def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch. A commit that has begun is never rolled back: BLOCKED."""
        try:
            return self._asked(partial(self._disk.finish, listed.xid, commit, deadline), deadline)
        except RegionUnavailable:
            return Finish.UNREACHED

    def evidence(self, xid: Xid, deadline: Deadline) -> Evidence:
        """What its marker says."""
        try:
            return _said(self._asked(partial(self._disk.marked, xid, deadline), deadline))
        except RegionUnavailable:
            return Evidence.UNAVAILABLE

    def bar(self, xid: Xid, deadline: Deadline) -> Evidence:
        """COMMITTED or BARRED."""
        return _said(self._asked(partial(self._disk.bar, xid, deadline), deadline))

    def markers(self, log: str, above: str, most: int, deadline: Deadline) -> list[Marked]:
        """Markers of this log in order of gtrid."""
        found = self._asked(partial(self._disk.markers, log, above, most), deadline)
        return [Marked(gtrid, branch, phases) for gtrid, branch, phases in found]

    def sweep(self, log: str, floor: str, most: int, deadline: Deadline) -> int:
        """Delete markers and tombstones at or below the floor, and what was never prepared."""
        return self._asked(partial(self._disk.sweep, log, floor, most, deadline), deadline)

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """Where it is, and whether all that is prepared can be read."""
        found = [
            Finding("refused", self.name, f"the manifest of {gid} is damaged", "restore the folder, or end it by hand.")
            for gid in self._asked(self._disk.damaged, deadline)
        ]
        if kind := kind_of_place(self._disk.root / "x"):
            fix = "put it on a disk of this machine."
            found.append(Finding("warning" if self._unsafe else "refused", self.name, f"it is on {kind}", fix))
        return found or [Finding("ok", self.name, "XA: a folder on a disk of this host")]

    def close(self) -> None:
        """Nothing is held open."""

    def _asked(self, act: Callable[[], T], deadline: Deadline) -> T:
        try:
            return in_thread(act, deadline)
        except (OSError, Refused, Elapsed) as error:
            raise RegionUnavailable(
                f"participant {self.name!r} gave no answer.",
                why=str(error) or "its disk took longer than the call may.",
                fix="see whether its disk is there, is full, or may be written to.",
            ) from error


class _Branch:
    """One branch at work. Of one thread or task until the phases begin."""

    def __init__(self, participant: FilesParticipant, disk: DocumentsFolder, options: BranchOptions) -> None:
        self.xid = options.xid
        self._participant = participant
        self._disk = disk
        self._asked = False  # it may be prepared
        self._documents = Documents(reading=options.reading)

    def session(self) -> Any:
        """What collects its documents: `put`, `delete`."""
        return self._documents

    def connection(self) -> Any:
        """The same."""
        return self._documents

    @property
    def doomed(self) -> str:
        """Why the branch can no longer commit."""
        return self._documents.doomed

    def passes(self, error: BaseException) -> bool:
        """It has no server."""
        return False

    @property
    def torn(self) -> str:
        """Nothing inside can end it."""
        return ""

    def defer(self, statement: str) -> None:
        """There are no statements."""
        raise UsageError("a folder of documents takes no statement.", fix="use tx.session(name).put(path, content).")

    def flush(self) -> bool:
        """Nothing is held back."""
        return False

    def prepare(self, deadline: Deadline) -> Answered:
        """`Answered.vote`."""
        why = self._sent(2, deadline)
        if why is None:
            return Answered(Vote.YES)
        return Answered(Vote.UNANSWERED if self._asked else Vote.NO, why=why)

    def commit_one_phase(self, deciding: Sequence[str], deadline: Deadline) -> Answered:
        """COMMIT with its marker; no log stands in a folder."""
        if deciding:
            return Answered(winner=Decision.ABORT, why="a folder of documents holds no decision log")
        why = self._sent(1, deadline)
        if why is None:
            return Answered(winner=Decision.COMMIT)
        return Answered(winner=None if self._asked else Decision.ABORT, why=why)

    def _sent(self, phases: int, deadline: Deadline) -> str | None:
        """What went wrong; None: it was done. Where `_asked` stays False, nothing was, and nothing will be."""
        self._documents.closed = True
        if self.doomed:
            return self.doomed
        self._asked = True
        now = SYSTEM_CLOCK.wall()
        try:
            in_thread(partial(self._disk.prepare, self.xid, self._documents, phases, now, deadline), deadline)
        except Refused as error:
            self._asked = False
            return str(error)
        except (OSError, Elapsed) as error:
            return str(error) or "its disk took longer than the transaction may"
        return None

    def finish(self, commit: bool, deadline: Deadline) -> Finish:
        """End it as decided."""
        self._documents.closed = True
        if self._asked:
            return self._participant.finish(Listed(self.xid), commit, deadline)
        return Finish.UNKNOWN if commit else Finish.DONE

    def position(self) -> Any:
        """Nobody knows."""
        return None

    def tell(self, outcome: Committed) -> None:
        """Nobody joins it."""

    def close(self) -> None:
        """Nothing is held open."""
        self._documents.closed = True


def in_thread(act: Callable[[], T], deadline: Deadline) -> T:
    """What `act` gives. Of its own thread, and a daemon: a disk that hangs holds up no exit.

    Raises:
        Elapsed: it goes on.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="regionkit documents", daemon=True).start()
    return collect(future, max(0.0, deadline.remaining()))


def _said(state: int | None) -> Evidence:
    return Evidence.NONE if state is None else Evidence.BARRED if state == BARRED else Evidence.COMMITTED
