"""What messaging reports to hooks and the log; each event has its log level. None carries a payload or a key."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = [
    "CaseAdmitted",
    "ClinicFailed",
    "ConsumerBroken",
    "ConsumerEvent",
    "ConsumerHalted",
    "ConsumerPaused",
    "ConsumerResumed",
    "RelayEvent",
    "RelayFailed",
    "RelayStuck",
    "RelayTookOver",
    "SweepFailed",
    "TreatmentFailed",
]


class ConsumerEvent(Event, frozen=True, gc=False):
    """Root of the events of consumers.

    Attributes:
        consumer: its name.
    """

    about: ClassVar[str] = "consumer"
    consumer: str


class CaseAdmitted(ConsumerEvent, frozen=True, gc=False):
    """A message could not be applied and is in the hospital. `status`: it is retried by itself, or waits for somebody.

    Attributes:
        reason: as the hospital lists it.
        type: of the message.
    """

    level: ClassVar[int] = logging.WARNING

    reason: str
    status: str
    type: str


class TreatmentFailed(ConsumerEvent, frozen=True, gc=False):
    """A retry by the hospital failed, too.

    Attributes:
        status: of the case, as the hospital lists it.
        attempts: runs until now.
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING

    status: str
    attempts: int
    error: str


class ClinicFailed(ConsumerEvent, frozen=True, gc=False):
    """Cases could not be looked at, or one of them could not be worked at. It is tried again.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING

    why: str


class ConsumerPaused(ConsumerEvent, frozen=True, gc=False):
    """Its database or its source does not answer. Nothing is fetched; it is tried again.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING

    why: str


class ConsumerResumed(ConsumerEvent, frozen=True, gc=False):
    """They answer again."""


class ConsumerBroken(ConsumerEvent, frozen=True, gc=False):
    """An error that no rule names: a message becomes a case or is given back, a source is asked again. The consumer goes on.

    Attributes:
        error: its class.
        where: the last places of its traceback, the innermost first.
    """

    level: ClassVar[int] = logging.ERROR

    error: str
    where: str


class ConsumerHalted(ConsumerEvent, frozen=True, gc=False):
    """A message failed for good, and the consumer was asked to stop then.

    Attributes:
        type: of the message.
        error: its class and text.
    """

    level: ClassVar[int] = logging.ERROR

    type: str
    error: str


class SweepFailed(ConsumerEvent, frozen=True, gc=False):
    """Old rows could not be taken away, or the next days not be made. It is tried again; messages are applied meanwhile.

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING

    error: str


class RelayEvent(Event, frozen=True, gc=False):
    """Root of the events of relays.

    Attributes:
        outbox: its name.
        destination: where the messages go.
    """

    about: ClassVar[str] = "outbox"
    outbox: str
    destination: str


class RelayTookOver(RelayEvent, frozen=True, gc=False):
    """This relay publishes from now on. `epoch`: how often that was taken over."""

    epoch: int


class RelayStuck(RelayEvent, frozen=True, gc=False):
    """A message was refused for good: a case; what follows it in its key waits.

    Attributes:
        id: of the message.
        reason: why the target refused it.
    """

    level: ClassVar[int] = logging.ERROR

    id: str
    reason: str


class RelayFailed(RelayEvent, frozen=True, gc=False):
    """A round failed; the next one follows after a back-off.

    Attributes:
        error: its class and text.
    """

    level: ClassVar[int] = logging.WARNING

    error: str
