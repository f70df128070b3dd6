"""Regions on one machine that run the real routing code: as SQLite files for the demo and the first day, in memory for tests.

Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regionkit.embedded.memory import MemoryRegions
    from regionkit.embedded.memory_async import AsyncMemoryRegions
    from regionkit.embedded.regions import AsyncSqliteRegions, SqliteRegions

__all__ = ["AsyncMemoryRegions", "AsyncSqliteRegions", "MemoryRegions", "SqliteRegions"]

_HOMES = MappingProxyType(
    {
        "AsyncMemoryRegions": "regionkit.embedded.memory_async",
        "AsyncSqliteRegions": "regionkit.embedded.regions",
        "MemoryRegions": "regionkit.embedded.memory",
        "SqliteRegions": "regionkit.embedded.regions",
    }
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
