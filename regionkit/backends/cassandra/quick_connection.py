"""The driver's connection less a round trip: what a node supports is not asked where nothing depends on the answer.

The driver asks for the versions of CQL, and for compressions, of which it has any only where the application installed lz4.
Every node that speaks our version of the protocol takes this CQL version, as it is the protocol's own lowest.
"""

from __future__ import annotations

from typing import Any

from cassandra.cluster import DefaultConnection
from cassandra.connection import locally_supported_compressions

__all__ = ["QuickConnection"]

CQL_VERSION = "3.0.0"


class QuickConnection(DefaultConnection):  # type: ignore[misc]  # it ships no types
    """One connection to a node."""

    cql_version: Any
    compression: Any
    _compressor: Any = None  # the driver sets it from the answer

    def _send_options_message(self) -> None:
        driver: Any = super()
        if self.compression and locally_supported_compressions:
            driver._send_options_message()
            return
        self.cql_version = self.cql_version or CQL_VERSION
        self._send_startup_message(no_compact=self.no_compact)
