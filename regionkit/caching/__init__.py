"""Caches without stale values: TTL, lazy loading, write-through, write-back; a local and a shared tier. Usable without a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.caching.back.receipt import BufferState, Flushed, Parked, Receipt
    from regionkit.caching.back.refusals import SinkDown, SinkRefused
    from regionkit.caching.back.rules import Change, Verdict
    from regionkit.caching.back.sinks.call import CallSink
    from regionkit.caching.back.sinks.call_async import AsyncCallSink
    from regionkit.caching.back.sinks.cassandra import CassandraSink
    from regionkit.caching.back.sinks.cassandra_async import AsyncCassandraSink
    from regionkit.caching.back.sinks.log_sql import SqlLogSink
    from regionkit.caching.back.sinks.log_sql_async import AsyncSqlLogSink
    from regionkit.caching.back.sinks.mongo import MongoSink
    from regionkit.caching.back.sinks.mongo_async import AsyncMongoSink
    from regionkit.caching.back.sinks.sql import SqlSink
    from regionkit.caching.back.sinks.sql_async import AsyncSqlSink
    from regionkit.caching.cache import Cache
    from regionkit.caching.cache_async import AsyncCache
    from regionkit.caching.decorators import Cached, CachedMethod, cached, cached_method
    from regionkit.caching.decorators_async import AsyncCached, AsyncCachedMethod, async_cached, async_cached_method
    from regionkit.caching.explanation import CacheExplanation
    from regionkit.caching.homed import HomedCache
    from regionkit.caching.homed_async import AsyncHomedCache
    from regionkit.caching.journals import FileJournal, SqlJournal
    from regionkit.caching.lookup import Lookup
    from regionkit.caching.strategies import TTL, UNCHANGED, Lazy, Loaded, NoStore, Unchanged, WriteBack, WriteThrough
    from regionkit.caching.tiers import Local, Memcached, Shared

__all__ = [
    "TTL",
    "UNCHANGED",
    "AsyncCache",
    "AsyncCached",
    "AsyncCachedMethod",
    "AsyncCallSink",
    "AsyncCassandraSink",
    "AsyncHomedCache",
    "AsyncMongoSink",
    "AsyncSqlLogSink",
    "AsyncSqlSink",
    "BufferState",
    "Cache",
    "CacheExplanation",
    "Cached",
    "CachedMethod",
    "CallSink",
    "CassandraSink",
    "Change",
    "FileJournal",
    "Flushed",
    "HomedCache",
    "Lazy",
    "Loaded",
    "Local",
    "Lookup",
    "Memcached",
    "MongoSink",
    "NoStore",
    "Parked",
    "Receipt",
    "Shared",
    "SinkDown",
    "SinkRefused",
    "SqlJournal",
    "SqlLogSink",
    "SqlSink",
    "Unchanged",
    "Verdict",
    "WriteBack",
    "WriteThrough",
    "async_cached",
    "async_cached_method",
    "cached",
    "cached_method",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncCache": "cache_async",
        **{f"{kind}Sink": f"back.sinks.{kind.lower()}" for kind in ("Call", "Cassandra", "Mongo", "Sql")},
        **{f"Async{kind}Sink": f"back.sinks.{kind.lower()}_async" for kind in ("Call", "Cassandra", "Mongo", "Sql")},
        "HomedCache": "homed",
        "AsyncHomedCache": "homed_async",
        "SqlLogSink": "back.sinks.log_sql",
        "AsyncSqlLogSink": "back.sinks.log_sql_async",
        **dict.fromkeys(("Change", "Verdict"), "back.rules"),
        **dict.fromkeys(("SinkDown", "SinkRefused"), "back.refusals"),
        "Cache": "cache",
        "CacheExplanation": "explanation",
        "Lookup": "lookup",
        **dict.fromkeys(("Cached", "CachedMethod", "cached", "cached_method"), "decorators"),
        **dict.fromkeys(
            ("AsyncCached", "AsyncCachedMethod", "async_cached", "async_cached_method"), "decorators_async"
        ),
        **dict.fromkeys(
            ("TTL", "UNCHANGED", "Lazy", "Loaded", "NoStore", "Unchanged", "WriteBack", "WriteThrough"), "strategies"
        ),
        **dict.fromkeys(("BufferState", "Flushed", "Parked", "Receipt"), "back.receipt"),
        **dict.fromkeys(("FileJournal", "SqlJournal"), "journals"),
        **dict.fromkeys(("Local", "Memcached", "Shared"), "tiers"),
    },
)
