# Generated from relay_lease_async.py by scripts/twins.py. Do not edit.
"""Who publishes for a destination: a lease of work, and the epoch that fences what its holder deletes.

1. The lease is a record that ends by the server's clock. Its holder counts from before it asked, on a clock that counts
   suspension, and stops `MARGIN` earlier: it never believes in it longer than the server does.
   Versions begin anew after an end: they begin at random, so that no renewal that comes late hits the lease of another.
2. Whoever takes it raises the epoch of the destination in the same transaction. Deletes name the epoch: those of a holder
   before change nothing. The row of the epoch may be raised by others, too, to make the holder look at everything anew.
3. What is sent is sent only while the lease outlasts the time-out of the sending.
"""

from __future__ import annotations

import os

from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError
from regionkit.facts.record import Record
from regionkit.messaging.outbox import Outbox

__all__ = ["MARGIN", "RelayLease"]

KIND = "relay"
MARGIN = 1.0
"""Seconds by which two clocks may drift apart within a lease, a hundred times what they do."""


class RelayLease:
    """The lease of one destination. It serves one job."""

    def __init__(self, outbox: Outbox, destination: str, lasts: float) -> None:
        self._outbox = outbox
        self._destination = destination.encode()
        self._key = f"{outbox.name}/{destination}"
        self._mine = os.urandom(12)
        self._lasts = lasts
        self._held: Record | None = None
        self._until = 0.0
        self.epoch = 0
        self.lineage = ""

    def left(self) -> float:
        """Seconds for which it is surely held."""
        return self._until - self._outbox.clock.monotonic() if self._held is not None else 0.0

    def hold(self, seconds: float) -> bool:
        """Hold it for `seconds` at least; False: another relay has it. Renewed when a third of it is over."""
        if self.left() > max(seconds, self._lasts * 2 / 3):
            return True
        if self.left() > 0 and self._held is not None and self._renewed(self._held):
            return True
        return self._taken()

    def _renewed(self, held: Record) -> bool:
        deadline, begun = self._outbox.deadline(), self._outbox.clock.monotonic()
        wanted = Record(KIND, self._key, self._mine, held.version + 1)
        records = self._outbox.backing.records()
        try:
            stands = records.put(deadline, wanted, expected=held.version, lasts=self._lasts)
        except RegionKitError as error:
            if error.committed == "no":
                raise
            stands = records.get(deadline, KIND, self._key)  # sent, and no answer came
            wanted = stands if stands == wanted and stands is not None else wanted
        if stands is not wanted:
            self.lost()
            return False
        self._held, self._until = wanted, begun + self._lasts - MARGIN
        return True

    def _taken(self) -> bool:
        outbox, begun = self._outbox, self._outbox.clock.monotonic()
        deadline = outbox.deadline()
        stands = outbox.backing.records().get(deadline, KIND, self._key)
        if stands is not None and stands.value != self._mine:
            return False
        expected = 0 if stands is None else stands.version
        wanted = Record(KIND, self._key, self._mine, expected + 1 + int.from_bytes(os.urandom(5), "big"))
        with outbox.backing.write(deadline=deadline, core=True) as unit:
            records = outbox.backing.records()
            if records.put(deadline, wanted, expected=expected, lasts=self._lasts, within=unit) is not wanted:
                return False
            outbox.within(unit.native, outbox.sql.ensure_run)
            epoch = outbox.within(unit.native, outbox.sql.take_over, self._destination)
            lineage = outbox.within(unit.native, outbox.sql.lineage)
        self.epoch, self.lineage = epoch, lineage
        self._held, self._until = wanted, begun + self._lasts - MARGIN
        return True

    def lost(self) -> None:
        """It is not held any more, or its epoch was raised: what follows is a take-over."""
        self._held, self._until = None, 0.0

    def give_up(self, deadline: Deadline) -> None:
        """Let another one have it at once."""
        held = self._held
        self.lost()
        if held is not None:
            self._outbox.backing.records().delete(deadline, KIND, self._key, expected=held.version)
