"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital, idempotent functions.

Each is usable without a kit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.consumer import Consumer
    from regionkit.messaging.consumer_async import AsyncConsumer
    from regionkit.messaging.counters import Relayed, Summary
    from regionkit.messaging.decorator import idempotent
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.guarantee import Guarantee, Order
    from regionkit.messaging.hospital import Hospital
    from regionkit.messaging.hospital_async import AsyncHospital
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
    from regionkit.messaging.outbox import Outbox
    from regionkit.messaging.outbox_async import AsyncOutbox
    from regionkit.messaging.outbox_event import OutboxCase
    from regionkit.messaging.outbox_mongo import MongoOutbox
    from regionkit.messaging.outbox_mongo_async import AsyncMongoOutbox
    from regionkit.messaging.postgres_wake import PostgresWake
    from regionkit.messaging.postgres_wake_async import AsyncPostgresWake
    from regionkit.messaging.records import CassandraRecords, MemoryRecords, MongoRecords, RedisRecords, SqlRecords
    from regionkit.messaging.records_async import (
        AsyncCassandraRecords,
        AsyncMemoryRecords,
        AsyncMongoRecords,
        AsyncRedisRecords,
        AsyncSqlRecords,
    )
    from regionkit.messaging.relay import Relay
    from regionkit.messaging.relay_async import AsyncRelay
    from regionkit.messaging.router import Routed, Router

__all__ = [
    "AsyncCassandraInbox",
    "AsyncCassandraRecords",
    "AsyncConsumer",
    "AsyncHospital",
    "AsyncMemoryInbox",
    "AsyncMemoryRecords",
    "AsyncMongoInbox",
    "AsyncMongoOutbox",
    "AsyncMongoRecords",
    "AsyncOutbox",
    "AsyncPostgresWake",
    "AsyncRedisInbox",
    "AsyncRedisRecords",
    "AsyncRelay",
    "AsyncSqlInbox",
    "AsyncSqlRecords",
    "CassandraInbox",
    "CassandraRecords",
    "Consumer",
    "Guarantee",
    "Hospital",
    "MemoryInbox",
    "MemoryRecords",
    "Message",
    "MongoInbox",
    "MongoOutbox",
    "MongoRecords",
    "Order",
    "Outbox",
    "OutboxCase",
    "PostgresWake",
    "RedisInbox",
    "RedisRecords",
    "Relay",
    "Relayed",
    "Resolved",
    "Routed",
    "Router",
    "SqlInbox",
    "SqlRecords",
    "Summary",
    "idempotent",
]

_PAIRS = {
    "CassandraInbox": "inboxes.cassandra",
    "CassandraRecords": "records",
    "Consumer": "consumer",
    "Hospital": "hospital",
    "MemoryInbox": "inboxes.memory",
    "MemoryRecords": "records",
    "MongoInbox": "inboxes.mongo",
    "MongoOutbox": "outbox_mongo",
    "MongoRecords": "records",
    "Outbox": "outbox",
    "PostgresWake": "postgres_wake",
    "RedisInbox": "inboxes.redis",
    "RedisRecords": "records",
    "Relay": "relay",
    "SqlInbox": "inboxes.sql",
    "SqlRecords": "records",
}
"""Names that come in two worlds, and where the sync one is."""

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Guarantee": "guarantee",
        "Message": "envelope",
        "Order": "guarantee",
        "OutboxCase": "outbox_event",
        "Relayed": "counters",
        "Resolved": "options",
        "Routed": "router",
        "Router": "router",
        "Summary": "counters",
        "idempotent": "decorator",
        **_PAIRS,
        **{f"Async{name}": f"{module}_async" for name, module in _PAIRS.items()},
    },
)
