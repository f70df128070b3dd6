"""What a cache found, and where it came from. A value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

import msgspec

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    V = TypeVar("V")

__all__ = ["Lookup"]


class Lookup(msgspec.Struct, Generic[V], frozen=True):
    """What a cache found.

    Attributes:
        value: None if there is no value, or if None was cached: `found` tells them apart.
        found: whether there is a value.
        tier: "local", "shared" or "loader".
        age: seconds since it was loaded or set.
        stale: its `soft_ttl` has passed.
        version: what the value certainly has; "" if it has no version.
    """

    value: V
    found: bool
    tier: str
    age: float
    stale: bool
    version: str
