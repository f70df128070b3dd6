# Generated from flushing_async.py by scripts/twins.py. Do not edit.
"""One flush: records out of the buffer, into their rows. What is done when is in `flush_rules`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from regionkit.caching.back.claims import ClaimsLeft
from regionkit.caching.back.events import (
    BufferContended,
    RecordParked,
    RecordUnreadable,
    SinkAway,
    SinkBack,
    SinkFailed,
)
from regionkit.caching.back.flush_rules import (
    CONTENTION,
    LEASE,
    MOST_SURPRISES,
    MOST_TAKEN,
    MOST_WAITS,
    OTHERS_VERSION,
    alive_for,
    changes_next,
    refusal_pause,
    verdicts_in,
)
from regionkit.caching.back.parts import BackParts
from regionkit.caching.back.record import change_in
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sink import SinkDown, SinkFenced, SinkRefused
from regionkit.caching.back.steps import Claimed, Claims
from regionkit.caching.entry import Unreadable
from regionkit.caching.steps import BATCH, TierDown
from regionkit.core.events import crash_point
from regionkit.errors import RegionKitError

__all__ = ["Batch", "Flushing"]

CONFLICT = "the row has a version that no put of this cache had: somebody else writes it"


class Batch(NamedTuple):
    """What one claim gave, and how much of it was written."""

    claimed: int
    written: int


class Flushing:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: BackParts) -> None:
        self._parts = parts
        self._cache = parts.cache
        self._away = False
        self._taken: list[float] = []
        self._surprises = 0
        self._stopped_until = 0.0
        self._size = BATCH
        self.left = ClaimsLeft(parts.buffer, parts.clock)

    def batch(self) -> Batch:
        """Write what is due, as much as one claim gives.

        Raises:
            SinkDown: the sink took nothing, and what was claimed is due again; or it could not be looked at.
            TierDown: the buffer does not answer; what was claimed is due when it does.
            Backpressure: the buffer is to be opened, and the sink does not answer.
            ConfigurationError: the sink cannot hold what is promised.
        """
        self._may_flush()
        token = os.urandom(16)
        has_any = True  # as long as it is not known
        try:
            try:
                claims = self._claimed(token)
            except TierDown as down:
                has_any = down.sent
                raise
            has_any = bool(claims.records)
            if not claims.is_open:
                self._parts.open()
                return Batch(1, 0)
            return self._written(token, claims) if has_any else Batch(0, 0)
        except BaseException:  # also a cancellation
            if has_any:
                self.left.leave(token)
            raise

    def _claimed(self, token: bytes) -> Claims:
        """What is due, or comes first."""
        size, self._size = self._size, BATCH
        return self._parts.buffer.claim(size, LEASE, alive_for(self._parts.strategy.max_age), token)

    def _written(self, token: bytes, claims: Claims) -> Batch:
        """What becomes of it."""
        parts = self._parts
        crash_point("write-back.claimed")
        changes, good = [], []
        for one in claims.records:
            try:
                changes.append(change_in(one.record, self._cache.fetcher.parts.shaper))
                good.append(one)
            except (Unreadable, ValueError) as error:
                parts.buffer.fail([one], OTHERS_VERSION)
                self._cache.emit(RecordUnreadable(self._cache.name, str(error)))
        self._surprises = 0
        began = parts.clock.monotonic()
        try:
            written = self._flush(claims.epoch, good, changes) if good else 0
        except (SinkDown, RegionKitError) as down:
            if not isinstance(down, TierDown):
                parts.buffer.fail(good, 0.0)
            if isinstance(down, SinkFenced):
                self._fenced(down)
            raise
        if good:
            self.well()
        took = parts.clock.monotonic() - began
        most, time = getattr(parts.sink, "most_changes", BATCH), getattr(parts.sink, "timeout", 0.0)
        self._size = changes_next(claims.wanted, len(claims.records), took, most=most, time=time)
        return Batch(len(claims.records), written)

    def _may_flush(self) -> None:
        """Rule 3, and the sink was looked at."""
        if self._parts.clock.monotonic() < self._stopped_until:
            raise SinkDown("another server buffers this cache")
        self._parts.check(strict=True)

    def _fenced(self, fenced: SinkFenced) -> None:
        """A later epoch was given out: rule 3."""
        parts, now = self._parts, self._parts.clock.monotonic()
        if (parts.buffer.status()).epoch >= fenced.epoch:
            return  # the buffer was opened with it meanwhile
        self._taken = [at for at in self._taken if now - at < CONTENTION]
        if len(self._taken) >= MOST_TAKEN:
            self._stopped_until = now + CONTENTION
            self._cache.emit(BufferContended(self._cache.name, fenced.epoch))
            return
        self._taken.append(now)
        parts.open(anew=True)

    def away(self, why: str) -> None:
        """The sink takes nothing: said once."""
        if not self._away:
            self._away = True
            self._cache.emit(SinkAway(self._cache.name, why))

    def well(self) -> None:
        """It takes rows."""
        if self._away:
            self._away = False
            self._cache.emit(SinkBack(self._cache.name))

    def _flush(self, epoch: int, records: Sequence[Claimed], changes: Sequence[Change]) -> int:
        """Write some records; one that is refused, or at which the sink fails by surprise, is found by halves."""
        parts = self._parts
        try:
            verdicts = verdicts_in(parts.sink.flush(self._cache.name, epoch, changes), len(changes))
        except (SinkDown, TierDown, RegionKitError):
            raise
        except Exception as error:
            if len(changes) > 1:
                middle = len(changes) // 2
                first = self._flush(epoch, records[:middle], changes[:middle])
                return first + self._flush(epoch, records[middle:], changes[middle:])
            if isinstance(error, SinkRefused):
                self._refused(records[0], error)
            else:
                self._surprised(records[0], error)
            return 0
        crash_point("write-back.flushed")
        pairs = list(zip(records, verdicts, strict=True))
        applied = [one for one, verdict in pairs if verdict is Verdict.APPLIED]
        superseded = [one for one, verdict in pairs if verdict is Verdict.SUPERSEDED]
        if applied or superseded:
            parts.buffer.ack(applied, superseded)
            self._cache.counters.flushed += len(applied)
        for one, verdict in pairs:
            if verdict is Verdict.CONFLICT:
                self._park(one, CONFLICT, conflict=True)
        return len(applied) + len(superseded)

    def _surprised(self, one: Claimed, error: Exception) -> None:
        """The sink raised at this one what no sink should: rule 4 of `flush_rules`.

        Raises:
            SinkDown: it did so at several: it is not the values.
        """
        why = f"{type(error).__name__}: {error}"
        self._surprises += 1
        if self._surprises >= MOST_SURPRISES:
            raise SinkDown(f"the sink fails: {why}") from error
        self._parts.buffer.fail([one], refusal_pause(one.tries), tries=1)
        self._cache.emit(SinkFailed(self._cache.name, why))

    def _refused(self, one: Claimed, refused: SinkRefused) -> None:
        """The sink will not take this one."""
        buffer, attempts = self._parts.buffer, self._parts.strategy.attempts
        if refused.waits and one.tries < MOST_WAITS * attempts and buffer.older(one) > 0:
            buffer.fail([one], refusal_pause(min(one.tries, 4)), tries=1)
        elif one.tries < attempts:
            buffer.fail([one], refusal_pause(one.tries), tries=1)
        else:
            self._park(one, str(refused), conflict=False)

    def _park(self, one: Claimed, why: str, *, conflict: bool) -> None:
        if self._parts.buffer.park(one, why):
            self._cache.counters.parked += 1
            self._cache.emit(RecordParked(self._cache.name, why, conflict))
