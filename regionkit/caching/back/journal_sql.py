# Generated from journal_sql_async.py by scripts/twins.py. Do not edit.
"""A journal in a table of a database: a row a put, in one INSERT for the puts of a moment. Any process may replay it.

The rules are in `journal_rules`. Nobody knows whether the put of a row is over: who settles it sees to it that it is
(rule 12 of `rules`).
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import MetaData, bindparam, delete, func, insert, select

from regionkit.caching.back.journal_rules import Note
from regionkit.caching.back.refusals import JournalBroken, JournalFull, SinkDown, SinkRefused
from regionkit.caching.back.sinks.epochs_sql import SinkUnits
from regionkit.caching.journals import SqlJournal
from regionkit.caching.kept_tables import WB_JOURNAL
from regionkit.caching.schema_sql import wb_journal
from regionkit.contract.backing import backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Lock
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError

__all__ = ["JournalTable"]

MOST_AT_ONCE = 100
"""Rows of one INSERT: those that wait meanwhile take the next."""
COUNT_EVERY = 5.0
"""Seconds between two counts of the rows: `max_rows` may be passed by the puts of so long."""


class _Waiting:
    """A record that waits for its INSERT."""

    __slots__ = ("done", "error", "note")

    def __init__(self, note: Note) -> None:
        self.note = note
        self.done = False
        self.error: Exception | None = None


class JournalTable:
    """Safe to share between threads (tasks of one loop)."""

    where = "sql-journal"

    def __init__(self, of: SqlJournal, cache: str, clock: Clock) -> None:
        backing = backing_of(of.given, namespace=of.namespace, store=of.store, clock=clock)
        if "core" not in backing.capabilities.modes:
            raise ConfigurationError(
                f"{backing.name!r} keeps no journal.", fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite."
            )
        self._backing = backing
        self._of = of
        self._cache = cache
        self._clock = clock
        self._units = SinkUnits(backing, clock, of.timeout)
        table = wb_journal(MetaData(), table_name(backing.namespace, WB_JOURNAL.name))
        self._insert = insert(table)
        ours = table.c.cache == cache
        columns = (table.c.version, table.c.expected, table.c.record, table.c.made)
        self._above = select(*columns).where(ours, table.c.version > bindparam("after")).order_by(table.c.version)
        self._delete = partial(_deletion, table, ours)
        self._count = select(func.count()).select_from(table).where(ours)
        self._turn = Lock()
        self._waiting: deque[_Waiting] = deque()
        self._rows, self._counted = 0, -COUNT_EVERY
        make_with_kit(of.given, self)

    def renew(self) -> None:
        """After a fork."""
        self._turn = Lock()
        self._waiting = deque()

    def create_tables(self) -> None:
        """Make the table. Many processes may call it at the same time."""
        self._backing.create_tables((WB_JOURNAL,), Deadline(self._clock, 30.0))

    def open(self) -> None:
        """Nothing: whoever writes finds out."""

    def write(self, note: Note) -> None:
        """Make a record durable: when the INSERT is committed."""
        mine = _Waiting(note)
        self._waiting.append(mine)
        with self._turn:  # who waits for the turn is written by the one before, perhaps
            while not mine.done:
                batch = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
                error: Exception | None = JournalBroken("it was interrupted", sent=True)
                try:
                    self._inserted([waiting.note for waiting in batch])
                    error = None
                except (JournalFull, JournalBroken) as failed:
                    error = failed
                finally:
                    for waiting in batch:
                        waiting.done, waiting.error = True, error
        if mine.error is not None:
            raise mine.error

    def _inserted(self, notes: Sequence[Note]) -> None:
        now = self._clock.monotonic()
        if now - self._counted >= COUNT_EVERY:
            self._rows, self._counted = (self.size())[0], now
        if self._rows + len(notes) > self._of.max_rows:
            raise JournalFull(f"its table has {self._rows} rows of the cache, and {self._of.max_rows} are allowed")
        made = self._clock.wall()
        rows = [
            {
                "cache": self._cache,
                "version": note.version,
                "expected": note.expected,
                "made": made,
                "record": base64.b64encode(note.record).decode(),
            }
            for note in notes
        ]
        try:
            with self._units.write() as unit:
                if len(rows) == 1:  # its text is compiled once
                    unit.native.execute(self._insert, rows[0])
                else:
                    unit.native.execute(self._insert.values(rows))
        except (SinkDown, SinkRefused) as error:
            raise JournalBroken(f"its database did not take it: {error}", sent=True) from error
        self._rows += len(notes)

    def withdraw(self, versions: Sequence[int]) -> None:
        """These were surely not put."""
        self.forget(versions)

    def over(self, version: int, *, done: bool) -> None:
        """Nobody else would know."""

    def take_over(self) -> Sequence[str]:
        """There is nothing to take: all processes see one table."""
        return ()

    def unsettled(self, after: int, most: int) -> Sequence[Note]:
        """Records above a version."""
        try:
            with self._units.read() as unit:
                found = (unit.native.execute(self._above.limit(most), {"after": after})).all()
        except (SinkDown, SinkRefused) as error:
            raise JournalBroken(f"its database does not answer: {error}") from error
        return [
            Note(int(version), base64.b64decode(record), None if expected is None else int(expected), made)
            for version, expected, record, made in found
        ]

    def forget(self, versions: Sequence[int]) -> None:
        """They are not needed any more."""
        if not versions:
            return
        try:
            with self._units.write() as unit:
                gone = (unit.native.execute(self._delete(list(versions)))).rowcount
        except (SinkDown, SinkRefused) as error:
            raise JournalBroken(f"its database does not answer: {error}") from error
        self._rows = max(0, self._rows - max(0, gone))

    def size(self) -> tuple[int, int]:
        """Rows of the cache; bytes are not counted."""
        try:
            with self._units.read() as unit:
                return int((unit.native.execute(self._count)).scalar_one()), 0
        except (SinkDown, SinkRefused) as error:
            raise JournalBroken(f"its database does not answer: {error}") from error

    def close(self) -> None:
        """Close what it opened. May be called twice."""
        self._backing.close()


def _deletion(table: Any, ours: Any, versions: Sequence[int]) -> Any:
    return delete(table).where(ours, table.c.version.in_(versions))
