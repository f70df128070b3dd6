"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital. Each usable without a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.consumer import Consumer
    from regionkit.messaging.consumer_async import AsyncConsumer
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.hospital import Hospital
    from regionkit.messaging.hospital_async import AsyncHospital
    from regionkit.messaging.inboxes.sql import SqlInbox
    from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox

__all__ = ["AsyncConsumer", "AsyncHospital", "AsyncSqlInbox", "Consumer", "Hospital", "Message", "SqlInbox"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncConsumer": "consumer_async",
        "AsyncHospital": "hospital_async",
        "AsyncSqlInbox": "inboxes.sql_async",
        "Consumer": "consumer",
        "Hospital": "hospital",
        "Message": "envelope",
        "SqlInbox": "inboxes.sql",
    },
)
