"""Named crash points: strike this process exactly where it hurts.

Actions: "kill" (SIGKILL to this process), "freeze" (SIGSTOP to this process), "drop_reply" (the connection error a lost
reply would give), or any function without arguments. The points are listed in docs/how-to/testing.md.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from regionkit.core.events import set_crash_hook

__all__ = ["DroppedReply", "crash_points"]


class DroppedReply(ConnectionError):
    """Raised at a crash point: the request was delivered and its reply is lost."""


def _drop() -> None:
    raise DroppedReply("the reply was dropped by a crash point")


def _freeze() -> None:
    signal.pthread_kill(
        threading.get_ident(), signal.SIGSTOP
    )  # sent to the process, it lets this thread go on for a while


_ACTIONS: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": _freeze,
    "drop_reply": _drop,
}


@contextmanager
def crash_points(points: Mapping[str, str | Callable[[], None]]) -> Iterator[dict[str, int]]:
    """Strike at the named points while the block runs. One block at a time per process.

    Yields:
        How often each point was reached.
    """
    actions = {name: _ACTIONS[action] if isinstance(action, str) else action for name, action in points.items()}
    reached = dict.fromkeys(points, 0)

    def strike(point: str) -> None:
        action = actions.get(point)
        if action is not None:
            reached[point] += 1
            action()

    set_crash_hook(strike)
    try:
        yield reached
    finally:
        set_crash_hook(None)
