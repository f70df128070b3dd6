"""Messages that take effect once: inbox, outbox, relay, order per key, hospital, idempotent functions; without a kit, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.decorator import idempotent
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.inboxes.cassandra import CassandraInbox
    from regionkit.messaging.inboxes.cassandra_async import AsyncCassandraInbox
    from regionkit.messaging.inboxes.memory import MemoryInbox
    from regionkit.messaging.inboxes.memory_async import AsyncMemoryInbox
    from regionkit.messaging.inboxes.mongo import MongoInbox
    from regionkit.messaging.inboxes.mongo_async import AsyncMongoInbox
    from regionkit.messaging.inboxes.redis import RedisInbox
    from regionkit.messaging.inboxes.redis_async import AsyncRedisInbox
    from regionkit.messaging.inboxes.sql import SqlInbox
    from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
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
    "AsyncCassandraInbox",
    "AsyncCassandraRecords",
    "AsyncMemoryInbox",
    "AsyncMemoryRecords",
    "AsyncMongoInbox",
    "AsyncMongoRecords",
    "AsyncRedisInbox",
    "AsyncRedisRecords",
    "AsyncSqlInbox",
    "AsyncSqlRecords",
    "CassandraInbox",
    "CassandraRecords",
    "MemoryInbox",
    "MemoryRecords",
    "Message",
    "MongoInbox",
    "MongoRecords",
    "RedisInbox",
    "RedisRecords",
    "Resolved",
    "SqlInbox",
    "SqlRecords",
    "idempotent",
]

_INBOXES = ("Cassandra", "Memory", "Mongo", "Redis", "Sql")
_RECORDS = ("CassandraRecords", "MemoryRecords", "MongoRecords", "RedisRecords", "SqlRecords")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Message": "envelope",
        "Resolved": "options",
        "idempotent": "decorator",
        **{f"{name}Inbox": f"inboxes.{name.lower()}" for name in _INBOXES},
        **{f"Async{name}Inbox": f"inboxes.{name.lower()}_async" for name in _INBOXES},
        **dict.fromkeys(_RECORDS, "records"),
        **{f"Async{name}": "records_async" for name in _RECORDS},
    },
)
