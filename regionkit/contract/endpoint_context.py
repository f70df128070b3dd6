"""What a backend is told of one endpoint: the store, the address, the times, the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from regionkit.core.clock import Clock
from regionkit.topology import Endpoint, Profile, Shard, Store

__all__ = ["EndpointContext"]

S = TypeVar("S", bound=Store)


@dataclass(frozen=True, slots=True)
class EndpointContext(Generic[S]):
    """One endpoint of one store."""

    namespace: str
    store: S
    endpoint: Endpoint
    profile: Profile
    clock: Clock
    is_async: bool
    shard: Shard | None = None
    """Whose endpoint it is, where the caller has it at hand: finding it looks at all endpoints of the store."""

    @property
    def history_table(self) -> str:
        """Name of the table (or key, or collection) of histories."""
        return f"{self.namespace}_rk_history"
