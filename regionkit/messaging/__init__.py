"""Messages that take effect once: inbox, outbox, relay, order per key, hospital, idempotent functions; without a kit, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.decorator import idempotent
    from regionkit.messaging.envelope import Message
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
    "Message",
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
        "Message": "envelope",
        "Resolved": "options",
        "idempotent": "decorator",
        **dict.fromkeys(_RECORDS, "records"),
        **{f"Async{name}": "records_async" for name in _RECORDS},
    },
)
