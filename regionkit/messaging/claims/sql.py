# Generated from sql_async.py by scripts/twins.py. Do not edit.
"""Claims in a SQL table: each claim and each step is a transaction of its own on the owner. The statements stand in `schema_sql`.

What a row says is judged by the transitions of `claim`; the statements take only what they would take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.contract.backing import Backing
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError, RegionUnavailable, TransactionRolledBack
from regionkit.messaging.claim import Answer, Kept, Step, Wish, Won, taken
from regionkit.messaging.claiming import fitting
from regionkit.messaging.claims.schema_sql import MYSQL, ClaimStatements
from regionkit.messaging.columns_sql import is_missing
from regionkit.messaging.kept_tables import IDEMPOTENCY

__all__ = ["SqlClaims", "another_engine", "opened_claims"]

MOST_LOOKS = 8
"""Looks at a record that others take and let go in between; more say that something else is wrong."""
MOST_SWEEPS = 20
"""DELETEs of one sweep."""
JANITOR_LEASE = 60.0
"""Seconds for which one process sweeps, and the others leave it to that one."""
DUPLICATE = 1062
"""MariaDB's ER_DUP_ENTRY."""


class SqlClaims:
    """Implements `Claims`. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._server = backing.capabilities.server
        self._table = table_name(backing.namespace, IDEMPOTENCY.name)
        self._sql = ClaimStatements(self._server, self._table)

    def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        deadline = Deadline(SYSTEM_CLOCK, within)
        values = self._sql.values(
            scope=fitting(wish.scope),
            id=fitting(wish.id),
            state="calling" if wish.calling else "claimed",
            lease=wish.lease,
            life=wish.remembered,
            owner=wish.owner,
            fingerprint=wish.fingerprint,
        )
        look = self._taken_in_two if self._server in MYSQL else self._taken_at_once
        for _ in range(MOST_LOOKS):
            answer = look(deadline, wish, values)
            if answer is not None:
                return answer
        raise RegionUnavailable(
            "a record could not be claimed.",
            why="other processes keep claiming and releasing it.",
            fix="call again later.",
            store=self._backing.name,
        )

    def _taken_at_once(self, deadline: Deadline, wish: Wish, values: dict[str, Any]) -> Answer | None:
        """None: what was seen was changed meanwhile."""

        def work(db: Any) -> Any:
            row = (db.execute(self._sql.claim, values)).first()
            if row is None and self._server == "sqlite":
                row = (db.execute(self._sql.stands, values)).first()
            return row

        row = self._unit(deadline, work)
        if row is None:
            return None
        if row[0] == "won":
            return Won(row[1], row[5] or None)
        answer, after = taken(_kept(row), wish, 0.0)
        return answer if after is None else None

    def _taken_in_two(self, deadline: Deadline, wish: Wish, values: dict[str, Any]) -> Answer | None:
        def insert(db: Any) -> Answer:
            db.execute(self._sql.claim, values)
            return Won(1)

        def judge(db: Any) -> Answer | None:
            row = (db.execute(self._sql.lock, values)).first()
            if row is None:
                return None
            answer, after = taken(_kept(row), wish, 0.0)
            if after is not None:
                changed = {"state": after.state, "fence": after.fence, "was": after.was}
                db.execute(self._sql.take_over, values | changed)
            return answer

        try:
            won: Answer = self._unit(deadline, insert)
        except IntegrityError as error:
            if getattr(error.orig, "args", ())[:1] != (DUPLICATE,):
                raise
        else:
            return won
        found: Answer | None = self._unit(deadline, judge)
        return found

    def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made."""
        values = {"scope": fitting(wish.scope), "id": fitting(wish.id), "owner": wish.owner, "fence": fence}
        if step == "renew":
            values |= {"lease": wish.lease, "life": wish.remembered}
        elif step == "complete":
            values |= {"keep": wish.keep, "life": wish.remembered, "result": result}
        values = self._sql.values(**values)

        def work(db: Any) -> bool:
            done = db.execute(self._sql.steps[step], values, execution_options={"preserve_rowcount": True})
            return bool(done.rowcount)

        made: bool = self._unit(Deadline(SYSTEM_CLOCK, within), work)
        return made

    def _unit(self, deadline: Deadline, work: Callable[[Any], Any]) -> Any:
        """What `work` gives, in a transaction of its own; again where the server rolled it back for another's sake."""
        for left in reversed(range(MOST_LOOKS)):
            try:
                with self._backing.write(deadline=deadline, core=True) as unit:
                    return work(unit.native)
            except TransactionRolledBack:
                if not left:
                    raise
            except DBAPIError as error:
                if not is_missing(error) or self._table not in str(error.orig):
                    raise
                raise ConfigurationError(
                    f"{self._backing.name!r} has no table {self._table!r}.",
                    why="calls are kept there.",
                    fix="call create_tables() of the records once, and whenever you deploy.",
                ) from error
        raise AssertionError("the last run returns or raises")

    def sweep(self, *, within: float) -> int:
        """Take away rows that are over. One process at a time does it."""
        deadline = Deadline(SYSTEM_CLOCK, within)
        janitor = Wish(b"regionkit", b"janitor", os.urandom(16), lease=JANITOR_LEASE)
        won = self.claim(janitor, within=within)
        if not isinstance(won, Won):
            return 0

        def work(db: Any) -> int:
            done = db.execute(self._sql.sweep, execution_options={"preserve_rowcount": True})
            return int(done.rowcount)

        total = 0
        for _ in range(MOST_SWEEPS):
            gone = self._unit(deadline, work)
            total += gone
            if not gone:
                break
        self.step("release", janitor, won.fence, within=deadline.require("sweeping"))
        return total

    def create_tables(self, deadline: Deadline) -> None:
        """Make the table, once."""
        self._backing.create_tables([IDEMPOTENCY], deadline)

    def close(self) -> None:
        """Close the connections of an engine's backing."""
        self._backing.close()


def _kept(row: Sequence[Any]) -> Kept:
    """A row as it stands now, where now is 0."""
    state, fence, left, owner, fingerprint, was, result = row
    return Kept(
        state, int(fence), float(left), bytes(owner), bytes(fingerprint), was, None if result is None else bytes(result)
    )


def another_engine(engine: Any) -> Any:
    """The same engine with an empty pool of its own; of both kinds."""
    plain = copy(getattr(engine, "sync_engine", engine))
    plain.pool = plain.pool.recreate()
    return type(engine)(plain) if hasattr(engine, "sync_engine") else plain


def opened_claims(backing: Backing) -> SqlClaims:
    """The claims of a backing on a SQL server."""
    return SqlClaims(backing)
