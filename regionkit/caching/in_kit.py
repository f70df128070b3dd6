# Generated from in_kit_async.py by scripts/twins.py. Do not edit.
"""A cache inside a kit: over one of its stores, with the kit's sessions, hooks and clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regionkit.caching.cache import Cache
from regionkit.caching.homes_source import Homes, HomesSource
from regionkit.caching.keys import scope_of
from regionkit.caching.making import Made
from regionkit.caching.source import Source
from regionkit.caching.store_source import StoreSource
from regionkit.caching.strategies import Strategy, WriteBack, load_at_most
from regionkit.caching.tiers import Local, Memcached, Shared
from regionkit.contract.backing import Backing
from regionkit.core.clock import Clock
from regionkit.core.events import EventHooks
from regionkit.errors import ConfigurationError

__all__ = ["made_in_kit"]


def made_in_kit(
    name: str,
    kind: Any,
    *,
    strategy: Strategy,
    backing: Backing,
    current: Callable[[], Any],
    hooks: EventHooks,
    clock: Clock,
    spreads: bool,
    shared_at: Callable[[str], Any],
    homes: Homes | None = None,
    partition: Callable[[Any], str] | None = None,
    tiers: Sequence[Local | Shared | Memcached] | None = None,
    tenant: str = "",
    codec: str = "msgpack",
    floor_life: float = 60.0,
    sample_every: float | None = None,
) -> Cache[Any]:
    """The cache. `shared_at`: finds the endpoint of a Redis store of the kit by its name. `spreads`: there are other regions.
    `homes`: of the store's keys, where they have any. `partition`: from the cache's key to the store's.

    Raises:
        ConfigurationError: WriteBack.
    """
    if isinstance(strategy, WriteBack):
        raise ConfigurationError(
            f"cache {name!r} cannot be write-back in a kit.",
            why="a value that is not in its row yet is in one region only: sessions and other regions would not see it.",
            fix=f"make it without the kit, in the region whose processes write it: Cache({name!r}, ..., tiers=[Shared(...)]).",
        )
    timeout = load_at_most(strategy)
    scope = scope_of(backing.namespace, name, tenant)
    parts: Mapping[str, Backing] = {"": backing} if homes is None else homes.parts
    sources = {
        part: StoreSource(of, current, clock, scope, bound=floor_life - timeout, timeout=timeout, part=part)
        for part, of in parts.items()
    }
    source: Source = sources[""] if homes is None else HomesSource(homes, sources, partition)
    return Cache(
        name,
        kind,
        strategy=strategy,
        tiers=tiers,
        namespace=backing.namespace,
        tenant=tenant,
        codec=codec,
        floor_life=floor_life,
        sample_every=sample_every,
        clock=clock,
        made=Made(source, hooks, backing, parts, spreads=spreads, shared_at=shared_at),
    )
