# Generated from sql_async.py by scripts/twins.py. Do not edit.
"""An inbox in PostgreSQL, MariaDB, MySQL or SQLite: claim, gate and effect commit in one transaction.

1. A numbered message of a key that is kept in order costs one UPDATE of its gate; it is dedup, order and parking in one.
2. Others cost one INSERT of a claim. Where it waits for another one's transaction, it waits as long as its run may take.
3. MariaDB: a claim that is there is an error 1062 of a plain INSERT, and the winner is read under a lock.
4. A key whose messages nobody numbered has a gate too: it is the lock that makes parking and arrival come one after another.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import copy
from typing import Any

from sqlalchemy.exc import IntegrityError

from regionkit.contract.backing import backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.contract.unit import Unit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_seconds
from regionkit.errors import ConfigurationError
from regionkit.messaging.cipher import Cipher
from regionkit.messaging.delivery import Judged, Verdict, judge_claim
from regionkit.messaging.envelope import (
    Envelope,
    fingerprint,
    stored_id,
)
from regionkit.messaging.inboxes.applied_sql import has_applied
from regionkit.messaging.inboxes.batch_sql import SqlBatches
from regionkit.messaging.inboxes.cases_sql import SqlRows, asked
from regionkit.messaging.inboxes.janitor_sql import SqlSweeping
from regionkit.messaging.inboxes.kept import KeptRows
from regionkit.messaging.inboxes.rows_sql import (
    InboxStatements,
    Prepared,
    bucket_of,
    gate_key,
    require_taken,
    tables_expected,
)
from regionkit.messaging.kept_tables import IDEMPOTENCY, INBOX_TABLES
from regionkit.messaging.records import SqlRecords
from regionkit.messaging.retention import FOR_EVER, LONGEST, Retention
from regionkit.messaging.store_clock import StoreClock

__all__ = ["SqlInbox"]

HOSPITAL_RETENTION = 90 * 86_400.0
"""Seconds for which cases that are over are kept: a quarter's questions can be answered."""


class SqlInbox(SqlBatches, SqlSweeping, KeptRows):
    """An inbox beside the data of its effects. Safe to share between threads (tasks of one loop).

    Args:
        given: an engine of the application's, or a kit.
        store: which of a kit's stores.
        namespace: prefix of its tables; a kit's own counts for its stores.
        cipher: encrypts the bodies of held messages and cases; their keys, types and errors stand in plain.
        retention: seconds for which a claim is kept after its id was made; None: as long as `accept_for` of its consumer needs.
        forget_foreign_after: seconds for which a claim is kept whose id carries no time; default: for ever.
        hospital_retention: seconds for which cases that are over are kept, and what was done with them.
        clock: the clock to use.
    """

    transactional = True
    effects: tuple[str, ...] = ("transaction", "external")
    notes: tuple[str, ...] = ()
    quiet_duplicates = True  # a claim that is there is found without a write, and leaves the transaction good

    def __init__(
        self,
        given: Any,
        *,
        store: str | None = None,
        namespace: str = "regionkit",
        cipher: Cipher | None = None,
        retention: float | None = None,
        forget_foreign_after: float = FOR_EVER,
        hospital_retention: float = HOSPITAL_RETENTION,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_seconds("hospital_retention", hospital_retention, 1.0, LONGEST)
        self.given = given
        self.cipher = cipher
        self.hospital_retention = hospital_retention
        self.retention = Retention(retention, forget_foreign_after).checked()
        self.backing = backing_of(given, namespace=namespace, store=store, clock=clock)
        if "core" not in self.backing.capabilities.modes:
            raise ConfigurationError(
                f"{self.backing.name!r} cannot keep a SQL inbox.",
                fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite.",
            )
        self.homes: Any = given.homes(store) if store is not None and hasattr(type(given), "homes") else None
        if self.homes is not None:
            self.effects = ("transaction",)  # the claims of others would stand in one part alone
        self.records = SqlRecords(given, store=store, namespace=namespace)
        self._clock = clock
        self._time = StoreClock(clock)
        make_with_kit(given, self)
        self._rows: InboxStatements | None = None

    def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps. Many processes may call it at the same time."""
        self.backing.create_tables((*INBOX_TABLES, IDEMPOTENCY), Deadline(self._clock, timeout))

    def parts(self) -> dict[str, SqlInbox]:
        """Of a store whose keys have homes: an inbox for each part of it."""
        found: dict[str, SqlInbox] = {}
        for name, backing in self.homes.parts.items():
            part = found[name] = copy(self)
            part.backing, part.homes = backing, None
            part._rows, part._time = None, StoreClock(self._clock)
        return found

    def open(self, deadline: Deadline) -> None:
        """See that its tables are there, and what time the database has."""
        with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            with self.expected():
                unit.native.execute(rows.is_held, {"b_scope": b"", "b_id": b""})
            self._time.set(float((unit.native.execute(rows.now)).scalar_one()))

    def expected(self) -> AbstractContextManager[None]:
        """Inside, the tables are needed; `ConfigurationError` where one is not there."""
        return tables_expected(self.backing.name)

    def rows_for(self, unit: Any) -> InboxStatements:
        """The statements of its dialect."""
        if self._rows is None:
            self._rows = InboxStatements(self.backing.namespace, unit.native)
        return self._rows

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        return self._time.now()

    @property
    def clock_due(self) -> bool:
        """Whether the database should be asked what time it has."""
        return self._time.due

    def unit(self, deadline: Deadline, *, core: bool = False) -> AbstractContextManager[Unit]:
        """A unit for an effect; with `core` for rows alone."""
        return self.backing.write(deadline=deadline, core=core, stamped=False)

    def rows(self, unit: Any) -> SqlRows:
        """The rows, in a unit."""
        return SqlRows(unit.native, self.rows_for(unit), self.cipher)

    def _by_lock(self, unit: Any, scope: bytes, envelope: Envelope) -> Judged:
        row = {**self._claim_row(scope, envelope), **gate_key(scope, envelope)}
        verdict = self._claimed(unit, self.rows_for(unit).keyed_claim, row)
        if verdict is not Verdict.BUSY:
            return Judged(verdict)
        # there is no gate yet, or it is parked, or another one's claim was waited for
        return super()._by_lock(unit, scope, envelope)

    def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        return self._claimed(unit, self.rows_for(unit).claim, self._claim_row(scope, envelope))

    def _claim_row(self, scope: bytes, envelope: Envelope) -> dict[str, Any]:
        return {
            "b_bucket": bucket_of(envelope.id),
            "b_scope": scope,
            "b_id": stored_id(envelope.id),
            "b_print": fingerprint(envelope),
            "b_seen_at": self.now(),
        }

    def _claimed(self, unit: Any, claim: Prepared, row: dict[str, Any]) -> Verdict:
        """What a claim came to. BUSY: it has to be looked at again."""
        native, statements, bucket = unit.native, self.rows_for(unit), row["b_bucket"]
        try:
            if (asked(native, statements.of_day(claim, bucket), row)).rowcount == 1:
                return Verdict.APPLY
        except IntegrityError as error:
            require_taken(error)
        claimed = {name: row[name] for name in ("b_bucket", "b_scope", "b_id")}
        stored = (asked(native, statements.of_day(statements.claimed, bucket), claimed)).scalar()
        return Verdict.BUSY if stored is None else judge_claim(bytes(stored), row["b_print"])

    def has_applied(
        self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool, seen_in: str | None
    ) -> bool:
        """Whether a copy of the data shows that the message was taken. `seen_in`: only one of that region counts."""
        rows = self._rows
        if rows is None:  # it was away when the consumer began
            self.open(deadline)
            return False
        bucket = bucket_of(envelope.id)
        return has_applied(self.backing, rows, bucket, scope, envelope, deadline, ordered=ordered, seen_in=seen_in)

    def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        self.records.close()
        self.backing.close()
