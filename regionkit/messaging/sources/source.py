# Generated from source_async.py by scripts/twins.py. Do not edit.
"""What a consumer asks of a source, and a relay of a target. Prose and Protocols; `tests/messaging` has the contract suite.

A source
1. gives every message at least once, until it is acknowledged; it may give one twice, late and out of order;
2. begins a new group at the earliest message that is still there;
3. takes an acknowledgement only from the current owner of the delivery: that of one who lost it changes
   nothing, and `ack` says so;
4. never drops a message by itself: a limit of deliveries that does is refused in `open`, and a hole that it sees is `SourceGap`;
5. keeps a delivery to itself as long as `extend` is called before `lease` seconds are over.

Temporary errors are `RegionUnavailable`; `ConnectionError` and `TimeoutError` are taken for it. Others are `SourceBroken`.

A target takes each message for itself: what one becomes says nothing of the others in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from regionkit.core.deadline import Deadline
from regionkit.messaging.sources.values import Delivery, Sent, SourceFacts

__all__ = ["Delivery", "Sent", "Source", "SourceFacts", "Target"]


class Source(Protocol):
    """Where a consumer takes messages from. Used by one consumer; its calls come one at a time, `extend` beside them."""

    @property
    def name(self) -> str:
        """Of the stream, queue or topic."""
        ...

    @property
    def group(self) -> str | None:
        """Consumers of one group share its messages; None where a source has no groups."""
        ...

    @property
    def facts(self) -> SourceFacts:
        """What it promises."""
        ...

    def open(self, deadline: Deadline) -> None:
        """Connect, make the group, and refuse what would lose messages.

        Raises:
            ConfigurationError: it cannot be used like this.
        """
        ...

    def fetch(self, most: int, wait: float) -> list[Delivery]:
        """At most `most` messages, within `wait` seconds; those that another one has lost among them.

        Raises:
            RegionUnavailable: the source does not answer.
            SourceGap: messages are gone that were never delivered.
        """
        ...

    def ack(self, deliveries: Sequence[Delivery]) -> int:
        """They are done. How many of them were still this consumer's."""
        ...

    def give_back(self, deliveries: Sequence[Delivery], delay: float) -> None:
        """Deliver them again, to whomever, after `delay` seconds at the earliest. It counts as no failure."""
        ...

    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """They are still being worked on."""
        ...

    def close(self) -> None:
        """Give back what is not acknowledged, and close what the source itself opened. May be called twice."""
        ...


class Target(Protocol):
    """Where a relay publishes. Safe to share between threads (tasks of one loop)."""

    @property
    def name(self) -> str:
        """Of the stream, queue or topic."""
        ...

    @property
    def facts(self) -> SourceFacts:
        """Of it as a source."""
        ...

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline) -> list[Sent]:
        """Publish (key, envelope) in this order, and wait until each is confirmed as durable as the target can.

        Raises:
            RegionUnavailable: it does not answer; any of them may have been published.
        """
        ...

    def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        ...
