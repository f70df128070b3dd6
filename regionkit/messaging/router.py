"""Where an event goes: decided in the producer's transaction, before its number is taken, and stored.

A retry takes the same way, and numbers of a key have no holes at a destination, whatever the routes become meanwhile: rows
that are written keep theirs. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from regionkit.errors import ConfigurationError, UsageError

__all__ = ["Routed", "Router"]


class Routed(msgspec.Struct, frozen=True, gc=False):
    """The event that a router routes. `home`: the home region of the key, if the outbox knows it."""

    type: str
    key: str | None
    payload: Any
    headers: Mapping[str, str]
    home: str = ""


class Router:
    """Names the destinations of an event. Immutable; shared freely.

    Args:
        by: "type", "header:NAME", "home_region", or a function of an event (.type .key .payload .headers .home) that names
            what `routes` is asked for.
        routes: by what was found, a destination, or several.
        default: destination of other events; None: an event without a route is refused.

    Raises:
        ConfigurationError: `by` is unknown, or nothing has a route.
    """

    __slots__ = ("_by", "_default", "_routes", "by")

    def __init__(
        self,
        *,
        by: str | Callable[[Routed], str | None],
        routes: Mapping[str, str | Sequence[str]],
        default: str | Sequence[str] | None = None,
    ) -> None:
        self.by = by if isinstance(by, str) else getattr(by, "__name__", "a function")
        self._by = _asked(by)
        self._routes = {name: _several(to) for name, to in routes.items()}
        self._default = None if default is None else _several(default)
        if not self._routes and self._default is None:
            raise ConfigurationError("a router has no routes.", fix="give routes={...}, or default=.")

    @property
    def destinations(self) -> tuple[str, ...]:
        """All that it may name."""
        found = [to for several in self._routes.values() for to in several]
        return tuple(dict.fromkeys([*found, *(self._default or ())]))

    def destinations_of(self, event: Routed) -> tuple[str, ...]:
        """Where the event goes.

        Raises:
            UsageError: no target has it.
        """
        wanted = self._by(event)
        found = self._routes.get(wanted, self._default) if wanted is not None else self._default
        if found is None:
            raise UsageError(
                f"an event of type {event.type!r} has no route: its {self.by} is {wanted!r}.",
                why="it would be lost silently; nothing was written.",
                fix="add it to routes=, or give default=.",
            )
        return found


def _several(to: str | Sequence[str]) -> tuple[str, ...]:
    return (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))


def _asked(by: str | Callable[[Routed], str | None]) -> Callable[[Routed], str | None]:
    if callable(by):
        return by
    if by == "type":
        return lambda event: event.type
    if by == "home_region":
        return lambda event: event.home or None
    if by.startswith("header:"):
        name = by.removeprefix("header:")
        return lambda event: event.headers.get(name)
    raise ConfigurationError(
        f"a router by {by!r} is unknown.", fix='take "type", "header:NAME", "home_region" or a function of the event.'
    )
