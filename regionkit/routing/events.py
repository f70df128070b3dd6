"""What routing tells hooks and the log, each event with the level at which it is logged."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = [
    "AnsweredBeforeWrite",
    "BookmarkRefused",
    "BreakerChanged",
    "HistoryWritten",
    "LossAccepted",
    "MonitorFailed",
    "ReadRouted",
    "ReplicationUnknown",
    "RoleChanged",
    "RoutingEvent",
    "WriteRouted",
]


class RoutingEvent(Event, frozen=True, gc=False):
    """Root of what routing tells.

    Attributes:
        store: the store it happened in.
        region: the region of the endpoint concerned.
        endpoint: its id, as `kit.status()` shows it: a region may hold several.
    """

    about: ClassVar[str] = "store"
    store: str
    region: str
    endpoint: str


class ReadRouted(RoutingEvent, frozen=True, gc=False):
    """A read block ended.

    Attributes:
        kind: "read" or "write".
        outcome: "ok", or the error's class name.
        seconds: how long it was open.
        consistency: the level that was asked for, as `str()` shows it; of a write "".
        waited: seconds that it waited for a copy to catch up.
        attempts: endpoints that were asked for a connection.
    """

    level: ClassVar[int] = logging.DEBUG

    kind: str
    outcome: str
    seconds: float
    consistency: str
    waited: float
    attempts: int


class WriteRouted(RoutingEvent, frozen=True, gc=False):
    """A write block ended.

    Its fields `kind`, `outcome`, `seconds`, `consistency`, `waited` and `attempts` are those of `ReadRouted`.
    """

    level: ClassVar[int] = logging.DEBUG

    kind: str
    outcome: str
    seconds: float
    consistency: str
    waited: float
    attempts: int


class BreakerChanged(RoutingEvent, frozen=True, gc=False):
    """A circuit breaker moved. `use`: "read" or "write"; `state`: "closed", "open" or "half-open".

    Attributes:
        reason: what was counted against the endpoint.
    """

    level: ClassVar[int] = logging.WARNING

    use: str
    state: str
    reason: str


class RoleChanged(RoutingEvent, frozen=True, gc=False):
    """An endpoint reports another role, history or incarnation than before.

    Attributes:
        role: what it reports now.
        was: what it reported before.
    """

    level: ClassVar[int] = logging.WARNING

    role: str
    was: str


class HistoryWritten(RoutingEvent, frozen=True, gc=False):
    """A history row was written: by `create_tables`, by `adopt`, or by the monitor with the server's proof.

    Attributes:
        history: id of the new row.
        parent: id of the row before; "" for the first.
        epoch: one more than the parent's.
        proof: who says so: tables were made, an operator, the server.
    """

    history: str
    parent: str
    epoch: int
    proof: str


class ReplicationUnknown(RoutingEvent, frozen=True, gc=False):
    """A COMMIT is durable on the primary; its wait for a synchronous replica was cancelled.

    Attributes:
        reason: in the server's words.
    """

    level: ClassVar[int] = logging.WARNING

    reason: str


class LossAccepted(RoutingEvent, frozen=True, gc=False):
    """`accept_loss` dropped positions that did not survive a change of primary."""


class MonitorFailed(RoutingEvent, frozen=True, gc=False):
    """A round of the monitor raised something unexpected; it goes on.

    Attributes:
        reason: class and text of what was raised.
    """

    level: ClassVar[int] = logging.ERROR

    reason: str


class BookmarkRefused(Event, frozen=True, gc=False):
    """A request came with bookmarks that cannot be read; the session began without them.

    Attributes:
        count: how many.
        why: of the first one.
    """

    level: ClassVar[int] = logging.DEBUG  # anybody can send them

    count: int
    why: str


class AnsweredBeforeWrite(Event, frozen=True, gc=False):
    """A session wrote after its answer had begun: the bookmark that the client has does not cover it.

    Attributes:
        path: of the request, without its query.
    """

    level: ClassVar[int] = logging.INFO  # a background task may mean to

    path: str
