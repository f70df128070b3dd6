"""Histories: what sessions read and wrote, in which order, and what they were told. `check` judges them.

1. Data is a register per key whose versions only grow: one writer a key that counts, or a counter raised by
   compare-and-set. Absent is version 0.
2. A session's order is the order in which its operations were issued: their index, not the time of day. A session that
   begins with the bookmark of others goes on from marks: "after operation 5 of s1" is the mark "s1@5".
3. Three outcomes: ok (acknowledged), failed (surely without effect), unknown.
4. Times are monotonic seconds of one machine. A history knows which clocks it was recorded with.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, Literal

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import Consistency, Level

__all__ = ["History", "Key", "Kind", "Mark", "Operation", "Outcome"]

Key = str | int
Kind = Literal["read", "write"]
Outcome = Literal["ok", "failed", "unknown"]

FORMAT = 1
"""Of the files: a line is a JSON array, its kind first."""
UNSET: Final = -1
"""A version that is not known yet."""


class Operation(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="operation"):
    """One read or write.

    `version`: what was written or seen, 0 for absent; of no meaning in a read that is not ok. `began` and `ended`: monotonic
    seconds; infinite where the end was not seen. `level` and `bound`: what a read asked for.
    """

    session: str
    index: int
    process: str
    kind: Kind
    key: Key
    version: int
    began: float
    ended: float
    outcome: Outcome = "ok"
    level: Level = Level.SESSION
    bound: float = 0.0

    def __str__(self) -> str:
        verb = "wrote" if self.kind == "write" else "read"
        how = [f"operation {self.index}"]
        if self.process:
            how.append(f"process {self.process}")
        how.append(f"{self.began:.6f} to {self.ended:.6f} s")
        if self.kind == "read" and self.level is not Level.SESSION:
            how.append(str(Consistency(self.level, self.bound)))
        if self.outcome != "ok":
            how.append(f"outcome {self.outcome}")
        return f"{self.session} {verb} version {self.version} of {self.key!r} ({', '.join(how)})"


class Mark(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """After operation `index` of a session; 0 is before its first. As text "session@index"."""

    session: str
    index: int

    def __str__(self) -> str:
        return f"{self.session}@{self.index}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read a mark back.

        Raises:
            ConfigurationError: it is no mark.
        """
        session, at, index = text.rpartition("@")
        if not at or not index.isascii() or not index.isdigit():
            raise ConfigurationError(
                f"{text!r} is not a mark.",
                why='a mark is "session@index".',
                fix="pass what mark() of a session returned.",
            )
        return cls(session, int(index))


class Header(msgspec.Struct, array_like=True, tag="regionkit-history"):
    """The first line of a file."""

    format: int
    clock: str


class Begins(msgspec.Struct, array_like=True, tag="session"):
    """A session begins, after others."""

    session: str
    after: tuple[Mark, ...]


class Sent(msgspec.Struct, array_like=True, tag="sent"):
    """A write that is about to be sent."""

    session: str
    index: int
    process: str
    key: Key
    version: int
    began: float


class History:
    """Operations of sessions, grouped and in order. Immutable.

    Args:
        operations: In any order; each pair of session and index once.
        parents: For a session that began with bookmarks: after which operations of which others.
        clocks: Names of the clocks that the times were read from.

    Raises:
        ConfigurationError: an operation is there twice.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        parents: Mapping[str, Sequence[Mark]] | None = None,
        clocks: Iterable[str] = (),
    ) -> None:
        self.parents: dict[str, tuple[Mark, ...]] = {s: tuple(marks) for s, marks in (parents or {}).items()}
        self.clocks = frozenset(clocks)
        self.sessions: dict[str, list[Operation]] = {session: [] for session in self.parents}
        for operation in operations:
            found = self.sessions.get(operation.session)
            if found is None:
                found = self.sessions[operation.session] = []
            found.append(operation)
        for session in self.sessions.values():
            _put_in_order(session)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Sessions, each after those that it goes on from.

        Raises:
            ConfigurationError: a session goes on from one that is not there, or sessions go on from each other.
        """
        missing = {m.session for marks in self.parents.values() for m in marks if m.session not in self.sessions}
        if missing:
            raise ConfigurationError(
                f"sessions continue from {', '.join(sorted(missing))}, which does not exist.",
                why="a session has to see what the sessions before it did.",
                fix="load the files of all processes into one history.",
            )
        alone = [session for session in self.sessions if session not in self.parents]
        try:
            rest = TopologicalSorter({s: [m.session for m in marks] for s, marks in self.parents.items()})
            return (*alone, *(s for s in rest.static_order() if s in self.parents))
        except CycleError as error:
            raise ConfigurationError(
                f"sessions continue each other in a circle: {' '.join(error.args[1])}.",
                why="a session begins after the session that it continues.",
                fix="give each session a unique name.",
            ) from None

    @classmethod
    def load(cls, *paths: Path | str) -> History:
        """Read the files of several recorders as one history. A last line that was cut off is left out.

        Raises:
            ConfigurationError: a file is no history, or is of another format; also as when making one.
        """
        decode: Callable[[bytes], Header | Begins | Sent | Operation]
        decode = msgspec.json.Decoder(Header | Begins | Sent | Operation).decode
        operations: list[Operation] = []
        parents: dict[str, tuple[Mark, ...]] = {}
        clocks, sent = set(), {}
        for path in paths:
            lines = Path(path).read_bytes().split(b"\n")[:-1]
            try:
                found = [decode(line) for line in lines]
            except msgspec.MsgspecError as error:
                raise _no_history(path, str(error)) from None
            if not found or not isinstance(found[0], Header) or found[0].format != FORMAT:
                raise _no_history(path, f"its first line is not that of format {FORMAT}.")
            for line in found:
                if isinstance(line, Operation):
                    operations.append(line)
                elif isinstance(line, Sent):
                    sent[line.session, line.index] = line
                elif isinstance(line, Begins):
                    parents[line.session] = (*parents.get(line.session, ()), *line.after)
                else:
                    clocks.add(line.clock)
        for operation in operations if sent else ():
            sent.pop((operation.session, operation.index), None)
        operations += [
            Operation(s.session, s.index, s.process, "write", s.key, s.version, s.began, math.inf, "unknown")
            for s in sent.values()
            if s.version != UNSET  # of which version it would have been nobody knows
        ]
        return cls(operations, parents, clocks)

    @classmethod
    def merge(cls, *histories: History) -> History:
        """Several histories as one. Sessions of one may go on from those of another.

        Raises:
            ConfigurationError: an operation is in two of them.
        """
        parents = {s: marks for history in histories for s, marks in history.parents.items()}
        clocks = frozenset().union(*(history.clocks for history in histories))
        return cls((o for history in histories for o in history), parents, clocks)

    def only(self, wanted: Callable[[Operation], bool]) -> History:
        """The operations that `wanted` picks, for example those of one store; sessions keep their order."""
        return History(filter(wanted, self), {s: self.parents.get(s, ()) for s in self.sessions}, self.clocks)

    def __iter__(self) -> Iterator[Operation]:
        return itertools.chain.from_iterable(self.sessions.values())

    def __len__(self) -> int:
        return sum(map(len, self.sessions.values()))


def _put_in_order(session: list[Operation]) -> None:
    last = -1
    for operation in session:
        if operation.index <= last:
            break
        last = operation.index
    else:
        return
    session.sort(key=lambda operation: operation.index)
    for first, second in itertools.pairwise(session):
        if first.index == second.index:
            raise ConfigurationError(
                f"operation {first.index} of session {first.session!r} is there twice.",
                why="two recorders gave one name to two sessions, or one file was loaded twice.",
                fix="give each session and each process a unique name.",
            )


def _no_history(path: Path | str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a history.", why=why, fix="load files that a Recorder of this release wrote."
    )
