"""A guard keeps a bounded read within its bound: before a statement that begins too late, the server is asked anew."""

from __future__ import annotations

from collections.abc import Callable

from regionkit.facts.observation import Observation

__all__ = ["Guard"]


class Guard:
    """Until when a proof holds, and what makes it hold longer. Of one block: not shared.

    Args:
        until: monotonic instant at which the proof ends.
        recheck: takes a fresh observation and gives the next such instant, or raises.
    """

    __slots__ = ("_recheck", "_until")

    def __init__(self, until: float, recheck: Callable[[Observation], float]) -> None:
        self._until = until
        self._recheck = recheck

    def due(self, now: float) -> bool:
        """Whether the server has to be asked before the next statement."""
        return now >= self._until

    def renew(self, observation: Observation) -> None:
        """The server was asked.

        Raises:
            StaleRead: its answer proves too little.
        """
        self._until = self._recheck(observation)
