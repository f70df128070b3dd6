# Generated from in_kit_async.py by scripts/twins.py. Do not edit.
"""A cache inside a kit: over one of its stores, with the kit's sessions, hooks and clock.

Write-back has one buffer for all regions: `back/kit_source_async` says where, and what sessions see of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from regionkit.caching.back.kit_source import BufferSource, check_sink
from regionkit.caching.cache import Cache
from regionkit.caching.homes_source import Homes, HomesSource, KeyHomes
from regionkit.caching.keys import scope_of
from regionkit.caching.making import Made
from regionkit.caching.source import Source
from regionkit.caching.store_source import StoreSource
from regionkit.caching.strategies import Strategy, WriteBack, check_strategy, load_at_most
from regionkit.caching.tiers import Local, Memcached, Shared
from regionkit.contract.backing import Backing
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.core.given import can
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
    shared_at: Callable[[str, str], Any],
    homes: Homes | None = None,
    partition: Callable[[Any], str] | None = None,
    tiers: Sequence[Local | Shared | Memcached] | None = None,
    tenant: str = "",
    codec: str = "msgpack",
    floor_life: float = 60.0,
    sample_every: float | None = None,
    part: str = "",
) -> Any:
    """The cache; a homed one for WriteBack where keys have homes.

    `shared_at`: finds the endpoint of a Redis store of the kit, for a part of the cached store and by the Redis store's name.
    `spreads`: there are other regions. `homes`: of the store's keys, where they have any. `partition`: from the cache's key to
    the store's.

    Raises:
        ConfigurationError: WriteBack with a sink that writes past the kit, or that cannot be divided by homes.
    """
    check_strategy(strategy)
    timeout = load_at_most(strategy)
    scope = scope_of(backing.namespace, name, tenant)
    parts: Mapping[str, Backing] = {"": backing} if homes is None else homes.parts
    source: Source
    if isinstance(strategy, WriteBack):
        check_sink(name, strategy.sink, backing)
        if homes is not None:
            made = partial(
                made_in_kit, kind=kind, current=current, hooks=hooks, clock=clock, spreads=False,
                tiers=tiers, tenant=tenant, codec=codec, floor_life=floor_life, sample_every=sample_every,
            )  # fmt: skip
            return _homed(name, strategy, homes, partition, clock, shared_at, made)
        source, spreads = BufferSource(scope, backing, current, clock, timeout, part), False
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
        made=Made(source, hooks, backing, parts, spreads=spreads, shared_at=partial(shared_at, part)),
    )


def _homed(
    name: str,
    strategy: WriteBack,
    homes: Homes,
    partition: Callable[[Any], str] | None,
    clock: Clock,
    shared_at: Callable[[str, str], Any],
    made: Callable[..., Any],
) -> Any:
    """A cache for each home, as one."""
    from regionkit.caching.homed import HomedCache, homed_name  # it needs the driver of Redis

    sink = strategy.sink
    if not can(sink, "at"):
        raise ConfigurationError(
            f"the sink of cache {name!r} is a {type(sink).__name__}, and its store's keys have several homes.",
            why="the rows of each home are written there, by a sink of that home.",
            fix="give a SqlSink, a SqlLogSink, a MongoSink or a CallSink.",
        )
    by_home = {}
    for part, backing in homes.parts.items():
        own = replace(
            strategy,
            sink=sink.at(backing),
            load=None if strategy.load == getattr(sink, "load", None) else strategy.load,
        )
        by_home[part] = made(homed_name(name, part), strategy=own, backing=backing, shared_at=shared_at, part=part)
    timeout = load_at_most(strategy)
    return HomedCache(name, by_home, KeyHomes(homes, by_home, partition, lambda: Deadline(clock, timeout)), clock)
