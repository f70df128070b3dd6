"""The tiers of a cache as a topology describes them: `[caches.users]  shared = "cache"  local = { max_items = 100_000 }`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from regionkit.errors import ConfigurationError
from regionkit.topology.names import NAMESPACE
from regionkit.topology.validation import check_name, did_you_mean, shown

__all__ = ["CacheTiers"]

_LOCAL = ("max_items", "max_bytes", "ttl")


@dataclass(frozen=True, slots=True)
class CacheTiers:
    """The tiers of one cache. Immutable.

    Attributes:
        name: of the cache.
        shared: name of the Redis store whose primary in each region serves as shared tier; None: there is none.
        local: options of the local tier; None: there is none.
    """

    name: str
    shared: str | None = None
    local: Mapping[str, Any] | None = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_name("a cache", self.name, NAMESPACE)
        if self.shared is None and self.local is None:
            raise ConfigurationError(f"cache {self.name!r} has no tier.", fix="give it shared, local, or both.")
        for word in self.local or ():
            if word not in _LOCAL:
                raise ConfigurationError(
                    f"cache {self.name!r}: local has no option {shown(word)}.", fix=did_you_mean(word, _LOCAL)
                )
