# Generated from inbox_async.py by scripts/twins.py. Do not edit.
"""What a consumer asks of its inbox. Prose and Protocols.

1. `judge` runs in the unit of the effect, and what it writes (claim, gate, held row) commits with it or not at all.
2. Claim, gate, held messages and cases stand in one database; `admit` writes what belongs together in one unit.
3. What has ended nothing undoes: a row of a run is changed only by the run that wrote its number.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from regionkit.contract.backing import Backing
from regionkit.contract.unit import Unit
from regionkit.core.deadline import Deadline
from regionkit.messaging.case import Case, HeldMessage, Key
from regionkit.messaging.delivery import Judged
from regionkit.messaging.envelope import Envelope
from regionkit.messaging.records import CallRecords
from regionkit.messaging.retention import Retention

__all__ = ["Inbox"]


class Inbox(Protocol):
    """Where one consumer keeps what it has taken. Safe to share between threads (tasks of one loop).

    Attributes:
        transactional: the claim commits with the effect.
        gates: keys can be kept in order.
        effects: of handlers that it can serve: "transaction", "external", "redis".
        records: claims of calls outside, with lease and fence, for handlers with such effects.
        backing: whose database it is.
        notes: what is not covered, for `explain()`.
        retention: how long claims are kept.
    """

    transactional: bool
    gates: bool
    effects: tuple[str, ...]
    backing: Backing
    notes: tuple[str, ...]
    retention: Retention

    @property
    def records(self) -> CallRecords:
        """Of whichever kind."""
        ...

    def open(self, deadline: Deadline) -> None:
        """See that its tables are there, and what time the database has.

        Raises:
            ConfigurationError: a table is missing.
        """
        ...

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        ...

    def unit(self, deadline: Deadline, *, core: bool = False) -> AbstractContextManager[Unit]:
        """A unit for an effect; with `core` for rows alone."""
        ...

    def judge(self, unit: Any, scope: bytes, envelope: Envelope, *, ordered: bool) -> Judged:
        """What is to be done, by gate or claim; what it says stands in the unit's transaction."""
        ...

    def start(self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool) -> int:
        """A run of a suspect begins, committed before it does. Which one it is, from 1; 0: it would not be applied now."""
        ...

    def unstart(self, scope: bytes, envelope: Envelope, started: int, deadline: Deadline) -> None:
        """That run did not come to its handler, or not to an end that counts: it is taken back, if it was the last one."""
        ...

    def admit(
        self, scope: bytes, case: Case, envelope: Envelope | None, deadline: Deadline, *, ordered: bool
    ) -> Judged:
        """Claim or gate, case, and parking in one unit; what else than APPLY comes back has become of the message meanwhile.

        Args:
            scope: the consumer.
            case: as it is to stand.
            envelope: None where the case takes no message's place: the bytes are none, or the message has been taken before.
            deadline: of the unit.
            ordered: keys are kept in order.
        """
        ...

    def admit_gap(self, scope: bytes, case: Case, envelope: Envelope, deadline: Deadline) -> Judged:
        """Park a key before a gap, with the message that waits behind it; what else than HELD comes back has closed it.

        A key that never began begins with the lowest held message when the case is due.
        """
        ...

    def due(self, scope: bytes, most: int, deadline: Deadline) -> list[Case]:
        """Cases to run, and ended ones whose key has not gone on."""
        ...

    def begin_treatment(self, case: Case, until: float, deadline: Deadline) -> Case | None:
        """Start the next run of a case, committed before it runs; None where another one has.

        The case as it stands then: it may have been edited since it was found to be due.
        """
        ...

    def discharge(self, unit: Any, case: Case) -> bool:
        """In the unit of the effect: this run has applied it. False where the case is another run's by now."""
        ...

    def end_treatment(self, case: Case, after: Case, deadline: Deadline) -> bool:
        """A run has failed: the case as it stands after it. False where it is another run's by now."""
        ...

    def next_held(self, unit: Any, scope: bytes, key: Key) -> HeldMessage | None:
        """The lowest of a key's held messages, its gate locked; None where the key is not to go on, or has no more.

        Where nothing is held any more the key is parked no longer, in the unit's transaction.
        """
        ...

    def take_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope) -> Judged:
        """What is to be done with it. APPLY: its row goes, and the gate moves, in the unit's transaction; GAP: the key waits.

        BUSY: it is not held any more; another process has let it go on.
        """
        ...

    def park_held(self, unit: Any, scope: bytes, held: HeldMessage, envelope: Envelope, case: Case) -> None:
        """It could not be applied: a case takes its place, and the key waits for it."""
        ...

    def sweep(self, retention: Retention, deadline: Deadline) -> bool:
        """Take away rows that no copy can ask for any more, a few; whether there may be more."""
        ...

    def prepare(self, accept_for: float, deadline: Deadline) -> None:
        """See that there is a place for each claim of the next days, where that has to be made.

        Raises:
            ConfigurationError: there is none, and it cannot be made.
        """
        ...
