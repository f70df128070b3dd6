# Generated from janitor_async.py by scripts/twins.py. Do not edit.
"""Takes away what no copy can ask for any more: one janitor for an inbox, however many consumers and processes it has.

1. Whoever has the lease, a record in the inbox's database, sweeps; it ends by that server's clock. Two that sweep by mistake
   take away the same rows: nothing depends on there being one.
2. Consumers that share an inbox may want their claims for different times: the longest that one has asked for counts, for all.
3. Where the database's clock is ahead of this machine's, claims are kept longer by as much: one of them is wrong, and a claim
   that went too early would let a copy take effect again when the clock is set right.
4. It sweeps in small transactions, and pauses between them: nobody waits for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.contract.records import Records
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError
from regionkit.facts.record import Record
from regionkit.messaging.retention import FOR_EVER, Retention

__all__ = ["SWEPT_EVERY", "Janitor"]

SWEPT_EVERY = 300.0
"""Seconds between two rounds: days are made two ahead, and rows that stay some minutes longer harm nobody."""
LEASE = 3.0 * SWEPT_EVERY
"""Seconds of the lease: a janitor that died is replaced after it."""
NOT_MINE = 60.0
"""Seconds until the next look at a lease that another one has."""
BETWEEN = 0.2
"""Seconds between two steps of a sweep, each of some thousand rows."""
ROUND_WITHIN = 60.0
"""Seconds of one step."""
MOST_TRIES = 20
"""Changes of a record that others change too: more than consumers that start in one instant."""


class Janitor:
    """The janitor of one consumer. Used by one thread (task) at a time."""

    def __init__(self, inbox: Any, accept_for: float, clock: Clock) -> None:
        self._inbox = inbox
        self._accept_for = accept_for
        self._clock = clock
        self._me = uuid7().bytes
        self._held: Record | None = None
        self._alone = Retention()

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, ROUND_WITHIN)

    @property
    def _records(self) -> Records:
        records: Records = self._inbox.backing.records()
        return records

    def open(self) -> None:
        """Note how long claims are wanted, and see that there is a place for those of the next days.

        Raises:
            ConfigurationError: there is none, and none can be made.
        """
        wanted = self._inbox.retention
        self._alone = Retention(wanted.keeps(self._accept_for), wanted.foreign)
        if self._inbox.backing is not None:
            self._longest((wanted.keeps(self._accept_for), wanted.foreign))
        self._inbox.prepare(self._accept_for, self._deadline())

    def round(self) -> float:
        """One step, where the lease is ours. Seconds until the next."""
        kept = self._alone
        if self._inbox.backing is not None:  # else it is this process's own
            if not self._leased():
                return NOT_MINE
            self._inbox.prepare(self._accept_for, self._deadline())
            ahead = max(0.0, self._inbox.now() - self._clock.wall())
            claims, foreign = self._longest((self._alone.keeps(self._accept_for), self._alone.foreign))
            kept = Retention(claims + ahead, foreign + ahead)
        return BETWEEN if self._inbox.sweep(kept, self._deadline()) else SWEPT_EVERY

    def close(self) -> None:
        """Let go of the lease, so that another one need not wait for its end."""
        held, self._held = self._held, None
        if held is not None:
            self._records.delete(self._deadline(), held.kind, held.key, expected=held.version)

    def _leased(self) -> bool:
        held = self._held
        wanted = Record("janitor", "inbox", self._me, 1 if held is None else held.version + 1)
        expected = 0 if held is None else held.version
        stands = self._records.put(self._deadline(), wanted, expected=expected, lasts=LEASE)
        self._held = stands if stands is not None and stands.value == self._me else None
        return self._held is not None

    def _longest(self, mine: tuple[float, float]) -> tuple[float, float]:
        """The longest times that anybody asked for, with mine."""
        for _ in range(MOST_TRIES):
            found = self._records.get(self._deadline(), "janitor", "kept")
            stood = (0.0, 0.0) if found is None else _times(found)
            wanted = max(stood[0], mine[0]), max(stood[1], mine[1])
            if found is not None and wanted == stood:
                return stood
            version = 0 if found is None else found.version
            record = Record("janitor", "kept", msgspec.msgpack.encode(wanted), version + 1)
            if self._records.put(self._deadline(), record, expected=version) == record:
                return wanted
        raise ConfigurationError(
            "the retention of claims could not be stored: other processes keep storing theirs.", fix="start again."
        )


def _times(record: Record) -> tuple[float, float]:
    claims, foreign = msgspec.msgpack.decode(record.value, type=tuple[float, float])
    return claims, foreign or FOR_EVER
