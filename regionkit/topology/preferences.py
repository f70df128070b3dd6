"""Preferences: which of several endpoints that may all serve a read is taken. As values; routing acts on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from regionkit.errors import ConfigurationError
from regionkit.topology.mistakes import shown
from regionkit.topology.registry import named

__all__ = ["PREFERENCES", "Nearest", "Preference", "preference"]


class Preference(Protocol):
    """What every preference has: its name in TOML."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The local region always first, then other regions by measured round trip.

    Attributes:
        latency_window: seconds; endpoints whose round trips differ by less count as equally near, and the one with the
            least calls in flight is taken. Only inside the local region, or among the others.

    Raises:
        ConfigurationError: when the window is negative or not a number.
    """

    name: ClassVar[str] = "nearest"

    latency_window: float = 0.015

    def __post_init__(self) -> None:
        window = self.latency_window
        if isinstance(window, bool) or not isinstance(window, int | float) or not 0.0 <= window < math.inf:
            raise ConfigurationError(
                f"latency_window of {shown(window)} is not usable.", fix="give seconds, zero or more, such as 0.015."
            )
        object.__setattr__(self, "latency_window", float(window))


PREFERENCES: Mapping[str, type[Any]] = MappingProxyType({"nearest": Nearest})
"""Every preference of this version, by its name in TOML."""


def preference(spec: str | Mapping[str, Any]) -> Preference:
    """The preference that TOML describes: a name, or a table with `name` and the preference's own keys.

    Raises:
        ConfigurationError: a name that this version does not have (it lists those it has), or a key it does not know.
    """
    made: Preference = named("preference", spec, PREFERENCES)
    return made
