"""Days of a SQL inbox, and the rows of it that nobody asks for any more.

1. PostgreSQL: claims stand in a partition a day of their ids; those of foreign ids in one of their own, day 0. There is no
   default one: with rows of tomorrow in it, tomorrow could not be made. Days are made two ahead and attached, which stops no
   INSERT; one whose ids are all too old is dropped, at once and without a DELETE.
2. A DROP waits for a lock for `LOCK_WAIT` only: behind it everybody who comes later would wait, too. It is tried again.
3. MariaDB and SQLite have no days: old claims are deleted, a few at a time.
4. Held messages, gates, open cases and their audit lines are never old.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from regionkit.contract.backing_async import AsyncBacking
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.messaging.delivery import ACCEPT_FOR
from regionkit.messaging.inbox_days_sql import AHEAD, attach_day, days_of, days_sql, days_wanted
from regionkit.messaging.inboxes.rows_sql import DAY, InboxStatements
from regionkit.messaging.retention import FOR_EVER, Retention

__all__ = ["AsyncSqlSweeping"]

MOST_DELETED = 1000
"""Rows of one DELETE: milliseconds of locks."""
LOCK_WAIT = "100ms"
"""How long a DROP stands in the way of whoever comes after it."""
BUSY = "55P03"
RIGHTS = "42501"


class AsyncSqlSweeping:
    """What a SQL inbox does for its janitor."""

    backing: AsyncBacking
    retention: Retention
    hospital_retention: float
    homes: Any
    records: Any

    @abstractmethod
    def rows_for(self, unit: Any) -> InboxStatements:
        """The statements of its dialect."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""

    @abstractmethod
    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit."""

    async def prepare(self, accept_for: float, deadline: Deadline) -> None:
        """See that there is a place for each claim that may come in the next days; make what is missing.

        Raises:
            ConfigurationError: a day is missing, and this account may not make it.
        """
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            if not rows.has_days:
                return
            missing = days_wanted(self.now(), accept_for) - await self._days(unit, rows)
        if missing:
            try:
                await self._attach(missing, deadline)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") != RIGHTS:
                    raise
                raise ConfigurationError(
                    f"the inbox in {self.backing.name!r} lacks partitions for {len(missing)} days that messages may be of.",
                    why=f"they are made {AHEAD} days ahead, and this account lacks the right.",
                    fix=f"let it own table {rows.inbox.name}, or run a consumer as an account that does.",
                ) from error

    async def _attach(self, missing: set[int], deadline: Deadline) -> None:
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            await unit.native.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"days of {rows.inbox.name}"}
            )
            for day in sorted(missing - await self._days(unit, rows)):
                for statement in attach_day(rows.inbox.name, day):
                    await unit.native.execute(text(statement))

    async def _days(self, unit: Any, rows: InboxStatements) -> set[int]:
        found = await unit.native.execute(text(days_sql()), {"name": rows.inbox.name})
        return days_of(rows.inbox.name, [row[0] for row in found])

    async def sweep(self, retention: Retention, deadline: Deadline) -> bool:
        """Take away rows that no copy can ask for any more, a few; whether there may be more."""
        claims, now = retention.keeps(ACCEPT_FOR), self.now()
        oldest = int((now - claims) // DAY) + 1  # the day of the oldest id that counts
        more = False
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            old = {"b_bucket": oldest, "b_before": now - claims}
            if rows.has_days:
                dropped = sorted(day for day in await self._days(unit, rows) if 0 < day < oldest)
            else:
                dropped = []
                more |= await self._delete(unit, rows, rows.inbox.name, "bucket > 0 AND bucket < :b_bucket", old)
            more |= await self._delete(unit, rows, rows.started.name, "seen_at < :b_before", old)
        if retention.foreign != FOR_EVER:
            async with self.unit(deadline, core=True) as unit:
                foreign = {"b_before": now - retention.foreign}
                more |= await self._delete(unit, rows, rows.inbox.name, "bucket = 0 AND seen_at < :b_before", foreign)
        more |= await self._sweep_cases(deadline, now - self.hospital_retention)
        if self.homes is None:
            await self.records.sweep()
        for day in dropped[:1]:
            more |= await self._drop(rows, day, deadline) and len(dropped) > 1
        return more

    async def _sweep_cases(self, deadline: Deadline, before: float) -> bool:
        """Cases that are over and stand in nobody's way, and lines of cases that are gone."""
        over = "status IN ('discharged', 'buried', 'redirected') AND parks = 0 AND changed_at < :b_before"
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            more = await self._delete(unit, rows, rows.hospital.name, over, {"b_before": before})
            gone = f"at < :b_before AND case_id NOT IN (SELECT case_id FROM {rows.hospital.name})"  # noqa: S608
            return await self._delete(unit, rows, rows.event.name, gone, {"b_before": before}) or more

    async def _delete(self, unit: Any, rows: InboxStatements, table: str, which: str, given: dict[str, Any]) -> bool:
        """Delete some rows; whether there may be more."""
        if rows.dialect in ("mysql", "mariadb"):
            statement = f"DELETE FROM {table} WHERE {which} LIMIT {MOST_DELETED}"  # noqa: S608
        else:
            row = "ctid" if rows.has_days else "rowid"
            skip = " FOR UPDATE SKIP LOCKED" if rows.has_days else ""
            inner = f"SELECT {row} FROM {table} WHERE {which} LIMIT {MOST_DELETED}{skip}"  # noqa: S608
            place = f"{row} = ANY(ARRAY({inner}))" if rows.has_days else f"{row} IN ({inner})"
            # the condition again: a ctid alone may be a row of each partition
            statement = f"DELETE FROM {table} WHERE {which} AND {place}"  # noqa: S608
        wanted = text(statement)
        done = await unit.native.execute(wanted, {name: given[name] for name in wanted._bindparams})
        return bool(done.rowcount >= MOST_DELETED)

    async def _drop(self, rows: InboxStatements, day: int, deadline: Deadline) -> bool:
        """Whether a day went; False where somebody's transaction is in the way."""
        try:
            async with self.unit(deadline, core=True) as unit:
                await unit.native.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
                await unit.native.execute(text(f"DROP TABLE IF EXISTS {rows.inbox.name}_d{day}"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != BUSY:
                raise
            return False
        return True
