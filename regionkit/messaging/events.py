"""What happens to messages, as events. None carries a payload or a key: they may be anybody's data."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = [
    "CaseAdmitted",
    "ClinicFailed",
    "ConsumerHalted",
    "ConsumerPaused",
    "ConsumerResumed",
    "SweepFailed",
    "TreatmentFailed",
]


class _ConsumerEvent(Event, frozen=True, gc=False):
    consumer: str

    @property
    def subject(self) -> str:
        """The consumer."""
        return self.consumer


class CaseAdmitted(_ConsumerEvent, frozen=True, gc=False):
    """A message could not be applied and is in the hospital. `status`: it is retried by itself, or waits for somebody."""

    level: ClassVar[int] = logging.WARNING
    reason: str
    status: str
    type: str


class TreatmentFailed(_ConsumerEvent, frozen=True, gc=False):
    """A retry by the hospital failed, too."""

    level: ClassVar[int] = logging.WARNING
    status: str
    attempts: int
    error: str


class ClinicFailed(_ConsumerEvent, frozen=True, gc=False):
    """Cases could not be looked at, or one of them could not be worked at. It is tried again."""

    level: ClassVar[int] = logging.WARNING
    why: str


class ConsumerPaused(_ConsumerEvent, frozen=True, gc=False):
    """Its database or its source does not answer. Nothing is fetched; it is tried again."""

    level: ClassVar[int] = logging.WARNING
    why: str


class ConsumerResumed(_ConsumerEvent, frozen=True, gc=False):
    """They answer again."""


class ConsumerHalted(_ConsumerEvent, frozen=True, gc=False):
    """A message failed for good, and the consumer was asked to stop then."""

    level: ClassVar[int] = logging.ERROR
    type: str
    error: str


class SweepFailed(_ConsumerEvent, frozen=True, gc=False):
    """Old rows could not be taken away, or the next days not be made. It is tried again; messages are applied meanwhile."""

    level: ClassVar[int] = logging.WARNING
    error: str
