"""Strategies: who may write a store, and where its reads go. As values; routing acts on them.

A strategy says which set of endpoints it can work with, refuses an endpoint that it would never pick, and divides the
endpoints into shards: one owner and its copies, each with histories of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from regionkit.errors import ConfigurationError
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.homes import HOMES, Hashed, Home, home
from regionkit.topology.registry import named
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["STRATEGIES", "LocalReadGlobalWrite", "Shard", "Strategy", "WritePartitioning", "strategy"]


class Shard(NamedTuple):
    """One owner and its copies. `name`: "" where a store has one shard; `partitions`: what homes may name it."""

    name: str
    partitions: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]


class Strategy(Protocol):
    """What every strategy has: its name in TOML, a check of a store's endpoints, and their shards."""

    name: ClassVar[str]

    def check(self, store: str, endpoints: tuple[Endpoint, ...]) -> None:
        """Accepts the `endpoints` of `store`.

        Raises:
            ConfigurationError: when the strategy cannot work with them.
        """

    def shards(self, endpoints: tuple[Endpoint, ...]) -> tuple[Shard, ...]:
        """The endpoints by owner, in the order of the owners."""


@dataclass(frozen=True, slots=True)
class LocalReadGlobalWrite:
    """One primary takes every write; reads go to a near copy that is fresh enough."""

    name: ClassVar[str] = "local-read-global-write"

    def check(self, store: str, endpoints: tuple[Endpoint, ...]) -> None:
        """Accepts exactly one primary, and replicas of it.

        Raises:
            ConfigurationError: no primary, two of them, a replica `of` another region, or an endpoint with partitions.
        """
        primaries = [endpoint for endpoint in endpoints if endpoint.role is Role.PRIMARY]
        if len(primaries) != 1:
            where = ", ".join(endpoint.id for endpoint in primaries) or "none"
            raise ConfigurationError(
                f"store {store!r}: local-read-global-write needs one primary, and has {len(primaries)} ({where}).",
                why="all writes go to one primary; two would take conflicting writes.",
                fix="make one endpoint the primary, and the others replicas.",
            )
        home = primaries[0].region
        for endpoint in endpoints:
            if endpoint.of is not None and endpoint.of != home:
                raise ConfigurationError(
                    f"store {store!r}: replica {endpoint.id!r} is of {shown(endpoint.of)}, where no primary is.",
                    why="a copy of nothing can never be proved fresh.",
                    fix=f"write of = {home!r}, or leave it out.",
                )
            if endpoint.partitions:
                raise ConfigurationError(
                    f"store {store!r}: endpoint {endpoint.id!r} has partitions, which no rule of this strategy picks.",
                    why="local-read-global-write keeps the whole store at one primary.",
                    fix="leave partitions out.",
                )

    def shards(self, endpoints: tuple[Endpoint, ...]) -> tuple[Shard, ...]:
        """One."""
        return (Shard("", (), endpoints),)


@dataclass(frozen=True, slots=True)
class WritePartitioning:
    """Every key has a home region, whose primary takes its writes; its reads go to a near copy that is fresh enough.

    Attributes:
        home: where a key's home is found: `Intrinsic`, `Hashed`, `Contextual` or `Directory`.

    Raises:
        ConfigurationError: no home function.
    """

    name: ClassVar[str] = "write-partitioning"

    home: Home

    def __post_init__(self) -> None:
        if not isinstance(self.home, tuple(HOMES.values())):
            names = ", ".join(kind.__name__ for kind in HOMES.values())
            raise ConfigurationError(f"WritePartitioning: home is {shown(self.home)}.", fix=f"pass one of: {names}.")

    def check(self, store: str, endpoints: tuple[Endpoint, ...]) -> None:
        """Accepts primaries that hold different partitions, and replicas that say whose copies they are.

        Raises:
            ConfigurationError: no primary, a partition held twice, a copy of nothing, or a home that no endpoint holds.
        """
        primaries = [endpoint for endpoint in endpoints if endpoint.role is Role.PRIMARY]
        if not primaries:
            raise ConfigurationError(
                f"store {store!r}: write-partitioning needs a primary in each home region, and there is none.",
                fix="make the endpoint of each home region a primary.",
            )
        held: dict[str, str] = {}
        for endpoint in primaries:
            if bool(endpoint.partitions) != bool(primaries[0].partitions):
                raise ConfigurationError(
                    f"store {store!r}: endpoint {endpoint.id!r} and {primaries[0].id!r} differ: one names partitions.",
                    why="a home is the name of a region, or of a partition; it cannot be both.",
                    fix="name partitions on every primary, or on none.",
                )
            for partition in endpoint.partitions or (endpoint.region,):
                if partition in held:
                    raise ConfigurationError(
                        f"store {store!r}: partition {shown(partition)} has two primaries "
                        f"({held[partition]}, {endpoint.id}).",
                        why="two would take conflicting writes of one key.",
                        fix="give each primary of a region its own partitions=[...].",
                    )
                held[partition] = endpoint.id
        for endpoint in endpoints:
            if endpoint.role is Role.REPLICA:
                _primary_of(store, endpoint, primaries)
        self.check_homes(store, held)
        unused = [p for p in held if isinstance(self.home, Hashed) and p not in self.home.regions]
        if unused:
            raise ConfigurationError(
                f"store {store!r}: no key can ever have its home in {shown(unused[0])}.",
                why="Hashed does not list it, and its endpoint would never be picked.",
                fix="list it in Hashed, or leave the endpoint out.",
            )

    def check_homes(self, store: str, held: Iterable[str]) -> None:
        """Accepts home functions whose homes are all `held`, as far as they name them.

        Raises:
            ConfigurationError: Hashed lists another one.
        """
        if not isinstance(self.home, Hashed):
            return
        for region in self.home.regions:
            if region not in held:
                raise ConfigurationError(
                    f"store {store!r}: Hashed spreads keys to {shown(region)}, which no primary holds.",
                    fix=did_you_mean(region, held),
                )

    def shards(self, endpoints: tuple[Endpoint, ...]) -> tuple[Shard, ...]:
        """One per primary, named by what it holds: its region, or its partitions."""
        primaries = [endpoint for endpoint in endpoints if endpoint.role is Role.PRIMARY]
        members: dict[str, list[Endpoint]] = {endpoint.id: [endpoint] for endpoint in primaries}
        for endpoint in endpoints:
            if endpoint.role is Role.REPLICA:
                members[_primary_of("", endpoint, primaries).id].append(endpoint)
        return tuple(
            Shard("+".join(p.partitions) or p.region, p.partitions or (p.region,), tuple(members[p.id]))
            for p in primaries
        )


def _primary_of(store: str, replica: Endpoint, primaries: list[Endpoint]) -> Endpoint:
    """The primary that a replica copies."""
    found = [p for p in primaries if (replica.of is None and len(primaries) == 1) or p.region == replica.of]
    if len(found) > 1:
        found = [p for p in found if p.partitions == replica.partitions]
    if len(found) == 1:
        return found[0]
    whose = "does not name its primary" if replica.of is None else f"is of {shown(replica.of)}"
    raise ConfigurationError(
        f"store {store!r}: replica {replica.id!r} {whose}, and {len(found) or 'no'} primaries fit.",
        why="with write-partitioning each primary has its own copies.",
        fix="write of= with the region of its primary; if it has several, also with the same partitions=.",
    )


STRATEGIES: Mapping[str, type[Any]] = MappingProxyType(
    {"local-read-global-write": LocalReadGlobalWrite, "write-partitioning": WritePartitioning}
)
"""Every strategy of this version, by its name in TOML."""


def strategy(spec: str | Mapping[str, Any]) -> Strategy:
    """The strategy that TOML describes: a name, or a table with `name` and the strategy's own keys.

    Raises:
        ConfigurationError: a name that this version does not have (it lists those it has), or a key it does not know.
    """
    if not isinstance(spec, str) and spec.get("name") == WritePartitioning.name:
        return _partitioning(spec)
    if spec == WritePartitioning.name:
        raise ConfigurationError("write-partitioning has no home function.", fix=_HOW)
    made: Strategy = named("strategy", spec, STRATEGIES)
    return made


_HOW = 'write { name = "write-partitioning", home = "intrinsic", pattern = "^(?P<region>[a-z0-9-]+):" }.'


def _partitioning(spec: Mapping[str, Any]) -> WritePartitioning:
    """`home` is a name, with the home function's own keys beside it, or a table."""
    given = {key: value for key, value in spec.items() if key not in ("name", "home")}
    wanted = spec.get("home")
    if isinstance(wanted, str):
        return WritePartitioning(home({"name": wanted, **given}))
    if not isinstance(wanted, Mapping) or given:
        raise ConfigurationError("write-partitioning has no home function.", fix=_HOW)
    return WritePartitioning(home(wanted))
