"""What caching keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["CACHE_INTENT", "KEPT", "WB_EPOCH", "WB_JOURNAL", "WB_MARK", "WB_POSITION"]

CACHE_INTENT = Table("caching", "cache_intent", 1, {"sql": "regionkit.caching.schema_sql:cache_intent"})
"""One row a write of cached keys, in the write's own transaction; and what was told to be invalidated, for other regions."""

WB_EPOCH = Table(
    "caching",
    "wb_epoch",
    1,
    {
        "sql": "regionkit.caching.schema_sql:wb_epoch",
        "mongo": "regionkit.caching.schema_mongo:WB_EPOCH",
        "cassandra": "regionkit.caching.schema_cassandra:WB_EPOCH",
    },
)
"""One row a write-back cache: the last epoch that was given out."""
WB_MARK = Table("caching", "wb_mark", 1, {"sql": "regionkit.caching.schema_sql:wb_mark"})
"""One row a deleted key of a write-back cache, as long as an older put of it can exist anywhere."""
WB_JOURNAL = Table("caching", "wb_journal", 1, {"sql": "regionkit.caching.schema_sql:wb_journal"})
"""One row a put of a write-back cache with `durability="sql-journal"`, until its row shows it."""
WB_POSITION = Table("caching", "wb_position", 1, {"sql": "regionkit.caching.schema_sql:wb_position"})
"""One row a write-back cache in log mode: the last put that was applied or refused."""

KEPT = (CACHE_INTENT, WB_EPOCH, WB_MARK, WB_JOURNAL, WB_POSITION)
