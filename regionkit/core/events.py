"""What happened, told to hooks; and the named points where a test may strike.

A hook is a function of one frozen details object. Hooks run in the thread or task where the thing happened, so they must
be quick; one that raises is logged and does not disturb the call. Logging under `regionkit.*` is such a hook. No event
carries a secret, a bookmark or a bound parameter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

__all__ = [
    "BreakerChanged",
    "Event",
    "EventHooks",
    "HistoryWritten",
    "Hook",
    "LossAccepted",
    "MonitorFailed",
    "ReadRouted",
    "ReplicationUnknown",
    "RoleChanged",
    "WriteRouted",
    "reach",
    "set_crash_hook",
]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Root of all events.

    Attributes:
        store: the store it happened in.
        region: the region of the endpoint concerned.
    """

    store: str
    region: str


class ReadRouted(Event, frozen=True, gc=False):
    """A read block ended. `seconds`: how long it was open; `outcome`: "ok" or the error's class name."""

    kind: str
    outcome: str
    seconds: float


class WriteRouted(Event, frozen=True, gc=False):
    """A write block ended; the fields are those of `ReadRouted`."""

    kind: str
    outcome: str
    seconds: float


class BreakerChanged(Event, frozen=True, gc=False):
    """A circuit breaker moved. `use`: "read" or "write"; `state`: "closed", "open" or "half-open"."""

    use: str
    state: str
    reason: str


class RoleChanged(Event, frozen=True, gc=False):
    """An endpoint reports another role, history or incarnation than before."""

    role: str
    was: str


class HistoryWritten(Event, frozen=True, gc=False):
    """A history row was written: by `create_tables`, by `adopt`, or by the monitor with the server's proof."""

    history: str
    parent: str
    epoch: int
    proof: str


class ReplicationUnknown(Event, frozen=True, gc=False):
    """A COMMIT is durable on the primary; its wait for a synchronous replica was cancelled."""

    reason: str


class LossAccepted(Event, frozen=True, gc=False):
    """`accept_loss` dropped positions that did not survive a change of primary."""


class MonitorFailed(Event, frozen=True, gc=False):
    """A round of the monitor raised something unexpected; it goes on."""

    reason: str


Hook = Callable[[Event], None]
"""Called with each event; must not block."""

_log = logging.getLogger("regionkit")
_log.addHandler(logging.NullHandler())  # a library leaves it to the application where its log goes
_LEVELS: dict[type[Event], int] = {
    ReadRouted: logging.DEBUG,
    WriteRouted: logging.DEBUG,
    BreakerChanged: logging.WARNING,
    RoleChanged: logging.WARNING,
    ReplicationUnknown: logging.WARNING,
    MonitorFailed: logging.ERROR,
}


class EventHooks:
    """The hooks of one kit. Thread-safe: each addition is one step on a dict of its own key."""

    __slots__ = ("_hooks",)

    def __init__(self) -> None:
        self._hooks: dict[object, Hook] = {}

    @property
    def quiet(self) -> bool:
        """Whether nobody listens to routed reads and writes, so that the hot path need not make their events."""
        return not self._hooks and not _log.isEnabledFor(logging.DEBUG)

    def add(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` from now on; the result takes it away again, and does nothing the second time."""
        key = object()
        self._hooks[key] = hook

        def remove() -> None:
            self._hooks.pop(key, None)

        return remove

    def emit(self, event: Event) -> None:
        """Tell the log and every hook."""
        name = type(event).__name__
        level = _LEVELS.get(type(event), logging.INFO)
        if _log.isEnabledFor(level):
            _log.getChild(event.store or "kit").log(
                level, "%s %s", name, event, extra={"event": name, "details": event}
            )
        for hook in tuple(self._hooks.values()):
            try:
                hook(event)
            except Exception:
                _log.exception("a subscribed hook raised on %s", name)


_crash: Callable[[str], None] | None = None


def set_crash_hook(hook: Callable[[str], None] | None) -> None:
    """For `regionkit.testing.crash_points` only: what happens at named points of the code."""
    global _crash
    _crash = hook


def reach(point: str) -> None:
    """The code is at a named point. Does nothing outside of tests."""
    if _crash is not None:
        _crash(point)
