"""Where messages come from and go to: `RedisStream`, `SqlQueue`, `MemoryQueue`; each is a source and a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.sources.memory import MemoryQueue
    from regionkit.messaging.sources.memory_async import AsyncMemoryQueue
    from regionkit.messaging.sources.redis_stream import RedisStream
    from regionkit.messaging.sources.redis_stream_async import AsyncRedisStream
    from regionkit.messaging.sources.source import Source, Target
    from regionkit.messaging.sources.source_async import AsyncSource, AsyncTarget
    from regionkit.messaging.sources.sql_queue import SqlQueue
    from regionkit.messaging.sources.sql_queue_async import AsyncSqlQueue
    from regionkit.messaging.sources.values import Delivery, Sent, SourceFacts

__all__ = [
    "AsyncMemoryQueue",
    "AsyncRedisStream",
    "AsyncSource",
    "AsyncSqlQueue",
    "AsyncTarget",
    "Delivery",
    "MemoryQueue",
    "RedisStream",
    "Sent",
    "Source",
    "SourceFacts",
    "SqlQueue",
    "Target",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncMemoryQueue": "memory_async",
        "AsyncRedisStream": "redis_stream_async",
        "RedisStream": "redis_stream",
        "AsyncSqlQueue": "sql_queue_async",
        "SqlQueue": "sql_queue",
        "AsyncSource": "source_async",
        "AsyncTarget": "source_async",
        "Delivery": "values",
        "MemoryQueue": "memory",
        "Sent": "values",
        "Source": "source",
        "SourceFacts": "values",
        "Target": "source",
    },
)
