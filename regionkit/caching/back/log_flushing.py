# Generated from log_flushing_async.py by scripts/twins.py. Do not edit.
"""One flush in log mode: the first entries of the log, in order, into the sink.

| what the sink says                     | what the flusher does |
|----------------------------------------|-----------------------|
| a change is applied, or superseded     | confirms its key (ACK), then removes the entry (DONE) |
| CONFLICT                               | PARK; the log goes on |
| SinkRefused, of several changes        | halves them, the first half first |
| SinkRefused, of one                    | FAIL with a pause; at its last attempt REFUSE and PARK, and the log goes on |
| to REFUSE, that another has applied it | asked once more, it says so |
| SinkDown, SinkFenced                   | FAIL without a pause: the log waits; as in `flush_rules` |
| anything else that no sink raises      | halves, as if refused; of one FAIL with a pause: the log waits, nothing is parked |
| an entry that cannot be decoded        | FAIL without a pause; it claims nothing for a while: another version may read it |

1. Nothing is flushed behind an entry that was neither written nor parked.
2. A lease whose answer was lost, or whose flush was cancelled, may stand: it is given back in the background (rule 7 of
   `flush_rules`), so that the log does not wait for its end.
3. Keys are confirmed before their entries are removed. If the process dies in between, they are written again; the sink
   recognises their versions.
"""

from __future__ import annotations

from collections.abc import Sequence

from regionkit.caching.back.events import RecordParked, RecordUnreadable, SinkFailed
from regionkit.caching.back.flush_rules import LEASE, MOST_WAITS, OTHERS_VERSION, alive_for, refusal_pause, verdicts_in
from regionkit.caching.back.flushing import CONFLICT, Batch, Flushing
from regionkit.caching.back.log_buffer import LogBuffer
from regionkit.caching.back.parts import BackParts
from regionkit.caching.back.record import change_in
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sink import SinkDown, SinkFenced, SinkRefused
from regionkit.caching.back.steps import Claimed, Claims
from regionkit.caching.entry import Unreadable
from regionkit.caching.steps import BATCH, TierDown
from regionkit.core.events import crash_point
from regionkit.errors import RegionKitError

__all__ = ["LogFlushing"]


class _Held(Exception):
    """An entry holds up the log."""

    def __init__(self, version: int, pause: float) -> None:
        super().__init__()
        self.version, self.pause = version, pause


class _Written:
    """How far one flush has come.

    Attributes:
        token: of the lease.
        through: version up to which all entries were written, or parked; 0: none.
        count: of written ones.
    """

    def __init__(self, token: bytes) -> None:
        self.token = token
        self.through = 0
        self.count = 0


class LogFlushing(Flushing):
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: BackParts, buffer: LogBuffer) -> None:
        super().__init__(parts)
        self._buffer = buffer
        self._reads_from = 0.0

    def batch(self) -> Batch:
        """Write the first entries, as much as one claim gives. Raises as `Flushing.batch`."""
        if self._parts.clock.monotonic() < self._reads_from:
            self._may_flush()
            return Batch(0, 0)
        return super().batch()

    def _claimed(self, token: bytes) -> Claims:
        return self._buffer.first(BATCH, LEASE, alive_for(self._parts.strategy.max_age), token)

    def _written(self, token: bytes, claims: Claims) -> Batch:
        parts = self._parts
        crash_point("write-back.claimed")
        changes: list[Change] = []
        written, unreadable = _Written(token), ""
        for one in claims.records:
            try:
                changes.append(change_in(one.record, self._cache.fetcher.parts.shaper))
            except (Unreadable, ValueError) as error:
                unreadable = str(error)
                break
        try:
            if changes:
                self._in_order(claims.epoch, claims.records[: len(changes)], changes, written)
            if unreadable:
                self._reads_from = parts.clock.monotonic() + OTHERS_VERSION
                self._cache.emit(RecordUnreadable(self._cache.name, unreadable))
                raise _Held(0, 0.0)
        except _Held as held:
            self._given_back(written, held.pause, held.version)
        except (SinkDown, RegionKitError) as down:
            if not isinstance(down, TierDown):
                self._given_back(written, 0.0)
            if isinstance(down, SinkFenced):
                self._fenced(down)
            raise
        else:
            self._buffer.done(token, written.through)
        if written.through:
            self.well()
        return Batch(len(claims.records), written.count)

    def _given_back(self, written: _Written, pause: float, version: int = 0) -> None:
        if written.through:
            self._buffer.done(b"", written.through)
        self._buffer.failed(written.token, pause, version)

    def _in_order(self, epoch: int, entries: Sequence[Claimed], changes: Sequence[Change], written: _Written) -> None:
        """Write entries; one that is refused is found by halves.

        Raises:
            _Held: one was neither written nor parked.
        """
        parts = self._parts
        try:
            verdicts = verdicts_in(parts.sink.flush(self._cache.name, epoch, changes), len(changes))
        except (SinkDown, TierDown, RegionKitError):
            raise
        except Exception as error:
            if len(changes) > 1:
                middle = len(changes) // 2
                self._in_order(epoch, entries[:middle], changes[:middle], written)
                self._in_order(epoch, entries[middle:], changes[middle:], written)
                return
            if self._unwritten(epoch, entries[0], error, written):
                return
            again = parts.sink.flush(self._cache.name, epoch, changes)  # it says that another has applied it
            verdicts = verdicts_in(again, len(changes))
        crash_point("write-back.flushed")
        last = {one.name: (one, verdict) for one, verdict in zip(entries, verdicts, strict=True)}
        applied = [one for one, verdict in last.values() if verdict is Verdict.APPLIED]
        superseded = [one for one, verdict in last.values() if verdict is Verdict.SUPERSEDED]
        if applied or superseded:
            parts.buffer.ack(applied, superseded)
        for one, verdict in zip(entries, verdicts, strict=True):
            if verdict is Verdict.CONFLICT:
                self._set_aside(one, CONFLICT, written, conflict=True)
            else:
                written.count += 1
                self._cache.counters.flushed += verdict is Verdict.APPLIED
        written.through = entries[-1].record.version

    def _unwritten(self, epoch: int, one: Claimed, error: Exception, written: _Written) -> bool:
        """Park an entry at its last attempt; False where another flusher has applied it.

        Raises:
            _Held: it is tried again.
        """
        if not isinstance(error, SinkRefused):
            why = f"{type(error).__name__}: {error}"
            self._cache.emit(SinkFailed(self._cache.name, why))
            self.away(why)
            raise _Held(one.record.version, refusal_pause(one.tries))
        attempts = self._parts.strategy.attempts * (MOST_WAITS if error.waits else 1)
        if one.tries < attempts:
            raise _Held(one.record.version, refusal_pause(min(one.tries, 4)))
        refuse = getattr(self._parts.sink, "refuse", None)
        if refuse is not None and not refuse(self._cache.name, epoch, one.record.version):
            return False
        crash_point("write-back.refused")
        self._set_aside(one, str(error), written, conflict=False)
        return True

    def _set_aside(self, one: Claimed, why: str, written: _Written, *, conflict: bool) -> None:
        """Park an entry.

        Raises:
            _Held: the lease is another's by now, who may have written it.
        """
        if not self._buffer.park_first(written.token, one, why):
            raise _Held(0, 0.0)
        self._cache.counters.parked += 1
        self._cache.emit(RecordParked(self._cache.name, why, conflict))
