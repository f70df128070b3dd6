"""A store in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from regionkit.topology.client_endpoints import check_endpoints
from regionkit.topology.client_options import RedisOptions
from regionkit.topology.options import options_from
from regionkit.topology.stores import Store, StoreArguments
from regionkit.topology.validation import located

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["RedisStore"]


@dataclass(frozen=True, slots=True, init=False)
class RedisStore(Store):
    """A store in Redis or Valkey. Its handle in a block is a `redis.Redis`.

    Attributes:
        options: for the connections of each endpoint.
    """

    backend: ClassVar[str] = "redis"

    options: RedisOptions

    if TYPE_CHECKING:

        @property
        def native(self) -> Redis:
            """What a block yields."""

        @property
        def async_native(self) -> AsyncRedis:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        options: RedisOptions | Mapping[str, Any] | None = None,
        **common: Unpack[StoreArguments],
    ) -> None:
        """Checks what can be seen without the topology, URLs and their TLS included.

        Raises:
            ConfigurationError: as `Store`; an unknown or bad option; a URL of another scheme, with an unknown parameter, or
                one that weakens TLS.
        """
        Store.__init__(self, name, **common)
        made = located(f"store {name!r}", lambda: options_from("options", RedisOptions, options))
        object.__setattr__(self, "options", made)
        check_endpoints(self)
