# Generated from operations_async.py by scripts/twins.py. Do not edit.
"""What an operator or a deployment does to a kit's stores: tables, histories, open outcomes, first homes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from regionkit.contract.idempotency import Claim
from regionkit.core.clock import Clock
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.events import EventHooks
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionKitError, RegionUnavailable, UsageError
from regionkit.facts.history import HistoryRow, adoption_id
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.kit_stores import Stores
from regionkit.routing.events import HistoryWritten
from regionkit.routing.partitions import PartitionedStore, no_key, not_partitioned
from regionkit.routing.status import status_of
from regionkit.routing.store import RoutedStore
from regionkit.topology import Profile, Role
from regionkit.topology.homes import check_key
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["RESOLVE_WITHIN", "TABLES_WITHIN", "Operations"]

RESOLVE_WITHIN = 43_200.0
"""Seconds after an attempt in which `resolve` answers: half of what markers are kept, so that absence still means "no"."""

TABLES_WITHIN = 15.0
"""Seconds that making the tables of a shard may take: a change of the schema of a whole cluster takes some."""

ELECTION_POLL = 0.1
"""Seconds between two questions while members elect a primary, which takes them some."""


class Operations:
    """Keeps the stores of one kit in order. The kit's methods of the same names say what is promised."""

    def __init__(self, local: str, profile: Profile, clock: Clock, hooks: EventHooks) -> None:
        self._local = local
        self._profile = profile
        self._clock = clock
        self._hooks = hooks

    def create_tables(self, stores: Stores) -> None:
        """Create regionkit's tables beside the data, on the owner of every store."""
        for store in stores.by_name.values():
            for shard in store.shards:
                deadline = Deadline(self._clock, max(self._profile.write_deadline, TABLES_WITHIN))
                index = self._owner_of(shard, deadline)
                shard.backend(index).create_tables(deadline, _root)
                self._ask_all(shard)
                if isinstance(store, PartitionedStore):
                    store.store_table(shard, index, Deadline(self._clock, self._profile.write_deadline))

    def _ask_all(self, store: RoutedStore, within: float = FOREVER) -> None:
        indexes = [i for i in range(len(store.backends)) if not store.refused(i)]
        gather([lambda i=i: store.probe(i, within) for i in indexes])  # type: ignore[misc]  # a default binds the loop's value

    def _owner_of(self, store: RoutedStore, deadline: Deadline) -> int:
        self._ask_all(store)
        index = store.state.snapshot.owner
        while index < 0 and deadline.remaining() > 0.0 and (store.silent or _elects(store)):
            if not store.silent:
                sleep(ELECTION_POLL)
            self._ask_all(store, deadline.remaining())  # one that is far or slow gets more time each time
            index = store.state.snapshot.owner
        if index < 0 and store.state.snapshot.leaderless:
            index = next(iter(store.nearest()), -1)
        if index < 0:
            states = status_of([store.state], self._local, self._clock.monotonic()).endpoints
            raise RegionUnavailable(
                f"store {store.name!r} has no primary now.",
                why="; ".join(f"{e.endpoint}: {e.role}, {e.state}" for e in states) + ".",
                fix="see kit.status().",
                store=store.name,
            )
        return index

    def adopt(
        self,
        found: RoutedStore | PartitionedStore,
        region: str,
        key: str | None = None,
        home: str | None = None,
    ) -> None:
        """Write a history row for the primary that counts from now on."""
        if key is not None or home is not None:
            found = self._part(found, key, home)
        if found.shards[0].state.snapshot.leaderless:
            raise ConfigurationError(
                f"store {found.name!r} has no primary that could be adopted.",
                why="any allowed region takes its writes.",
                fix="see kit.status() for those that do not answer.",
            )
        for shard in found.shards:
            if any(not e.region for e in shard.state.snapshot.endpoints):  # members that have not said where they stand
                self._ask_all(shard)
        named = _named(found, region)
        for shard in {id(shard): shard for shard, _ in named}.values() if len(named) > 1 else ():
            self._ask_all(shard)  # which of them reports to be primary
        routed, index = _to_adopt(found.name, region, named)
        observation = self._primary(routed, index, region)
        if observation.lineage is None:  # it lost its data, or never had tables
            deadline = Deadline(self._clock, max(self._profile.write_deadline, TABLES_WITHIN))
            routed.backend(index).create_tables(deadline, _root)
            observation = self._primary(routed, index, region)
        lineage = observation.lineage
        if lineage is None:
            raise ConfigurationError(f"{region!r} has no history rows, and they could not be made.")
        parent, counts = lineage.current, observation.recorded and routed.state.snapshot.owner == index
        if not (counts and parent.history == lineage.adoption):
            fork = routed.backend(index).survived(self._profile.write_deadline, parent, observation)
            history = adoption_id(uuid7().hex)
            row = HistoryRow(history, parent.history, fork, parent.epoch + 1, observation.origin)
            routed.backend(index).write_history(Deadline(self._clock, self._profile.write_deadline), row)
            e = routed.state.snapshot.endpoints[index]
            event = HistoryWritten(
                routed.name, e.region, e.id, row.history, parent.history, row.epoch, "adopted by an operator"
            )
            self._hooks.emit(event)
            observation = self._primary(routed, index, region)
        routed.state.adopt(observation.lineage)

    def _part(self, found: RoutedStore | PartitionedStore, key: str | None, home: str | None) -> RoutedStore:
        """The shard where a key has its home."""
        if not isinstance(found, PartitionedStore):
            raise not_partitioned(found.name)
        if key is None:
            raise no_key(found.name)
        shard = found.home_without_io(check_key(key), home)
        return shard or found.locate(key, Deadline(self._clock, self._profile.write_deadline))

    def _primary(self, store: RoutedStore, index: int, region: str) -> Observation:
        """What an endpoint says that is to be adopted.

        Raises:
            RegionUnavailable: nothing.
            ConfigurationError: it is no primary.
        """
        observation = store.probe(index)
        if observation is None:
            raise RegionUnavailable(
                f"{region!r} does not answer.", fix="see kit.status().", store=store.name, region=region
            )
        if observation.role is not None and observation.role.value != "primary":
            raise ConfigurationError(
                f"{region!r} reports the role {observation.role}.",
                why="only a primary can own the data.",
                fix=store.advice.promote,
            )
        return observation

    def resolve(
        self, find: Callable[[str], RoutedStore | PartitionedStore], error: OutcomeUnknown
    ) -> Literal["yes", "no", "unknown"]:
        """Whether the write of an OutcomeUnknown took effect; `find` gives the store of a name."""
        if not isinstance(error, OutcomeUnknown):
            raise UsageError(f"a {type(error).__name__} has no outcome to look up.", fix="pass an OutcomeUnknown.")
        if error.idempotency_key is None:
            return "unknown"
        if self._clock.wall() - error.began_at > RESOLVE_WITHIN:
            raise UsageError(
                "the attempt was too long ago to resolve.",
                why=f"markers are kept 24 hours, and absence is proof only within {RESOLVE_WITHIN / 3600:.0f}.",
                fix="check the data itself.",
            )
        found = find(error.store)
        routed = next((shard for shard in found.shards if shard.partition == error.partition), None)
        if routed is None:
            return "unknown"  # the topology was replaced, and the partition is gone
        claim = Claim(error.idempotency_key, "", uuid7().hex)
        try:
            deadline = Deadline(self._clock, self._profile.write_deadline)
            index = self._owner_of(routed, deadline)
            marker = routed.backend(index).settle(deadline, claim)
        except RegionKitError:
            return "unknown"
        return "yes" if marker.applied else "no"

    def place(self, found: RoutedStore | PartitionedStore, *, key: str, home: str) -> Placement:
        """Give `key` its first home."""
        if not isinstance(found, PartitionedStore):
            raise not_partitioned(found.name)
        return found.place(check_key(key), home, Deadline(self._clock, self._profile.write_deadline))


def _elects(store: RoutedStore) -> bool:
    """Whether its members elect a primary by themselves: there will be one in a moment."""
    return any(e.observation is not None and e.observation.term for e in store.state.snapshot.endpoints)


def _root(origin: str) -> HistoryRow:
    """The first history of a store."""
    return HistoryRow(uuid7().hex, None, None, 1, origin)


def _named(store: RoutedStore | PartitionedStore, region: str) -> list[tuple[RoutedStore, int]]:
    """The endpoints that an operator may mean by an id or a region.

    Raises:
        ConfigurationError: none.
    """
    known = [
        (shard, index, e)
        for shard in store.shards
        for index, e in enumerate(shard.state.snapshot.endpoints)
        if not shard.refused(index)
    ]
    named = [(shard, index) for shard, index, e in known if region in (e.id, e.region)]
    if not named:
        raise ConfigurationError(
            f"store {store.name!r} has no endpoint {shown(region)} that may be used.",
            fix=did_you_mean(region, (e.id for _, _, e in known)),
        )
    return named


def _to_adopt(store: str, region: str, named: list[tuple[RoutedStore, int]]) -> tuple[RoutedStore, int]:
    """Which of the endpoints that were named is meant: the one that says it is primary and is not taken for the owner.

    The first endpoint of a region is called as the region is. In one shard it is meant where it claims, too.

    Raises:
        ConfigurationError: several.
    """
    claims = [
        (shard, index)
        for shard, index in named
        if shard.state.snapshot.endpoints[index].role is Role.PRIMARY and shard.state.snapshot.owner != index
    ]
    if len(named) == 1 or len(claims) == 1:
        return (claims or named)[0]
    if len({id(shard) for shard, _ in named}) == 1:
        called = [(s, i) for s, i in claims or named if s.state.snapshot.endpoints[i].id == region]
        owned = [(s, i) for s, i in named if s.state.snapshot.owner == i and not claims]
        if called or owned:
            return (owned or called)[0]
    raise ConfigurationError(
        f"store {store!r} has {len(named)} endpoints in {region!r}, and {len(claims)} of them need adoption.",
        why="each partition has its own primary.",
        fix="see kit.status(); pass key= (at the shell --key), a key of the part that is meant, or name the endpoint by its id: "
        + ", ".join(shard.state.snapshot.endpoints[index].id for shard, index in named),
    )
