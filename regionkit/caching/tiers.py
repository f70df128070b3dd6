"""Where a cache keeps values: Local, Shared, Memcached. Values that say how, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

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
            _check_count(name, getattr(self, name), 1)
        if self.ttl is not None and not 0.0 < self.ttl < 1e9:
            raise ConfigurationError(f"ttl={self.ttl!r} of a local tier is not a time.", fix="give seconds above 0.")


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
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.001 <= seconds <= 3600.0:
                raise ConfigurationError(f"{name}={seconds!r} is not a time.", fix="give seconds, from 0.001 to 3600.")
        if not isinstance(self.tracking, bool):
            raise ConfigurationError(f"tracking={self.tracking!r} is not usable.", fix="give True or False.")
        _check_count("pool_size", self.pool_size, 3 if self.tracking else 2)
        _check_count("max_value_bytes", self.max_value_bytes, 1)
        if self.compress_above is not None:
            _check_count("compress_above", self.compress_above, 0)


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


def _check_count(name: str, count: Any, least: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise ConfigurationError(f"{name}={count!r} is not usable.", fix=f"give a whole number from {least} on.")
