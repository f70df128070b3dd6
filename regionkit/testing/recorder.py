"""Records what sessions do, as they do it: in memory, or in a file that outlives the process. `History` reads it back.

A write is noted before it is sent, so that one that ended with its process is known, as unknown. A line is in the file
when the call that made it returns: it survives the process (not the machine). Only keys and versions are kept, no values.
"""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.errors import RegionKitError, UsageError
from regionkit.facts.consistency import SESSION, Consistency
from regionkit.testing.history import FORMAT, UNSET, Begins, Header, History, Key, Kind, Mark, Operation, Outcome, Sent

__all__ = ["Pending", "RecordedSession", "Recorder"]

_OUTCOMES: Mapping[str, Outcome] = {"yes": "ok", "no": "failed", "unknown": "unknown"}


class Recorder:
    """Records what the sessions of this process do. May be shared by threads and tasks.

    Each process has its own, on a file of its own.

    Args:
        process: A name that no other process has; default: of the process id.
        path: The file; it must not be there yet.
        clock: Where times are read; default: the clock of the machine, which all of its processes share.

    Raises:
        FileExistsError: the file is there already.
    """

    def __init__(
        self, process: str | None = None, path: Path | str | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.process = f"pid-{os.getpid()}" if process is None else process
        self._monotonic = clock.monotonic
        self._clock = _machine() if clock is SYSTEM_CLOCK else f"clock {id(clock)} of {self.process} on {_machine()}"
        self._path = path
        self._numbers = itertools.count(1)
        self._operations: list[Operation] = []
        self._parents: dict[str, tuple[Mark, ...]] = {}
        self._encode = msgspec.json.Encoder().encode
        self._file = -1
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._line(Header(FORMAT, self._clock))

    def session(self, name: str | None = None, *, after: str | Sequence[str] | None = None) -> RecordedSession:
        """Begin a session.

        Args:
            name: One that no other session has; default: of the process and a number.
            after: Marks of the sessions whose bookmarks it begins with.
        """
        if name is None:
            name = f"{self.process}/{next(self._numbers)}"
        texts = [after] if isinstance(after, str) else after or ()
        marks = tuple(Mark.parse(text) for text in texts if text)
        if self._path is None:
            self._parents[name] = marks
        else:
            self._line(Begins(name, marks))
        return RecordedSession(self, name)

    def add(self, operation: Operation) -> None:
        """Keep an operation as it is, for times and outcomes that were measured elsewhere."""
        if self._path is None:
            self._operations.append(operation)
        else:
            self._line(operation)

    def _line(self, value: Header | Begins | Sent | Operation) -> None:
        os.write(self._file, self._encode(value) + b"\n")  # one call: appended whole, whatever other threads do

    def history(self) -> History:
        """What was recorded so far."""
        if self._path is not None:
            return History.load(self._path)
        return History(list(self._operations), dict(self._parents), [self._clock])

    def close(self) -> None:
        """Close the file. May be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _machine() -> str:
    """The boot of this machine: processes of one boot share a monotonic clock. Elsewhere than on Linux, its name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


class RecordedSession:
    """One session being recorded. Like the session itself it is used by one thread or task at a time."""

    __slots__ = ("_index", "_recorder", "name")

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder = recorder
        self._index = 0
        self.name = name

    def mark(self) -> str:
        """Say where the session stands, to be handed on beside its bookmark: after the operation issued last."""
        return str(Mark(self.name, self._index))

    def read(self, key: Key, consistency: Consistency = SESSION) -> Pending:
        """Record a read around a `with` block, which sets `version` of what this yields (None: absent).

        A block that raises is a read that failed.
        """
        return Pending(self, "read", key, UNSET, consistency)

    def write(self, key: Key, version: int | None = None) -> Pending:
        """Record a write around a `with` block. What this yields has a `version` to set where it is not known before.

        A block that raises ends as the error says (`committed`); any other exception leaves the outcome unknown.
        """
        return Pending(self, "write", key, UNSET if version is None else version, SESSION)

    def record(
        self,
        kind: Kind,
        key: Key,
        version: int | None,
        began: float,
        ended: float,
        outcome: Outcome = "ok",
        consistency: Consistency = SESSION,
    ) -> Operation:
        """Record an operation that has ended. `began` and `ended` are of the recorder's clock."""
        self._index += 1
        return self._add(self._index, kind, key, version or 0, began, ended, outcome, consistency)

    def _add(
        self,
        index: int,
        kind: Kind,
        key: Key,
        version: int,
        began: float,
        ended: float,
        outcome: Outcome,
        consistency: Consistency,
    ) -> Operation:
        if kind == "write" and version < 1:
            raise UsageError(
                f"a write of version {version} of {key!r} was recorded.",
                why="0 means absent; a history identifies writes by their versions.",
                fix="number the writes of each key, from 1.",
            )
        recorder = self._recorder
        level, bound = consistency.level, consistency.max_staleness
        made = Operation(self.name, index, recorder.process, kind, key, version, began, ended, outcome, level, bound)
        recorder.add(made)
        return made


class Pending:
    """An operation under way. Set `version`; set `outcome` where the block itself caught what went wrong."""

    __slots__ = ("_began", "_consistency", "_index", "_key", "_kind", "_session", "outcome", "version")

    def __init__(self, session: RecordedSession, kind: Kind, key: Key, version: int, consistency: Consistency) -> None:
        self._session = session
        self._kind = kind
        self._key = key
        self._consistency = consistency
        self.version: int | None = version
        self.outcome: Outcome | None = None

    def __enter__(self) -> Pending:
        session = self._session
        recorder = session._recorder
        session._index = self._index = session._index + 1
        self._began = recorder._monotonic()
        if self._kind == "write" and recorder._path is not None:
            version = UNSET if self.version is None else self.version
            recorder._line(Sent(session.name, self._index, recorder.process, self._key, version, self._began))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._session._recorder._monotonic()
        outcome: Outcome = self.outcome or ("ok" if error is None else self._judged(error))
        version = 0 if self._kind == "read" and outcome != "ok" else self.version or 0
        if version == UNSET:
            if outcome == "ok":
                raise UsageError(
                    f"the {self._kind} of {self._key!r} ended without a version.",
                    why="a history identifies what was seen by its version.",
                    fix="set version on the object that the block yields: a number, or None if a read found nothing.",
                )
            return  # a write of nobody knows which version: nothing can be told from it
        self._session._add(self._index, self._kind, self._key, version, self._began, ended, outcome, self._consistency)

    def _judged(self, error: BaseException) -> Outcome:
        if self._kind == "read":
            return "failed"
        return _OUTCOMES[error.committed] if isinstance(error, RegionKitError) else "unknown"
