"""A store in this process, for tests of applications."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from regionkit.topology.client_endpoints import check_endpoints
from regionkit.topology.stores import Store, StoreArguments

__all__ = ["MemoryStore"]


@dataclass(frozen=True, slots=True, init=False)
class MemoryStore(Store):
    """A store in this process, for tests of applications. Its handle in a block is a mutable mapping, read-only in a read.

    URLs are `memory://NAME`; all kits of the process share the data under one name.
    """

    backend: ClassVar[str] = "memory"

    if TYPE_CHECKING:

        @property
        def native(self) -> MutableMapping[str, Any]:
            """What a block yields."""

        @property
        def async_native(self) -> MutableMapping[str, Any]:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        **common: Unpack[StoreArguments],
    ) -> None:
        """Checks what can be seen without the topology.

        Raises:
            ConfigurationError: as `Store`; a URL that is not `memory://NAME`.
        """
        Store.__init__(self, name, **common)
        check_endpoints(self)
