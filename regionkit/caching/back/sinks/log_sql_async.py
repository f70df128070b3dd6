"""A sink of a write-back cache in log mode: a function of the application's applies each put once, in a database transaction.

| step of a flush, in one transaction                  | what it is there for |
|------------------------------------------------------|----------------------|
| 1 the epoch's row, locked                            | an old epoch writes nothing; one flush at a time |
| 2 the position (`log_rules`)                         | what is at or below it was applied, and is left out, or was refused |
| 3 the function, with what is left                    | the effect |
| 4 the position, raised to the last of the changes    | committed with the effect, or not at all |

| the function                                   | what it means |
|------------------------------------------------|---------------|
| returns                                        | the changes were applied; what it returns is not looked at |
| ends the transaction, or is a generator        | UsageError: the position is not written, and they are tried again |
| raises SinkDown or SinkRefused                 | that |
| raises a ValueError, TypeError or LookupError  | SinkRefused: a change cannot be applied |
| an error of the database                       | refused or down, as `failures_sql` says |
| raises anything else                           | it goes on as it is: a surprise |

1. Entries come in the order of their versions (`log_rules`), so one number tells what was applied. A retried entry has a new one.
2. Whatever is raised, the transaction is rolled back: nothing was applied.
3. An entry that the flusher gives up is refused for good before it is parked: steps 1, 2 and 4 of a flush, with the entry noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar

from sqlalchemy import MetaData, bindparam, select, update

from regionkit.caching.back.log_rules import Position
from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused, check_timeout
from regionkit.caching.back.rules import EPOCH, Change, Verdict
from regionkit.caching.back.sinks.epochs_sql_async import AsyncSinkUnits, AsyncSqlEpochs, check_cache
from regionkit.caching.back.sinks.functions_async import check_functions, loaded_by
from regionkit.caching.back.sinks.raising_sql import EpochStatements, rising
from regionkit.caching.kept_tables import WB_EPOCH, WB_POSITION
from regionkit.caching.schema_sql import wb_position
from regionkit.caching.source_async import acalled
from regionkit.caching.strategies import Loaded
from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError, RegionKitError

__all__ = ["AsyncSqlLogSink"]

REFUSED_BEFORE = "the sink has refused it for good; the flusher that was told ended before it was parked"
HELD = "a flush commits the function's changes together with its position"
TIMEOUT = 5.0
"""Seconds that a flush may take: a batch takes milliseconds, and a lock that lasts longer is worth a pause."""


class AsyncSqlLogSink:
    """Applies each put of a cache with `coalesce=False` once. As safe to share between threads (tasks of one loop) as `function`.

    Args:
        given: an engine of the application's (PostgreSQL, MariaDB, MySQL, SQLite), or a kit.
        function: `function(db, changes)`: applies changes in their order, several of a key among them, through `db`, a Connection
            of SQLAlchemy (AsyncConnection) inside a transaction, which it does not end. Effects elsewhere may come twice.
        load: `load(key)`: the value of a key, as a Loaded or plain, or None. Without it the cache brings its own loader, or has
            values only until they are flushed and for `ttl` afterwards.
        store: which of a kit's stores.
        namespace: prefix of what it keeps; a kit's own counts for its stores.
        timeout: seconds that a flush may take, the function included.
        clock: where time is read.

    Attributes:
        takes: what it can be given: each put.
        findings: what is worth knowing.
    """

    takes: ClassVar[tuple[str, ...]] = ("log",)
    findings: tuple[str, ...] = ()

    def __init__(
        self,
        given: Any,
        function: Callable[..., Any],
        load: Callable[..., Any] | None = None,
        *,
        store: str | None = None,
        namespace: str = "regionkit",
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_functions(function, load)
        check_timeout(timeout)
        self.backing = async_backing_of(given, namespace=namespace, store=store, clock=clock)
        if "core" not in self.backing.capabilities.modes:
            raise ConfigurationError(
                f"{self.backing.name!r} is no SQL sink.", fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite."
            )
        self._function = function
        self._load = load
        self._clock = clock
        self._timeout = timeout
        self._stands_on(self.backing)
        make_with_kit(given, self)

    def _stands_on(self, backing: AsyncBacking) -> None:
        self.backing = backing
        self._units = AsyncSinkUnits(backing, self._clock, self._timeout)
        self._epochs = AsyncSqlEpochs(backing, self._clock, self._timeout)
        self._said: _Statements | None = None

    def at(self, backing: AsyncBacking) -> AsyncSqlLogSink:
        """The same sink over one part of its store."""
        one = copy(self)
        one._stands_on(backing)
        return one

    async def check(self) -> None:
        """See that its tables are there.

        Raises:
            SinkDown: they are not, or it could not be looked at.
        """
        async with self._units.read() as unit:
            await self._saying(unit).read(unit.native, "")

    def _saying(self, unit: Any) -> _Statements:
        if self._said is None:
            self._said = _Statements(self.backing.namespace, unit.native.dialect.name)
        return self._said

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps: epochs and positions. Many processes may call it at the same time."""
        await self.backing.create_tables((WB_EPOCH, WB_POSITION), Deadline(self._clock, timeout))

    async def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before."""
        return await self._epochs.raise_epoch(cache, above)

    async def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Apply what was not applied before; the tables of the module say how."""
        if not changes:
            return []
        check_cache(cache)
        async with self._units.write() as unit:
            db, said = unit.native, self._saying(unit)
            position = await said.locked(db, cache, epoch)
            if any(position.is_refused(change.version) for change in changes):
                raise SinkRefused(REFUSED_BEFORE)
            new = [change for change in changes if position.is_new(change.version)]
            crash_point("sink.begun")
            if new:
                await self._apply(unit, new)
                await db.execute(said.raised, {"cache": cache, "version": new[-1].version})
            crash_point("sink.written")
        # what an earlier epoch has put, a later put may have replaced that the buffer has lost since
        return [Verdict.SUPERSEDED if c.version // EPOCH < epoch else Verdict.APPLIED for c in changes]

    async def refuse(self, cache: str, epoch: int, version: int) -> bool:
        """Note that a change is refused for good, before it is parked: no flusher applies it from now on.

        Returns:
            Whether it is refused: False where another flusher has applied it.

        Raises:
            SinkDown: nobody knows whether it was noted; `flush` tells.
            SinkFenced: a later epoch was given out; nothing was noted.
        """
        check_cache(cache)
        async with self._units.write() as unit:
            db, said = unit.native, self._saying(unit)
            position = await said.locked(db, cache, epoch)
            refused = position.refuse(version)
            if refused != position:
                await db.execute(said.raised, {"cache": cache, "version": refused.version})
                await db.execute(said.noted, {"b_cache": cache, "b_version": refused.refused})
        return refused.is_refused(version)

    async def _apply(self, unit: Any, changes: list[Change]) -> None:
        """Call the function with a list of its own: what it does to that changes nothing here."""
        unit.hold(HELD)
        try:
            await acalled(self._function, unit.native, changes[:])
        except (SinkDown, SinkRefused):
            raise
        except (ValueError, TypeError, LookupError) as error:
            if isinstance(error, RegionKitError):
                raise
            raise SinkRefused(f"the function of the sink refused: {error}") from error
        unit.hold(HELD)  # it still is: else the position would say that what was rolled back is applied

    async def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """What `load` says. `owner` is passed on where it takes that.

        Raises:
            SinkDown: it failed.
        """
        return None if self._load is None else await loaded_by(self._load, key, owner=owner)

    async def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Nothing is kept of deletes: the position tells."""
        return 0

    async def close(self) -> None:
        """Close the connections that it opened; the engine stays as it is. May be called twice."""
        await self.backing.close()


class _Statements:
    """What is said to one server. Immutable."""

    def __init__(self, namespace: str, server: str) -> None:
        table = wb_position(MetaData(), table_name(namespace, WB_POSITION.name))
        self.epochs = EpochStatements(namespace, server)
        mine = table.c.cache == bindparam("b_cache")
        self.position = select(table.c.version, table.c.refused).where(mine)
        self.raised = rising(server, table, "version", plus=0)
        self.noted = update(table).where(mine).values(refused=bindparam("b_version"))

    async def read(self, db: Any, cache: str) -> Position:
        """Of a cache."""
        row = (await db.execute(self.position, {"b_cache": cache})).one_or_none()
        return Position() if row is None else Position(row.version, row.refused or 0)

    async def locked(self, db: Any, cache: str, epoch: int) -> Position:
        """Steps 1 and 2.

        Raises:
            SinkFenced: a later epoch was given out.
        """
        await db.execute(self.epochs.at_least, {"cache": cache, "epoch": epoch})
        latest = int((await db.execute(self.epochs.latest, {"b_cache": cache})).scalar_one())
        if latest > epoch:
            raise SinkFenced(f"another flusher has epoch {latest} of cache {cache!r}, and this one {epoch}", latest)
        return await self.read(db, cache)
