"""A sink in PostgreSQL, MariaDB, MySQL or SQLite: a flush is one transaction, and each row has the guard of its version.

| step of a flush                                         | what it is there for |
|---------------------------------------------------------|----------------------|
| 1 the epoch's row: shared, alone where a row is deleted | an old epoch writes nothing; no put passes a later delete |
| 2 the marks of the keys                                 | a put that is older than a delete writes nothing |
| 3 rows, where their version is lower                    | a put that is older than the row's writes nothing |
| 4 deletes, where their version is lower; their marks    | the delete is remembered when its row is gone |
| 5 what was not written is read back                     | superseded, or a conflict (`judging`) |

1. Keys are locked in one order. Two flushers that meet wait for each other; what the server rolls back for that is tried again.
2. The deadline ends every wait and closes the connection; the server ends a transaction whose client is frozen, some seconds
   later than that.
3. An epoch is given out by a row that only rises. Where a restored database has a lower one, a flush raises it to its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from regionkit.caching.back.holders import number_of_cache, others_table, place_of_table
from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused, check_timeout
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sinks.counted_sql import info_of, surely_written
from regionkit.caching.back.sinks.epochs_sql_async import AsyncSinkUnits, AsyncSqlEpochs, check_cache
from regionkit.caching.back.sinks.failures_sql import refusals_told
from regionkit.caching.back.sinks.judging import in_order, judge
from regionkit.caching.back.sinks.look_sql import Indexes, findings_of, indexes_of
from regionkit.caching.back.sinks.raising_sql import MYSQL
from regionkit.caching.back.sinks.statements_sql import Statements, Upsert
from regionkit.caching.back.sinks.target_sql import Batch, Row, Target
from regionkit.caching.kept_tables import WB_EPOCH, WB_MARK
from regionkit.caching.strategies import Loaded
from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.errors import CacheError, ConfigurationError

__all__ = ["AsyncSqlSink"]

IS_ASYNC = True

TIMEOUT = 5.0
"""Seconds that a flush may take: a batch takes milliseconds, and a lock that lasts longer is worth a pause."""
MOST_CHANGES = 400
"""Rows of one flush: beyond, a row costs hardly less, and locks are held longer."""
MOST_FORGOTTEN = 1000
"""Marks dropped at once: one short transaction."""


class AsyncSqlSink:
    """Rows of a table. Safe to share between threads (tasks of one loop).

    Args:
        given: an engine of the application's, or a kit.
        table: a Table of SQLAlchemy, or a mapped class.
        key: the column of the key, or several: keys are tuples then.
        version: the column of versions, a BIGINT NOT NULL DEFAULT 0. Other writers of the table set it to a number that no put
            has, or leave it: what they write is overwritten by the next put of the key.
        store: which of a kit's stores.
        delete: "row": the row goes; or the column that says that it is deleted.
        encode: makes a mapping by columns of a value; default: the fields of a Struct, a dataclass, a mapping.
        decode: makes a value of a dict by columns; default: by `type`.
        type: of values; the cache gives its own where this is None. Without one `load` gives dicts.
        namespace: prefix of what it keeps; a kit's own counts for its stores.
        timeout: seconds that each call may take.
        clock: where time is read.

    Attributes:
        findings: after `check`: what is worth knowing of the table.
        timeout: as given.
    """

    most_changes = MOST_CHANGES

    def __init__(
        self,
        given: Any,
        table: Any,
        key: str | Sequence[str] = "id",
        version: str = "rk_ver",
        *,
        store: str | None = None,
        delete: str = "row",
        encode: Callable[[Any], Mapping[str, Any]] | None = None,
        decode: Callable[[dict[str, Any]], Any] | None = None,
        type: Any = None,
        namespace: str = "regionkit",
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.backing = async_backing_of(given, namespace=namespace, store=store, clock=clock)
        if "core" not in self.backing.capabilities.modes:
            raise ConfigurationError(
                f"{self.backing.name!r} is no SQL sink.", fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite."
            )
        check_timeout(timeout)
        self._target = Target(table, key, version, delete, encode, decode, type)
        self._clock = clock
        self.timeout = timeout
        self._stands_on(self.backing)
        make_with_kit(given, self)

    def _stands_on(self, backing: AsyncBacking) -> None:
        self.backing = backing
        self.findings: tuple[str, ...] = ()
        self._units = AsyncSinkUnits(backing, self._clock, self.timeout)
        self._epochs = AsyncSqlEpochs(backing, self._clock, self.timeout)
        self._known: tuple[Statements, Indexes] | None = None
        self._marked = False

    def at(self, backing: AsyncBacking) -> AsyncSqlSink:
        """The same sink over one part of its store."""
        one = copy(self)
        one._stands_on(backing)
        return one

    def of_type(self, type: Any) -> None:
        """The type of the cache's values, for `load` and `check`; one that was given when the sink was made counts."""
        if self._target.type is None:
            self._target.type = type

    def check_key(self, key: Any) -> None:
        """Refuse a key that has no row of its own.

        Raises:
            SinkRefused: its parts, or their types, are not those of the key's columns.
        """
        self._target.parts(key)

    async def check(self) -> None:
        """Look at the table; `findings` holds what is worth knowing.

        Raises:
            ConfigurationError: the guard could not hold there, or a field of the type has no column.
            SinkDown: it could not be looked at.
        """
        unknown = self._target.unknown_fields()
        if unknown:
            raise ConfigurationError(
                f"table {self._target.name!r} has no column for {', '.join(map(repr, unknown))}.",
                why="the cache's values have such a field.",
                fix="add it, rename one of the two, or give encode= and decode=.",
            )
        self._known = None
        async with self._units.write() as unit:
            self.findings = await _looked(unit.native, findings_of, self._target)

    async def _knowing(self) -> tuple[Statements, Indexes]:
        """What is said to this table on this server; looked up once."""
        known = self._known
        if known is None:
            async with self._units.write() as unit:
                native = unit.native
                indexes = await _looked(native, indexes_of, self._target)
                known = self._known = Statements(self._target, self.backing.namespace, native.dialect), indexes
        return known

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps: epochs and marks. Many processes may call it at the same time."""
        await self.backing.create_tables((WB_EPOCH, WB_MARK), Deadline(self._clock, timeout))

    async def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before.

        Raises:
            ConfigurationError: the table is another cache's.
        """
        check_cache(cache)
        await self._own(cache)
        return await self._epochs.raise_epoch(cache, above)

    async def _own(self, cache: str) -> None:
        """See that the table is this cache's: a row among the marks says whose it is."""
        statements, _ = await self._knowing()
        place, number = place_of_table(self._target.name), number_of_cache(cache)
        for first in (True, False):
            try:
                async with self._units.write() as unit:
                    found = (await unit.native.execute(statements.cache_of(place))).scalar()
                    if found is None:
                        await unit.native.execute(statements.belongs(place, number, self._clock.wall()))
            except SinkRefused as refused:  # another process was faster
                if not first:
                    raise SinkDown(str(refused)) from refused
            else:
                break
        if found not in (None, number):
            raise others_table(self._target.name, statements.gives_up(place))

    async def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Write changes, each where the row's version is below its own. In one transaction, keys in one order."""
        if not changes:
            return []
        check_cache(cache)
        ordered = in_order(changes)
        batch = Batch(self._target, ordered, self._clock.wall())
        statements, indexes = await self._knowing()
        async with self._units.write() as unit:
            run = _Run(unit, statements, indexes, batch)
            self._marked = await run.begin(cache, epoch, self.timeout, marked=self._marked)
            crash_point("sink.begun")
            await run.put()
            await run.delete(cache)
            await run.read_back()
            crash_point("sink.written")
        judged = {id(c): judge(c, batch.found.get(n), epoch) for n, c in enumerate(ordered)}
        return [judged[id(change)] for change in changes]

    async def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """The row of a key on the owner, whatever `owner` says, with its version; None without one.

        Raises:
            CacheError: the row is no value of the cache's type.
        """
        target = self._target
        parts = target.parts(key)
        statements, _ = await self._knowing()
        async with self._units.read() as unit:
            found = await _first(unit.native, statements.row(parts))
        if found is None or (target.flag is not None and target.is_flagged(found[1])):
            return None
        fields = dict(zip((c.key for c in target.read), found[1 if target.flag is None else 2 :], strict=True))
        try:
            return Loaded(target.value(fields), version=int(found[0]))
        except (msgspec.ValidationError, TypeError, ValueError, LookupError) as error:
            raise CacheError(
                f"the row of key {key!r} in {target.name!r} is no value of the cache.",
                why=f"{error}.",
                fix="correct the row or the type, or give decode=.",
            ) from error

    async def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Drop marks of deletes with versions below `below`, made before a time, at most `MOST_FORGOTTEN`; how many."""
        check_cache(cache)
        statements, _ = await self._knowing()
        async with self._units.write() as unit:
            wanted = statements.old_marks(cache, below, MOST_FORGOTTEN)
            keys = [key for key, made in await unit.native.execute(wanted) if made < before]
            if not keys:
                return 0
            self._marked = False  # there may be none any more: the next flush asks
            return int((await unit.native.execute(statements.drop_marks(cache, below, keys))).rowcount)

    async def close(self) -> None:
        """Close the connections that it opened; the engine stays as it is. May be called twice."""
        await self.backing.close()


async def _looked(native: Any, look: Callable[[Any, Target], Any], target: Target) -> Any:
    return await native.run_sync(look, target) if IS_ASYNC else look(native, target)


async def _first(native: Any, wanted: Any) -> Any:
    with refusals_told():
        return (await native.execute(wanted)).first()


class _Run:
    """One flush, in its transaction."""

    def __init__(self, unit: Any, statements: Statements, indexes: Indexes, batch: Batch) -> None:
        self._unit = unit
        self._native = unit.native
        self._said = statements
        self._indexes = indexes
        self._batch = batch
        self._unsure: list[int] = []

    async def begin(self, cache: str, epoch: int, timeout: float, *, marked: bool) -> bool:
        """Lock the epoch, and settle puts that are older than a delete; whether there are marks, as far as is known.

        Where they were `marked` before, those of the keys are asked for at once, else whether there is any.
        """
        batch, said = self._batch, self._said
        asks = marked and len(batch.deletes) < len(batch.changes)
        lock = said.opening(cache, timeout, alone=bool(batch.deletes))
        answers = await self._unit.message([*lock, said.marks_of(cache, batch.marks) if asks else said.any_mark(cache)])
        epochs = answers[-2].rows
        stored = int(epochs[0][0]) if epochs else 0
        if stored > epoch:
            raise SinkFenced(f"another flusher has epoch {stored} of cache {cache!r}, and this one {epoch}", stored)
        if stored < epoch:
            await self._native.execute(self._said.epochs.at_least, {"cache": cache, "epoch": epoch})
        found = answers[-1].rows
        if not asks and found:
            found = (await self._unit.message([said.marks_of(cache, batch.marks)]))[0].rows
            marked = True
        standing = {str(key): int(version) for key, version in found}
        for n, mark in enumerate(batch.marks if standing else ()):
            if batch.rows[n] is not None and standing.get(mark, -1) >= batch.changes[n].version:
                batch.found[n] = standing[mark]
        return marked or bool(batch.deletes)

    async def put(self) -> None:
        """Write rows; note those of which nobody knows whether they were written."""
        for names, numbers in self._batch.puts():
            upsert = self._said.upsert(names)
            rows = [row for n in numbers if (row := self._batch.rows[n]) is not None]
            with refusals_told():
                written = await self._written(upsert, rows)
            if written == len(rows):
                self._batch.found |= {n: self._batch.changes[n].version for n in numbers}
            else:
                self._unsure += numbers

    async def _written(self, upsert: Upsert, rows: list[Row]) -> int:
        """How many rows were surely written; 0 where the server does not count them."""
        if upsert.whole is not None:
            text = upsert.json.said(rows)
            if text is not None:
                return int((await self._native.execute(upsert.whole, {"rows": text})).rowcount)
        if self._said.server in MYSQL and self._indexes.has_others:
            return await self._one_by_one(upsert, rows)
        done = await self._native.execute(upsert.rows, rows)
        return surely_written(self._said.server, len(rows), done.rowcount, info_of(done))

    async def _one_by_one(self, upsert: Upsert, rows: list[Row]) -> int:
        """Update rows by their key, and insert those that are not there; how many were surely written."""
        target, names = self._batch.target, [column.key for column in self._batch.target.keys]
        keys = [tuple(row[name] for name in names) for row in rows]
        there = {tuple(row[:-1]) for row in await self._native.execute(self._said.standing(keys, lock=False))}
        changed = [self._guarded(row) for row, key in zip(rows, keys, strict=True) if key in there]
        written = int((await self._native.execute(upsert.update, changed)).rowcount) if changed else 0
        missing = [row for row, key in zip(rows, keys, strict=True) if key not in there]
        if not missing:
            return written
        try:
            await self._native.execute(upsert.insert, missing)
            return written + len(missing)
        except IntegrityError as error:
            told: Any = error.orig
            if told.args[0] == 1062 and f"{self._indexes.of_key}'" in str(told.args[1]):
                raise SinkDown(f"a row of {target.name!r} was inserted meanwhile") from error
            raise

    def _guarded(self, row: Row) -> Row:
        """Parameters of a statement with the guard."""
        target = self._batch.target
        keys = {column.key for column in target.keys}
        return {f"{'k' if name in keys else 'n'}_{name}": value for name, value in row.items()} | {
            "n_version": row[target.version.key]
        }

    async def delete(self, cache: str) -> None:
        """Take rows away, or flag them; mark all."""
        batch, said = self._batch, self._said
        if not batch.deletes:
            return
        with refusals_told():
            gone = await self._gone()
        marks = [
            {"cache": cache, "key": batch.marks[n], "version": batch.changes[n].version, "made": batch.now}
            for n in batch.deletes
        ]
        await self._native.execute(said.mark, marks)
        if gone == len(batch.deletes):
            batch.found |= dict.fromkeys(batch.deletes)
        else:
            self._unsure += batch.deletes

    async def _gone(self) -> int:
        """How many of the rows that are to go were surely taken away, or flagged."""
        batch, said = self._batch, self._said
        rows = [batch.target.bare(batch.changes[n], batch.parts[n], batch.now) for n in batch.deletes]
        text = said.bare.said(rows) if said.whole_gone is not None else None
        if text is not None:
            return int((await self._native.execute(said.whole_gone, {"rows": text})).rowcount)
        if said.server in MYSQL and batch.target.flag is None:
            below = {batch.parts[n]: batch.changes[n].version for n in batch.deletes}
            standing = await self._native.execute(said.standing(list(below), lock=True, alone=True))
            there = {tuple(row[:-1]): int(row[-1]) for row in standing}
            if there.keys() <= below.keys():  # else a collation has taken another spelling of a key for it
                old = [key for key, version in there.items() if version < below[key]]
                return int((await self._native.execute(said.without(old))).rowcount) if old else 0
        return int((await self._native.execute(said.gone, [self._guarded(row) for row in rows])).rowcount)

    async def read_back(self) -> None:
        """Settle what is not known: the version that stands there now."""
        unsure, batch = self._unsure, self._batch
        if not unsure:
            return
        with refusals_told():
            found = await self._native.execute(self._said.standing([batch.parts[n] for n in unsure], lock=True))
        versions = {tuple(row[:-1]): int(row[-1]) for row in found}
        ours = set(versions.values())
        for n in unsure:
            version = batch.changes[n].version  # a collation may have taken another spelling of the key for it
            batch.found[n] = versions.get(batch.parts[n], version if version in ours else None)
