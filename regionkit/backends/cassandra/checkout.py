# Generated from checkout_async.py by scripts/twins.py. Do not edit.
"""A block's use of a data centre's shared connections: answers are told apart by their streams, so nothing is taken away."""

from __future__ import annotations

from collections.abc import Callable

from regionkit.backends.cassandra.cluster import Opened
from regionkit.backends.cassandra.handle import Setting
from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.facts.observation import Observation

__all__ = ["CassandraCheckout"]

Ask = Callable[[Opened, float], Observation]
"""Asks a data centre where it stands, within so many seconds."""


class CassandraCheckout:
    """The right to send statements until the deadline."""

    __slots__ = ("_ask", "deadline", "observation", "opened", "setting")

    def __init__(
        self, setting: Setting, opened: Opened, ask: Ask, observation: Observation, deadline: Deadline
    ) -> None:
        self._ask = ask
        self.setting = setting
        self.opened = opened
        self.observation = observation
        self.deadline = deadline

    def observe(self, within: float = FOREVER) -> Observation:
        """Ask the data centre where it stands."""
        left = self.deadline.require("asking where it stands")
        self.observation = self._ask(self.opened, min(left, within))
        return self.observation

    def keep(self, guard: Guard) -> None:
        """Nothing: BOUNDED reads are refused."""

    def release(self) -> None:
        """Nothing was taken."""
