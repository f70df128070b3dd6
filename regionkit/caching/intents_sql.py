# Generated from intents_sql_async.py by scripts/twins.py. Do not edit.
"""Rows of intents on an SQL backing: in the writer's transaction, as tombstones of writes that died, and read by who tails.

1. The row of a write stands in its transaction: it is there exactly when the write has committed.
2. A tombstone is another row under the same id, in a transaction of its own. It waits for a writer that has not ended yet. Where
   it goes in, that write can never commit; where the id is taken, it has.
3. Rows are read from a number on. Numbers are given out before the COMMIT, so a lower one may come after a higher: whoever
   reads asks for those that were left out, too.
4. Rows older than `KEPT_FOR` are taken away, a few now and then; who was away longer forgets all that it holds.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import MetaData, case, delete, insert, or_, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.caching.kept_tables import CACHE_INTENT
from regionkit.caching.schema_sql import cache_intent
from regionkit.caching.steps import BATCH
from regionkit.caching.version import NOTHING, OWNER_ONLY, of_stamp
from regionkit.contract.backing import Backing
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import EVENTUAL

__all__ = ["KEPT_FOR", "Intents", "Named", "Row"]

Named = tuple[bytes, bytes]
"""A key as it stands at a server, and its digest."""

KEPT_FOR = 86_400.0
"""Seconds for which rows are kept: a region that is away for a day comes back to an empty cache."""
SWEPT = 500
"""Rows taken away at once."""
MOST_READ = 500
"""Rows read at once: a tail that is behind reads the next ones without a pause."""


class Row(msgspec.Struct, frozen=True):
    """What was written, or told. `kind`: w a write, k keys, t a tag, c everything, x a tombstone, "" another cache's."""

    seq: int
    id: bytes
    kind: str
    names: tuple[Named, ...]


class Intents:
    """The intents of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing, cache: str, clock: Clock) -> None:
        if "core" not in backing.capabilities.modes:
            raise ConfigurationError(
                f"cache {cache!r} cannot keep its rows of intents in {backing.name!r}.",
                why="such rows need a SQL database; they inform other regions, and show the outcome of a put whose writer died.",
                fix="cache a store of these; or make the cache without a kit and without backing=: Cache(...).",
            )
        self.backing = backing
        self._cache = cache
        self._clock = clock
        self._table = cache_intent(MetaData(), table_name(backing.namespace, CACHE_INTENT.name))

    def create_tables(self, deadline: Deadline) -> None:
        """Make the table, once."""
        self.backing.create_tables([CACHE_INTENT], deadline)

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Inside, the table is needed.

        Raises:
            ConfigurationError: it is not there.
        """
        try:
            yield
        except DBAPIError as error:
            if not _is_missing(error, self._table.name):
                raise
            raise ConfigurationError(
                f"cache {self._cache!r} has no table {self._table.name!r}.",
                why="it keeps a row for each write in the data's database, for other regions and for a put whose writer died.",
                fix="call create_tables() of the cache once, inside a kit kit.create_tables() when its caches are made; "
                "and whenever you deploy.",
            ) from error

    def lacking(self, error: BaseException) -> bool:
        """Whether a look failed as the table is not there: a copy that lags does not have it yet."""
        return isinstance(error, DBAPIError) and _is_missing(error, self._table.name)

    def statement(self, id: bytes, kind: str, names: Sequence[Named]) -> Any:
        """What puts a row into the transaction of a write."""
        return insert(self._table).values(
            id=id.decode(),
            cache=self._cache,
            kind=kind,
            names=b64encode(msgspec.msgpack.encode(list(names))).decode(),
            made=self._clock.wall(),
        )

    def _write(self, unit: Any, id: bytes, kind: str, names: Sequence[Named]) -> None:
        with self.expected():
            unit.native.execute(self.statement(id, kind, names))

    def announce(self, ids: Sequence[bytes], kind: str, names: Sequence[Named], deadline: Deadline) -> str:
        """Tell other regions, by a row for each `BATCH` of names; a version that covers all that was committed before."""
        with self.backing.write(deadline=deadline, core=True) as unit:
            for at, id in enumerate(ids):
                self._write(unit, id, kind, names[at * BATCH : (at + 1) * BATCH])
        return of_stamp(unit.stamp) or OWNER_ONLY

    def never(self, id: bytes, deadline: Deadline) -> bool:
        """Whether a write can never commit from now on; else it has."""
        try:
            with self.backing.write(deadline=deadline, core=True) as unit:
                self._write(unit, id, "x", ())
        except IntegrityError:
            return False
        return True

    def made_before(self, seconds: float, deadline: Deadline) -> tuple[str, int]:
        """The history of this region's copy, and the highest number that it has of a row made longer ago; 0 without one."""
        c = self._table.c
        wanted = select(c.seq).where(c.made < self._clock.wall() - seconds).order_by(c.seq.desc()).limit(1)
        with self.backing.read(consistency=EVENTUAL, deadline=deadline, core=True) as unit:
            return unit.owner.history, int((unit.native.execute(wanted)).scalar() or 0)

    def after(self, seq: int, left_out: Sequence[int], deadline: Deadline) -> tuple[str, list[Row], str]:
        """Rows above a number, and those left out before; the copy's history, and a version that covers them.

        Of other caches' rows only the numbers come: that they are there, and nothing is to be waited for.
        """
        c = self._table.c
        new = c.seq > seq if not left_out else or_(c.seq > seq, c.seq.in_(left_out))
        kind, names = (case((c.cache == self._cache, column), else_="") for column in (c.kind, c.names))
        wanted = select(c.seq, c.id, kind, names).where(new).order_by(c.seq)
        with self.backing.read(consistency=EVENTUAL, deadline=deadline, core=True) as unit:
            found = [_row(*row) for row in unit.native.execute(wanted.limit(MOST_READ))]
            version = of_stamp(unit.take_stamp()) if found else NOTHING
            return unit.owner.history, found, version or OWNER_ONLY

    def sweep(self, deadline: Deadline) -> bool:
        """Take old rows away, a few, of whatever cache; whether there may be more. The oldest ones stand first: no scan.

        The newest row stays, however old: SQLite would give its number out again, and who tails has passed it.
        """
        c = self._table.c
        with self.backing.write(deadline=deadline, core=True) as unit:
            native: Any = unit.native
            first = (native.execute(select(c.seq, c.made).order_by(c.seq).limit(SWEPT + 1))).all()
            numbers = [seq for seq, made in first[:-1] if made < self._clock.wall() - KEPT_FOR]
            if numbers:
                native.execute(delete(self._table).where(c.seq.in_(numbers)))
        return len(numbers) == SWEPT


def _row(seq: int, id: str, kind: str, names: str) -> Row:
    pairs: list[Named] = msgspec.msgpack.decode(b64decode(names), type=list[Named]) if kind else []
    return Row(seq, id.encode(), kind, tuple(pairs))


def _is_missing(error: DBAPIError, table: str) -> bool:
    """Whether a statement failed as that table is not there: PostgreSQL, MariaDB, MySQL, SQLite."""
    told: Any = error.orig
    missing = getattr(told, "sqlstate", "") == "42P01" or told.args[:1] == (1146,) or "no such table" in str(told)
    return missing and table in str(told)
