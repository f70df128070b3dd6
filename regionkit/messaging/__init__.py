"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital. Each usable without a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.consumer import Consumer
    from regionkit.messaging.consumer_async import AsyncConsumer
    from regionkit.messaging.counters import Summary
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.guarantee import Guarantee, Order
    from regionkit.messaging.inboxes.sql import SqlInbox
    from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
    from regionkit.messaging.retention import RetentionTooShort

__all__ = [
    "AsyncConsumer",
    "AsyncSqlInbox",
    "Consumer",
    "Guarantee",
    "Message",
    "Order",
    "RetentionTooShort",
    "SqlInbox",
    "Summary",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncConsumer": "consumer_async",
        "AsyncSqlInbox": "inboxes.sql_async",
        "Consumer": "consumer",
        "Guarantee": "guarantee",
        "Message": "envelope",
        "Order": "guarantee",
        "RetentionTooShort": "retention",
        "SqlInbox": "inboxes.sql",
        "Summary": "counters",
    },
)
