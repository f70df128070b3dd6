# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""One member of a MongoDB replica set as routing sees it.

1. A checkout holds no connection: each command takes one of the member's, and is sent only on one of its run.
2. The set elects its primary and keeps what a majority acknowledged: its history is one, for ever, and the term of the
   election says which primary counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, PyMongoError
from pymongo.errors import ConfigurationError as DriverConfigurationError

from regionkit.backends.mongo.classify import classify, refused, text_of
from regionkit.backends.mongo.handle import MongoHandle
from regionkit.backends.mongo.member import Member, limited
from regionkit.backends.mongo.records import MongoRecords
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout import TakeCheckout
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.guard import Guard
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import MongoStore

__all__ = ["MongoCheckout", "MongoEndpoint"]

T = TypeVar("T")

CAPABILITIES = Capabilities(
    server="mongodb",
    positions=True,
    read_only="client",
    transactions=False,
    markers=True,
    detects_promotion=True,
    strong="the primary, linearizable: it asks a majority before it answers (of one document)",
    modes=frozenset({"transaction"}),
    notes=(
        "a write block is a transaction only with transaction=True or an idempotency key; else each write stands alone",
        "reads show what a majority has; a write below majority makes the bookmark 'read from the owner'",
    ),
)


class MongoCheckout:
    """The right to use one member, in one run of its server, until the deadline."""

    __slots__ = ("_endpoint", "_guard", "_handled", "deadline", "member", "observation")

    def __init__(self, endpoint: MongoEndpoint, observation: Observation, deadline: Deadline) -> None:
        self._endpoint = endpoint
        self._handled = False
        self._guard: Guard | None = None
        self.observation = observation
        self.deadline = deadline
        self.member = endpoint.member

    def observe(self, within: float = FOREVER) -> Observation:
        """Ask the member where it stands."""
        with limited(min(within, self.deadline.require("asking a member"))):
            observation = self._endpoint.observe(history=False)
        if self._handled and observation.incarnation != self.observation.incarnation:
            raise AutoReconnect("the server was started anew since the block began")
        self.observation = observation
        return observation

    def keep(self, guard: Guard) -> None:
        """Before each command that finds the guard due, ask the member anew."""
        self._guard = guard

    def recheck(self) -> None:
        """Called before each command."""
        self._handled = True
        if self._guard is not None and self._guard.due(self._endpoint.place.clock.monotonic()):
            self._guard.renew(self.observe())

    def release(self) -> None:
        """It holds nothing."""


class MongoEndpoint:
    """One member of a replica set. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES

    def __init__(self, place: EndpointContext[MongoStore]) -> None:
        self.place = place
        self._made: tuple[Member, MongoRecords] | None = None
        self._observation: Observation | None = None
        self._making = threading.Lock()
        self._inherited: list[object] = []
        self._closed = False

    @property
    def member(self) -> Member:
        """The member and its client, made at first use."""
        return self._parts()[0]

    @property
    def _records(self) -> MongoRecords:
        return self._parts()[1]

    def _parts(self) -> tuple[Member, MongoRecords]:
        if self._made is None:
            if self._closed:
                raise RegionUnavailable(
                    f"{self.place.endpoint.id!r} of {self.place.store.name!r} is closed.",
                    why="its kit was closed, or it stands where the store's residency refuses it.",
                    fix="use a kit that is open.",
                    store=self.place.store.name,
                )
            try:
                member = Member(self.place)
            except (DriverConfigurationError, OSError) as error:
                raise ConfigurationError(
                    f"{self.place.endpoint.id!r} of {self.place.store.name!r}: its URL is not usable.",
                    why=text_of(error),
                    fix="check authMechanism, tlsCAFile and tlsCertificateKeyFile.",
                ) from error
            with self._making:  # of two threads that come first, one's client is dropped before it connects
                self._made = self._made or (member, MongoRecords(member))
        return self._made

    def observe(self, *, history: bool) -> Observation:
        """Ask the member where it stands, within the limit of `within`."""
        return self.member.observe(history=history)

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> MongoCheckout:
        """The right to use the member, which was reached within `timeout` seconds.

        Raises:
            RegionUnavailable: it can not be reached; nothing was sent.
            DeadlineExceeded: not within `timeout` seconds.
        """
        observation = self._observation
        if observation is None or not self.member.is_warm:
            try:
                with limited(min(timeout, deadline.require("connecting"))):
                    observation = self._observation = self.observe(history=False)
            except PyMongoError as error:
                raise self._translated(error) from error
        return MongoCheckout(self, observation, deadline)

    def _translated(self, error: PyMongoError) -> Exception:
        place = self.place
        where: dict[str, Any] = {"store": place.store.name, "region": place.endpoint.region}
        failure = classify(error)
        if failure is Failure.DEADLINE:
            return DeadlineExceeded(
                f"{place.endpoint.id!r} of {place.store.name!r} did not answer in time.",
                why="the call's deadline passed before it said where it stands.",
                fix="see kit.status().",
                **where,
            )
        cause = refused(error)
        if cause is not None:
            return cause.error(place.endpoint.id, why=text_of(error), **where)
        return RegionUnavailable(
            f"{place.endpoint.id!r} of {place.store.name!r} can not be used.",
            why=text_of(error),
            fix="see kit.status(); reads go on elsewhere where the topology allows it.",
            retryable=failure is not Failure.APPLICATION,
            **where,
        )

    def handle(self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]) -> MongoHandle:
        """What the user types with: a `Database`, whose commands run in the block's session."""
        return MongoHandle(self.member, kind, source, mode, asked)

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the member where it stands, for the monitor; making a connection may take `connecting` seconds."""
        member = self.member
        try:
            with limited(timeout if member.is_warm else connecting):
                observation = member.observe(history=True)
                self._observation = observation
                member.tidy()
        except PyMongoError as error:
            self._observation = None
            raise self._translated(error) from error
        return observation

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def evict(self) -> None:
        """Connections made until now are closed when they are next touched."""
        self._observation = None
        if self._made is not None:
            self._made[0].evict()

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First statement of a keyed attempt, which is a transaction: None when the key is ours now, else what stands there."""
        if not handle.session.in_transaction:
            handle.start_transaction()
        handle.native = None  # not exchanged: the block's database is in the transaction now
        if self._records.take(handle.database, claim):
            return None
        handle.abort()
        return self._records.standing(handle.database, claim.key)

    def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        self._records.save_result(handle.database, claim, result)

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        return self._kept(self._records.settle, deadline, claim)

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        return self._kept(self._records.sweep, deadline, self.place.clock.wall() - older_than, most)

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's collections, and the first history row when there is none."""
        self._kept(self._records.create, deadline, root)

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        return self._kept(self._records.write_history, deadline, row)

    def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory that this member has; None when it has none."""
        return self._kept(self._records.find_placement, deadline, store, key)

    def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected`; the row that stands then."""
        return self._kept(self._records.set_placement, deadline, row, expected)

    def _kept(self, work: Callable[..., T], deadline: Deadline, *arguments: Any) -> T:
        """Something done with regionkit's own documents."""
        try:
            self.member.open()
            return work(deadline, *arguments)
        except PyMongoError as error:
            raise self._translated(error) from error

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """None: an election leaves no history."""
        return None

    def abandon(self) -> None:
        """After a fork: forget the parent's client without closing it under its feet."""
        self._inherited.append(self._made)
        self._made = self._observation = None
        self._making = threading.Lock()

    def close(self) -> None:
        """Close every connection. May be called twice."""
        self._closed = True
        made, self._made, self._observation = self._made, None, None
        if made is not None:
            made[0].close()
