# Generated from making_async.py by scripts/twins.py. Do not edit.
"""How a cache is put together: its name and tiers checked, its tier opened by name when it is a server."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from regionkit.caching.inside import Inside
from regionkit.caching.keys import scope_of
from regionkit.caching.ledger_tier import LedgerTier
from regionkit.caching.policy import longest_tagged
from regionkit.caching.source import Source
from regionkit.caching.strategies import LONGEST_TTL, TTL, Strategy, WriteBack
from regionkit.caching.tier import Tier
from regionkit.caching.tiers import Local, Memcached, Shared
from regionkit.core.clock import Clock
from regionkit.core.events import EventHooks
from regionkit.core.given import check_seconds
from regionkit.errors import ConfigurationError
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["Made", "back_of", "checked_name", "checked_tiers", "longest_local", "tier_of"]

IS_ASYNC = False

SHORTEST_FLOOR = 1.0
"""Seconds: below, a load could outlive the memory of what was told while it ran."""


class Made(NamedTuple):
    """What a kit gives to its caches. `parts`: where the rows of each part of the store are kept, the nearest first."""

    source: Source
    hooks: EventHooks
    backing: Any
    parts: Mapping[str, Any]
    spreads: bool
    shared_at: Callable[[str], Any]


def checked_name(name: str, namespace: str) -> None:
    """Refuse what cannot name a cache.

    Raises:
        ConfigurationError: with the pattern.
    """
    check_name("namespace", namespace, NAMESPACE)
    check_name("name of a cache", name, NAMESPACE)


def checked_tiers(
    tiers: Sequence[Local | Shared | Memcached] | None, strategy: Strategy
) -> tuple[Local | None, Shared | Memcached | None]:
    """The local and the shared tier of a cache.

    Raises:
        ConfigurationError: none, two of a kind, or in the wrong order.
    """
    given = [Local()] if tiers is None else list(tiers) if isinstance(tiers, Sequence) else []
    local = [tier for tier in given if isinstance(tier, Local)]
    shared = [tier for tier in given if isinstance(tier, Shared | Memcached)]
    if len(local) + len(shared) != len(given) or not given or len(local) > 1 or len(shared) > 1:
        raise ConfigurationError(
            f"tiers={tiers!r} cannot be used.", fix="give [Local()], [Shared(...)], or [Local(), Shared(...)]."
        )
    if local and shared and given[0] is not local[0]:
        raise ConfigurationError("the shared tier is listed before the local one.", fix="write [Local(), Shared(...)].")
    if isinstance(strategy, TTL) and strategy.sliding and shared and isinstance(shared[0], Memcached):
        raise ConfigurationError("sliding=True needs a Shared or a Local tier.", fix="leave sliding= out.")
    return (local[0] if local else None), (shared[0] if shared else None)


def longest_local(local: Local | None, shared: Shared | Memcached | None, strategy: Strategy) -> float:
    """Seconds that an entry lives in this process at most."""
    limits = [math.inf]
    if local is not None and local.ttl is not None:
        limits.append(local.ttl)
    if isinstance(strategy, TTL) and strategy.sliding and shared is not None:
        limits.append(strategy.ttl / 4)  # gets of this process have to reach the server now and then
    return min(limits)


def tier_of(cache: Inside, shared: Shared | Memcached | None, clock: Clock, floor_life: float) -> Tier:
    """The tier that keeps a cache's account. Connects to nothing.

    Raises:
        ConfigurationError: a floor's life that is too short.
        MissingDriver: the tier needs a driver that is not installed.
    """
    check_seconds("floor_life", floor_life, SHORTEST_FLOOR, LONGEST_TTL)
    strategy: Strategy = cache.strategy
    if shared is None:
        return LedgerTier(clock, floor_life=floor_life, tag_life=longest_tagged(strategy), settles=cache.settles)
    family = "shared" if isinstance(shared, Shared) else "memcached"
    module = import_module(f"regionkit.caching.{family}{'_async' if IS_ASYNC else ''}")
    opened: Tier = module.opened_tier(cache, shared, clock, floor_life)
    return opened


def back_of(cache: Inside, shared: Shared | Memcached | None, clock: Clock) -> Any:
    """The write-back parts of a cache; None: it has another strategy.

    Raises:
        ConfigurationError: it has no shared tier that could hold what is put, or a tenant.
    """
    if not isinstance(cache.strategy, WriteBack):
        return None
    if not isinstance(shared, Shared):
        raise ConfigurationError(
            f"cache {cache.name!r} has no shared tier that can hold its puts.",
            why="write-back acknowledges a value when a Redis or Valkey server holds it.",
            fix='give tiers=[Shared("redis://...")], or [Local(), Shared("redis://...")].',
        )
    if cache.scope != scope_of(cache.namespace, cache.name, ""):
        raise ConfigurationError(
            f"cache {cache.name!r} has a tenant, and its rows have none.",
            why="the rows of two tenants with one key would be one row.",
            fix="make the tenant a part of each key, and a column of the table's key; or give each tenant a cache and a table.",
        )
    module = import_module(f"regionkit.caching.back.made{'_async' if IS_ASYNC else ''}")
    return module.back_of(cache, clock)
