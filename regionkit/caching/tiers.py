"""Where a cache keeps values: Local, Shared, Memcached. Values that say how, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from regionkit.core.given import check_count, check_flag, check_seconds
from regionkit.errors import ConfigurationError

__all__ = ["Local", "Memcached", "Shared"]

MAX_ITEMS = 10_000
"""Entries of a local tier by default: some 10 MB of small values."""
MAX_BYTES = 64 << 20
"""Bytes of a local tier by default, overhead included."""
MAX_VALUE = 1 << 20
"""Bytes of one value by default: a server that sends ten times as much does nothing else for 30 ms."""


@dataclass(frozen=True, slots=True)
class Local:
    """The memory of this process.

    Attributes:
        max_items: entries at most.
        max_bytes: total size at most, measured by encoded size plus a constant per entry.
        ttl: seconds that an entry lives here at most, whatever the strategy says; None: as long as the strategy says.
    """

    max_items: int = MAX_ITEMS
    max_bytes: int = MAX_BYTES
    ttl: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_items", "max_bytes"):
            check_count(name, getattr(self, name), 1)
        if self.ttl is not None:
            check_seconds("ttl", self.ttl, 0.001, 1e9)


@dataclass(frozen=True, slots=True)
class Shared:
    """A Redis or Valkey server that all processes of a region share.

    Attributes:
        server: a URL; a client of redis-py (in asyncio a `redis.asyncio.Redis`), whose address and account are taken over; or
            inside a kit the name of a Redis store, whose primary in this region serves.
        timeout: seconds that the server may take for an answer at no distance; its round trip comes on top.
        pool_size: connections of this process at most.
        max_local_stale: seconds for which a local entry may outlive an invalidation by another process, when that process's
            news do not arrive.
        max_value_bytes: of one encoded value, at most; a larger one is given to the caller and not kept.
        compress_above: bytes from which on values are compressed; None: never.
        tls: "require" (default off loopback) or "off", for a URL.
        tracking: the server also tells, over RESP3, which keys any program changed or deleted, and which expired or were evicted;
            the local tier removes them. It takes one more connection of each process.
    """

    server: Any = field(repr=False)
    timeout: float = 0.1
    pool_size: int = 10
    max_local_stale: float = 2.0
    max_value_bytes: int = MAX_VALUE
    compress_above: int | None = None
    tls: Literal["require", "off"] | None = None
    tracking: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.server, bytes) or self.server in (None, ""):
            raise ConfigurationError(
                "a shared tier needs a server.", fix='write Shared("redis://...") or Shared(client).'
            )
        for name in ("timeout", "max_local_stale"):
            check_seconds(name, getattr(self, name), 0.001, 3600.0)
        check_flag("tracking", self.tracking)
        check_count("pool_size", self.pool_size, 3 if self.tracking else 2)
        check_count("max_value_bytes", self.max_value_bytes, 1)
        if self.compress_above is not None:
            check_count("compress_above", self.compress_above, 0)


@dataclass(frozen=True, slots=True)
class Memcached:
    """A Memcached server: a shared tier with fewer guarantees. It keeps no account: a load that another process begins after an
    invalidation, from a copy that lags, may be stored; there are no notifications. `explain()` says all of it.

    Attributes:
        server: `memcached://host:port`.
        timeout: seconds that the server may take for an answer.
        pool_size: connections of this process at most.
        max_value_bytes: of one encoded value, at most; servers take 1 MiB by default.
    """

    server: str
    timeout: float = 0.1
    pool_size: int = 10
    max_value_bytes: int = MAX_VALUE - 4096

    def __post_init__(self) -> None:
        check_seconds("timeout", self.timeout, 0.001, 3600.0)
        check_count("pool_size", self.pool_size, 1)
        check_count("max_value_bytes", self.max_value_bytes, 1)
