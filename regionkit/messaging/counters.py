"""What a consumer has done, and what a relay, in numbers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace

__all__ = ["Counters", "Relayed", "Summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of what was done with the delivered messages.

    Attributes:
        applied: effects that are committed, those of cases and held messages counted.
        duplicates: copies of what was applied; nothing was done.
        retrying: messages that failed and wait in the hospital for their next run.
        held: messages put behind a parked key.
        parked: cases that wait for an operator.
        expired: messages whose time had passed.
        stale: messages older than is accepted, from the future, or overtaken by a failover of their outbox.
        unhandled: messages of a type without a handler.
        skipped: tombstones: numbers of messages that went elsewhere.
        malformed: bytes that are not a message.
        mismatches: copies of an id with another payload.
        diverged: messages whose number was given out twice, by a failover of their outbox.
        began: keys that began past their first message.
        unchanged: effects of `statement` that changed no row, counted where each changes one at most.
        forwarded: messages that were published in the region that is their home.
        seen: messages of other homes that this region's copy shows as applied.
        reruns: runs again after a deadlock or a lost connection; no attempts.
        given_back: deliveries that were given back to the source.
        broken: times that a message met an error that no rule names: it became a case, or was given back.
    """

    applied: int = 0
    duplicates: int = 0
    retrying: int = 0
    held: int = 0
    parked: int = 0
    expired: int = 0
    stale: int = 0
    unhandled: int = 0
    skipped: int = 0
    malformed: int = 0
    mismatches: int = 0
    diverged: int = 0
    began: int = 0
    unchanged: int = 0
    forwarded: int = 0
    seen: int = 0
    reruns: int = 0
    given_back: int = 0
    broken: int = 0

    def __sub__(self, other: Summary) -> Summary:
        return Summary(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)})


class Counters:
    """Counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = dict.fromkeys((f.name for f in fields(Summary)), 0)

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        with self._lock:
            self._now[name] += count

    def summary(self) -> Summary:
        """All of them, as they stand."""
        with self._lock:
            return replace(Summary(), **self._now)


@dataclass
class Relayed:
    """What a relay did: counts.

    Attributes:
        published: messages that targets have confirmed.
        tombstones: numbers that were published without their message: it had expired, or was buried.
        dropped: messages without a number that had expired.
        moved: delayed messages that became due, and took their numbers.
        refused: messages that a target refused permanently; each is a case.
        unknown: messages without an answer; they are published again.
    """

    published: int = 0
    tombstones: int = 0
    dropped: int = 0
    moved: int = 0
    refused: int = 0
    unknown: int = 0

    def add(self, other: Relayed) -> None:
        """Count what another one did, too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
