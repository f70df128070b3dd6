# Generated from hearing_shared_async.py by scripts/twins.py. Do not edit.
"""What hears from a shared tier's server in the background: one job, started by the first question, ended by `close`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from regionkit.core.clock import Clock
from regionkit.core.supervisor import Supervisor

__all__ = ["BEAT", "Hearing"]

IS_ASYNC = False

BEAT = 0.5
"""Seconds that the server keeps one question: below the shortest idle time-outs of proxies. A thread in it ends no sooner."""


class Hearing(ABC):
    """A job of a tier; a subclass says what it asks, and starts it."""

    def __init__(self, tier: Any, clock: Clock) -> None:
        self._tier = tier
        self._clock = clock
        self._supervisor = Supervisor(clock)
        self._closed = False
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Nothing was heard yet."""

    def renew(self) -> None:
        """After a fork: the parent's job is not here."""
        self._supervisor.renew()
        self._begin()

    def close(self) -> None:
        """Hear no more."""
        self._closed = True
        self._supervisor.stop(within=0.0 if IS_ASYNC else BEAT)  # a thread that waits for the server is not ended
