"""Checks the session guarantees; what they are, and where they end, says `checking`.

A session's own keys are two floors, what it wrote and what it saw. Across keys: all that a write depends on was sent before
it. So a read can miss such a thing only where a newer version of its key was sent before the newest write that its session
has seen (the horizon): two numbers are compared, and only a read that fails this is searched for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import Level
from regionkit.testing.guarantees import (
    MOST_FINDINGS,
    SESSION_GUARANTEES,
    Guarantee,
    Violation,
    refuse_several_clocks,
)
from regionkit.testing.history import History, Key, Operation

__all__ = ["SessionOrder"]

_RYW, _MR, _MW, _WFR = SESSION_GUARANTEES


class _Version(msgspec.Struct, gc=False):
    """A version of a key: who wrote it, if one session surely did; since when it may have been seen; and any newer one."""

    writer: Operation | None
    since: float
    counts: bool
    """Acknowledged, or seen."""
    newer: float = math.inf
    """Since when any newer version that counts may have been seen."""
    sent: float = -math.inf
    """When its writer sent it: what the writer knew before, whoever sees it must not miss."""


_NEVER = _Version(None, -math.inf, counts=False)
_Table = dict[Key, dict[int, _Version]]


class _State:
    """What a session may not miss: the newest operation per key; and how far it has come in time."""

    __slots__ = ("horizon", "last", "saw", "wrote")

    def __init__(self) -> None:
        self.wrote: dict[Key, Operation] = {}
        self.saw: dict[Key, Operation] = {}
        self.horizon = self.last = -math.inf

    def joined(self, other: _State) -> _State:
        """Both, as a value of its own."""
        made = _State()
        made.horizon, made.last = max(self.horizon, other.horizon), max(self.last, other.last)
        for mine, a, b in ((made.wrote, self.wrote, other.wrote), (made.saw, self.saw, other.saw)):
            mine.update(a)
            for key, operation in b.items():
                if key not in mine or mine[key].version < operation.version:
                    mine[key] = operation
        return made


_Segment = Callable[[str, int, int, _State], None]
"""Follow a session's operations from one number to before another."""


class _Trail(NamedTuple):
    """A read, the write that it saw, and how the reader was come by."""

    read: Operation
    write: Operation
    before: _Trail | None


class SessionOrder:
    """One check of one history."""

    def __init__(self, history: History, guarantees: Collection[Guarantee]) -> None:
        self._history = history
        self._found: dict[Guarantee, list[Violation]] = {g: [] for g in SESSION_GUARANTEES if g in guarantees}
        self._across = [g for g in (_MW, _WFR) if g in self._found]
        self._entries: dict[str, list[_Version]] = {session: [] for session in history.sessions}
        self._table: _Table = {}
        self._is_low = False

    def run(self) -> list[Violation]:
        """All that is found, by guarantee."""
        if self._across:
            refuse_several_clocks(self._history)
            self._table = _versions_written(self._history)
            self._walk(self._learn)
            _compare(self._table)
            self._walk(self._reach)
        if self._is_low or not self._across:
            self._walk(self._floors)
        return [violation for found in self._found.values() for violation in found]

    def _walk(self, follow: _Segment) -> None:
        """Each session after those that it goes on from, in segments that end where others go on."""
        forks: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for child, marks in self._history.parents.items():
            for mark in marks:
                forks[mark.session].append((mark.index, child))
        states: dict[str, _State] = {}
        for session in self._history.order:
            operations = self._history.sessions[session]
            state, start = states.pop(session, None) or _State(), 0
            children = sorted(forks.get(session, ()))
            for number, (index, child) in enumerate(children, 1):
                end = bisect_right(operations, index, key=_index)
                follow(session, start, end, state)
                start = end
                if child not in states and number == len(children) and end == len(operations):
                    states[child] = state  # a chain of sessions hands its state on; only a fork copies
                else:
                    states[child] = state.joined(states.get(child) or _State())
            follow(session, start, len(operations), state)

    def _learn(self, session: str, start: int, end: int, state: _State) -> None:
        """Find the version that each read saw, and whether anything at all is below what its session knew."""
        table, saw, last = self._table, state.saw, state.last
        add = self._entries[session].append
        for operation in self._history.sessions[session][start:end]:
            is_write = operation.kind == "write"
            stamp = operation.began if is_write else operation.ended
            if stamp < last:
                raise _overlap(operation)
            last = stamp
            if operation.outcome != "ok":
                add(_NEVER)
                continue
            key, version = operation.key, operation.version
            floor = saw.get(key)
            if floor is None or floor.version < version:
                saw[key] = operation
            elif floor.version > version and (is_write or _is_held(operation)):
                self._is_low = True
            if is_write:
                add(_NEVER)
                continue
            versions = table.get(key)
            entry = None if versions is None else versions.get(version)
            if entry is None or stamp < entry.since or stamp < entry.sent:
                entry = _open(table, operation)
            entry.counts = True
            add(entry)
        state.last = last

    def _reach(self, session: str, start: int, end: int, state: _State) -> None:
        """Across keys: search for what a read may have missed."""
        horizon = state.horizon
        for at, entry in enumerate(self._entries[session][start:end], start):
            if entry.newer <= horizon:
                self._search(self._history.sessions[session][at], entry.newer)
            if entry.sent > horizon:
                horizon = entry.sent
        state.horizon = horizon

    def _floors(self, session: str, start: int, end: int, state: _State) -> None:
        """Per key: name what a read or write is below."""
        wrote, saw = state.wrote, state.saw
        for operation in self._history.sessions[session][start:end]:
            if operation.outcome != "ok":
                continue
            is_write, key, version = operation.kind == "write", operation.key, operation.version
            written, seen = wrote.get(key), saw.get(key)
            if written is not None and written.version > version:
                self._add(_MW if is_write else _RYW, written, operation)
            if seen is not None and seen.version > version:
                self._add(_WFR if is_write else _MR, seen, operation)
            known, newest = (wrote, written) if is_write else (saw, seen)
            if newest is None or newest.version < version:
                known[key] = operation

    def _add(self, guarantee: Guarantee, *operations: Operation) -> None:
        found = self._found.get(guarantee)
        last = operations[-1]
        if found is not None and len(found) < MOST_FINDINGS and (last.kind == "write" or _is_held(last)):
            found.append(Violation(guarantee, operations))

    def _search(self, read: Operation, since: float) -> None:
        """Look for what the reader must have had, backwards from the writes that it saw, to when a newer version was sent."""
        wanted = set(self._across)
        if not _is_held(read) or any(len(self._found[g]) >= MOST_FINDINGS for g in wanted):
            return
        visited: dict[str, int] = {}
        own: deque[tuple[str, int, _Trail | None]] = deque([(read.session, read.index - 1, None)])
        others: deque[tuple[str, int, _Trail | None]] = deque()
        while own or others:
            session, index, trail = own.popleft() if own else others.popleft()
            done = visited.get(session, -2)
            if index <= done:
                continue
            visited[session] = index
            operations, entries = self._history.sessions[session], self._entries[session]
            for at in range(bisect_right(operations, index, key=_index) - 1, -1, -1):
                operation, entry = operations[at], entries[at]
                if operation.index <= done or _stamp(operation) < since:
                    break
                if operation.outcome != "ok":
                    continue
                # what the reader itself wrote or saw of this key is another guarantee's business
                if trail is not None and operation.key == read.key and operation.version > read.version:
                    guarantee = _MW if operation.kind == "write" else _WFR
                    if guarantee in wanted:
                        self._add(guarantee, operation, *_told(trail), read)
                        wanted.remove(guarantee)
                        if not wanted:
                            return
                writer = entry.writer
                if operation.kind == "read" and writer is not None and entry.sent >= since:
                    others.append((writer.session, writer.index - 1, _Trail(operation, writer, trail)))
            else:
                further = own if trail is None else others
                further.extend((m.session, m.index, trail) for m in self._history.parents.get(session, ()))


def _told(trail: _Trail | None) -> Iterable[Operation]:
    while trail is not None:
        yield trail.write
        yield trail.read
        trail = trail.before


def _is_held(read: Operation) -> bool:
    return read.level is Level.SESSION or read.level is Level.STRONG


def _index(operation: Operation) -> int:
    return operation.index


def _stamp(operation: Operation) -> float:
    """A time that grows along a session, and from a write to whoever sees it."""
    return operation.began if operation.kind == "write" else operation.ended


def _versions_written(history: History) -> _Table:
    table: _Table = {}
    for operations in history.sessions.values():
        for operation in [o for o in operations if o.kind == "write" and o.outcome != "failed"]:
            versions = table.get(operation.key)
            if versions is None:
                versions = table[operation.key] = _absent()
            is_ok, began = operation.outcome == "ok", operation.began
            known = versions.get(operation.version)
            if known is None:
                versions[operation.version] = _Version(operation, began, is_ok, math.inf, began)
            else:
                _write_again(known, operation, is_ok)
    return table


def _absent() -> dict[int, _Version]:
    return {0: _Version(None, -math.inf, counts=False)}


def _open(table: _Table, read: Operation) -> _Version:
    """A version that was read, and of which nobody knows who wrote it: from before the history, or its times are odd."""
    versions = table.get(read.key)
    if versions is None:
        versions = table[read.key] = _absent()
    entry = versions.get(read.version)
    if entry is None:
        entry = versions[read.version] = _Version(None, read.ended, counts=True)
    entry.writer, entry.since, entry.sent = None, min(read.ended, entry.since), -math.inf
    return entry


def _compare(table: _Table) -> None:
    """Tell each version since when any newer one may have been seen."""
    for versions in table.values():
        newer = math.inf
        for version in sorted(versions, reverse=True):
            entry = versions[version]
            entry.newer = newer
            if entry.counts and entry.since < newer:
                newer = entry.since


def _write_again(known: _Version, operation: Operation, is_ok: bool) -> None:
    """Two attempts at one version. Within a session the first may have been it; of two sessions, either."""
    known.since = min(known.since, operation.began)
    known.counts = known.counts or is_ok
    if known.writer is not None and known.writer.session != operation.session:
        known.writer, known.sent = None, -math.inf


def _overlap(operation: Operation) -> ConfigurationError:
    return ConfigurationError(
        f"{operation} overlaps with the one before it.",
        why="a session's operations are issued one after the other, and its clock does not go back.",
        fix="give concurrent work separate sessions.",
    )
