"""Preferences: which of several endpoints that may all serve a read is taken. As values; routing acts on them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from regionkit.errors import ConfigurationError
from regionkit.topology.registry import named
from regionkit.topology.validation import did_you_mean, sequence_of, shown

__all__ = [
    "NEAREST_WINDOW",
    "PREFERENCES",
    "ByGeography",
    "ByProfile",
    "Nearest",
    "Preference",
    "Weighted",
    "check_regions",
    "preference",
]

NEAREST_WINDOW = 0.015
"""Seconds by which round trips may differ and still count as equal: MongoDB's localThresholdMS, and twice a LAN's noise."""


class Preference(Protocol):
    """What every preference has: its name in TOML, and what it says of a session."""

    name: ClassVar[str]

    @property
    def latency_window(self) -> float:
        """Seconds by which the round trips of equals may differ."""

    def regions(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """Regions in the order in which they come first; those not named follow, nearest first."""

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        """Shares of calls by region; empty where calls are not spread."""


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

    latency_window: float = NEAREST_WINDOW

    def __post_init__(self) -> None:
        window = self.latency_window
        if isinstance(window, bool) or not isinstance(window, int | float) or not 0.0 <= window < math.inf:
            raise ConfigurationError(
                f"latency_window of {shown(window)} is not usable.", fix="give seconds, zero or more, such as 0.015."
            )
        object.__setattr__(self, "latency_window", float(window))

    def regions(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """None comes first by name."""
        return ()

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        """Calls are not spread."""
        return ()


@dataclass(frozen=True, slots=True, init=False)
class Weighted:
    """Calls are spread over regions by weight, whichever is near; a region without weight is used when no other is left.

    Exact in the long run for each process: the endpoint with the fewest calls for its weight is next. Of reads with these weights
    that had a choice: writes do not count, and a region that was away is not made up for. What lies back longer counts less.

    Attributes:
        weights: (region, weight) pairs.

    Raises:
        ConfigurationError: no weight, or one that is no positive number.
    """

    name: ClassVar[str] = "weighted"

    weights: tuple[tuple[str, float], ...]

    def __init__(self, weights: Mapping[str, float]) -> None:
        pairs = _table("weights", weights)
        for region, weight in pairs:
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 < weight < math.inf:
                raise ConfigurationError(
                    f"the weight {shown(weight)} of {shown(region)} is not usable.", fix="give a positive number."
                )
        object.__setattr__(self, "weights", tuple((region, float(weight)) for region, weight in pairs))

    @property
    def latency_window(self) -> float:
        """Round trips do not matter."""
        return 0.0

    def regions(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """None comes first by name."""
        return ()


@dataclass(frozen=True, slots=True, init=False)
class ByGeography:
    """The user's location decides: `table` names regions in order for each value of the session's attribute "geography".

    A session without it, or with a value that is not in the table, gets the nearest.

    Attributes:
        table: (value, regions) pairs.

    Raises:
        ConfigurationError: an empty table or order.
    """

    name: ClassVar[str] = "by-geography"

    table: tuple[tuple[str, tuple[str, ...]], ...]

    def __init__(self, table: Mapping[str, Iterable[str]]) -> None:
        pairs = tuple(
            (value, sequence_of(f"regions of {shown(value)}", regions, str))
            for value, regions in _table("table", table)
        )
        if any(not regions for _, regions in pairs):
            raise ConfigurationError("a geography without regions.", fix="name at least one.")
        object.__setattr__(self, "table", pairs)

    @property
    def latency_window(self) -> float:
        """As of Nearest."""
        return NEAREST_WINDOW

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        """Calls are not spread."""
        return ()

    def regions(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """The order of the session's geography."""
        return dict(self.table).get(attributes.get("geography", ""), ())


@dataclass(frozen=True, slots=True, init=False)
class ByProfile:
    """An attribute of the user decides, wherever the user travels: `table` names the region for each value of an attribute.

    `ByProfile("nationality", {"KR": "ap-northeast-2"})`. A session without the attribute, or with a value that is not in the
    table, gets the nearest. This only orders copies that may all serve; residency says where data may be.

    Attributes:
        attribute: name in `kit.session(attributes={...})`.
        table: (value, region) pairs.

    Raises:
        ConfigurationError: an empty name or table.
    """

    name: ClassVar[str] = "by-profile"

    attribute: str
    table: tuple[tuple[str, str], ...]

    def __init__(self, attribute: str, table: Mapping[str, str]) -> None:
        if not isinstance(attribute, str) or not attribute:
            raise ConfigurationError(f"attribute {shown(attribute)} is not usable.", fix='name one: "nationality".')
        pairs = _table("table", table)
        for value, region in pairs:
            if not isinstance(region, str):
                raise ConfigurationError(f"{shown(value)} leads to {shown(region)}.", fix="name one region.")
        object.__setattr__(self, "attribute", attribute)
        object.__setattr__(self, "table", pairs)

    @property
    def latency_window(self) -> float:
        """As of Nearest."""
        return NEAREST_WINDOW

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        """Calls are not spread."""
        return ()

    def regions(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """The region of the session's attribute."""
        region = dict(self.table).get(attributes.get(self.attribute, ""))
        return () if region is None else (region,)


def _table(what: str, given: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(given, Mapping) or not given or not all(isinstance(key, str) and key for key in given):
        raise ConfigurationError(f"{what} is {shown(given)}.", fix="pass a mapping with text keys, not empty.")
    return tuple(given.items())


PREFERENCES: Mapping[str, type[Any]] = MappingProxyType(
    {"nearest": Nearest, "weighted": Weighted, "by-geography": ByGeography, "by-profile": ByProfile}
)
"""Every preference of this version, by its name in TOML."""


def check_regions(store: str, prefer: Preference, known: Collection[str]) -> None:
    """Refuse a preference that names a region which is not `known`: it would silently order nothing.

    Raises:
        ConfigurationError: naming the store and the region, with a near match.
    """
    named_regions = [region for region, _ in prefer.weights]
    for _, regions in getattr(prefer, "table", ()):
        named_regions += [regions] if isinstance(regions, str) else regions
    for region in named_regions:
        if region not in known:
            raise ConfigurationError(
                f"store {store!r}: prefer names region {shown(region)}, which the topology does not have.",
                fix=did_you_mean(region, known),
            )


def preference(spec: str | Mapping[str, Any]) -> Preference:
    """The preference that TOML describes: a name, or a table with `name` and the preference's own keys.

    Raises:
        ConfigurationError: a name that this version does not have (it lists those it has), or a key it does not know.
    """
    made: Preference = named("preference", spec, PREFERENCES)
    return made
