"""A sink in a Cassandra keyspace: each row by a lightweight transaction of its own, on condition of its version.

| step of a flush                                | what it is there for |
|------------------------------------------------|----------------------|
| 1 the epoch is read at SERIAL                  | an old epoch writes nothing |
| 2 every change is packed                       | a value that does not fit is refused before anything is sent |
| 3 rows `IF version < ?`, some at a time        | an older put writes nothing; the answer tells what stands there |
| 4 those without a version `IF version = null`  | new rows, and rows of others |
| 5 what was not answered is read at SERIAL      | whether it went in; if it did not, it is sent again until the deadline |

1. A flush is no transaction: when it raises, some rows may be written. They stand with their versions, and the same changes again
   are answered APPLIED.
2. Rows of one partition go one after the other: conditions on one partition at the same time hinder each other.
3. A later epoch that is given out meanwhile is not seen, and needs not be: what a later flusher writes has higher versions.
4. The mark of a delete ends by itself, after `marks` seconds. Until then an older put writes nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
from cassandra import InvalidRequest

from regionkit.caching import schema_cassandra as schema
from regionkit.caching.back.holders import number_of_cache, others_table
from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused, check_timeout
from regionkit.caching.back.rules import MOST_EPOCHS, Change, Verdict
from regionkit.caching.back.sinks.cassandra_rows_async import AsyncCassandraRun
from regionkit.caching.back.sinks.judging import in_order
from regionkit.caching.back.sinks.target_cassandra import COLUMNS, VIEWS, CassandraTarget, Column
from regionkit.caching.back.sinks.told_async import AsyncTold
from regionkit.caching.kept_tables import WB_EPOCH
from regionkit.caching.strategies import Loaded
from regionkit.contract.backing_async import async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_count
from regionkit.core.tables import table_name
from regionkit.errors import CacheError, ConfigurationError, RegionKitError, UsageError
from regionkit.facts.consistency import EVENTUAL, STRONG

__all__ = ["AsyncCassandraSink"]

TIMEOUT = 8.0
"""Seconds that a flush may take: a hundred rows cost as many rounds between the nodes, some at a time."""
MARKS = 7 * 86_400
"""Seconds that the mark of a delete stays: longer than any older put can be on its way, or come back with a restored buffer."""
ASK_AFTER = 0.05
"""Seconds until a row without an answer is read, twice as long each time."""
_TABLE = re.compile(r"unconfigured table|does not exist|Undefined column|Unknown identifier", re.IGNORECASE)
"""What is wrong with the table, and not with a value."""


class AsyncCassandraSink:
    """Rows of a table. Safe to share between threads (tasks of one loop).

    Args:
        given: a session of the Cassandra driver, in a keyspace; or a kit.
        table: its name, as it is written; with another keyspace before a dot.
        key: the column of the primary key, or all of them, partition key first: keys are tuples then.
        version: the column of versions, a bigint. Other writers of the table leave it, and write with IF in every statement.
        gone: the column for the time of a delete, a timestamp. What reads the table leaves rows with it out: they are deleted.
        marks: seconds that such a row stays.
        store: which of a kit's stores.
        encode: makes a mapping by columns of a value; default: the fields of a Struct, a dataclass, a mapping.
        decode: makes a value of a dict by columns; default: by `type`.
        type: of values; the cache gives its own where this is None. Without one `load` gives dicts.
        namespace: prefix of what it keeps; a kit's own counts for its stores.
        timeout: seconds that each call may take.
        clock: where time is read.

    Attributes:
        findings: what is worth knowing.
    """

    def __init__(
        self,
        given: Any,
        table: str,
        key: str | Sequence[str] = "id",
        version: str = "rk_ver",
        *,
        gone: str = "rk_gone",
        marks: int = MARKS,
        store: str | None = None,
        encode: Callable[[Any], Mapping[str, Any]] | None = None,
        decode: Callable[[dict[str, Any]], Any] | None = None,
        type: Any = None,
        namespace: str = "regionkit",
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.backing = async_backing_of(given, namespace=namespace, store=store, clock=clock)
        if self.backing.capabilities.server != "cassandra":
            raise ConfigurationError(f"{self.backing.name!r} is no Cassandra.", fix="give a session of its driver.")
        check_count("marks", marks, 60, 630_720_000)
        check_timeout(timeout)
        self._target = CassandraTarget(table, key, version, gone, encode, decode, type)
        self._epochs = f'"{table_name(self.backing.namespace, WB_EPOCH.name)}"'
        self._marks = marks
        self._clock = clock
        self._timeout = timeout
        self._told = partial(_told, self.backing.name)
        self._knows = False
        self.findings: tuple[str, ...] = (
            f"deleted rows stay with {gone} set for {marks} s; a put that is older than that would bring one back",
            "a flush is no transaction: each row is written for itself",
        )
        make_with_kit(given, self)

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

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, self._timeout)

    def _write(self, deadline: Deadline) -> AsyncTold:
        return AsyncTold(self.backing.write(deadline=deadline, stamped=False), self._told)

    def _read(self, deadline: Deadline) -> AsyncTold:
        return AsyncTold(self.backing.read(consistency=STRONG, deadline=deadline), self._told)

    async def check(self) -> None:
        """Look at the table.

        Raises:
            ConfigurationError: the guard could not hold there, or a field of the type has no column.
            SinkDown: it could not be looked at.
        """
        self._knows = False
        await self._learn(self._deadline())

    async def _learn(self, deadline: Deadline) -> None:
        """See what the columns are, once."""
        if self._knows:
            return
        async with AsyncTold(self.backing.read(consistency=EVENTUAL, deadline=deadline), self._told) as unit:
            place = self._target.place(unit.native.keyspace)
            views = await (await unit.native.execute(VIEWS, place)).all()
            rows = await (await unit.native.execute(COLUMNS, place)).all()
        if views:
            raise ConfigurationError(f"{self._target.name!r} is a view.", fix="give the table itself.")
        self._target.learned(Column(*row) for row in rows)
        self._knows = True

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Make the table of epochs. Many processes may call it at the same time."""
        await self.backing.create_tables((WB_EPOCH,), Deadline(self._clock, timeout))

    async def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before.

        Raises:
            ConfigurationError: there are no more; or the table is another cache's.
            SinkDown: it was not given out, or nobody knows.
        """
        deadline = self._deadline()
        await self._own(cache, deadline)
        while True:
            stored = await self._latest(cache, deadline)
            epoch = max(stored, above) + 1
            if epoch > MOST_EPOCHS:
                raise ConfigurationError(
                    f"cache {cache!r} has used up its epochs: {epoch}.",
                    why=f"there are {MOST_EPOCHS}; each run of its server takes one.",
                    fix="drain it, and use another name for the cache.",
                )
            if await self._raised(cache, stored, epoch, deadline):
                return epoch
            if deadline.remaining() <= ASK_AFTER:
                raise SinkDown(f"others give out epochs of cache {cache!r} all the time")
            await asleep(ASK_AFTER)

    async def _own(self, cache: str, deadline: Deadline) -> None:
        """See that the table is this cache's: a row beside the epochs says whose it is."""
        place, number = f"={self._target.name}", number_of_cache(cache)
        found = await self._latest(place, deadline)
        if not found and not await self._raised(place, 0, number, deadline):
            found = await self._latest(place, deadline)
        if found not in (0, number):
            row = f"the row '{place}' of {self._epochs}"
            raise others_table(
                self._target.name, f"delete {row} IF EXISTS, and set {self._target.version} to 0 in all rows"
            )

    async def _latest(self, cache: str, deadline: Deadline) -> int:
        """The last epoch that was given out; 0 for none."""
        async with self._read(deadline) as unit:
            asked = await unit.native.prepare(schema.LATEST.format(self._epochs))
            row = (await unit.native.execute(asked, (cache,))).one()
        return 0 if row is None or row[0] is None else int(row[0])

    async def _raised(self, cache: str, stored: int, epoch: int, deadline: Deadline) -> bool:
        """Whether the stored epoch is `epoch` now, which nobody else has."""
        text, values = (schema.AT_LEAST, (epoch, cache, epoch)) if stored else (schema.FIRST, (epoch, cache))
        async with self._write(deadline) as unit:
            asked = await unit.native.prepare(text.format(self._epochs))
            return (await unit.native.execute(asked, values)).was_applied  # type: ignore[no-any-return]

    async def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Write changes, each where the row's version is below its own; see the table of the module."""
        if not changes:
            return []
        deadline = self._deadline()
        await self._learn(deadline)
        ordered = in_order(changes)
        now = self._clock.wall()
        rows = [self._target.row(change, now, self._marks) for change in ordered]
        await self._fence(cache, epoch, deadline)
        run = AsyncCassandraRun(self._target, ordered, rows, epoch)
        pause = ASK_AFTER
        while True:
            try:
                async with self._write(deadline) as unit:
                    await run.write(unit.native)
                break
            except SinkDown:
                if not run.doubts or deadline.remaining() <= pause:
                    raise
            await asleep(pause)
            pause *= 2.0
            async with self._read(deadline) as unit:
                await run.read_back(unit.native)
        return [run.verdicts[id(change)] for change in changes]

    async def _fence(self, cache: str, epoch: int, deadline: Deadline) -> None:
        """Refuse to write for an older epoch; teach a keyspace that was restored the present one."""
        stored = await self._latest(cache, deadline)
        if stored > epoch:
            raise SinkFenced(f"another flusher has epoch {stored} of cache {cache!r}, and this one {epoch}", stored)
        if stored < epoch:
            await self._raised(cache, stored, epoch, deadline)

    async def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """The row of a key, read at SERIAL whatever `owner` says, with its version; None without one.

        Raises:
            CacheError: it is no value of the cache's type.
        """
        deadline = self._deadline()
        await self._learn(deadline)
        parts = self._target.parts(key)
        async with self._read(deadline) as unit:
            asked = await unit.native.prepare(self._target.whole())
            row = (await unit.native.execute(asked, parts)).one()
        try:
            found = None if row is None else self._target.given(tuple(row))
        except (msgspec.ValidationError, TypeError, ValueError, LookupError) as error:
            raise CacheError(
                f"the row of key {key!r} in {self._target.name!r} is no value of the cache.",
                why=f"{error}.",
                fix="correct the row or the type, or give decode=.",
            ) from error
        return None if found is None else Loaded(found[0], version=found[1])

    async def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Nothing: marks end by themselves."""
        return 0

    async def close(self) -> None:
        """End what it opened; the session stays open. May be called twice."""
        await self.backing.close()


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Inside, errors leave as SinkDown or SinkRefused."""
    try:
        yield
    except (ConfigurationError, UsageError, SinkDown, SinkRefused):
        raise
    except RegionKitError as error:
        refused = error.__cause__
        if isinstance(refused, SinkRefused):
            raise refused from error
        raise SinkDown(f"{name!r} did not take the changes: {error.what} {error.why}".strip()) from error
    except InvalidRequest as error:
        if _TABLE.search(str(error)):
            raise SinkDown(f"{name!r} did not take the changes: {error}") from error
        raise SinkRefused(str(error)[:300]) from error
    except Exception as error:
        raise SinkDown(f"{name!r} did not take the changes: {str(error)[:300]}") from error
