"""Strategies: who may write a store, and where its reads go. As values; routing acts on them.

A strategy says which set of endpoints it can work with, and refuses an endpoint that it would never pick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from regionkit.errors import ConfigurationError
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.mistakes import shown
from regionkit.topology.registry import named

__all__ = ["STRATEGIES", "LocalReadGlobalWrite", "Strategy", "strategy"]


class Strategy(Protocol):
    """What every strategy has: its name in TOML, and a check of a store's endpoints."""

    name: ClassVar[str]

    def check(self, store: str, endpoints: tuple[Endpoint, ...]) -> None:
        """Accepts the `endpoints` of `store`.

        Raises:
            ConfigurationError: when the strategy can not work with them.
        """


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


STRATEGIES: Mapping[str, type[LocalReadGlobalWrite]] = MappingProxyType(
    {"local-read-global-write": LocalReadGlobalWrite}
)
"""Every strategy of this version, by its name in TOML."""


def strategy(spec: str | Mapping[str, Any]) -> Strategy:
    """The strategy that TOML describes: a name, or a table with `name` and the strategy's own keys.

    Raises:
        ConfigurationError: a name that this version does not have (it lists those it has), or a key it does not know.
    """
    made: Strategy = named("strategy", spec, STRATEGIES)
    return made
