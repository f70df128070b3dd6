"""One data centre of a Cassandra cluster as routing sees it: its connections, where it stands, and what regionkit keeps there.

What is known of a data centre is no matter of one node or one run: levels overlap or they do not. So the incarnation is the
keyspace's place itself, and what a session read stays told when connections were lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import NoHostAvailable
from cassandra.query import SimpleStatement

from regionkit.backends.cassandra.bridge_async import answered, ended
from regionkit.backends.cassandra.classify import classify, refused
from regionkit.backends.cassandra.cluster import OWN, Opened, Opener
from regionkit.backends.cassandra.handle_async import AsyncCassandraHandle, Setting
from regionkit.backends.cassandra.replication import Kept, decoded, encoded, lineage_of, reached, replication_of
from regionkit.backends.cassandra.schema import Tables, placement_of
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.guard import Guard
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionKitError, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.facts.position import LevelsReached, Position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import CassandraStore, Role, WritePartitioning
from regionkit.topology.server_urls import server_url

__all__ = ["CAPABILITIES", "AsyncCassandraCheckout", "AsyncCassandraEndpoint"]

REPLICATION = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
CLOSE_WITHIN = 2.0
"""Seconds that closing is waited for; the rest is done by a thread that keeps nothing alive."""

CAPABILITIES = Capabilities(
    server="cassandra",
    positions=True,
    read_only="client",
    transactions=False,
    markers=False,
    detects_promotion=False,
    bounded=False,
    strong="SERIAL: linearizable, on tables written by conditional statements only",
    leaderless=True,
    notes=(
        "SESSION by overlapping levels: a data centre serves it where its reads must meet the session's writes",
        "each write stands when it is acknowledged; nothing is rolled back",
        "writes of different sessions are ordered by their clocks; within a session later writes win",
        "what an EVENTUAL or STRONG read showed, a later SESSION read may not show yet",
        "tables need read_repair = 'BLOCKING', Cassandra's default, for reads that do not go backwards",
        "write partitioning by conditional statements at SERIAL only: every data centre has a part in each write",
        "the keyspace's replication decides which data centres hold copies; requests go to the endpoint's own only",
        "a changed replication is noticed by the next sample: until then, sample_every as a rule and longer while probes fail, "
        "SESSION goes by the old one",
    ),
)


class AsyncCassandraCheckout:
    """A block's use of the shared connections: answers are told apart by their streams, so nothing is taken from others."""

    __slots__ = ("_endpoint", "deadline", "observation", "opened", "setting")

    def __init__(
        self, endpoint: AsyncCassandraEndpoint, opened: Opened, observation: Observation, deadline: Deadline
    ) -> None:
        self._endpoint = endpoint
        self.setting = endpoint.setting
        self.opened = opened
        self.observation = observation
        self.deadline = deadline

    async def observe(self, within: float = FOREVER) -> Observation:
        """Ask the data centre where it stands."""
        left = self.deadline.require("asking where it stands")
        self.observation = await self._endpoint.ask(self.opened, min(left, within))
        return self.observation

    def keep(self, guard: Guard) -> None:
        """Nothing: BOUNDED reads are refused."""

    async def release(self) -> None:
        """Nothing was taken."""


class AsyncCassandraEndpoint:
    """One data centre. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES

    def __init__(self, place: EndpointContext[CassandraStore]) -> None:
        self._place = place
        store, region = place.store, place.endpoint.region
        url = server_url("cassandra", place.endpoint.url)
        self._keyspace = str(url.database)
        self._datacenter = dict(store.datacenters).get(region, region)
        self._opener = Opener(place, url, self._datacenter)
        self._tables = Tables(place.namespace)
        has_homes = isinstance(store.strategy, WritePartitioning)
        self.setting = Setting(store.options, self._keyspace, self._datacenter, place.clock, has_homes)
        self._observation: Observation | None = None

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> AsyncCassandraCheckout:
        """The connections, opened within `timeout` seconds.

        Raises:
            RegionUnavailable: no node of the data centre is connected, or there is no such data centre; nothing was sent.
            DeadlineExceeded: opening took too long.
            ConfigurationError: the keyspace is not there, or not replicated by data centre.
        """
        until = Deadline(self._place.clock, timeout)
        opened = await self._opened(until)
        observation = self._observation
        if observation is None:
            try:
                observation = await self.ask(opened, until.require("asking where it stands"))
            except Exception as error:
                raise self._translated(error) from error
        return AsyncCassandraCheckout(self, opened, observation, deadline)

    async def _opened(self, until: Deadline) -> Opened:
        opened = self._opener.opened
        if opened is None:
            try:
                opened = await ended(self._opener.open(), until.require("connecting"))
            except TimeoutError:
                raise self._late() from None
            except Exception as error:
                raise self._translated(error) from error
        if not opened.has_node():
            self._opener.lost(opened)
            raise self._unavailable("no node of it is connected.")
        return opened

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncCassandraHandle:
        """What the user types with."""
        return AsyncCassandraHandle(self.setting, kind, source, mode, asked)

    async def ask(self, opened: Opened, timeout: float) -> Observation:
        """The keyspace's live replication and the row of its history, both in one round trip."""
        clock = self._place.clock
        sent_at = clock.monotonic()
        ask = opened.session.execute_async
        questions = [
            ask(REPLICATION, (self._keyspace,), timeout=timeout, execution_profile=OWN),
            ask(self._tables.history, timeout=timeout, execution_profile=OWN),
        ]
        said = (await answered(questions[0])).one()
        rtt = clock.monotonic() - sent_at
        row: Any = None
        try:
            row = (await answered(questions[1])).one()
        except InvalidRequest:
            pass  # create_tables() was not called yet
        live = replication_of(self._keyspace, None if said is None else dict(said[0]))
        kept = None if row is None else Kept(row[0], row[1], decoded(row[2]))
        self._observation = Observation(
            role=Role.PRIMARY,
            incarnation=f"{opened.name}/{self._keyspace}@{self._datacenter}",
            lineage=lineage_of(opened.name, self._keyspace, kept),
            origin="",
            reached=reached(self._datacenter, self._place.store.options, live, kept),
            sent_at=sent_at,
            rtt=rtt,
        )
        return self._observation

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the data centre where it stands; opening the connections may take `connecting` seconds."""
        opened = self._opener.opened
        within = connecting if opened is None else timeout
        until = Deadline(self._place.clock, within)
        opened = await self._opened(until)
        return await self.ask(opened, until.require("asking where it stands"))

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def evict(self) -> None:
        """Nothing: data centres have no roles to change, and the driver replaces the connections of a node that restarts."""

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """Refused."""
        raise self._no_markers()

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Refused."""
        raise self._no_markers()

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Refused."""
        raise self._no_markers()

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """There are no markers."""
        return 0

    def _no_markers(self) -> ConfigurationError:
        return ConfigurationError(
            f"store {self._place.store.name!r}: cassandra takes no idempotency key.",
            fix="make the write itself idempotent.",
        )

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's tables and the row of the history, and write down the keyspace's replicas of now.

        Called again after a change of the replication, it confirms that the repair is done. Needs every data centre: the row
        is on every replica when this returns.
        """
        await self._make_tables(deadline)
        observation = await self.ask(await self._opened(deadline), deadline.require("asking for the replicas"))
        assert isinstance(observation.reached, LevelsReached)
        live, row = encoded(observation.reached.replication), root("")
        begun = await self._run(deadline, self._tables.begin, (row.history, row.epoch, live), commit="EACH_QUORUM")
        if not begun[0]:
            await self._run(deadline, self._tables.confirm, (live,), commit="EACH_QUORUM")
        await self._run(deadline, self._tables.history, level="ALL")
        await self.ask(await self._opened(deadline), deadline.require("asking for the history"))

    async def _make_tables(self, deadline: Deadline) -> None:
        """Both at once, as each waits a second for the nodes to agree; by one node, which makes one after the other."""
        opened = await self._opened(deadline)
        left = deadline.require("making tables", store=self._place.store.name)
        node = opened.node()
        try:
            making = [
                opened.session.execute_async(text, timeout=left, execution_profile=OWN, host=node)
                for text in self._tables.create
            ]
            for response in making:
                await answered(response)
        except Exception as error:
            raise self._translated(error) from error

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Never: a cluster without a primary has one history."""
        return False

    async def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory, read at SERIAL: absence is an answer only where no data centre is setting it just now."""
        return placement_of(store, key, await self._run(deadline, self._tables.find, (store, key), level="SERIAL"))

    async def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected`; the row that stands then."""
        if expected == 0:
            values: tuple[Any, ...] = (row.store, row.key, row.home, row.epoch, row.version)
            done = await self._run(deadline, self._tables.put_first, values, commit="QUORUM")
        else:
            values = (row.home, row.epoch, row.version, row.store, row.key, expected)
            done = await self._run(deadline, self._tables.put, values, commit="QUORUM")
        if done[0]:
            return row
        return await self.find_placement(deadline, row.store, row.key) or row

    async def _run(
        self, deadline: Deadline, text: str, values: tuple[Any, ...] = (), *, level: str = "QUORUM", commit: str = ""
    ) -> Any:
        """One statement on a table of our own; its first row. `commit`: a conditional one, and the level it ends at."""
        opened = await self._opened(deadline)
        statement = SimpleStatement(
            text,
            consistency_level=ConsistencyLevel.name_to_value[commit or level],
            serial_consistency_level=ConsistencyLevel.SERIAL,
        )
        left = deadline.require("a statement on regionkit's own tables", store=self._place.store.name)
        try:
            response = opened.session.execute_async(statement, values, timeout=left, execution_profile=OWN)
            return (await answered(response)).one()
        except InvalidRequest as error:
            raise ConfigurationError(
                f"store {self._place.store.name!r} does not have regionkit's tables.",
                why=str(error),
                fix="call kit.create_tables() once; its account may create tables in the keyspace, or somebody else does.",
            ) from error
        except Exception as error:
            raise self._translated(error) from error

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """There are no promotions."""
        return None

    def _translated(self, error: Exception) -> Exception:
        """An error outside of a block, as ours."""
        if isinstance(error, RegionKitError):
            return error
        if classify(error) is Failure.DEADLINE:
            return self._late(str(error).strip())
        errors = error.errors.values() if isinstance(error, NoHostAvailable) else ()
        for one in (error, *errors):
            cause = refused(one)
            if cause is not None:
                return cause.error(
                    f"data centre {self._datacenter}",
                    store=self._place.store.name,
                    region=self._place.endpoint.region,
                    why=str(one),
                )
        why = "; ".join(str(e) or type(e).__name__ for e in errors) or str(error) or type(error).__name__
        return self._unavailable(why, retryable=classify(error) is not Failure.APPLICATION)

    def _unavailable(self, why: str, *, retryable: bool = True) -> RegionUnavailable:
        place = self._place
        return RegionUnavailable(
            f"data centre {self._datacenter!r} of {place.store.name!r} can not be had.",
            why=why,
            fix="see kit.status(); others go on where the topology and the levels allow it.",
            store=place.store.name,
            region=place.endpoint.region,
            retryable=retryable,
        )

    def _late(self, why: str = "") -> DeadlineExceeded:
        return DeadlineExceeded(
            f"data centre {self._datacenter!r} of {self._place.store.name!r} did not answer in time.",
            why=why or "the call's deadline passed before a connection was there; nothing was sent.",
            fix="see kit.status().",
            store=self._place.store.name,
            region=self._place.endpoint.region,
        )

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        self._opener.abandon()

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        try:
            await ended(self._opener.close(), CLOSE_WITHIN)
        except TimeoutError:
            pass
