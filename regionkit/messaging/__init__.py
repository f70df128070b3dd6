"""Messages and calls that take effect once: idempotent functions and where their calls are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.decorator import idempotent
    from regionkit.messaging.options import Resolved
    from regionkit.messaging.records import CassandraRecords, MemoryRecords, MongoRecords, RedisRecords, SqlRecords
    from regionkit.messaging.records_async import (
        AsyncCassandraRecords,
        AsyncMemoryRecords,
        AsyncMongoRecords,
        AsyncRedisRecords,
        AsyncSqlRecords,
    )

__all__ = [
    "AsyncCassandraRecords",
    "AsyncMemoryRecords",
    "AsyncMongoRecords",
    "AsyncRedisRecords",
    "AsyncSqlRecords",
    "CassandraRecords",
    "MemoryRecords",
    "MongoRecords",
    "RedisRecords",
    "Resolved",
    "SqlRecords",
    "idempotent",
]

_RECORDS = ("CassandraRecords", "MemoryRecords", "MongoRecords", "RedisRecords", "SqlRecords")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Resolved": "options",
        "idempotent": "decorator",
        **dict.fromkeys(_RECORDS, "records"),
        **{f"Async{name}": "records_async" for name in _RECORDS},
    },
)
