"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital. Each usable without a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.envelope import Message
    from regionkit.messaging.outbox import Outbox
    from regionkit.messaging.outbox_async import AsyncOutbox
    from regionkit.messaging.outbox_event import OutboxCase
    from regionkit.messaging.relay import Relay
    from regionkit.messaging.relay_async import AsyncRelay
    from regionkit.messaging.relay_events import Relayed
    from regionkit.messaging.router import Routed, Router

__all__ = ["AsyncOutbox", "AsyncRelay", "Message", "Outbox", "OutboxCase", "Relay", "Relayed", "Routed", "Router"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncOutbox": "outbox_async",
        "AsyncRelay": "relay_async",
        "Message": "envelope",
        "Outbox": "outbox",
        "OutboxCase": "outbox_event",
        "Relay": "relay",
        "Relayed": "relay_events",
        "Routed": "router",
        "Router": "router",
    },
)
