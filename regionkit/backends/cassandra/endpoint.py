# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""One data centre of a Cassandra cluster as routing sees it: where it stands, and what regionkit keeps there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cassandra import InvalidRequest, OperationTimedOut, Unauthorized

from regionkit.backends.cassandra.bridge import answered
from regionkit.backends.cassandra.capabilities import CAPABILITIES
from regionkit.backends.cassandra.checkout import CassandraCheckout
from regionkit.backends.cassandra.classify import classify
from regionkit.backends.cassandra.cluster import Opened
from regionkit.backends.cassandra.datacenter import Datacenter
from regionkit.backends.cassandra.handle import CassandraHandle, Setting
from regionkit.backends.cassandra.observation import Place, encoded, observation
from regionkit.backends.cassandra.records import CassandraRecords
from regionkit.backends.cassandra.schema import Statements
from regionkit.backends.cassandra.tables import TableMaker
from regionkit.contract.checkout import TakeCheckout
from regionkit.contract.endpoint import Meet
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.kept_tables import HISTORY, RECORD
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import LevelsReached, Position, as_position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import CassandraStore, WritePartitioning

__all__ = ["CassandraEndpoint"]

REPLICATION = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"


class CassandraEndpoint:
    """One data centre, by a URL or by a session of the application's. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES
    meet: Meet | None = None  # not called: there is no owner that could be replaced

    def __init__(self, context: EndpointContext[CassandraStore]) -> None:
        self._context = context
        self._datacenter = Datacenter(context)
        self._statements = Statements(context.namespace)
        self._maker = TableMaker(self._datacenter, self._statements)
        self.records = CassandraRecords(self._datacenter, self._statements)
        has_homes = isinstance(context.store.strategy, WritePartitioning)
        here = self._datacenter
        self.setting = Setting(context.store.options, here.keyspace, here.name, context.clock, has_homes)
        self._observation: Observation | None = None

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> CassandraCheckout:
        """The connections, opened within `timeout` seconds.

        Raises:
            RegionUnavailable: no node of the data centre is connected, or there is no such data centre; nothing was sent.
            DeadlineExceeded: opening took too long.
            ConfigurationError: the keyspace is not there, or not replicated by data centre.
        """
        until = Deadline(self._context.clock, timeout)
        opened = self._datacenter.opened(until)
        seen = self._observation
        if seen is None:
            try:
                seen = self.ask(opened, until.require("asking where it stands"))
            except Exception as error:
                raise self._datacenter.translated(error) from error
        return CassandraCheckout(self.setting, opened, self.ask, seen, deadline)

    def handle(
        self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> CassandraHandle:
        """What the user types with."""
        return CassandraHandle(self.setting, kind, source, mode, asked)

    def ask(self, opened: Opened, timeout: float) -> Observation:
        """The keyspace's live replication and the row of its history, both in one round trip.

        A node that hangs leaves half of the time to the others: a data centre is silent when all that were asked are.
        """
        began = self._context.clock.monotonic()
        try:
            return self._asked(opened, timeout / 2.0 if opened.nodes() > 1 else timeout)
        except OperationTimedOut as error:
            opened.silent.note(error)
            left = timeout - (self._context.clock.monotonic() - began)
            if opened.nodes() < 2 or left <= 0.0:
                raise
        return self._asked(opened, left)

    def _asked(self, opened: Opened, timeout: float) -> Observation:
        clock, here = self._context.clock, self._datacenter
        sent_at = clock.monotonic()
        ask, own = opened.session.execute_async, opened.profiles["own"]
        questions = [
            ask(REPLICATION, (here.keyspace,), timeout=timeout, execution_profile=own),
            ask(self._statements.history, timeout=timeout, execution_profile=own),
        ]
        said = (answered(questions[0])).one()
        rtt = clock.monotonic() - sent_at
        row: Any = None
        try:
            row = (answered(questions[1])).one()
        except InvalidRequest:
            pass  # create_tables() was not called yet
        context = Place(opened.name, here.keyspace, here.name)
        replication = None if said is None else dict(said[0])
        self._observation = observation(context, self._context.store.options, replication, row, sent_at, rtt)
        return self._observation

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the data centre where it stands; opening the connections may take `connecting` seconds."""
        until = Deadline(self._context.clock, timeout if self._datacenter.is_open else connecting)
        opened = self._datacenter.opened(until)
        try:
            return self.ask(opened, until.require("asking where it stands"))
        except Unauthorized as error:
            raise self._datacenter.translated(error) from error

    def keep_warm(self, timeout: float) -> None:
        """Nothing: the driver keeps connections to every node."""

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> None:
        """Nothing: no unit has tables here."""

    def evict(self) -> None:
        """Nothing: data centres have no roles to change, and the driver replaces the connections of a node that restarts."""

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """Refused."""
        raise self._no_markers()

    def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Refused."""
        raise self._no_markers()

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Refused."""
        raise self._no_markers()

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """There are no markers."""
        return 0

    def _no_markers(self) -> ConfigurationError:
        return ConfigurationError(
            f"store {self._context.store.name!r}: cassandra takes no idempotency key.",
            fix="make the write itself idempotent.",
        )

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make the tables that are not there yet. Many processes may call it at the same time.

        Raises:
            ConfigurationError: one stands there in another version.
            RegionUnavailable, DeadlineExceeded: the cluster cannot be asked, or another process has been making them for
                as long as the deadline allows.
        """
        self._maker.make(deadline, tables)

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's tables and the row of the history, and write down the keyspace's replicas of now.

        Called again after a change of the replication, it confirms that the repair is done. Needs every data centre: the row
        is on every replica when this returns.
        """
        self.make_tables(deadline, (HISTORY, RECORD))
        seen = self._asked_anew(deadline)
        assert isinstance(seen.reached, LevelsReached)
        live, row = encoded(seen.reached.replication), root("")
        run, statements = self._datacenter.run, self._statements
        begun = run(deadline, statements.begin, (row.history, row.epoch, live), commit="EACH_QUORUM")
        if not begun[0][0]:
            run(deadline, statements.confirm, (live,), commit="EACH_QUORUM")
        run(deadline, statements.history, level="ALL")
        self._asked_anew(deadline)

    def _asked_anew(self, deadline: Deadline) -> Observation:
        return self.ask(self._datacenter.opened(deadline), deadline.require("asking for the replicas"))

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Never: a cluster without a primary has one history."""
        return False

    def mark(self, timeout: float, observation: Observation) -> None:
        """Nothing: there are no positions."""

    def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """What the server has."""
        return None if observation.reached is None else as_position(observation.reached)

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """There are no promotions."""
        return None

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        self._datacenter.abandon()

    def close(self, *, drain: bool = False) -> None:
        """Close every connection, also those of open blocks: they share them. May be called twice."""
        self._datacenter.close()
