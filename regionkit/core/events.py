"""What happened, told to hooks; and the named points where a test may strike.

A hook is a function of one frozen details object. Hooks run in the thread or task where the thing happened, so they must
be quick; one that raises is logged and does not disturb the call. Logging under `regionkit.*` is such a hook: without any
configuration Python writes warnings and errors to stderr, so that no fault passes in silence. No event
carries a secret, a bookmark or a bound parameter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import msgspec

from regionkit.errors import UsageError

__all__ = ["Event", "EventHooks", "Hook", "Watch", "crash_point", "set_crash_hook"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Root of all events. Each room declares its own."""

    level: ClassVar[int] = logging.INFO
    """At which level the log hears of it."""

    about: ClassVar[str] = ""
    """The attribute that names what it is about; "" for the kit."""

    @property
    def subject(self) -> str:
        """What it is about: the name of a store, a cache, a consumer; "" for the kit."""
        return getattr(self, self.about) if self.about else ""


Hook = Callable[[Event], None]
"""Called with each event; must not block."""


class Watch(Protocol):
    """What watches blocks from their beginning. Called where the block runs; must not block, nor raise."""

    def begun(self, store: str, kind: str) -> Any:
        """A block is opened; what this gives is handed to `ended`."""
        ...

    def passed(self, store: str, endpoint: str, kind: str, seconds: float) -> bool:
        """It is over, for which `begun` gave None: at once, without a wait, a second attempt or an error. False: tell `ended`."""
        ...

    def ended(self, begun: Any, event: Any, error: BaseException | None) -> None:
        """It is over. `event`: its ReadRouted or WriteRouted; region and endpoint are "" where none was taken."""
        ...


_log = logging.getLogger("regionkit")


class EventHooks:
    """The hooks of one kit. Thread-safe: each addition is one step on a dict of its own key."""

    __slots__ = ("_hooks", "_rare", "watch")

    def __init__(self) -> None:
        self._hooks: dict[object, Hook] = {}
        self._rare: dict[object, Hook] = {}
        self.watch: Watch | None = None
        """Told of each block's beginning and end; set by `kit.instrument()`."""

    @property
    def quiet(self) -> bool:
        """Whether nobody listens to routed reads and writes, so that the hot path need not make their events."""
        return not self._hooks and not _log.isEnabledFor(logging.DEBUG)

    def add(self, hook: Hook, *, rare: bool = False) -> Callable[[], None]:
        """Call `hook` from now on; the result takes it away again, and does nothing the second time.

        `rare`: it does not ask for the events of routed blocks, and so does not make them cost anything.
        """
        if not callable(hook):
            raise UsageError(f"a {type(hook).__name__} cannot receive events.", fix="pass a function of one argument.")
        key, hooks = object(), self._rare if rare else self._hooks
        hooks[key] = hook

        def remove() -> None:
            hooks.pop(key, None)

        return remove

    def emit(self, event: Event) -> None:
        """Tell the log and every hook."""
        name = type(event).__name__
        level = event.level
        if _log.isEnabledFor(level):
            _log.getChild(event.subject or "kit").log(
                level, "%s %s", name, event, extra={"event": name, "details": event}
            )
        for hook in (*self._hooks.values(), *self._rare.values()):
            try:
                hook(event)
            except Exception:
                _log.exception("a subscribed hook raised on %s", name)


_crash: Callable[[str], None] | None = None


def set_crash_hook(hook: Callable[[str], None] | None) -> None:
    """For `regionkit.testing.crash_points` only: what happens at named points of the code."""
    global _crash
    _crash = hook


def crash_point(point: str) -> None:
    """The code is at a named point. Does nothing outside of tests."""
    if _crash is not None:
        _crash(point)
