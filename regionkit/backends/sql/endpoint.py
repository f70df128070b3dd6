# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""One SQL endpoint as routing sees it: connections (pool_async.py or the application's engine), and regionkit's own rows."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy

from regionkit.backends.sql.bridge import Engine, drive
from regionkit.backends.sql.classify import classify, missing_table
from regionkit.backends.sql.driver import CONNECT_DEADLINE
from regionkit.backends.sql.gtid_sets import before_history
from regionkit.backends.sql.handle import SqlHandle
from regionkit.backends.sql.marker import forget, insert_unless_there, put_tombstone, read_marker, save_result, take
from regionkit.backends.sql.pool import SqlPool
from regionkit.backends.sql.record_rows import forget_ended
from regionkit.backends.sql.records import SqlRecords
from regionkit.backends.sql.rights import lacking, lacking_own, lacking_replication
from regionkit.backends.sql.schema import metadata
from regionkit.backends.sql.server import SqlContext, encode_fork
from regionkit.backends.sql.statements import Statements
from regionkit.backends.sql.table_making import make_missing, making_tables
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout import TakeCheckout
from regionkit.contract.endpoint import Meet
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.kept_tables import KEPT, POSITION
from regionkit.contract.outcomes import Failure
from regionkit.contract.unreached import without_frames
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table, table_name
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, UuidsReached, as_position
from regionkit.facts.request import BlockMode, Kind, Request

__all__ = ["SqlEndpoint", "SqlRows"]

MARKED = "the marker of its idempotency key is in that transaction: both commit, or neither."


class SqlRows(abc.ABC):
    """What every SQL endpoint owes routing beside its connections. `records`: the records that it keeps."""

    capabilities: Capabilities
    meet: Meet | None = None
    _context: SqlContext

    @functools.cached_property
    def _statements(self) -> Statements:
        return Statements(self._context, self.check_out)

    @functools.cached_property
    def records(self) -> SqlRecords:
        """The records that this endpoint keeps."""
        return SqlRecords(self._context, Statements(self._context, self._met))

    def change(self, deadline: Deadline, what: str, work: Callable[[sqlalchemy.Connection], Any]) -> Any:
        """As `Statements.change`, for tables that a pillar keeps here."""
        return Statements(self._context, self._met).change(deadline, what, work)

    def _met(self, kind: Kind, deadline: Deadline, timeout: float) -> Any:
        """As `check_out`; for a change, of a server that is known."""
        checkout = self.check_out(kind, deadline, timeout)
        if kind is Kind.WRITE and self.meet is not None:
            try:
                self.meet(checkout.observation, deadline.remaining())
            except BaseException:
                checkout.release()
                raise
        return checkout

    @functools.cached_property
    def _tables(self) -> dict[str, sqlalchemy.Table]:
        made, start = metadata(self._context.namespace).tables, len(table_name(self._context.namespace, ""))
        return {name[start:]: table for name, table in made.items()}

    @abc.abstractmethod
    def engine(self, kind: Kind) -> Engine:
        """The engine for reads or writes."""

    @abc.abstractmethod
    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> Any:
        """A connection, for one block."""

    def handle(self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]) -> SqlHandle:
        """What the user types with: a Session, or a Connection with `core`."""
        session = self._context.store.session
        return SqlHandle(session, self.engine(kind), kind, source, core=mode.core, snapshot=mode.snapshot)

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> RegionUnavailable | None:
        """The error of a right on a table of regionkit's that a statement lacked; None where it failed for another reason."""
        return lacking_own(self._context, error)

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First statement of a keyed attempt: None when it is ours now, else what stands there."""
        try:
            found = drive(lambda: take(handle.connection(), self._tables["marker"], claim))
        except Exception as error:
            self._name_right(error)
            if missing_table(error):
                store = self._context.store.name
                raise ConfigurationError(
                    f"store {store!r} takes no idempotency key yet.",
                    why="its table of markers does not exist.",
                    fix="call kit.create_tables() once, before the first keyed write.",
                ) from error
            raise
        if found is None:
            handle.hold(MARKED)
        return found

    def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        try:
            drive(lambda: save_result(handle.connection(), self._tables["marker"], claim, result))
        except Exception as error:
            self._name_right(error)
            raise

    def _name_right(self, error: Exception) -> None:
        """Raise the error that names the missing right; the server is healthy, nothing else fails there."""
        right = lacking(self._context, error)
        if right is not None:
            raise ConfigurationError(right.what, why=right.why, fix=right.fix) from error

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        table = self._tables["marker"]
        if self._statements.change(deadline, "markers", lambda c: put_tombstone(c, table, claim)):
            return Marker(applied=False, fingerprint=claim.fingerprint, result=None)
        found: Marker | None = self._statements.change(deadline, "markers", lambda c: read_marker(c, table, claim.key))
        assert found is not None, "what refused the tombstone stands there"
        return found

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds and `most` records that ended; the larger number."""
        tables = self._tables

        def work(connection: sqlalchemy.Connection) -> int:
            ended = forget_ended(connection, tables["record"], most)
            return max(ended, forget(connection, tables["marker"], older_than, most))

        count: int = self._statements.change(deadline, "markers", work)
        return count

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make what is missing of a pillar's tables; many processes may do it at once.

        Raises:
            ConfigurationError: one stands there in another version.
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: it was not done, or nobody knows; it may be called again.
        """
        self._in_turn(deadline, lambda c: make_missing(c, self._context.namespace, tables))

    def _in_turn(self, deadline: Deadline, make: Callable[[sqlalchemy.Connection], None]) -> None:
        self._statements.change(deadline, "tables", make, begin=lambda c: making_tables(c, self._context, deadline))

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's tables, and the first history row when there is none."""
        counts = self.capabilities.server == "sqlite"
        tables = [table for table in KEPT if counts or table is not POSITION]

        def make(connection: sqlalchemy.Connection) -> None:
            make_missing(connection, self._context.namespace, tables)
            if counts:  # in the same transaction: a copy shows the table with its row, or none
                insert_unless_there(connection, self._tables[POSITION.name], {"id": 1, "value": 0})

        self._in_turn(deadline, make)
        observation = self._observe_on_write(deadline)
        if observation.lineage is None:
            self.write_history(deadline, _first_row(root(observation.origin), observation))

    def _observe_on_write(self, deadline: Deadline) -> Observation:
        checkout = self.check_out(Kind.WRITE, deadline, deadline.require("connecting"))
        try:
            observation: Observation = checkout.observe()
            return observation
        finally:
            checkout.release()

    def mark(self, timeout: float, observation: Observation) -> None:  # noqa: B027
        """Nothing: positions survive a restart with the data."""

    def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """What the server has."""
        return None if observation.reached is None else as_position(observation.reached)

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        values = {
            "history": row.history,
            "parent": row.parent or "",
            "fork": encode_fork(row.fork),
            "epoch": row.epoch,
            "origin": row.origin,
            "written_at": self._context.clock.wall(),
        }
        statement = self._tables["history"].insert().values(**values)
        try:
            self._statements.change(deadline, "histories", lambda c: c.execute(statement))
        except sqlalchemy.exc.IntegrityError:
            return False
        return True


def _first_row(row: HistoryRow, observation: Observation) -> HistoryRow:
    """The row of a first history. On MySQL its fork says what other servers had written before it: that is in every copy."""
    if isinstance(observation.reached, UuidsReached):
        return msgspec.structs.replace(row, fork=before_history(observation.reached, observation.origin))
    return row


class SqlEndpoint(SqlPool, SqlRows):
    """One endpoint of a SQL store. Safe to share between threads or tasks."""

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it cannot prove it.

        Raises:
            RegionUnavailable: the account may not read it; `cause` names the right.
        """
        if not self.capabilities.detects_promotion or self.closed:
            return None
        engine: Any = self.engine(Kind.WRITE)
        plain: sqlalchemy.Engine = getattr(engine, "sync_engine", engine)

        def replication() -> Any:
            positional, named = plain.dialect.create_connect_args(plain.url)
            _, arguments = self.server.url_and_arguments(self._url, Kind.WRITE)
            return plain.dialect.connect(*positional, **{**named, **arguments, "replication": "true"})

        token = CONNECT_DEADLINE.set(Deadline(self._context.clock, timeout))
        try:
            return drive(self.server.prove_promotion, replication, parent, observation)
        except Exception as error:
            right = lacking_replication(self._context, error)
            if right is not None:
                without_frames(error)
                raise right from error
            if classify(error) in (Failure.CONNECTION, Failure.DEADLINE, Failure.CANCELLED):
                return None
            raise
        finally:
            CONNECT_DEADLINE.reset(token)
