# Generated from calls_async.py by scripts/twins.py. Do not edit.
"""What the application asks of a cache, checked: bad input is refused before anything is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from regionkit.caching.keys import canonical
from regionkit.caching.parts import Call
from regionkit.caching.source import Source
from regionkit.caching.strategies import LONGEST_TTL, TTL, Strategy
from regionkit.core.clock import Clock
from regionkit.core.given import is_number
from regionkit.errors import ConfigurationError, UsageError

__all__ = ["Calls"]


class Calls:
    """Makes the calls of one cache."""

    def __init__(
        self,
        name: str,
        strategy: Strategy,
        source: Source,
        clock: Clock,
        usable: Callable[[], None],
    ) -> None:
        self._name = name
        self._strategy = strategy
        self._source = source
        self._clock = clock
        self._usable = usable

    def of(
        self,
        key: Any,
        ttl: float | None,
        max_stale: float | None,
        refresh: bool,
        session: Any,
        *,
        load: Callable[..., Any] | None = None,
        loads: bool = True,
        rejected: bytes = b"",
    ) -> Call:
        """One call.

        Args:
            key: as `Cache.get` has it.
            ttl: as there.
            max_stale: as there.
            refresh: as there.
            session: as there.
            load: another loader than the strategy's.
            loads: False: only look.
            rejected: head of the entry at the tier that is not taken.

        Raises:
            UsageError: the cache is closed, or has no loader.
            ConfigurationError: an unusable key or time.
        """
        self._usable()
        if loads and load is None and not isinstance(self._strategy, TTL):
            load = self._strategy.load
            if load is None and self._strategy.load_many is None:
                raise UsageError(
                    f"cache {self._name!r} has no loader.", fix="use get_or_load(key, loader), or give load=."
                )
            load = load or self._strategy.load_many
        youngest = -math.inf
        if max_stale is not None:
            youngest = self._clock.monotonic() - _seconds("max_stale", max_stale)
        if ttl is not None and not _seconds("ttl", ttl) > 0.0:
            raise ConfigurationError(f"ttl={ttl!r} is not a time.", fix="give seconds above 0.")
        return Call(key, canonical(key), load, ttl, youngest, refresh, self._source.view(session, key), rejected)


def _seconds(name: str, given: Any) -> float:
    if not is_number(given, 0.0, LONGEST_TTL):
        fix = f"give seconds, from 0 to {LONGEST_TTL:.0f}."
        if not isinstance(given, int | float):
            fix += " get returns None if there is no value: it takes no default."
        raise ConfigurationError(f"{name}={given!r} is not a time.", fix=fix)
    return float(given)
