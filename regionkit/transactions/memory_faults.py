# Generated from memory_faults_async.py by scripts/twins.py. Do not edit.
"""Faults of logs and participants in memory: what goes wrong at the next steps, for tests.

"refuse": not done, and it says so. "lose": done, the answer is lost. "late": no answer, and it is done when `release` is called,
or never. "block": it waits until `release`; at its deadline it was not done. "crash": the server dies before it does it.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Literal, TypeVar

from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline

__all__ = ["Fault", "Faults", "Refused", "Unanswered"]

T = TypeVar("T")
Fault = Literal["refuse", "lose", "late", "block", "crash"]
LOOK_AGAIN = 0.002
"""Seconds between two looks of a blocked step."""


class Refused(Exception):
    """It was not done, and never will be."""


class Unanswered(Exception):
    """Nobody knows whether it was done."""


class Faults:
    """What goes wrong, by step. Safe to share between threads (tasks of one loop).

    Attributes:
        down: nothing is reached.
        late: what is done at `release`.
        seen: the steps that were asked for, in order.
        lock: around each step, as a server does one thing after another.
    """

    def __init__(self, crash: Callable[[], None] | None = None) -> None:
        self.down = False
        self.seen: list[str] = []
        self.lock = threading.RLock()
        self._crash = crash
        self._planned: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.late: list[Callable[[], object]] = []
        self._blocking = True

    def plan(self, step: str, *faults: Fault) -> None:
        """Let the next runs of a step go wrong so, one after the other."""
        self._planned[step].extend(faults)

    def release(self) -> None:
        """Do what is late, and let go what is blocked, now and from now on."""
        with self.lock:
            self._blocking = False
            late, self.late = self.late, []
            for act in late:
                try:
                    act()
                except Refused:
                    continue  # nobody hears of it

    def at(self, step: str, deadline: Deadline, act: Callable[[], T]) -> T:
        """What `act` gives, unless something is planned.

        Raises:
            Refused: it was not done.
            Unanswered: it may or may not have been done.
            DeadlineExceeded: the time was over before it began.
        """
        deadline.require(step)
        self.seen.append(step)
        planned = self._planned[step]
        fault = planned.popleft() if planned else None
        while fault == "block" and self._blocking:
            if deadline.remaining() <= 0:
                raise Unanswered(step)
            sleep(LOOK_AGAIN)
        if self.down or fault == "refuse":
            raise Refused(step)
        with self.lock:
            if fault == "late":
                self.late.append(act)
            elif fault == "crash" and self._crash is not None:
                self._crash()
            else:
                found = act()
                if fault != "lose":
                    return found
        raise Unanswered(step)
