"""Small rows that change by compare-and-set, on every backend: placements, lists of homes, leases of work, idempotency.

1. A record changes by compare-and-set on its version only; 0 means that none stands.
2. An answer is what stands then. What a server may or may not have done is an OutcomeUnknown, never an answer.
3. A record that ends is gone from the instant that the clock of the server that keeps it says so: for a read it is not
   there, for a compare-and-set its version is 0. SQLite's clock and memory's are this machine's.
4. Kinds and keys compare byte for byte on every server: blanks at the end, case, accents and normal forms count.
"""

from __future__ import annotations

from typing import Any, Protocol

from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record

__all__ = ["AsyncRecords"]


class AsyncRecords(Protocol):
    """The records that an endpoint keeps. Safe to share between threads or tasks. Changes only on the owner."""

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this endpoint has; None when it has none.

        Raises:
            RegionUnavailable, DeadlineExceeded: it does not answer.
            ConfigurationError: the store has no table for records yet.
        """
        ...

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then.

        It is `record` itself exactly when the change was made. None: `expected` was not 0, and none stands.

        Args:
            deadline: of the call; with `within`, the unit's counts.
            record: its version is the one that it has from now on.
            expected: the version that has to stand; 0 for none.
            lasts: seconds after which it ends; None: it stays.
            within: a unit's native connection on this endpoint: the change becomes part of its transaction. Refused where a
                unit is no transaction.

        Raises:
            OutcomeUnknown: it was sent, and no answer came.
            RegionUnavailable, DeadlineExceeded: it was not done.
            ConfigurationError: the value is too large, or the store has no table for records yet.
        """
        ...

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then: None when it was taken away.

        Raises: as `put`.
        """
        ...
