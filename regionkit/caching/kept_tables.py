"""What caching keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["CACHE_INTENT", "KEPT"]

CACHE_INTENT = Table("caching", "cache_intent", 1, {"sql": "regionkit.caching.schema_sql:cache_intent"})
"""One row a write of cached keys, in the write's own transaction; and what was told to be invalidated, for other regions."""

KEPT = (CACHE_INTENT,)
