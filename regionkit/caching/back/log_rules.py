"""What a write-back buffer does in log mode (`coalesce=False`), beside what `rules` says. Pure; `back_log_*.lua` do the same.

Each put is an entry of a log, and the sink gets every one. The record of a key is its last entry: what readers get.

| step    | when                                         | what becomes of it |
|---------|----------------------------------------------|--------------------|
| PUT     | the buffer is in the other mode              | OPEN, as if it were of another run |
|         | no room for an entry more, or for the bytes  | FULL: nothing is put; nobody writes past the log |
|         | else                                         | as in `rules`, and an entry at the end |
| CLAIM   | another has the lease, and its time runs     | nothing is given |
|         | the caller has ended this claim              | the same: it comes late |
|         | else                                         | the first entries, in order; the lease is the caller's |
| END     | the lease is the caller's                    | it goes |
| DONE    | the sink has all entries up to a version     | they go; the lease goes, if it is the caller's |
| FAIL    | the lease is the caller's                    | nobody claims before the pause is over |
|         | an entry is named                            | its tries go up by one |
| PARK    | the entry is there, the lease the caller's   | it stands aside; the key's record goes if it is this one |
|         | else                                         | nothing |
| RETRY   | it is parked                                 | an entry at the end, with a new version; it is the key's record |
| DISCARD | it is parked                                 | gone |
| OPEN    | the buffer is in the other mode, not empty   | refused: what stands there was put under other promises |
|         | the log was lost, records were not           | each record is an entry, in the order of versions |
|         | records were lost, the log was not           | the last entry of each key is its record |

1. Entries stand in the order of their versions, over all keys. One flusher at a time has the first of them, for a limited time:
   the lease. So a sink gets them in order, as long as no flusher outlives its lease.
2. A flusher that was frozen may write again what another has written since. Each entry has its version, so the sink can tell:
   whatever is at or below its `Position` was applied, or refused for good (`SqlLogSink` keeps it with what it applies).
3. DONE needs no lease: who says it has written all entries up to that version, whoever has the lease now. PARK needs it: what
   was refused to one flusher, another may have written since.
   Before an entry is parked, the sink notes that it is refused for good, or says that another flusher has written it: so no
   flusher that was frozen writes what is parked. If who noted it dies before PARK, the next one is refused it, and parks it.
4. An entry that is refused holds up the log, for `attempts` tries, then it is parked and the log goes on. A sink whose later
   entries depend on earlier ones raises SinkDown instead, and the log waits.
5. Several entries of a key may be parked. Each stands under its own version; readers do not get them.
6. Log and records are kept both: the record is what `if_version` compares, and what a get returns.
7. What is in the log and parked together is bounded, in entries and bytes. Nothing is overwritten, so each put needs room.
8. Behind since: the time of the first entry. A flush of one key waits for all entries that were there when it was called.
9. A journal keeps one record a key, the last: it does not go with a log.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.caching.back.buffer_model import BufferModel, Held
from regionkit.caching.back.rules import Answer, version_of

__all__ = ["Entry", "LogModel", "Position"]


class Entry(msgspec.Struct, frozen=True):
    """One put in the log. `size`: bytes."""

    name: bytes
    held: Held

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self.held.size


class Position(msgspec.Struct, frozen=True):
    """How far a sink has come: it rises together with what is applied, in one transaction.

    Attributes:
        version: all entries up to here were applied or refused for good.
        refused: the last one that was refused for good; nobody knows whether it is parked.
    """

    version: int = 0
    refused: int = 0

    def is_new(self, version: int) -> bool:
        """Whether an entry is still to be applied."""
        return version > self.version

    def is_refused(self, version: int) -> bool:
        """Whether an entry is to be parked by whoever has it."""
        return version == self.refused

    def applied(self, version: int) -> Position:
        """After all new entries up to one."""
        return Position(max(self.version, version), self.refused)

    def refuse(self, version: int) -> Position:
        """After an entry was refused for good; as it was, where another has applied it."""
        return Position(version, version) if self.is_new(version) else self


class LogModel(BufferModel):
    """The buffer of one cache in log mode. Not thread-safe: whoever uses it holds a lock."""

    def __init__(self, *, max_dirty: int, max_bytes: int, remembered: int = 10_000) -> None:
        super().__init__(max_dirty=max_dirty, max_bytes=max_bytes, remembered=remembered)
        self._entries_at_most, self._bytes_at_most = max_dirty, max_bytes
        self.log: list[Entry] = []
        self.logged = 0
        self.aside: dict[int, Entry] = {}
        self.aside_bytes = 0
        self.lease = b""
        self.until = 0
        self.tried: dict[int, int] = {}

    def put_log(self, name: bytes, id: bytes, value: Any, size: int, now: int, *, run: str) -> tuple[Answer, int]:
        """One put."""
        old = self.dirty.get(name)
        grows = size - (old.size if old else 0)
        there = self.bytes + self.logged + self.aside_bytes
        fits = len(self.log) + len(self.aside) < self._entries_at_most and there + grows + size <= self._bytes_at_most
        answer, version = self.put(name, id, value, size, now, run=run, room=fits)
        if answer is Answer.DONE:
            self._append(Entry(name, self.dirty[name]))
        return answer, version

    def claim_log(self, token: bytes, count: int, now: int, lasts: int) -> list[Entry]:
        """The first entries, in order."""
        if (self.lease and self.lease != token and self.until > now) or self.was_ended(token):
            return []
        found = self.log[:count]
        if found:
            self.lease, self.until = token, now + lasts
        return found

    def end(self, token: bytes, now: int, late: int) -> None:
        """The claim is over: the lease goes."""
        super().end(token, now, late)
        if self.lease == token:
            self.lease = b""

    def done(self, token: bytes, through: int) -> None:
        """The sink has all entries up to a version. `through` 0: none."""
        for entry in [entry for entry in self.log if entry.held.version <= through]:
            self._remove(entry)
        if self.lease == token:
            self.lease = b""

    def failed(self, token: bytes, now: int, pause: int, version: int = 0) -> int:
        """Nothing, or not this entry, was written; the tries of the entry."""
        if self.lease == token:
            self.lease, self.until = (b"-", now + pause) if pause else (b"", 0)
        if not any(entry.held.version == version for entry in self.log):
            return 0
        self.tried[version] = self.tried.get(version, 0) + 1
        return self.tried[version]

    def park_log(self, token: bytes, version: int, size: int) -> bool:
        """Set an entry aside; whether that was done. `size`: bytes that stand there then."""
        if self.lease != token:
            return False
        found = [entry for entry in self.log if entry.held.version == version]
        if not found:
            return False
        [entry] = found
        self._remove(entry)
        self.aside[version] = Entry(entry.name, msgspec.structs.replace(entry.held, size=size))
        self.aside_bytes += size
        held = self.dirty.get(entry.name)
        if held is not None and held.version == version:
            self._forget(entry.name)
        return True

    def retry_log(self, version: int, size: int, now: int) -> int:
        """Put a parked entry at the end; its new version, 0 where it is not parked."""
        entry = self._taken(version)
        if entry is None:
            return 0
        self.number += 1
        new = version_of(self.epoch, self.number)
        held = Held(new, entry.held.id, now, entry.held.value, size)
        old = self.dirty.get(entry.name)
        self._drop(entry.name)
        self.dirty[entry.name] = held
        self.bytes += size - (old.size if old else 0)
        self.due.setdefault(entry.name, now)
        self.ages.setdefault(entry.name, now)
        self._append(Entry(entry.name, held))
        return new

    def discard_log(self, version: int) -> bool:
        """Forget a parked entry."""
        return self._taken(version) is not None

    def _append(self, entry: Entry) -> None:
        self.log.append(entry)
        self.logged += entry.size

    def _remove(self, entry: Entry) -> None:
        self.log.remove(entry)
        self.logged -= entry.size
        self.tried.pop(entry.held.version, None)

    def _taken(self, version: int) -> Entry | None:
        entry = self.aside.pop(version, None)
        self.aside_bytes -= 0 if entry is None else entry.size
        return entry
