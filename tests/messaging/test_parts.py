"""What is given to a consumer or a relay and cannot be its part: told when it is made, and what to give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from regionkit.errors import ConfigurationError
from regionkit.messaging import AsyncConsumer, AsyncMemoryInbox, Consumer, MemoryInbox, Outbox, Relay
from regionkit.messaging.sources import AsyncMemoryQueue, MemoryQueue

QUEUE, INBOX = MemoryQueue("q", group="g"), MemoryInbox()


@pytest.mark.parametrize(
    ("source", "inbox", "told"),
    [
        ("orders", INBOX, "a str is not a source.*MemoryQueue"),
        (MemoryQueue, INBOX, "the class MemoryQueue is not a source"),
        (QUEUE, create_engine("sqlite://"), "a Engine is not an inbox.*SqlInbox"),
        (AsyncMemoryQueue("q", group="g"), INBOX, "AsyncMemoryQueue is for asyncio"),
        (QUEUE, AsyncMemoryInbox(), "AsyncMemoryInbox is for asyncio"),
    ],
)
def test_what_is_no_part_of_a_consumer(source: Any, inbox: Any, told: str) -> None:
    """Another thing, a class, or one of the other world."""
    with pytest.raises(ConfigurationError, match=told):
        Consumer(source, inbox=inbox)


def test_what_is_no_part_of_an_async_consumer_or_a_relay(tmp_path: Path) -> None:
    """A loop would be blocked, or nothing be published."""
    with pytest.raises(ConfigurationError, match=r"MemoryQueue is for threads.*the Async form"):
        AsyncConsumer(QUEUE, inbox=AsyncMemoryInbox())  # type: ignore[arg-type]
    outbox = Outbox(create_engine(f"sqlite:///{tmp_path}/o.db"))
    with pytest.raises(ConfigurationError, match="a str is not a target"):
        Relay(outbox, to="orders")  # type: ignore[arg-type]
