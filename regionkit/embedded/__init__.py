"""Regions on one machine that run the real routing code: as SQLite files for the demo and the first day, in memory for tests.

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.embedded.memory import MemoryRegions
    from regionkit.embedded.memory_async import AsyncMemoryRegions
    from regionkit.embedded.regions import AsyncSqliteRegions, SqliteRegions

__all__ = ["AsyncMemoryRegions", "AsyncSqliteRegions", "MemoryRegions", "SqliteRegions"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncMemoryRegions": "memory_async",
        "AsyncSqliteRegions": "regions",
        "MemoryRegions": "memory",
        "SqliteRegions": "regions",
    },
)
