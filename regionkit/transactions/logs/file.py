# Generated from file_async.py by scripts/twins.py. Do not edit.
"""A decision log in a file of one process: for one host, without a server.

1. An answer is given when what it says is synced. One thread writes: all that wait meanwhile share the next sync.
2. The file is locked for the life of the log; its recoverer runs in the same process.
3. A write or a sync that failed is the end of the log: each call raises from then on, until it is opened by a new process.
4. All rows are kept in memory too: some 500 bytes each, for as long as they are kept.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from regionkit.contract.processes import require_process
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import Elapsed, collect
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.given import check_flag, check_path
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionUnavailable
from regionkit.transactions.findings import Finding
from regionkit.transactions.logs.file_place import Lost, PlacedFile, make, unsafe_place
from regionkit.transactions.logs.file_state import (
    Acknowledged,
    Decided,
    FileState,
    Hazards,
    Noted,
    Record,
    Swept,
    encoded,
)
from regionkit.transactions.logs.log import LogFacts, unread
from regionkit.transactions.logs.log_errors import early_floor
from regionkit.transactions.participants.participant import Participant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import RETENTION, Row, oldest_kept
from regionkit.transactions.xid import check_branches, check_gtrid

__all__ = ["FileDecisionLog"]

T = TypeVar("T")
WRITE_ANEW = 10_000
"""Records that say nothing any more, and at least as many as rows that do: then the file is written anew."""
CLOSING = 30.0
"""Seconds for the last sync when the log closes: a disk that takes longer has failed."""


class FileDecisionLog:
    """Safe to share between threads (tasks of one loop). Of one process: a child after a fork cannot use it.

    Args:
        path: of its file, in an existing folder.
        unsafe_place: take a file system that may forget, or whose locks do not hold: tmpfs, NFS, SMB, FUSE.
        clock: the clock to use.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, unsafe_place: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        check_path("path", path)
        self._path = Path(path)
        self.name = self._path.name
        check_flag("unsafe_place", unsafe_place)
        self._unsafe = unsafe_place
        self._clock = clock
        self._turn = threading.Condition()
        self._file: PlacedFile | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._queue: list[tuple[bytes, Future[None]]] = []
        self._tail: Future[None] = _done()
        self._closing = self._anew = self._wanted = False
        self._failed = ""
        self._beats_until = 0.0

    def create_tables(self, namespace: str, deadline: Deadline) -> None:
        """Make the file, and its id, unless it is there."""
        self._require_place()
        try:
            make(self._path)
        except OSError as error:
            raise self._unusable(error) from error

    def open(self, namespace: str, deadline: Deadline, *, risky: bool = False) -> LogFacts:
        """Lock it and read it, the first time; then look whether it is still its own.

        Raises:
            ConfigurationError: it is not there, is open elsewhere, is damaged, or may forget.
        """
        self._require_place()
        self._require_process()
        with self._turn:
            if self._file is None:
                file = PlacedFile(self._path)
                try:
                    file.open()
                except OSError as error:
                    raise self._unusable(error) from error
                self._file, self._process, self._closing = file, os.getpid(), False
                self._thread = threading.Thread(target=self._write, name="regionkit decision log", daemon=True)
                self._thread.start()
            self._require_usable()
            return self._facts()

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"log {str(self._path)!r} cannot be written.",
            why=str(error),
            fix="give a file in a folder that exists and that this account may write to.",
        )

    def _require_process(self) -> None:
        if self._process:
            require_process(self._process)

    def _require_place(self) -> None:
        kind = "" if self._unsafe else unsafe_place(self._path)
        if kind:
            raise ConfigurationError(
                f"log {str(self._path)!r} is on {kind}.",
                why="it may lose decisions, or another machine may write there at the same time.",
                fix="put it on a disk of this machine. Only where that may happen: unsafe_place=True.",
            )

    def decide(self, gtrid: str, want: Decision, branches: Sequence[str], by: str, deadline: Deadline) -> Decision:
        """Write `want` unless the gtrid has a row (or is closed); the winner, when it is synced.

        Raises:
            OutcomeUnknown: it was not synced in time, or could not be.
            RegionUnavailable, DeadlineExceeded: nothing was written.
            UsageError: no gtrid, or no names of branches.
        """
        check_gtrid(gtrid)
        check_branches(branches)
        crash_point("log.deciding")

        def act() -> Decision:
            row = self._state.rows.get(gtrid)
            if row is not None:
                return row.decision
            if gtrid <= self._state.floor:
                return Decision.ABORT
            made = Decided(gtrid, want.value, dict.fromkeys(branches), by[:120], self._clock.wall())
            self._append(made)
            return want

        winner = self._synced(act, deadline)
        crash_point("log.decided")
        return winner

    def row(self, gtrid: str, deadline: Deadline) -> Row | None:
        """What stands there."""
        return self._read(lambda: self._state.rows.get(gtrid), deadline)

    def rows(self, gtrids: Sequence[str], deadline: Deadline) -> dict[str, Row]:
        """The same for many."""
        return self._read(lambda: {g: self._state.rows[g] for g in gtrids if g in self._state.rows}, deadline)

    def open_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are not done, and all that bear a hazard."""
        return self._read(lambda: self._state.open_rows(after, most), deadline)

    def done_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are done."""
        return self._read(lambda: self._state.done_rows(after, most), deadline)

    def acknowledge(self, acknowledged: Mapping[str, Mapping[str, str]], deadline: Deadline) -> None:
        """By gtrid and branch, the participant's history. Synced with the next decision: nobody waits for it."""
        deadline.require("acknowledging")
        self._require_process()
        with self._turn:
            self._require_usable()
            if acknowledged:
                self._append(Acknowledged({gtrid: dict(told) for gtrid, told in acknowledged.items()}))

    def hazard(self, gtrid: str, branch: str, what: str, deadline: Deadline) -> None:
        """Keep it with the row; a row is made (ABORT) where there is none."""
        check_gtrid(gtrid)

        def act() -> None:
            row = self._state.rows.get(gtrid)
            if row is None:
                self._append(Decided(gtrid, Decision.ABORT.value, {}, "hazard", self._clock.wall()))
            self._append(Hazards(gtrid, {**(row.hazards if row else {}), branch: what}))

        self._synced(act, deadline)

    def forget(self, gtrid: str, deadline: Deadline) -> bool:
        """An operator has seen the hazard; whether there was one."""

        def act() -> bool:
            row = self._state.rows.get(gtrid)
            if row is None or not row.hazards:
                return False
            self._append(Hazards(gtrid, {}))
            return True

        return self._synced(act, deadline)

    def adopt(self, deadline: Deadline) -> LogFacts:
        """Nothing: a file has one history. One that was restored from a backup must not be used again."""
        return self._synced(self._facts, deadline)

    def note_participant(self, name: str, instance: str, deadline: Deadline, *, adopt: bool = False) -> str:
        """The instance noted under the name; `instance` where there was none, or with `adopt`."""

        def act() -> str:
            if name not in self._state.instances or adopt:
                self._append(Noted(name, instance))
            return self._state.instances[name]

        return self._synced(act, deadline)

    def beat(self, lasts: float, deadline: Deadline) -> None:
        """A recoverer is at work: in this process, or nowhere."""
        self._beats_until = max(self._beats_until, self._clock.monotonic() + lasts)

    def beating(self, deadline: Deadline) -> bool:
        """Whether a recoverer is at work."""
        return self._clock.monotonic() < self._beats_until

    def sweep(self, floor: str, most: int, deadline: Deadline) -> int:
        """Raise the floor and delete tombstones and done rows at or below it, in one record."""
        check_gtrid(floor)

        def act() -> int:
            if floor > self._state.floor and floor > oldest_kept(self._clock.wall(), RETENTION):
                raise early_floor(self.name)
            stands = max(self._state.floor, floor)
            gone = self._state.sweepable(stands, most)
            if gone or stands != self._state.floor:
                self._append(Swept(stands, gone))
            self._anew = self._state.dead >= max(WRITE_ANEW, len(self._state.rows))
            return len(gone)

        return self._synced(act, deadline)

    def anchor_statements(self, gtrid: str, branches: Sequence[str], by: str, server: str) -> list[str]:
        """Never called: no branch stands in a file."""
        raise ConfigurationError("a file log is no anchor.", fix="keep the log in the database of that participant.")

    def stands_in(self, participant: Participant, deadline: Deadline) -> bool:
        """No."""
        return False

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """Where it stands."""
        kind = unsafe_place(self._path)
        if kind:
            level: Any = "warning" if self._unsafe else "refused"
            return [Finding(level, self.name, f"its file is on {kind}", "put it on a disk of this machine.")]
        if self._failed:
            return [Finding("refused", self.name, self._failed, "start the process again.")]
        return [Finding("ok", self.name, "each decision is synced before it counts")]

    def close(self) -> None:
        """Sync what is left, and let go of the file. May be called twice."""
        if self._thread is None or self._process != os.getpid():
            return
        with self._turn:
            thread, self._thread = self._thread, None
            self._closing = True
            self._turn.notify()
            tail = self._tail
        with contextlib.suppress(Exception):  # whoever waited for it has heard of it
            collect(tail, CLOSING)
        thread.join(CLOSING)
        file, self._file = self._file, None
        if file is not None and not thread.is_alive():
            file.close()

    @property
    def _state(self) -> FileState:
        assert self._file is not None, "the manager opens its log first"
        return self._file.state

    def _facts(self) -> LogFacts:
        state = self._state
        return LogFacts(state.id, state.history, state.history, state.floor, self._clock.wall())

    def _require_usable(self) -> None:
        if self._failed or self._file is None or self._closing:
            raise RegionUnavailable(
                f"log {self.name!r} cannot be used.",
                why=self._failed or "it is closed.",
                fix="start the process again: it reads what is on the disk.",
                retryable=False,
            )

    def _read(self, act: Callable[[], T], deadline: Deadline) -> T:
        try:
            return self._synced(act, deadline)
        except OutcomeUnknown as error:
            raise unread(self.name, error) from error

    def _synced(self, act: Callable[[], T], deadline: Deadline) -> T:
        """What `act` gives, once all that was written until then is synced."""
        deadline.require("a decision log")
        self._require_process()
        with self._turn:
            self._require_usable()
            found = act()
            tail = self._tail
            if self._queue:
                self._wanted = True
                self._turn.notify()
        try:
            collect(tail, deadline.remaining())
        except Elapsed:
            raise OutcomeUnknown(
                f"log {self.name!r} was not synced in time.",
                why="the disk took longer than the call's deadline; the write continues.",
                fix="ask again.",
                store=self.name,
            ) from None
        except Lost as error:
            raise RegionUnavailable(
                f"log {self.name!r} is no longer this process's.",
                why=f"{error}; nothing was written.",
                fix="see who touched the file; start the process again.",
                retryable=False,
            ) from error
        except OSError as error:
            raise OutcomeUnknown(
                f"log {self.name!r} could not be synced.",
                why=f"{error}; the system may have dropped what it could not write.",
                fix="repair the disk, and start the process again: it reads what is on the disk.",
                store=self.name,
            ) from error
        return found

    def _append(self, record: Record) -> None:
        """Under the lock: for the thread to write; it counts in memory at once, and nobody hears of it before the sync."""
        self._state.apply(record)
        self._tail = Future()
        self._queue.append((encoded(record), self._tail))

    def _write(self) -> None:
        """The thread: all that wait share one sync."""
        file = self._file
        assert file is not None
        while True:
            with self._turn:
                while not self._wanted and not self._closing:
                    self._turn.wait()
                batch, self._queue, self._wanted = self._queue, [], False
                if not batch:
                    return
                anew = self._state.compacted() if self._anew else None  # what the batch says stands in it already
                self._anew = False
            try:
                if anew is None:
                    file.append([payload for payload, _ in batch])
                else:
                    file.write_anew(anew)
            except BaseException as error:
                self._end(batch, error)
                return
            for _, future in batch:
                future.set_result(None)

    def _end(self, batch: list[tuple[bytes, Future[None]]], error: BaseException) -> None:
        """Rule 3. The file stays locked until the log is closed."""
        with self._turn:
            self._failed = f"{error}" or type(error).__name__
            rest, self._queue = self._queue, []
        for _, future in (*batch, *rest):
            future.set_exception(error)


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
