"""What a relay reports: events and counts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from typing import ClassVar

from regionkit.core.events import Event

__all__ = ["RelayEvent", "RelayFailed", "RelayStuck", "RelayTookOver", "Relayed"]


class RelayEvent(Event, frozen=True, gc=False):
    """Of one outbox and destination."""

    outbox: str
    destination: str

    @property
    def subject(self) -> str:
        """The outbox."""
        return self.outbox


class RelayTookOver(RelayEvent, frozen=True, gc=False):
    """This relay publishes from now on. `epoch`: how often that was taken over."""

    epoch: int


class RelayStuck(RelayEvent, frozen=True, gc=False):
    """A message was refused for good: a case; what follows it in its key waits."""

    level: ClassVar[int] = logging.ERROR
    id: str
    reason: str


class RelayFailed(RelayEvent, frozen=True, gc=False):
    """A round failed; the next one follows after a back-off."""

    level: ClassVar[int] = logging.WARNING
    error: str


@dataclass
class Relayed:
    """What a relay did: counts.

    Attributes:
        published: messages that targets have confirmed.
        tombstones: numbers that were published without their message: it had expired, or was buried.
        dropped: messages without a number that had expired.
        moved: delayed messages that became due, and took their numbers.
        refused: messages that a target refused for good; each is a case.
        unknown: messages without an answer; they are published again.
    """

    published: int = 0
    tombstones: int = 0
    dropped: int = 0
    moved: int = 0
    refused: int = 0
    unknown: int = 0

    def add(self, other: Relayed) -> None:
        """Count what another one did, too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
