"""Options of a consumer, checked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from regionkit.errors import ConfigurationError
from regionkit.messaging.delivery import ACCEPT_FOR
from regionkit.messaging.handlers import MOST_BATCH

__all__ = ["OnPoison", "Options", "Policy"]

OnPoison = Literal["park_key", "skip", "halt"]
Policy = Literal["hospital", "drop"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,59}")
MOST_CONCURRENT = 256
"""Lanes of one consumer: each may hold a connection of the database."""
GAP_WAIT = 10.0
"""Seconds for which what comes before a message is waited for: copies of it are on their way through another consumer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a consumer does when.

    Attributes:
        name: of the consumer: what it has taken is kept under it.
        ordered: messages of a key take effect in the order in which they were published.
        concurrency: lanes; a key is always of one lane.
        on_poison: what becomes of a key whose message fails for good.
        accept_for: seconds for which a message is taken after it was made.
        gap_wait: seconds for which what comes before a message is waited for.
        expired: what becomes of messages whose time has passed.
        unhandled: what becomes of messages of a type that nobody handles.
        batch: messages of handlers that are rerunnable that one transaction holds at most, where the handler says nothing else.
        region: where the consumer runs; "" without a kit.
        source: of the messages, for people.
    """

    name: str
    ordered: bool
    concurrency: int = 8
    on_poison: OnPoison = "park_key"
    accept_for: float = ACCEPT_FOR
    gap_wait: float = GAP_WAIT
    expired: Policy = "hospital"
    unhandled: Policy = "hospital"
    batch: int = 1
    region: str = ""
    source: str = ""

    @property
    def scope(self) -> bytes:
        """The name, as it stands in tables."""
        return self.name.encode()

    def checked(self) -> Options:
        """Itself.

        Raises:
            ConfigurationError: an option that cannot work.
        """
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{str(self.name)[:80]!r} is not a valid consumer name.",
                fix="use 1 to 60 letters, digits and _ . : / - : its claims are stored under its name.",
            )
        _within("concurrency", self.concurrency, 1, MOST_CONCURRENT)
        _within("accept_for", self.accept_for, 1.0, 3650 * 86_400.0)
        _within("gap_wait", self.gap_wait, 0.0, 3600.0)
        _within("batch", self.batch, 1, MOST_BATCH)
        _one_of("on_poison", self.on_poison, ("park_key", "skip", "halt"))
        _one_of("expired", self.expired, ("hospital", "drop"))
        _one_of("unhandled", self.unhandled, ("hospital", "drop"))
        return self


def _within(name: str, value: Any, least: float, most: float) -> None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not usable:
        raise ConfigurationError(f"{name}={value!r} is not usable.", fix=f"give a number from {least:g} to {most:g}.")


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is not known.", fix=f"write one of {', '.join(choices)}.")
