# Generated from in_kit_async.py by scripts/twins.py. Do not edit.
"""A cache inside a kit: over one of its stores, with the kit's sessions, hooks and clock.

Write-back has one buffer for all regions: `back/kit_source_async` says where, and what sessions see of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regionkit.caching.back.kit_source import BufferSource, check_sink
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
        ConfigurationError: WriteBack over a partitioned store, or with a sink that writes past the kit.
    """
    timeout = load_at_most(strategy)
    scope = scope_of(backing.namespace, name, tenant)
    parts: Mapping[str, Backing] = {"": backing} if homes is None else homes.parts
    source: Source
    if isinstance(strategy, WriteBack):
        if homes is not None:
            raise ConfigurationError(
                f"cache {name!r} cannot be write-back: the keys of store {backing.name!r} have several homes.",
                why="its buffer would stand in one of them, and a row is written in the home of its key.",
                fix="make a cache without the kit in each home, over the database there: "
                f"Cache({name!r}, ..., tiers=[Shared(...)]).",
            )
        check_sink(name, strategy.sink, backing)
        source, spreads = BufferSource(scope, backing, current, clock, timeout), False
    else:
        sources = {
            part: StoreSource(of, current, clock, scope, bound=floor_life - timeout, timeout=timeout, part=part)
            for part, of in parts.items()
        }
        source = sources[""] if homes is None else HomesSource(homes, sources, partition)
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
