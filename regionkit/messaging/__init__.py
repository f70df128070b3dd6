"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital, idempotent functions.

Each is usable without a kit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.consumer import Consumer
    from regionkit.messaging.consumer_async import AsyncConsumer
    from regionkit.messaging.counters import Summary
    from regionkit.messaging.decorator import idempotent
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.hospital import Hospital
    from regionkit.messaging.hospital_async import AsyncHospital
    from regionkit.messaging.inboxes.sql import SqlInbox
    from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
    from regionkit.messaging.options import Resolved
    from regionkit.messaging.outbox import Outbox
    from regionkit.messaging.outbox_async import AsyncOutbox
    from regionkit.messaging.outbox_event import OutboxCase
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
    from regionkit.messaging.relay_events import Relayed
    from regionkit.messaging.router import Routed, Router

__all__ = [
    "AsyncCassandraRecords",
    "AsyncConsumer",
    "AsyncHospital",
    "AsyncMemoryRecords",
    "AsyncMongoRecords",
    "AsyncOutbox",
    "AsyncRedisRecords",
    "AsyncRelay",
    "AsyncSqlInbox",
    "AsyncSqlRecords",
    "CassandraRecords",
    "Consumer",
    "Hospital",
    "MemoryRecords",
    "Message",
    "MongoRecords",
    "Outbox",
    "OutboxCase",
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
    "CassandraRecords": "records",
    "Consumer": "consumer",
    "Hospital": "hospital",
    "MemoryRecords": "records",
    "MongoRecords": "records",
    "Outbox": "outbox",
    "RedisRecords": "records",
    "Relay": "relay",
    "SqlInbox": "inboxes.sql",
    "SqlRecords": "records",
}
"""Names that come in two worlds, and where the sync one is."""

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Message": "envelope",
        "OutboxCase": "outbox_event",
        "Relayed": "relay_events",
        "Resolved": "options",
        "Routed": "router",
        "Router": "router",
        "Summary": "counters",
        "idempotent": "decorator",
        **_PAIRS,
        **{f"Async{name}": f"{module}_async" for name, module in _PAIRS.items()},
    },
)
