"""Where messages come from and go to: `RedisStream`, `SqlQueue`, `MemoryQueue`; each is a source and a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.messaging.sources.memory import MemoryQueue
    from regionkit.messaging.sources.memory_async import AsyncMemoryQueue
    from regionkit.messaging.sources.source import Delivery, Sent, Source, SourceFacts, Target
    from regionkit.messaging.sources.source_async import AsyncSource, AsyncTarget

__all__ = [
    "AsyncMemoryQueue",
    "AsyncSource",
    "AsyncTarget",
    "Delivery",
    "MemoryQueue",
    "Sent",
    "Source",
    "SourceFacts",
    "Target",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncMemoryQueue": "memory_async",
        "AsyncSource": "source_async",
        "AsyncTarget": "source_async",
        "Delivery": "source",
        "MemoryQueue": "memory",
        "Sent": "source",
        "Source": "source",
        "SourceFacts": "source",
        "Target": "source",
    },
)
