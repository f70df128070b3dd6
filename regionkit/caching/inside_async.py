"""What the parts of a cache use of the cache: its writer, its tail, a tracked transaction, and a tier while it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from regionkit.caching.counters import Counters
from regionkit.caching.fetch_async import AsyncFetcher
from regionkit.caching.news_async import AsyncNews
from regionkit.caching.source_async import AsyncSource
from regionkit.caching.strategies import Strategy
from regionkit.caching.telling_async import AsyncTeller
from regionkit.caching.tier_async import AsyncTier
from regionkit.caching.tiers import Local
from regionkit.core.events import Event

__all__ = ["AsyncInside"]


class AsyncInside(Protocol):
    """A cache from within. Safe to share between threads (tasks of one loop).

    Attributes:
        name: of the cache.
        namespace: of the application.
        scope: of the digests of its keys: namespace, name and tenant.
        strategy: of the cache.
        local: its tier in this process.
        settles: writes that died are found out about.
        counters: what it has done.
        heard: takes news of the tier.
        tier: keeps its account.
        teller: tells the tier and this process.
        source: where it loads from.
        fetcher: what a get does.
    """

    name: str
    namespace: str
    scope: bytes
    strategy: Strategy
    local: Local | None
    settles: bool
    counters: Counters
    heard: AsyncNews
    tier: AsyncTier
    teller: AsyncTeller
    source: AsyncSource
    fetcher: AsyncFetcher

    @property
    def emit(self) -> Callable[[Event], None]:
        """Tells an event."""
        ...

    def endpoint_named(self, store: str) -> Any:
        """The endpoint of a kit's store that is the shared tier."""
        ...

    def untracked(self, tracked: Any) -> None:
        """A tracked transaction is over."""
        ...
