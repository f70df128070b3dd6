"""Messages that take effect once: inbox, outbox, relay, order per key, error hospital. Each usable without a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.envelope import Message

__all__ = ["Message"]

__getattr__, __dir__ = lazy_names(__name__, {"Message": "envelope"})
