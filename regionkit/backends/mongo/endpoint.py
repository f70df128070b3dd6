# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""One member of a MongoDB replica set as routing sees it; or, by an application's client, the set's primary.

The set elects its primary and keeps what a majority acknowledged: its history is one, for ever, and the term of the election
says which primary counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import OperationFailure, PyMongoError

from regionkit.backends.mongo.capabilities import CAPABILITIES
from regionkit.backends.mongo.checkout import MongoCheckout
from regionkit.backends.mongo.classify import classify, lacking, text_of, translated
from regionkit.backends.mongo.dial import dial_of_url
from regionkit.backends.mongo.handle import MongoHandle
from regionkit.backends.mongo.kept import MongoKept
from regionkit.backends.mongo.member import Member, limited
from regionkit.backends.mongo.members import Members
from regionkit.backends.mongo.plain import dial_of_client
from regionkit.backends.mongo.records import MongoRecords
from regionkit.contract.checkout import TakeCheckout
from regionkit.contract.endpoint import Meet
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import closed
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, as_position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import MongoStore

__all__ = ["MongoEndpoint"]

T = TypeVar("T")


class _Made(NamedTuple):
    """What is made at first use, and anew in a child process."""

    members: Members
    kept: MongoKept


class MongoEndpoint:
    """One member of a replica set, or the primary of an application's. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES
    meet: Meet | None = None  # not called: what a member that was replaced does, no majority confirms

    def __init__(self, context: EndpointContext[MongoStore]) -> None:
        self._context = context
        client = context.endpoint.client
        self._dial = dial_of_url(context) if client is None else dial_of_client(context, client)
        self._made: _Made | None = None
        self._observation: Observation | None = None
        self._making = threading.Lock()
        self._inherited: list[object] = []
        self._closed = False
        self.records = MongoRecords(context, lambda: self._parts().members)

    @property
    def member(self) -> Member:
        """The member that is used now, and its client; made at first use."""
        return self._parts().members.member

    def _parts(self) -> _Made:
        if self._made is None:
            context = self._context
            if self._closed:
                raise closed(context)
            try:
                members = Members(context, self._dial)
            except (DriverConfigurationError, OSError) as error:
                raise ConfigurationError(
                    f"{context.endpoint.id!r} of {context.store.name!r}: its URL is not usable.",
                    why=text_of(error),
                    fix="check authMechanism, tlsCAFile and tlsCertificateKeyFile.",
                ) from error
            with self._making:  # of two threads that come first, one's client is dropped before it connects
                self._made = self._made or _Made(members, MongoKept(members))
        return self._made

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> MongoCheckout:
        """The right to use the member, which was reached within `timeout` seconds.

        Raises:
            RegionUnavailable: it cannot be reached; nothing was sent.
            DeadlineExceeded: not within `timeout` seconds.
        """
        observation, members = self._observation, self._parts().members
        if observation is None or not members.is_warm:
            try:
                with limited(min(timeout, deadline.require("connecting"))):
                    observation = self._observation = members.observe(history=False)
            except PyMongoError as error:
                raise translated(self._context, error) from error
        if self._context.endpoint.client is not None and members.member.abandoned:
            self._tidy(deadline.require("aborting what an earlier block left"))  # there is no monitor to do it
        return MongoCheckout(members.member, observation, deadline)

    def _tidy(self, seconds: float) -> None:
        """Abort what blocks had to leave behind: its locks would stand for a minute. In vain where the member is gone."""
        try:
            with limited(seconds):
                self._parts().members.member.tidy()
        except PyMongoError:
            pass

    def handle(self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]) -> MongoHandle:
        """What the user types with: a `Database`, whose commands run in the block's session."""
        return MongoHandle(self.member, kind, source, mode, asked)

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the member where it stands, for the monitor; making a connection may take `connecting` seconds."""
        members = self._parts().members
        try:
            with limited(timeout if members.is_watched else connecting):
                observation = members.observe(history=True)
                self._observation = observation
                members.member.tidy()
        except PyMongoError as error:
            self._observation = None
            raise translated(self._context, error) from error
        return observation

    def keep_warm(self, timeout: float) -> None:
        """Nothing: a member's client keeps one."""

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> RegionUnavailable | None:
        """The error of a right on a collection of regionkit's that a command lacked; None where it failed for another reason."""
        found = lacking(self._context, error) if isinstance(error, PyMongoError) else None
        return found if found is not None and f".{self._context.namespace}_rk_" in found.cause else None

    def evict(self) -> None:
        """Connections made until now are closed when they are next touched."""
        self._observation = None
        if self._made is not None:
            self._made.members.evict()

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First statement of a keyed attempt, which is a transaction: None when the key is ours now, else what stands there."""
        kept = self._parts().kept
        if not handle.session.in_transaction:
            handle.start_transaction()
        handle.native = None  # not exchanged: the block's database is in the transaction now
        if self._named(kept.take, handle.database, claim):
            return None
        handle.abort()
        standing: Marker = self._named(kept.standing, handle.database, claim.key)
        return standing

    def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        self._named(self._parts().kept.save_result, handle.database, claim, result)

    def _named(self, work: Callable[..., T], *arguments: Any) -> T:
        """What a keyed write does with its marker; a missing right is named, and the member is healthy.

        Raises:
            ConfigurationError: it lacks one.
        """
        try:
            return work(*arguments)
        except OperationFailure as error:
            right = lacking(self._context, error)
            if right is None:
                raise
            raise ConfigurationError(right.what, why=right.why, fix=right.fix) from error

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        return self._kept(self._parts().kept.settle, deadline, claim)

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        return self._kept(self._parts().kept.sweep, deadline, older_than, most)

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make the collections that are not there yet. Many processes may call it at the same time.

        Raises:
            ConfigurationError: one stands there in another version.
            RegionUnavailable, DeadlineExceeded: the member cannot do it now.
        """
        self._kept(self._parts().kept.make_tables, deadline, tables)

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make regionkit's collections, and the first history row when there is none."""
        self._kept(self._parts().kept.create, deadline, root)

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        return self._kept(self._parts().kept.write_history, deadline, row)

    def _kept(self, work: Callable[..., T], deadline: Deadline, *arguments: Any) -> T:
        """Something done with regionkit's own documents."""
        try:
            with limited(deadline.require("asking for the member to use")):
                self._parts().members.ready()
            return work(deadline, *arguments)
        except PyMongoError as error:
            self._parts().members.member.suspect |= classify(error) is Failure.ROLE
            raise translated(self._context, error) from error

    def mark(self, timeout: float, observation: Observation) -> None:
        """Nothing: positions are the servers' own."""

    def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """What the server has."""
        return None if observation.reached is None else as_position(observation.reached)

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """None: an election leaves no history."""
        return None

    def abandon(self) -> None:
        """After a fork: forget the parent's client without closing it under its feet."""
        self._inherited.append(self._made)
        self._made = self._observation = None
        self._making = threading.Lock()

    def close(self, *, drain: bool = False) -> None:
        """Close every connection, also those of open blocks: they share them. May be called twice."""
        if self._made is not None and self._made.members.member.abandoned:
            self._tidy(self._context.profile.probe_timeout)
        self._closed = True
        made, self._made, self._observation = self._made, None, None
        if made is not None:
            made.members.close()
