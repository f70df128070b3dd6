"""One SQL endpoint as routing sees it: connections (pool.py), what the user types with, and regionkit's own tables."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import sqlalchemy

from regionkit.backends.sql.bridge_async import AsyncEngine, adrive
from regionkit.backends.sql.classify import classify
from regionkit.backends.sql.driver import CONNECT_DEADLINE
from regionkit.backends.sql.handle_async import AsyncSqlHandle
from regionkit.backends.sql.marker import forget, put_tombstone, read_marker, save_result, take
from regionkit.backends.sql.placement import change_placement, read_placement
from regionkit.backends.sql.pool_async import AsyncSqlPool
from regionkit.backends.sql.schema import metadata
from regionkit.backends.sql.server import SqlContext, encode_fork
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request

__all__ = ["AsyncSqlEndpoint", "AsyncSqlRows"]

MARKED = "the marker of its idempotency key stands in that transaction, and commits with it or not at all."


class AsyncSqlRows:
    """What the user types with, and regionkit's own rows, over whatever gives connections."""

    capabilities: Capabilities
    _place: SqlContext

    @functools.cached_property
    def _meta(self) -> sqlalchemy.MetaData:
        return metadata(self._place.namespace)

    def engine(self, kind: Kind) -> AsyncEngine:
        """The engine for reads or writes."""
        raise NotImplementedError

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> Any:
        """A connection, for one block."""
        raise NotImplementedError

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncSqlHandle:
        """What the user types with: a Session, or a Connection with `core`."""
        session = self._place.store.session
        return AsyncSqlHandle(session, self.engine(kind), kind, source, core=mode.core, snapshot=mode.snapshot)

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First statement of a keyed attempt: None when it is ours now, else what stands there."""
        wall = self._place.clock.wall()
        found = await adrive(lambda: take(handle.connection(), self._marker_table, claim, wall))
        if found is None:
            handle.hold(MARKED)
        return found

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        await adrive(lambda: save_result(handle.connection(), self._marker_table, claim, result))

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        wall = self._place.clock.wall()
        put = await self._in_transaction(deadline, lambda c: put_tombstone(c, self._marker_table, claim, wall))
        if put:
            return Marker(applied=False, fingerprint=claim.fingerprint, result=None)
        found: Marker | None = await self._in_transaction(
            deadline, lambda c: read_marker(c, self._marker_table, claim.key)
        )
        assert found is not None, "what refused the tombstone stands there"
        return found

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        before = self._place.clock.wall() - older_than
        count: int = await self._in_transaction(deadline, lambda c: forget(c, self._marker_table, before, most))
        return count

    @property
    def _marker_table(self) -> Any:
        return self._meta.tables[f"{self._place.namespace}_rk_marker"]

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's tables, and the first history row when there is none."""

        def make(connection: sqlalchemy.Connection) -> None:
            position = self._meta.tables[f"{self._place.namespace}_rk_position"]
            wanted = [t for t in self._meta.sorted_tables if t is not position or self.capabilities.server == "sqlite"]
            self._meta.create_all(connection, tables=wanted)
            if position in wanted and connection.execute(sqlalchemy.select(position.c.id)).first() is None:
                connection.execute(position.insert().values(id=1, value=0))

        await self._in_transaction(deadline, make)
        observation = await self._observe_on_write(deadline)
        if observation.lineage is None:
            await self.write_history(deadline, root(observation.origin))

    async def _observe_on_write(self, deadline: Deadline) -> Observation:
        checkout = await self.check_out(Kind.WRITE, deadline, deadline.require("connecting"))
        try:
            observation: Observation = await checkout.observe()
            return observation
        finally:
            await checkout.release()

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        table = self._meta.tables[self._place.history_table]
        values = {
            "history": row.history,
            "parent": row.parent or "",
            "fork": encode_fork(row.fork),
            "epoch": row.epoch,
            "origin": row.origin,
            "written_at": self._place.clock.wall(),
        }
        try:
            await self._in_transaction(deadline, lambda c: c.execute(table.insert().values(**values)))
        except sqlalchemy.exc.IntegrityError:
            return False
        return True

    async def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory that this endpoint has; None when it has none, or no table for them."""
        checkout = await self.check_out(Kind.READ, deadline, deadline.require("connecting"))
        try:
            found: Placement | None = await adrive(
                lambda: read_placement(checkout.connection, self._placement_table, store, key)
            )
            return found
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise self._unplaced(error, checkout) from error
        finally:
            await checkout.release()

    async def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected`; the row that stands then."""
        try:
            stands: Placement = await self._in_transaction(
                deadline, lambda c: change_placement(c, self._placement_table, row, expected)
            )
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise self._unplaced(error, None) from error
        return stands

    def _unplaced(self, error: Exception, checkout: Any) -> RegionKitError:
        if checkout is not None:
            checkout.keeps = False
        where: dict[str, Any] = {"store": self._place.store.name, "region": self._place.endpoint.region}
        if isinstance(error, sqlalchemy.exc.ProgrammingError | sqlalchemy.exc.OperationalError) and (
            classify(error) is Failure.APPLICATION
        ):
            return ConfigurationError(
                f"store {self._place.store.name!r} keeps no placements.",
                why="its tables are missing, or were made by an earlier version.",
                fix="call kit.create_tables() once.",
            )
        return RegionUnavailable(
            f"a placement could not be had from {self._place.endpoint.region}.",
            why=type(error).__name__,
            fix="see kit.status().",
            **where,
        )

    @property
    def _placement_table(self) -> Any:
        return self._meta.tables[f"{self._place.namespace}_rk_placement"]

    async def _in_transaction(self, deadline: Deadline, work: Callable[[sqlalchemy.Connection], Any]) -> Any:
        checkout = await self.check_out(Kind.WRITE, deadline, deadline.require("connecting"))

        def run() -> Any:
            with checkout.connection.begin():
                return work(checkout.connection)

        try:
            return await adrive(run)
        finally:
            await checkout.release()


class AsyncSqlEndpoint(AsyncSqlPool, AsyncSqlRows):
    """One endpoint of a SQL store. Safe to share between threads or tasks."""

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it can not prove it."""
        if not self.capabilities.detects_promotion:
            return None
        engine: Any = self.engine(Kind.WRITE)
        plain: sqlalchemy.Engine = getattr(engine, "sync_engine", engine)

        def replication() -> Any:
            positional, named = plain.dialect.create_connect_args(plain.url)
            _, arguments = self.server.url_and_arguments(self._url, Kind.WRITE)
            return plain.dialect.connect(*positional, **{**named, **arguments, "replication": "true"})

        token = CONNECT_DEADLINE.set(Deadline(self._place.clock, timeout))
        try:
            return await adrive(self.server.prove_promotion, replication, parent, observation)
        except Exception as error:
            if classify(error) in (Failure.CONNECTION, Failure.DEADLINE):
                return None  # an account without REPLICATION is refused like this
            raise
        finally:
            CONNECT_DEADLINE.reset(token)
